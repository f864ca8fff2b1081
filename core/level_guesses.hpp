// Where the level of a book's side at a price was when it was last asked for: a small table by hash that may forget
// and may be out of date. Who follows a guess looks whether the level is the one (LevelPool::is_at), and else searches
// the side. It spares most adds the search, and its cache misses.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "millrace/core/level_pool.hpp"
#include "millrace/core/paged_array.hpp"
#include "millrace/core/types.hpp"

namespace millrace {

class LevelGuesses {
  public:
    // Twice as many as there may be levels, or more: with half of that a sixth of adds guesses wrong, with a quarter of
    // it the misses cost what the rest gains.
    LevelGuesses(std::uint32_t levels_max, const MemoryWish& memory)
        : bits_(std::countr_zero(std::bit_ceil(levels_max + 1U)) + 1), guesses_(std::size_t{1} << bits_, memory) {}

    // kNoLevel, or any slot there is or was. `side` is a number of its own for each side of each book.
    [[nodiscard]] const LevelSlot& at(std::uint64_t side, Price price) const { return guesses_[index(side, price)]; }
    void set(std::uint64_t side, Price price, LevelSlot level) { guesses_[index(side, price)] = level; }

    [[nodiscard]] std::size_t bytes() const { return guesses_.bytes(); }

  private:
    [[nodiscard]] std::size_t index(std::uint64_t side, Price price) const {
        const std::uint64_t mixture = static_cast<std::uint64_t>(value(price)) * 0x9e3779b97f4a7c15ULL +
                                      side * 0xbb67ae8584caa73bULL;
        return mixture >> (64 - bits_);
    }

    int bits_;
    PagedArray<LevelSlot> guesses_;
};

}  // namespace millrace
