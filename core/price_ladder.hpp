// The price levels of a book side, sorted: the best ones, where nearly everything happens, in two cache lines.
//
// A ladder holds sort keys and the slots of levels, which live in a pool and never move, so that an order can
// name its level.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

#include "millrace/core/lanes.hpp"
#include "millrace/core/level_pool.hpp"
#include "millrace/core/paged_array.hpp"
#include "millrace/core/prefetch.hpp"
#include "millrace/core/planted.hpp"
#include "millrace/core/types.hpp"

namespace millrace {

// Memory for ladders: blocks of 16, 32, 64, ... levels cut from one mapping, recycled by size.
class LadderPool {
  public:
    static constexpr std::uint32_t kSmallest = 16;  // levels in a block of class 0
    static constexpr std::uint32_t kClasses = 24;
    static constexpr std::size_t kBytesPerLevel = 12;

    // Doubling leaves at most half a block empty and each smaller block it outgrew free for others, so
    // that four times the levels, and two smallest blocks a book, always suffice in practice.
    LadderPool(std::uint32_t levels_max, std::uint32_t books_max, const MemoryWish& memory)
        : bytes_((std::size_t{levels_max} * 4 + std::size_t{books_max} * 2 * kSmallest) * kBytesPerLevel, memory) {}

    [[nodiscard]] std::size_t bytes() const { return bytes_.bytes(); }

    // Block for `kSmallest << block_class` levels; null when the memory is used up.
    [[nodiscard]] std::uint8_t* take(std::uint32_t block_class) {
        if (block_class >= kClasses) return nullptr;
        if (free_[block_class] != nullptr) {
            std::uint8_t* block = free_[block_class];
            std::memcpy(&free_[block_class], block, sizeof(std::uint8_t*));
            return block;
        }
        const std::size_t size = (std::size_t{kSmallest} << block_class) * kBytesPerLevel;
        if (bytes_.size() - used_ < size) return nullptr;
        std::uint8_t* block = &bytes_[used_];
        used_ += size;
        return block;
    }

    void give_back(std::uint8_t* block, std::uint32_t block_class) {
        std::memcpy(block, &free_[block_class], sizeof(std::uint8_t*));
        free_[block_class] = block;
    }

  private:
    PagedArray<std::uint8_t> bytes_;
    std::size_t used_ = 0;
    std::uint8_t* free_[kClasses] = {};  // first of a chain through the blocks' first bytes
};

// The worse levels of a side, in memory that grows: sorted with the best at the back.
class FarLevels {
  public:
    struct [[gnu::packed]] alignas(std::uint32_t) Rung {
        std::int64_t key;
        LevelSlot slot;
    };
    static_assert(sizeof(Rung) == LadderPool::kBytesPerLevel);

    [[nodiscard]] std::uint32_t size() const { return count_; }
    [[nodiscard]] bool empty() const { return count_ == 0; }
    [[nodiscard]] const Rung& best() const { return rungs()[count_ - 1]; }
    // `depth` 0 is the best one.
    [[nodiscard]] LevelSlot at(std::uint32_t depth) const { return rungs()[count_ - 1 - depth].slot; }
    // How many levels are no better than the key: linear from the best one while near it, then by halves.
    [[nodiscard]] std::uint32_t find(std::int64_t key) const {
        std::uint32_t i = count_;
        const std::uint32_t near = count_ > kLinear ? count_ - kLinear : 0;
        while (i > near && rungs()[i - 1].key > key) --i;
        return i == near && near > 0 && rungs()[i - 1].key > key ? find_by_halves(key, near - 1) : i;
    }
    [[nodiscard]] LevelSlot slot_if(std::uint32_t found, std::int64_t key) const {
        return found > 0 && rungs()[found - 1].key == key ? rungs()[found - 1].slot : kNoLevel;
    }

