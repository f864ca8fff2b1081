// Receive buffers that become more and fewer with what a line brings, up to a cap.
//
// A control thread decides, faults memory in and grants it; the thread that receives takes grants out of a ring, a few
// buffers a poll, and never meets a page without memory. Taking back is asked for in the same way: retired buffers
// are used no more, and their memory goes when the last of them has come home.
#pragma once

#include <atomic>
#include <cstdint>

#include "millrace/core/packet_arena.hpp"
#include "millrace/core/spsc_ring.hpp"
#include "millrace/core/types.hpp"
#include "millrace/feed/net/received.hpp"

namespace millrace::net {

struct ElasticTiming {
    Nanoseconds look_every = 10'000'000;         // of the control thread
    Nanoseconds shrink_after = 60'000'000'000;   // of needing less than a quarter of the buffers
};

// How many buffers a line needs: a function of what was seen, and of nothing else.
class BufferPolicy {
  public:
    // What was seen since the last look.
    struct Sample {
        Timestamp now = 0;              // MonotonicClock
        std::uint64_t received = 0;     // datagrams, since the start
        std::uint32_t peak_in_use = 0;  // buffers out of the receiver's hands at once
        std::uint32_t buffers = 0;      // that there are
    };

    // For so long the decoder may stand still; twice the highest rate seen is provided for.
    static constexpr Nanoseconds kStall = 50'000'000;
    // After so long a rate is forgotten.
    static constexpr Nanoseconds kMemory = 1'000'000'000;

    BufferPolicy(std::uint32_t least, std::uint32_t most, Nanoseconds shrink_after)
        : least_(least), most_(most), shrink_after_(shrink_after) {}

    // How many there should be, from `least` to `most`.
    [[nodiscard]] std::uint32_t wanted(const Sample& sample);
    // Whether the last sample called for more than `most`.
    [[nodiscard]] bool at_cap() const { return at_cap_; }

  private:
    void note_rate(const Sample& sample);

    std::uint32_t least_;
    std::uint32_t most_;
    Nanoseconds shrink_after_;
    Timestamp last_at_ = 0;  // of the sample before; 0: there is none
    std::uint64_t last_received_ = 0;
    double peak_rate_ = 0;  // datagrams a nanosecond
    Timestamp busy_at_ = 0;  // when a quarter of the buffers did not suffice
    bool at_cap_ = false;
};

class ElasticBuffers {
  public:
    // Of `arena`, which is borrowed; never fewer than are usable now.
    ElasticBuffers(PacketArena& arena, const ElasticTiming& timing)
        : arena_(arena), policy_(arena.usable(), arena.buffers(), timing.shrink_after), orders_(kOrders),
          added_(arena.usable()), limit_(arena.usable()) {}

    // ---- the control thread ----

    void look(Timestamp now, std::uint64_t received);

    // ---- the receiver's thread ----

    // After each poll of `backend`: says how many buffers are out, and takes or gives what the control thread asks for.
    template <class Backend>
    void settle(Backend& backend, ReceiveCounters& counters) {
        const std::uint32_t in_use = added_ + away_ - backend.free_buffers();
        if (in_use > peak_in_use_.load(std::memory_order_relaxed)) {
            peak_in_use_.store(in_use, std::memory_order_relaxed);
        }
        if (added_ == limit_ && away_ == 0) {
            Order order;
            if (!orders_.pop(order)) return;
            obey(order, counters);
        }
        for (std::uint32_t i = 0; i < kAtOnce && added_ < limit_; ++i) backend.release(added_++);
        if (away_ != 0) come_home(backend.withdraw(limit_, kAtOnce));
    }
    // A buffer that must not be used again: it goes to come_home().
    [[nodiscard]] bool retired(std::uint32_t buffer) const { return buffer >= limit_; }
    void come_home(std::uint32_t buffers) {
        if (buffers == 0) return;
        away_ -= buffers;
        // release: pairs with the load in look(); nobody touches the retired buffers any more.
        if (away_ == 0) home_.store(true, std::memory_order_release);
    }

  private:
    enum class What : std::uint32_t { grant, retire, cap_reached };
    struct Order {
        What what = What::grant;
        std::uint32_t buffers = 0;  // that there are from now on
    };
    static constexpr std::size_t kOrders = 256;  // more than a cap has chunks of full-sized buffers
    static constexpr std::uint32_t kAtOnce = 64;

    void obey(const Order& order, ReceiveCounters& counters);
    [[nodiscard]] bool grow_to(std::uint32_t wanted);  // false when the host has no memory for it
    void note_cap(bool reached);

    PacketArena& arena_;  // beyond its addresses the control thread's alone
    // The control thread's.
    BufferPolicy policy_;
    bool was_at_cap_ = false;
    bool retiring_ = false;
    std::uint32_t retired_to_ = 0;  // while it is
    // Between the two.
    SpscRing<Order> orders_;                                   // control -> receiver
    alignas(kCacheLine) std::atomic<std::uint32_t> peak_in_use_{0};  // receiver raises, control sets back
    std::atomic<bool> home_{false};                            // receiver sets, control clears
    // The receiver's.
    alignas(kCacheLine) std::uint32_t added_;  // buffers that its backend was given, less retired ones
    std::uint32_t limit_;                      // those that it is to have; retired ones are behind
    std::uint32_t away_ = 0;                   // retired ones that have not come home
};

}  // namespace millrace::net
