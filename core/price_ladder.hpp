// The price levels of a book side, sorted with the best at the back, where nearly everything happens.
//
// A rung is a sort key and the slot of a level, which lives in a pool and never moves, so that an order can
// name its level. Only a level that comes or goes touches the ladder.
#pragma once

#include <cstdint>
#include <cstring>

#include "millrace/core/level_pool.hpp"
#include "millrace/core/paged_array.hpp"
#include "millrace/core/planted.hpp"
#include "millrace/core/types.hpp"

namespace millrace {

// Memory for ladders: blocks of 16, 32, 64, ... levels cut from one mapping, recycled by size.
class LadderPool {
  public:
    static constexpr std::uint32_t kSmallest = 16;  // levels in a block of class 0
    static constexpr std::uint32_t kClasses = 24;
    static constexpr std::size_t kBytesPerLevel = 16;

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

// One side of one book.
class PriceLadder {
  public:
    [[nodiscard]] std::uint32_t size() const { return count_; }
    [[nodiscard]] bool empty() const { return count_ == 0; }

    // Depth 0 is the best level. Requires depth < size().
    [[nodiscard]] LevelSlot at(std::uint32_t depth) const { return rungs()[count_ - 1 - depth].slot; }
    // kNoLevel when empty. Kept here, so that the ladder's memory need not be touched.
    [[nodiscard]] LevelSlot best() const { return best_; }

    // Higher keys are better on both sides.
    [[nodiscard]] static std::int64_t key(Side side, Price price) {
        return side == Side::bid || planted(Bug::asks_upside_down) ? value(price) : -value(price);
    }

    struct Place {
        std::uint32_t index;  // from the worst level; where the key stands or would be inserted
        bool found;
    };

    // Linear from the best level while near it, then by halves: most of the time the level is close.
    [[nodiscard]] Place find(std::int64_t key) const {
        std::uint32_t i = count_;
        const std::uint32_t near = count_ > kLinear ? count_ - kLinear : 0;
        while (i > near && rungs()[i - 1].key > key) --i;
        if (i == near && near > 0 && rungs()[i - 1].key > key) i = find_far(key, near);
        return {i, i > 0 && rungs()[i - 1].key == key};
    }
    [[nodiscard]] LevelSlot slot_at(Place found) const { return rungs()[found.index - 1].slot; }

    // Inserts before everything better. False when there is no memory for a larger block.
    [[nodiscard]] bool insert(Place place, std::int64_t key, LevelSlot slot, LadderPool& pool) {
        if (count_ == capacity() && !grow(pool)) return false;
        Rung* rungs = this->rungs();
        const std::uint32_t better = count_ - place.index;
        if (better == 0) best_ = slot;
        if (better > kLinear) {
            std::memmove(rungs + place.index + 1, rungs + place.index, better * sizeof(Rung));
        } else {
            for (std::uint32_t i = count_; i > place.index; --i) rungs[i] = rungs[i - 1];
        }
        rungs[place.index] = {key, slot, 0};
        ++count_;
        return true;
    }

    // Requires found.
    void erase(Place found) {
        Rung* rungs = this->rungs();
        const std::uint32_t better = count_ - found.index;
        if (better > kLinear) {
            std::memmove(rungs + found.index - 1, rungs + found.index, better * sizeof(Rung));
        } else {
            for (std::uint32_t i = found.index; i < count_; ++i) rungs[i - 1] = rungs[i];
        }
        --count_;
        if (better == 0) best_ = count_ > 0 ? rungs[count_ - 1].slot : kNoLevel;
    }

    void clear() {
        count_ = 0;
        best_ = kNoLevel;
    }

  private:
    struct Rung {
        std::int64_t key;
        LevelSlot slot;
        std::uint32_t unused;
    };
    static_assert(sizeof(Rung) == LadderPool::kBytesPerLevel);
    static constexpr std::uint32_t kLinear = 16;

    [[nodiscard]] std::uint32_t capacity() const {
        return block_ == nullptr ? 0 : LadderPool::kSmallest << block_class_;
    }
    [[nodiscard]] Rung* rungs() const { return reinterpret_cast<Rung*>(block_); }

    [[nodiscard]] std::uint32_t find_far(std::int64_t key, std::uint32_t near) const {
        std::uint32_t low = 0;
        std::uint32_t high = near - 1;
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
    LevelSlot best_ = kNoLevel;
    std::uint32_t count_ : 24 = 0;
    std::uint32_t block_class_ : 8 = 0;
};
static_assert(sizeof(PriceLadder) == 16);

}  // namespace millrace
