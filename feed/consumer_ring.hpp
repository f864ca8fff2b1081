// Events from the thread that drives a feed to one consumer on another thread, with a policy the user names
// for when the consumer is slow. The feed never waits for a consumer, but under `block`.
//
//     ConsumerRing<MyEvent> ring(FullPolicy::drop_oldest, 65'536);
//     feed's thread:      ring.push(event);            ring.push(book_event, instrument);
//     consumer's thread:  switch (ring.pop(event)) { case Popped::event: ...; case Popped::resync: ...; }
//
// Each consumer has a ring of its own, so one that stands still leaves the others untouched. The producer
// overwrites the oldest events without asking: each slot is a sequence lock, so that the consumer notices,
// and positions count events, so that it knows exactly how many it missed.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <thread>
#include <type_traits>

#include "millrace/core/planted.hpp"
#include "millrace/core/published.hpp"
#include "millrace/core/spsc_ring.hpp"
#include "millrace/core/types.hpp"

namespace millrace {

enum class FullPolicy : std::uint8_t {
    block,        // the producer waits: for replay, where nothing may be lost
    drop_oldest,  // the oldest events make room; the consumer is told how many, and to resynchronise
    conflate,     // of each key only the newest event is kept; events without a key as under drop_oldest
};
[[nodiscard]] constexpr std::string_view name(FullPolicy policy) {
    constexpr std::array<std::string_view, 3> kNames{"block", "drop_oldest", "conflate"};
    return kNames[static_cast<std::size_t>(policy)];
}

enum class Popped : std::uint8_t {
    nothing,
    event,
    resync,  // events were dropped before the next one: lost() says how many; what was built from them is void
};

// All counts are of events. pushed = popped + dropped + conflated + occupancy, when neither side is at work.
struct ConsumerStats {
    std::uint64_t pushed = 0;
    std::uint64_t popped = 0;
    std::uint64_t dropped = 0;    // overwritten before they were popped
    std::uint64_t conflated = 0;  // replaced by a newer one of their key
    std::uint64_t occupancy = 0;  // waiting now
    std::uint64_t capacity = 0;   // of events without a key
};

// `Event` is copied as words. push on one thread, pop on one other, stats on any.
template <class Event>
class ConsumerRing {
    static_assert(std::is_trivially_copyable_v<Event> && sizeof(Event) % sizeof(std::uint64_t) == 0);

  public:
    // `capacity` is rounded up to a power of two; keys are below `keys_max`, which matters to `conflate`
    // alone. Takes and touches its memory.
    ConsumerRing(FullPolicy policy, std::size_t capacity, std::uint32_t keys_max = 0)
        : policy_(policy), mask_(std::bit_ceil(capacity) - 1), slots_(std::make_unique<Slot[]>(mask_ + 1)),
          keys_max_(policy == FullPolicy::conflate ? keys_max : 0),
          latest_(std::make_unique<Latest[]>(keys_max_)), waiting_keys_(keys_max_ + std::size_t{1}) {}

    // ---- the producer's thread ----

    // An event that stands for itself: a trade, a status.
    void push(const Event& event) {
        const std::uint64_t position = produced_.load(std::memory_order_relaxed);
        if (policy_ == FullPolicy::block && !wait_for_room(position)) return;
        const bool wraps = planted(Bug::ring_off_by_one_at_wrap) && (position & mask_) == mask_;
        slots_[wraps ? 0 : position & mask_].write(position, event);
        // release: pairs with the acquire loads of produced_; the slot is visible before its number.
        produced_.store(position + 1, std::memory_order_release);
    }
    // The newest state of `key`: under `conflate` it takes the place of an older one that still waits.
    void push(const Event& event, std::uint32_t key) {
        if (policy_ != FullPolicy::conflate || key >= keys_max_) return push(event);
        Latest& latest = latest_[key];
        if (!latest.waiting.load(std::memory_order_relaxed) || !planted(Bug::conflated_keeps_older)) {
            latest.value.publish(event);
        }
        // acq_rel: pairs with the exchange in pop_latest(); whoever clears the flag sees the value above.
        const bool waits = latest.waiting.exchange(true, std::memory_order_acq_rel);
        add(waits ? conflated_ : keyed_, 1);
        if (!waits) static_cast<void>(waiting_keys_.push(key));  // a key waits once, so there is room
    }
    // Nobody pops any more: a blocked producer goes on, and what it pushes is dropped.
    void close() { closed_.store(true, std::memory_order_relaxed); }

    // ---- the consumer's thread ----

    [[nodiscard]] Popped pop(Event& event) {
        const Popped popped = pop_slot(event);
        if (popped != Popped::nothing || keys_max_ == 0) return popped;
        return pop_latest(event) ? Popped::event : Popped::nothing;
    }
    // How many events were dropped before the last `resync`.
    [[nodiscard]] std::uint64_t lost() const { return lost_; }

    // ---- any thread ----

    [[nodiscard]] ConsumerStats stats() const {
        ConsumerStats s;
        // Consumers first: what they took had been produced.
        const std::uint64_t consumed = consumed_.load(std::memory_order_acquire);
        const std::uint64_t keyed_popped = keyed_popped_.load(std::memory_order_acquire);
        s.dropped = dropped_.load(std::memory_order_acquire);
        const std::uint64_t produced = produced_.load(std::memory_order_acquire);
        const std::uint64_t keyed = keyed_.load(std::memory_order_acquire);
        s.conflated = conflated_.load(std::memory_order_acquire);
        s.capacity = mask_ + 1;
        const std::uint64_t waiting = produced - consumed;
        const std::uint64_t overwritten = waiting > s.capacity ? waiting - s.capacity : 0;
        s.pushed = produced + keyed + s.conflated + refused_.load(std::memory_order_relaxed);
        s.popped = consumed - s.dropped + keyed_popped;
        s.dropped += overwritten + refused_.load(std::memory_order_relaxed);
        s.occupancy = waiting - overwritten + (keyed - keyed_popped);
        return s;
    }
    [[nodiscard]] FullPolicy policy() const { return policy_; }

