// Every resting order of a feed, found by its id in one cache line.
//
// A fixed table of 64-byte buckets, two orders a bucket. An order that finds its own bucket full goes to
// the next one with room, and every bucket passed over counts it in `passed`, so a search ends at the
// first bucket that nothing ever passed. Orders never move, so that queues can link them by slot number;
// nothing leaves tombstones, so the table does not age. Ids that differ in their last two bits share a
// bucket, since an exchange hands ids out in order and young orders are touched most.
//
// Memory: one mapping, made and touched at construction. Reaching the limit is a status, never a stall.
#pragma once

#include <cstdint>

#include "millrace/core/error.hpp"
#include "millrace/core/paged_array.hpp"
#include "millrace/core/types.hpp"

namespace millrace {

// Number of an order's place in the table; stable while the order rests.
using OrderSlot = std::uint32_t;
using LevelSlot = std::uint32_t;
inline constexpr std::uint32_t kNoSlot = 0xffffffff;

struct RestingOrder {
    OrderId id;
    std::uint32_t quantity;
    LevelSlot level;
    OrderSlot ahead;   // neighbours in the queue of the level; kNoSlot at its ends
    OrderSlot behind;
};
static_assert(sizeof(RestingOrder) == 24);

class OrderMap {
  public:
    // How far an id may be from its own bucket. Honest ids stay within a handful; hostile ones are refused
    // here instead of slowing every search.
    static constexpr std::uint32_t kBucketsPassedMax = 256;

    // Room for `orders_max` orders, with enough slack (two thirds of the slots are used then) that searches
    // stay short. Throws Error(memory).
    explicit OrderMap(std::uint32_t orders_max, const MemoryWish& memory = {})
        : orders_max_(orders_max),
          bucket_count_(static_cast<std::uint32_t>(std::uint64_t{orders_max} * 3 / 4 + 64)),
          buckets_(bucket_count_ + kBucketsPassedMax, memory) {
        MILLRACE_VERIFY(orders_max < kNoSlot / 2);
    }

    [[nodiscard]] std::uint32_t size() const { return size_; }
    [[nodiscard]] std::uint32_t capacity() const { return orders_max_; }

    void prefetch(OrderId id) const { __builtin_prefetch(&buckets_[home(id)]); }

    [[nodiscard]] RestingOrder& operator[](OrderSlot slot) { return buckets_[slot / 2].orders[slot % 2]; }
    [[nodiscard]] const RestingOrder& operator[](OrderSlot slot) const {
        return buckets_[slot / 2].orders[slot % 2];
    }

    [[nodiscard]] OrderSlot find(OrderId id) const {
        for (std::uint32_t at = home(id);; ++at) {
            const Bucket& bucket = buckets_[at];
            if ((bucket.used & 1) != 0 && bucket.orders[0].id == id) return at * 2;
            if ((bucket.used & 2) != 0 && bucket.orders[1].id == id) return at * 2 + 1;
            if (bucket.passed == 0) return kNoSlot;
        }
    }

    // True when the slot is taken by this id: a hint from an earlier find that may have gone stale.
    [[nodiscard]] bool holds(OrderSlot slot, OrderId id) const {
        const Bucket& bucket = buckets_[slot / 2];
        return (bucket.used >> slot % 2 & 1) != 0 && bucket.orders[slot % 2].id == id;
    }

    struct Inserted {
        OrderSlot slot = kNoSlot;  // kNoSlot: not inserted
        bool duplicate = false;    // the id is in the table; otherwise the table, or the neighbourhood, is full
    };
    // A slot for an id. The caller fills the other members.
    [[nodiscard]] Inserted insert(OrderId id) {
        const std::uint32_t first = home(id);
        std::uint32_t free = kNoSlot;
        std::uint32_t at = first;
        for (;; ++at) {
            const Bucket& bucket = buckets_[at];
            if ((bucket.used & 1) != 0 && bucket.orders[0].id == id) return {kNoSlot, true};
            if ((bucket.used & 2) != 0 && bucket.orders[1].id == id) return {kNoSlot, true};
            if (free == kNoSlot && bucket.used != 3) free = at;
            if (bucket.passed == 0) break;
        }
        if (size_ == orders_max_) return {};
        while (free == kNoSlot) {
            if (++at - first == kBucketsPassedMax) return {};
            if (buckets_[at].used != 3) free = at;
        }
        for (std::uint32_t full = first; full != free; ++full) ++buckets_[full].passed;
        Bucket& bucket = buckets_[free];
        const std::uint32_t half = bucket.used & 1;  // slot 0 unless it is taken
        bucket.used |= static_cast<std::uint8_t>(1U << half);
        bucket.orders[half].id = id;
        ++size_;
        return {free * 2 + half, false};
    }

    void erase(OrderSlot slot) {
        const std::uint32_t at = slot / 2;
        Bucket& bucket = buckets_[at];
        for (std::uint32_t full = home(bucket.orders[slot % 2].id); full != at; ++full) --buckets_[full].passed;
        bucket.used &= static_cast<std::uint8_t>(~(1U << (slot % 2)));
        --size_;
    }

    // The bucket an id belongs to: its group, by Fibonacci hashing, scaled to the number of buckets.
    [[nodiscard]] std::uint32_t home(OrderId id) const {
        std::uint64_t hash = (value(id) >> 2) * 0x9e3779b97f4a7c15ULL;
        hash ^= hash >> 32;
        hash *= 0xd6e8feb86659fd93ULL;
        return static_cast<std::uint32_t>(((hash >> 32) * bucket_count_) >> 32);
    }

  private:
    struct alignas(kCacheLine) Bucket {
        RestingOrder orders[2];
        std::uint8_t used;    // bit i: orders[i] is taken
        std::uint32_t passed;  // orders at rest further on whose own bucket this or an earlier one is
    };
    static_assert(sizeof(Bucket) == kCacheLine);

    std::uint32_t orders_max_;
    std::uint32_t bucket_count_;
    std::uint32_t size_ = 0;
    PagedArray<Bucket> buckets_;
};

}  // namespace millrace