    // Makes room for so many more; false when there is no memory for a larger block.
    [[nodiscard]] bool reserve(std::uint32_t more, LadderPool& pool) {
        return count_ + more <= capacity() || grow(pool);
    }
    // Requires room.
    void insert(std::uint32_t found, std::int64_t key, LevelSlot slot) {
        std::memmove(rungs() + found + 1, rungs() + found, (count_ - found) * sizeof(Rung));
        rungs()[found] = {key, slot};
        ++count_;
    }
    void push_best(std::int64_t key, LevelSlot slot) { rungs()[count_++] = {key, slot}; }
    void pop_best() { --count_; }
    void erase(std::uint32_t found) {
        std::memmove(rungs() + found - 1, rungs() + found, (count_ - found) * sizeof(Rung));
        --count_;
    }
    void clear() { count_ = 0; }

  private:
    static constexpr std::uint32_t kLinear = 16;

    [[nodiscard]] std::uint32_t capacity() const {
        return block_ == nullptr ? 0 : LadderPool::kSmallest << block_class_;
    }
    [[nodiscard]] Rung* rungs() const { return reinterpret_cast<Rung*>(block_); }

    [[nodiscard]] std::uint32_t find_by_halves(std::int64_t key, std::uint32_t high) const {
        std::uint32_t low = 0;
        while (low < high) {
            const std::uint32_t middle = (low + high) / 2;
            if (rungs()[middle].key <= key) low = middle + 1; else high = middle;
        }
        return low;
    }

    [[nodiscard]] bool grow(LadderPool& pool) {
        const std::uint32_t next_class = block_ == nullptr ? 0 : block_class_ + 1;
        std::uint8_t* block = pool.take(next_class);
        if (block == nullptr) return false;
        if (block_ != nullptr) {
            std::memcpy(block, block_, count_ * sizeof(Rung));
            pool.give_back(block_, block_class_);
        }
        block_ = block;
        block_class_ = next_class & 0xffU;
        return true;
    }

    std::uint8_t* block_ = nullptr;  // of rungs
    std::uint32_t count_ : 24 = 0;
    std::uint32_t block_class_ : 8 = 0;
};

// One side of one book, in two cache lines while it has no more than twelve levels: the keys of the best ones,
// which a search compares all at once, and their slots. The others stand behind them in FarLevels.
//
// Keys are sort keys less `base_`, in 32 bits. A level too far from the others for that is a far one.
class alignas(2 * kCacheLine) PriceLadder {
  public:
    [[nodiscard]] std::uint32_t size() const { return near_ + far_.size(); }
    [[nodiscard]] bool empty() const { return near_ == 0; }

    // Depth 0 is the best level. Requires depth < size().
    [[nodiscard]] LevelSlot at(std::uint32_t depth) const {
        return depth < near_ ? slots_[depth] : far_.at(depth - near_);
    }
    // kNoLevel when empty.
    [[nodiscard]] LevelSlot best() const { return near_ > 0 ? slots_[0] : kNoLevel; }

    // Higher keys are better on both sides.
    [[nodiscard]] static std::int64_t key(Side side, Price price) {
        return side == Side::bid || planted(Bug::asks_upside_down) ? value(price) : -value(price);
    }

    // Where a key stands or would be inserted.
    struct Place {
        std::uint32_t index = 0;   // near: how many are better; far: how many are no better
        bool far = false;
        LevelSlot slot = kNoLevel;  // the level, when there is one
    };
    [[nodiscard, gnu::always_inline]] Place find(std::int64_t key) const {
        std::int32_t offset = 0;
        // What lies beyond 32 bits is worse than all near levels, or better.
        if (!fits(key, offset)) return key > base_ ? Place{} : find_far(key);
        const std::uint32_t better = lanes::count_above(keys_, near_, offset);
        if (better == near_) return find_far(key);
        return {better, false, keys_[better] == offset ? slots_[better] : kNoLevel};
    }

