// Packets that came too early, in the order of their sequence numbers, in memory taken at the start.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "millrace/core/types.hpp"
#include "millrace/feed/byte_ring.hpp"

namespace millrace {

class HeldPackets {
  public:
    struct Entry {
        SequenceNumber first = 0;
        SequenceNumber end = 0;  // exclusive
        Timestamp received_at = 0;
        std::uint64_t stream_offset = 0;
        std::uint64_t position = 0;
        std::uint32_t bytes = 0;
        LineId line = 0;
    };

    // Throws Error(memory).
    HeldPackets(std::size_t packets_max, std::size_t bytes_max)
        : packets_max_(packets_max), entries_(std::bit_ceil(packets_max + 1)), ring_(bytes_max) {}

    [[nodiscard]] bool empty() const { return count_ == 0; }
    [[nodiscard]] std::size_t size() const { return count_; }
    [[nodiscard]] const Entry& front() const { return entry(0); }
    [[nodiscard]] std::span<const std::uint8_t> bytes_of(const Entry& held) const {
        return {ring_.at(held.position), held.bytes};
    }

    // The packet held already that begins with `first` and reaches `end`, or null.
    [[nodiscard]] const Entry* same(SequenceNumber first, SequenceNumber end) const {
        for (std::size_t i = place_of(first); i > 0 && entry(i - 1).first == first; --i) {
            if (entry(i - 1).end >= end) return &entry(i - 1);
        }
        return nullptr;
    }

    // Copies the packet in. False when there is no room.
    [[nodiscard]] bool insert(Entry held, std::span<const std::uint8_t> bytes) {
        if (count_ == packets_max_) return false;
        held.position = ring_.take(bytes.size());
        if (held.position == ByteRing::kNone) return false;
        held.bytes = static_cast<std::uint32_t>(bytes.size());
        if (!bytes.empty()) std::memcpy(ring_.at(held.position), bytes.data(), bytes.size());
        const std::size_t place = place_of(held.first);
        ++count_;
        for (std::size_t i = count_ - 1; i > place; --i) entry(i) = entry(i - 1);
        entry(place) = held;
        return true;
    }

    // `front` stays readable until the next insert.
    void pop_front() {
        ring_.give_back(front().position);
        begin_ = (begin_ + 1) & (entries_.size() - 1);
        --count_;
    }

  private:
    [[nodiscard]] Entry& entry(std::size_t i) { return entries_[(begin_ + i) & (entries_.size() - 1)]; }
    [[nodiscard]] const Entry& entry(std::size_t i) const {
        return entries_[(begin_ + i) & (entries_.size() - 1)];
    }
    // Behind everything that begins at or before `first`; looks from the end, where packets mostly go.
    [[nodiscard]] std::size_t place_of(SequenceNumber first) const {
        std::size_t place = count_;
        while (place > 0 && entry(place - 1).first > first) --place;
        return place;
    }

    std::size_t packets_max_;
    std::size_t begin_ = 0;
    std::size_t count_ = 0;
    std::vector<Entry> entries_;  // a ring; sorted by `first`
    ByteRing ring_;
};

}  // namespace millrace
