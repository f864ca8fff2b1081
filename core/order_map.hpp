// Every resting order of a feed, found by its id in one cache line.
//
// A fixed table of 64-byte buckets, four orders a bucket. An order that finds its own bucket full goes to
// the next one with room; every bucket passed over is marked and counts it, so a search ends at the first
// bucket that nothing ever passed. Orders never move and nothing leaves tombstones, so the table does not
// age. Ids that differ in their last three bits share a bucket, since an exchange hands ids out in order
// and young orders are touched most; ids spread over 64 bits cost the same one line.
//
// Memory: made and touched at construction. Reaching the limit is a status, never a stall.
#pragma once

#include <bit>
#include <cstdint>

#include "millrace/core/error.hpp"
#include "millrace/core/lanes.hpp"
#include "millrace/core/paged_array.hpp"
#include "millrace/core/prefetch.hpp"
#include "millrace/core/types.hpp"

namespace millrace {

// Number of an order's place in the table; stable while the order rests.
using OrderSlot = std::uint32_t;
inline constexpr std::uint32_t kNoSlot = 0xffffffff;

// Short name of an order: the id itself below 2^32, else a mixture. An order's bucket follows from it alone.
using OrderTag = std::uint32_t;
[[nodiscard]] constexpr OrderTag tag_of(OrderId id) {
    return static_cast<OrderTag>(value(id)) ^ static_cast<OrderTag>((value(id) >> 32) * 0x9e3779b1U);
}

class OrderMap {
  public:
    // How far an id may be from its own bucket. Honest ids stay within a handful; hostile ones are refused
    // here instead of slowing every search.
    static constexpr std::uint32_t kBucketsPassedMax = 128;
    static constexpr std::uint32_t kOrdersPerBucket = 4;
    static constexpr std::uint32_t kWhere = (1U << 30) - 1;

    // Room for `orders_max` orders, with enough slack (five of eight places are used then) that searches
    // stay short. Throws Error(memory).
    explicit OrderMap(std::uint32_t orders_max, const MemoryWish& memory = {})
        : orders_max_(orders_max), bucket_count_(static_cast<std::uint32_t>(std::uint64_t{orders_max} * 2 / 5 + 64)),
          buckets_(bucket_count_ + kBucketsPassedMax, memory), passed_(bucket_count_ + kBucketsPassedMax, memory) {
        MILLRACE_VERIFY(orders_max <= 1U << 30);
    }

    [[nodiscard]] std::uint32_t size() const { return size_; }
    [[nodiscard]] std::uint32_t capacity() const { return orders_max_; }
    [[nodiscard]] std::size_t bytes() const { return buckets_.bytes() + passed_.bytes(); }
    [[nodiscard]] PageKind pages() const { return buckets_.pages(); }

    // The bucket where the search for an id begins, on its way into the cache.
    void prefetch(OrderId id) const { millrace::prefetch(&buckets_[home(tag_of(id))]); }

    [[nodiscard]] OrderId id(OrderSlot slot) const { return OrderId{buckets_[slot / 4].id[slot % 4]}; }
    [[nodiscard]] std::uint32_t quantity(OrderSlot slot) const { return buckets_[slot / 4].quantity[slot % 4]; }
    void set_quantity(OrderSlot slot, std::uint32_t quantity) { buckets_[slot / 4].quantity[slot % 4] = quantity; }
    // What put() was given.
    [[nodiscard]] std::uint32_t where(OrderSlot slot) const { return buckets_[slot / 4].where[slot % 4] & kWhere; }
    void set_where(OrderSlot slot, std::uint32_t where) {
        std::uint32_t& word = buckets_[slot / 4].where[slot % 4];
        word = (word & ~kWhere) | where;
    }

    [[nodiscard, gnu::always_inline]] OrderSlot find(OrderId id) const {
        const std::uint32_t at = home(tag_of(id));
        const std::uint32_t same = lanes::match4(buckets_[at].id, value(id));
        const std::uint32_t i = static_cast<std::uint32_t>(std::countr_zero(same | 8));
        if (same != 0 && (buckets_[at].where[i] & kWhere) != 0) [[likely]] return at * 4 + i;
        return find_beyond(id, at);
    }

    // The order with this tag that put() was given `where` for. Requires that there is exactly one.
    [[nodiscard]] OrderSlot find_tagged(OrderTag tag, std::uint32_t where) const {
        for (std::uint32_t at = home(tag);; ++at) {
            const Bucket& bucket = buckets_[at];
            for (std::uint32_t i = 0; i < 4; ++i) {
                if ((bucket.where[i] & kWhere) == where && tag_of(OrderId{bucket.id[i]}) == tag) return at * 4 + i;
            }
            if ((bucket.where[0] & kPassed) == 0) return kNoSlot;
        }
    }

