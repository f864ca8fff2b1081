// Records that a client could not take in time, conflated: of each instrument's book records only
// the newest of a kind stays, all others stay in their order.
#pragma once

#include <algorithm>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "millrace/feed/streams/dbn/codec.hpp"

namespace millrace::streams {

class HeldRecords {
  public:
    explicit HeldRecords(std::size_t bytes_max) : bytes_max_(bytes_max) {}

    enum class Put : std::uint8_t { added, replaced, no_room };
    Put put(dbn::RecordView record) {
        const std::size_t size = record.bytes().size();
        const bool book = dbn::shows_book(record);
        const auto older = book ? books_.find(key_of(record)) : books_.end();
        if (bytes_.size() + size > bytes_max_) compact();
        const bool room = bytes_.size() + size <= bytes_max_;
        if (older != books_.end() && !room) {
            // The same kind is of the same size. What is newest then stands too early, which its
            // time and sequence tell.
            std::copy_n(record.bytes().begin(), size, &bytes_[older->second]);
            return Put::replaced;
        }
        if (!room) return Put::no_room;
        if (older != books_.end()) {
            bytes_[older->second + 1] = kGone;
            gone_ += size;
        }
        const Put done = older != books_.end() ? Put::replaced : Put::added;
        if (book) books_[key_of(record)] = bytes_.size();
        bytes_.insert(bytes_.end(), record.bytes().begin(), record.bytes().end());
        return done;
    }

    // The oldest; false when there is none. Valid until the next call.
    [[nodiscard]] bool take(dbn::RecordView& record) {
        while (dbn::next_record(rest(), record) == dbn::Step::record) {
            const std::size_t at = at_;
            at_ += record.bytes().size();
            if (record.rtype() == kGone) continue;
            const auto newest = books_.find(key_of(record));
            if (newest != books_.end() && newest->second == at) books_.erase(newest);
            return true;
        }
        bytes_.clear();
        at_ = 0;
        gone_ = 0;
        return false;
    }

  private:
    // No record's rtype: marks one that a newer one has replaced.
    static constexpr std::uint8_t kGone = 0xFF;

    [[nodiscard]] static std::uint64_t key_of(dbn::RecordView record) {
        return std::uint64_t{record.rtype()} << 32 | record.header().instrument_id.value();
    }
    [[nodiscard]] std::span<const std::uint8_t> rest() const {
        return std::span<const std::uint8_t>(bytes_).subspan(at_);
    }
    // Closes up, unless there is too little to win to be worth it.
    void compact() {
        if (at_ + gone_ < bytes_max_ / 4) return;
        std::vector<std::uint8_t> kept;
        dbn::RecordView record;
        while (dbn::next_record(rest(), record) == dbn::Step::record) {
            const std::size_t at = at_;
            at_ += record.bytes().size();
            if (record.rtype() == kGone) continue;
            const auto newest = books_.find(key_of(record));
            if (newest != books_.end() && newest->second == at) newest->second = kept.size();
            kept.insert(kept.end(), record.bytes().begin(), record.bytes().end());
        }
        bytes_ = std::move(kept);
        at_ = 0;
        gone_ = 0;
    }

    std::size_t bytes_max_;
    std::vector<std::uint8_t> bytes_;
    std::size_t at_ = 0;                                    // of the oldest
    std::size_t gone_ = 0;                                  // bytes of replaced records
    std::unordered_map<std::uint64_t, std::size_t> books_;  // where the newest of each stands
};

}  // namespace millrace::streams
