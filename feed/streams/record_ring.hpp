// Records of any size from the feed's thread to a sink's: a ring of bytes in memory taken at the start, without a lock.
// A record is written once and read where it lies, and the room of many is given back at once.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "millrace/core/paged_array.hpp"
#include "millrace/core/types.hpp"

namespace millrace::streams {

class RecordRing {
  public:
    enum class Kind : std::uint8_t {
        record,
        symbol,  // of the instrument whose records follow
        wrap,    // the ring's own: the next entry lies at the beginning
    };
    // What is said with the bytes of an entry.
    struct Head {
        std::uint32_t instrument = 0;
        std::uint16_t size = 0;  // of the bytes behind it
        Kind kind = Kind::record;
        std::uint8_t quality = 0;
        std::uint64_t sequence = 0;
        std::uint64_t number = 0;  // of the record in its stream
    };

    // Takes and touches a power of two of at least `bytes`. Throws Error(memory).
    explicit RecordRing(std::size_t bytes) : memory_(std::bit_ceil(bytes)) {}

    // The feed's thread. False when there is no room. An entry larger than half the ring may never find any.
    [[nodiscard]] bool push(const Head& head, const std::uint8_t* bytes) {
        const std::uint64_t need = bytes_of(head);
        std::uint64_t at = produced_.load(std::memory_order_relaxed);
        const std::uint64_t to_end = memory_.size() - at % memory_.size();
        const std::uint64_t skipped = need > to_end ? to_end : 0;
        if (!has_room(at + skipped + need)) return false;
        if (skipped != 0) *(place(at) + offsetof(Head, kind)) = static_cast<std::uint8_t>(Kind::wrap);
        at += skipped;
        std::memcpy(place(at), &head, sizeof(head));
        std::memcpy(place(at) + sizeof(head), bytes, head.size);
        // release: pairs with take(); the entry is visible before its end.
        produced_.store(at + need, std::memory_order_release);
        return true;
    }

    // The sink's thread. Calls `see(head, bytes)` for entry after entry while it returns true, and gives their room
    // back. How many were seen.
    template <class See>
    std::size_t take(See&& see) {
        std::uint64_t at = consumed_.load(std::memory_order_relaxed);
        // acquire: pairs with push().
        const std::uint64_t end = produced_.load(std::memory_order_acquire);
        std::size_t seen = 0;
        bool more = true;
        while (at != end && more) {
            const auto& head = *reinterpret_cast<const Head*>(place(at));
            if (head.kind == Kind::wrap) {
                at += memory_.size() - at % memory_.size();
                continue;
            }
            more = see(head, std::span<const std::uint8_t>(place(at) + sizeof(head), head.size));
            at += bytes_of(head);
            ++seen;
        }
        // release: pairs with has_room(); all of that room was read.
        consumed_.store(at, std::memory_order_release);
        return seen;
    }

  private:
    // Entries begin at multiples of 8, so that of any the first 8 bytes, with its kind, lie before the end.
    [[nodiscard]] static std::uint64_t bytes_of(const Head& head) {
        return sizeof(Head) + (std::uint64_t{head.size} + 7) / 8 * 8;
    }
    static_assert(offsetof(Head, kind) < 8 && sizeof(Head) % 8 == 0);

    [[nodiscard]] bool has_room(std::uint64_t end) {
        if (end - consumed_seen_ <= memory_.size()) return true;
        // acquire: pairs with take(); who reads that room is done before it is written to.
        consumed_seen_ = consumed_.load(std::memory_order_acquire);
        return end - consumed_seen_ <= memory_.size();
    }
    [[nodiscard]] std::uint8_t* place(std::uint64_t at) { return memory_.data() + (at & (memory_.size() - 1)); }

    PagedArray<std::uint8_t> memory_;
    // Positions count bytes and never wrap.
    alignas(kCacheLine) std::atomic<std::uint64_t> produced_{0};  // the feed's thread writes, the sink's reads
    std::uint64_t consumed_seen_ = 0;                             // the feed's thread only: last value of consumed_
    alignas(kCacheLine) std::atomic<std::uint64_t> consumed_{0};  // the sink's thread writes, the feed's reads
};

}  // namespace millrace::streams