    // Instead of a free place: the id is in the table already.
    static constexpr OrderSlot kDuplicate = kNoSlot - 1;
    // A free place for an id, taken by put(); kDuplicate, or kNoSlot when the table, or the neighbourhood, is full.
    [[nodiscard, gnu::always_inline]] OrderSlot room_for(OrderId id) const {
        const std::uint32_t first = home(tag_of(id));
        const Bucket& bucket = buckets_[first];
        const std::uint32_t free = free_of(bucket);
        if ((bucket.where[0] & kPassed) != 0 || free == 0) [[unlikely]] return room_beyond(id, first);
        if ((lanes::match4(bucket.id, value(id)) & ~free) != 0) [[unlikely]] return kDuplicate;
        if (size_ == orders_max_) [[unlikely]] return kNoSlot;
        return first * 4 + static_cast<std::uint32_t>(std::countr_zero(free));
    }
    // `where` is the caller's: not 0, and of the bits of kWhere.
    [[gnu::always_inline]] void put(OrderSlot slot, OrderId id, std::uint32_t quantity, std::uint32_t where) {
        const std::uint32_t strayed = slot / 4 == home(tag_of(id)) ? 0 : kStrayed;
        Bucket& bucket = buckets_[slot / 4];
        bucket.id[slot % 4] = value(id);
        bucket.quantity[slot % 4] = quantity;
        bucket.where[slot % 4] |= where | strayed;
        ++size_;
        if (strayed != 0) [[unlikely]] count_passed(slot, 1);
    }

    void erase(OrderSlot slot) {
        std::uint32_t& word = buckets_[slot / 4].where[slot % 4];
        if ((word & kStrayed) != 0) [[unlikely]] count_passed(slot, -1);
        word &= kPassed;
        --size_;
    }

    // Erases every order whose `where` the predicate is true of. Looks at the whole table.
    template <class Predicate>
    void erase_if(Predicate&& predicate) {
        for (std::size_t at = 0; at < buckets_.size(); ++at) {
            for (std::uint32_t i = 0; i < 4; ++i) {
                const std::uint32_t where = buckets_[at].where[i] & kWhere;
                if (where != 0 && predicate(where)) erase(static_cast<OrderSlot>(at * 4 + i));
            }
        }
    }

    // The bucket a tag belongs to: its group, by Fibonacci hashing, scaled to the number of buckets.
    [[nodiscard]] std::uint32_t home(OrderTag tag) const {
        const std::uint64_t hash = std::uint64_t{tag >> 3} * 0x9e3779b97f4a7c15ULL;
        return static_cast<std::uint32_t>(((hash >> 32) * bucket_count_) >> 32);
    }

  private:
    static constexpr std::uint32_t kPassed = 1U << 31;   // in where[0]: passed_ of this bucket is not 0
    static constexpr std::uint32_t kStrayed = 1U << 30;  // the order is not in its own bucket

    struct alignas(kCacheLine) Bucket {
        std::uint64_t id[4];
        std::uint32_t quantity[4];
        std::uint32_t where[4];  // 0 (but for kPassed): the place is free
    };
    static_assert(sizeof(Bucket) == kCacheLine);

    [[nodiscard]] static std::uint32_t free_of(const Bucket& bucket) {
        return lanes::match<4>(bucket.where, 0) | (bucket.where[0] == kPassed ? 1U : 0U);
    }
    // Where the first place that had the id once, if any, is free.
    [[nodiscard, gnu::noinline]] OrderSlot find_beyond(OrderId id, std::uint32_t at) const {
        for (;; ++at) {
            const Bucket& bucket = buckets_[at];
            for (std::uint32_t same = lanes::match4(bucket.id, value(id)); same != 0; same &= same - 1) {
                const auto i = static_cast<std::uint32_t>(std::countr_zero(same));
                if ((bucket.where[i] & kWhere) != 0) return at * 4 + i;
            }
            if ((bucket.where[0] & kPassed) == 0) return kNoSlot;
        }
    }
    [[nodiscard, gnu::noinline]] OrderSlot room_beyond(OrderId id, std::uint32_t first) const {
        if (find(id) != kNoSlot) return kDuplicate;
        if (size_ == orders_max_) return kNoSlot;
        for (std::uint32_t at = first; at - first < kBucketsPassedMax; ++at) {
            const std::uint32_t free = free_of(buckets_[at]);
            if (free != 0) return at * 4 + static_cast<std::uint32_t>(std::countr_zero(free));
        }
        return kNoSlot;
    }
    [[gnu::noinline]] void count_passed(OrderSlot slot, int by) {
        const std::uint32_t at = slot / 4;
        for (std::uint32_t full = home(tag_of(id(slot))); full != at; ++full) {
            passed_[full] = static_cast<std::uint16_t>(passed_[full] + by);
            std::uint32_t& word = buckets_[full].where[0];
            word = passed_[full] != 0 ? word | kPassed : word & ~kPassed;
        }
    }

    std::uint32_t orders_max_;
    std::uint32_t bucket_count_;
    std::uint32_t size_ = 0;
    PagedArray<Bucket> buckets_;
    PagedArray<std::uint16_t> passed_;  // orders at rest further on whose own bucket this or an earlier one is
};

}  // namespace millrace
