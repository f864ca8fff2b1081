// The price levels of a book side, sorted with the best at the back, where nearly everything happens.
//
// A ladder keeps two parallel runs in one block: sort keys (scanned as packed integers) and the slots of
// the levels, which live in a pool and never move, so that an order can name its level.
#pragma once

#include <cstdint>
#include <cstring>

#include "millrace/core/order_map.hpp"
#include "millrace/core/paged_array.hpp"
#include "millrace/core/types.hpp"

namespace millrace {

struct PriceLevel {
    Price price;
    Quantity quantity;     // sum over the orders of the level
    std::uint32_t orders;  // how many there are; 0 where the venue does not tell
    OrderSlot front;       // first and last of the queue; front is the next free level in the pool
    OrderSlot back;
    std::uint32_t book_and_side;  // book number * 2 + side
};
static_assert(sizeof(PriceLevel) == 32);

// Levels of all books of a feed. Reaching the limit is a status.
class LevelPool {
  public:
    LevelPool(std::uint32_t levels_max, const MemoryWish& memory) : levels_(levels_max, memory) {}

    [[nodiscard]] PriceLevel& operator[](LevelSlot slot) { return levels_[slot]; }
    [[nodiscard]] const PriceLevel& operator[](LevelSlot slot) const { return levels_[slot]; }
    [[nodiscard]] std::uint32_t size() const { return live_; }

    [[nodiscard]] LevelSlot take() {
        if (free_ != kNoSlot) {
            const LevelSlot slot = free_;
            free_ = levels_[slot].front;
            ++live_;
            return slot;
        }
        if (fresh_ == levels_.size()) return kNoSlot;
        ++live_;
        return fresh_++;
    }

    void give_back(LevelSlot slot) {
        levels_[slot].front = free_;
        free_ = slot;
        --live_;
    }

  private:
    PagedArray<PriceLevel> levels_;
    LevelSlot free_ = kNoSlot;  // chain of levels given back, through `front`
    LevelSlot fresh_ = 0;       // levels from here on were never used
    std::uint32_t live_ = 0;
};

// Memory for ladders: blocks of 16, 32, 64, ... levels cut from one mapping, recycled by size.
class LadderPool {
  public:
    static constexpr std::uint32_t kSmallest = 16;  // levels in a block of class 0
    static constexpr std::uint32_t kClasses = 24;
    static constexpr std::size_t kBytesPerLevel = sizeof(std::int64_t) + sizeof(LevelSlot);

    // Doubling leaves at most half a block empty and each smaller block it outgrew free for others, so
    // that four times the levels, and two smallest blocks a book, always suffice in practice.
    LadderPool(std::uint32_t levels_max, std::uint32_t books_max, const MemoryWish& memory)
        : bytes_((std::size_t{levels_max} * 4 + std::size_t{books_max} * 2 * kSmallest) * kBytesPerLevel, memory) {}

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
    [[nodiscard]] LevelSlot at(std::uint32_t depth) const { return slots()[count_ - 1 - depth]; }
    [[nodiscard]] LevelSlot best() const { return at(0); }

    // Higher keys are better on both sides.
    [[nodiscard]] static std::int64_t key(Side side, Price price) {
        return side == Side::bid ? value(price) : -value(price);
    }

    struct Place {
        std::uint32_t index;  // from the worst level; where the key stands or would be inserted
        bool found;
    };

    // Linear from the best level while near it, then by halves: most of the time the level is close.
    [[nodiscard]] Place find(std::int64_t key) const {
        const std::int64_t* keys = this->keys();
        std::uint32_t i = count_;
        const std::uint32_t near = count_ > kLinear ? count_ - kLinear : 0;
        while (i > near && keys[i - 1] > key) --i;
        if (i == near && near > 0 && keys[i - 1] > key) {
            std::uint32_t low = 0;
            std::uint32_t high = near - 1;
            while (low < high) {
                const std::uint32_t middle = (low + high) / 2;
                if (keys[middle] <= key) low = middle + 1; else high = middle;
            }
            i = low;
        }
        return {i, i > 0 && keys[i - 1] == key};
    }
    [[nodiscard]] LevelSlot slot_at(Place found) const { return slots()[found.index - 1]; }

    // Inserts before everything better. False when there is no memory for a larger block.
    [[nodiscard]] bool insert(Place place, std::int64_t key, LevelSlot slot, LadderPool& pool) {
        if (count_ == capacity() && !grow(pool)) return false;
        std::int64_t* keys = this->keys();
        LevelSlot* slots = this->slots();
        const std::uint32_t better = count_ - place.index;
        std::memmove(keys + place.index + 1, keys + place.index, better * sizeof(*keys));
        std::memmove(slots + place.index + 1, slots + place.index, better * sizeof(*slots));
        keys[place.index] = key;
        slots[place.index] = slot;
        ++count_;
        return true;
    }

    // Requires found.
    void erase(Place found) {
        const std::uint32_t index = found.index - 1;
        const std::uint32_t better = count_ - found.index;
        std::memmove(keys() + index, keys() + index + 1, better * sizeof(std::int64_t));
        std::memmove(slots() + index, slots() + index + 1, better * sizeof(LevelSlot));
        --count_;
    }

    void clear() { count_ = 0; }

    void prefetch_best() const {
        if (count_ > 0) {
            __builtin_prefetch(keys() + count_ - 1);
            __builtin_prefetch(slots() + count_ - 1);
        }
    }

  private:
    static constexpr std::uint32_t kLinear = 16;

    [[nodiscard]] std::uint32_t capacity() const {
        return block_ == nullptr ? 0 : LadderPool::kSmallest << block_class_;
    }
    [[nodiscard]] std::int64_t* keys() const { return reinterpret_cast<std::int64_t*>(block_); }
    [[nodiscard]] LevelSlot* slots() const { return reinterpret_cast<LevelSlot*>(keys() + capacity()); }

    [[nodiscard]] bool grow(LadderPool& pool) {
        const std::uint32_t next_class = block_ == nullptr ? 0 : block_class_ + 1;
        std::uint8_t* block = pool.take(next_class);
        if (block == nullptr) return false;
        const std::uint32_t levels = LadderPool::kSmallest << next_class;
        if (block_ != nullptr) {
            std::memcpy(block, keys(), count_ * sizeof(std::int64_t));
            std::memcpy(block + levels * sizeof(std::int64_t), slots(), count_ * sizeof(LevelSlot));
            pool.give_back(block_, block_class_);
        }
        block_ = block;
        block_class_ = next_class;
        return true;
    }

    std::uint8_t* block_ = nullptr;  // keys, then slots
    std::uint32_t count_ = 0;
    std::uint32_t block_class_ = 0;
};

}  // namespace millrace