    // The same for a level that stands here, by its slot.
    [[nodiscard]] Place find_slot(LevelSlot slot, std::int64_t key) const {
        const std::uint32_t same = lanes::match<kNear>(slots_, slot) & ((1U << near_) - 1);
        if (same != 0) [[likely]] return {static_cast<std::uint32_t>(std::countr_zero(same)), false, slot};
        return {far_.find(key), true, slot};
    }
    // Both lines.
    void prefetch() const {
        millrace::prefetch(keys_);
        millrace::prefetch(slots_);
    }

    // Requires a place without a level. False when there is no memory for more.
    [[nodiscard]] bool insert(const Place& place, std::int64_t key, LevelSlot slot, LadderPool& pool) {
        std::int32_t offset = 0;
        if (near_ == 0) base_ = key;
        const bool fitting = fits(key, offset);
        if (place.far || (place.index == near_ && (!fitting || near_ == kNear))) {
            if (!far_.reserve(1, pool)) return false;
            far_.insert(place.far ? place.index : far_.size(), key, slot);
            return true;
        }
        if (!fitting || near_ == kNear) {
            const std::uint32_t stay = fitting ? std::max(place.index, kNear - kStep) : 0;
            if (!spill(stay, pool)) return false;
        }
        if (near_ == 0) {
            base_ = key;
            offset = 0;
        }
        put(place.index, offset, slot);
        return true;
    }

    // Requires a place with a level.
    void erase(const Place& place) {
        if (place.far) return far_.erase(place.index);
        lanes::close_gap<kNear>(reinterpret_cast<std::uint32_t*>(keys_), place.index);
        lanes::close_gap<kNear>(slots_, place.index);
        if (--near_ < kNear - kStep && !far_.empty()) refill();
    }

    void clear() {
        near_ = 0;
        far_.clear();
    }

  private:
    static constexpr std::uint32_t kNear = 12;
    static constexpr std::uint32_t kStep = 4;  // so many move at a time between near and far

    [[nodiscard]] bool fits(std::int64_t key, std::int32_t& offset) const {
        std::int64_t wide = 0;
        if (__builtin_sub_overflow(key, base_, &wide)) return false;
        offset = static_cast<std::int32_t>(wide);
        return offset == wide;
    }
    [[nodiscard, gnu::always_inline]] Place find_far(std::int64_t key) const {
        if (far_.empty()) return {near_, false, kNoLevel};
        const std::uint32_t found = far_.find(key);
        // Between the two it joins the near ones, while they have room.
        if (found == far_.size() && far_.best().key != key && near_ < kNear) return {near_, false, kNoLevel};
        return {found, true, far_.slot_if(found, key)};
    }
    void put(std::uint32_t at, std::int32_t offset, LevelSlot slot) {
        lanes::open_gap<kNear>(reinterpret_cast<std::uint32_t*>(keys_), at);
        lanes::open_gap<kNear>(slots_, at);
        keys_[at] = offset;
        slots_[at] = slot;
        ++near_;
    }
    // Moves the near levels from `stay` on to the far ones.
    [[nodiscard]] bool spill(std::uint32_t stay, LadderPool& pool) {
        if (!far_.reserve(near_ - stay, pool)) return false;
        while (near_ > stay) {
            --near_;
            far_.push_best(base_ + keys_[near_], slots_[near_]);
        }
        return true;
    }
    void refill() {
        if (near_ == 0) base_ = far_.best().key;
        for (std::uint32_t i = 0; i < kStep && !far_.empty(); ++i) {
            std::int32_t offset = 0;
            if (!fits(far_.best().key, offset)) return;
            keys_[near_] = offset;
            slots_[near_++] = far_.best().slot;
            far_.pop_best();
        }
    }

    std::int64_t base_ = 0;
    std::int32_t keys_[kNear] = {};  // near levels, best first
    std::uint32_t near_ = 0;
    std::uint32_t unused_ = 0;
    LevelSlot slots_[kNear] = {};    // of the near levels
    FarLevels far_;
};
static_assert(sizeof(PriceLadder) == 2 * kCacheLine);

}  // namespace millrace
