// Finds a price level by book, side and price in one cache line: a hash of the levels' line numbers.
//
// A bucket holds twelve levels behind one-byte tags that are compared at once. A level that finds its bucket
// full stays out and is counted there; whoever misses in such a bucket asks the book's ladder instead, so a
// crowded bucket costs a search by halves and never more.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include "millrace/core/lanes.hpp"
#include "millrace/core/level_pool.hpp"
#include "millrace/core/paged_array.hpp"
#include "millrace/core/types.hpp"

namespace millrace {

class LevelIndex {
  public:
    LevelIndex(std::uint32_t levels_max, const MemoryWish& memory)
        : bucket_count_(levels_max / 6 + 1), buckets_(bucket_count_, memory) {}

    [[nodiscard]] std::size_t bytes() const { return buckets_.bytes(); }

    struct Key {
        std::uint32_t bucket = 0;
        std::uint8_t tag = 0;  // never 0 in a key that key() made
    };
    [[nodiscard]] Key key(std::uint32_t book_and_side, Price price) const {
        std::uint64_t hash = (static_cast<std::uint64_t>(value(price)) ^ std::uint64_t{book_and_side} << 40) *
                             0x9e3779b97f4a7c15ULL;
        hash = (hash ^ hash >> 32) * 0xd6e8feb86659fd93ULL;
        return {static_cast<std::uint32_t>(((hash >> 32) * bucket_count_) >> 32),
                static_cast<std::uint8_t>(hash >> 16 | 0x80)};
    }
    void prefetch(const Key& key) const { __builtin_prefetch(&buckets_[key.bucket]); }

    // A line that may be the level's: good enough to prefetch. 0 when there is none.
    [[nodiscard]] LevelSlot guess(const Key& key) const {
        const Bucket& bucket = buckets_[key.bucket];
        const std::uint32_t same = lanes::match12(bucket.tags, key.tag);
        return same == 0 ? kNoLevel : bucket.lines[std::countr_zero(same)];
    }

    struct Found {
        LevelSlot slot = kNoLevel;
        bool certain = true;  // false: not here, but perhaps in the book
    };
    [[nodiscard]] Found find(const Key& key, std::uint32_t book_and_side, Price price, const LevelPool& levels) const {
        const Bucket& bucket = buckets_[key.bucket];
        for (std::uint32_t same = lanes::match12(bucket.tags, key.tag); same != 0; same &= same - 1) {
            const LevelSlot slot = bucket.lines[std::countr_zero(same)];
            const PriceLevel& level = levels[slot];
            if (level.price == price && level.book_and_side == book_and_side) return {slot, true};
        }
        return {kNoLevel, bucket.left_out == 0};
    }

    void insert(const Key& key, LevelSlot slot) {
        Bucket& bucket = buckets_[key.bucket];
        const std::uint32_t free = lanes::match12(bucket.tags, 0);
        if (free == 0) {
            ++bucket.left_out;
            return;
        }
        const auto i = static_cast<std::uint32_t>(std::countr_zero(free));
        bucket.tags[i] = key.tag;
        bucket.lines[i] = slot;
    }

    void erase(const Key& key, LevelSlot slot) {
        Bucket& bucket = buckets_[key.bucket];
        const std::uint32_t here = lanes::match<12>(bucket.lines, slot) & ~lanes::match12(bucket.tags, 0);
        if (here == 0) --bucket.left_out;
        else bucket.tags[std::countr_zero(here)] = 0;
    }

  private:
    struct alignas(kCacheLine) Bucket {
        std::uint8_t tags[12];  // 0: free
        std::uint32_t left_out;
        std::uint32_t lines[12];
    };
    static_assert(sizeof(Bucket) == kCacheLine);

    std::uint32_t bucket_count_;
    PagedArray<Bucket> buckets_;
};

}  // namespace millrace