  private:
    static constexpr std::size_t kWords = sizeof(Event) / sizeof(std::uint64_t);

    // The event of one position. A sequence lock: the producer never waits, the consumer notices when it
    // read while the producer wrote.
    class Slot {
      public:
        void write(std::uint64_t position, const Event& event) {
            std::array<std::uint64_t, kWords> words;
            std::memcpy(words.data(), &event, sizeof(Event));
            version_.store(2 * position + 1, std::memory_order_relaxed);
            // release: a reader that sees any of the new words also sees the odd version above.
            for (std::size_t i = 0; i < kWords; ++i) words_[i].store(words[i], std::memory_order_release);
            // release: pairs with the first load in read(); the words are visible before the version.
            version_.store(2 * position + 2, std::memory_order_release);
        }
        // False when another event stands here, or is just being written.
        [[nodiscard]] bool read(std::uint64_t position, Event& event) const {
            // acquire: pairs with the last store of write().
            if (version_.load(std::memory_order_acquire) != 2 * position + 2) return false;
            std::array<std::uint64_t, kWords> words;
            // acquire: keeps the second look at the version below the words.
            for (std::size_t i = 0; i < kWords; ++i) words[i] = words_[i].load(std::memory_order_acquire);
            if (version_.load(std::memory_order_relaxed) != 2 * position + 2) return false;
            std::memcpy(static_cast<void*>(&event), words.data(), sizeof(Event));
            return true;
        }

      private:
        std::atomic<std::uint64_t> version_{0};                   // producer writes, consumer reads
        std::array<std::atomic<std::uint64_t>, kWords> words_{};  // likewise
    };
    struct Latest {
        Published<Event> value;            // producer writes, consumer reads
        std::atomic<bool> waiting{false};  // its key is in waiting_keys_: producer sets, consumer clears
    };

    // A counter that one thread alone writes.
    static void add(std::atomic<std::uint64_t>& counter, std::uint64_t n) {
        counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_release);
    }

    [[nodiscard]] bool wait_for_room(std::uint64_t position) {
        // acquire: pairs with the store in pop_slot(); the slot was read before it is written again.
        while (position - consumed_.load(std::memory_order_acquire) > mask_) {
            if (closed_.load(std::memory_order_relaxed)) {
                add(refused_, 1);
                return false;
            }
            std::this_thread::sleep_for(std::chrono::microseconds(20));
        }
        return true;
    }

    [[nodiscard]] Popped pop_slot(Event& event) {
        const std::uint64_t expected = consumed_.load(std::memory_order_relaxed);
        for (std::uint64_t position = expected;;) {
            // acquire: pairs with the store in push().
            const std::uint64_t produced = produced_.load(std::memory_order_acquire);
            if (position == produced) return Popped::nothing;
            if (produced - position > mask_ + 1) position = produced - (mask_ + 1);
            if (position != expected) {
                // The events up to here are gone; the next call reads on from here.
                lost_ = position - expected;
                add(dropped_, planted(Bug::ring_drop_counted_twice) ? 2 * lost_ : lost_);
                consumed_.store(position, std::memory_order_release);
                if (planted(Bug::ring_resync_untold)) return pop_slot(event);
                return Popped::resync;
            }
            if (slots_[position & mask_].read(position, event)) {
                consumed_.store(position + 1, std::memory_order_release);
                return Popped::event;
            }
            // Overwritten meanwhile: the producer is a whole ring ahead, or about to be.
            position = expected + 1;
        }
    }

    [[nodiscard]] bool pop_latest(Event& event) {
        std::uint32_t key = 0;
        if (!waiting_keys_.pop(key)) return false;
        // acq_rel: pairs with the exchange in push(); a value pushed from now on makes the key wait again.
        latest_[key].waiting.exchange(false, std::memory_order_acq_rel);
        event = latest_[key].value.read();
        add(keyed_popped_, 1);
        return true;
    }

    FullPolicy policy_;
    std::uint64_t mask_;
    std::unique_ptr<Slot[]> slots_;
    std::uint32_t keys_max_;
    std::unique_ptr<Latest[]> latest_;      // by key
    SpscRing<std::uint32_t> waiting_keys_;  // producer -> consumer
    std::atomic<bool> closed_{false};       // any thread sets, producer reads

    // Producer writes, all read.
    alignas(kCacheLine) std::atomic<std::uint64_t> produced_{0};  // events without a key, so far
    std::atomic<std::uint64_t> keyed_{0};                         // entries of waiting_keys_, so far
    std::atomic<std::uint64_t> conflated_{0};
    std::atomic<std::uint64_t> refused_{0};  // pushed after close()
    // Consumer writes, all read.
    alignas(kCacheLine) std::atomic<std::uint64_t> consumed_{0};  // popped or dropped, so far
    std::atomic<std::uint64_t> keyed_popped_{0};
    std::atomic<std::uint64_t> dropped_{0};  // that the consumer has noticed
    std::uint64_t lost_ = 0;                 // consumer only
};

}  // namespace millrace
