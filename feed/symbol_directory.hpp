// Which symbols a feed keeps books for, and the book of each. Fixed size; nothing allocates after
// construction, so that instruments may appear in mid-session.
#pragma once

#include <cstdint>
#include <span>

#include "millrace/core/book_store.hpp"
#include "millrace/core/digest.hpp"
#include "millrace/core/paged_array.hpp"
#include "millrace/core/types.hpp"

namespace millrace {

class SymbolDirectory {
  public:
    // Room for every subscribed symbol and, when all are wanted, for `books_max` of them.
    SymbolDirectory(std::span<const Symbol> wanted, std::uint32_t books_max)
        : all_(wanted.empty()), mask_(table_size(std::max<std::size_t>(wanted.size(), books_max)) - 1),
          table_(std::size_t{mask_} + 1) {
        for (const Symbol& symbol : wanted) slot(symbol).symbol = symbol;
    }

    struct Answer {
        OrderBook* book = nullptr;  // null: not wanted, or no room
        bool full = false;          // wanted, but limits.books is reached
    };

    // The symbol's book, made when it is wanted and first named.
    [[nodiscard]] Answer open(const Symbol& symbol, BookStore& store, BookDepth depth, PriceScale scale) {
        Entry& entry = slot(symbol);
        if (entry.book != 0) return {&store.books()[entry.book - 1], false};
        if (entry.symbol.empty() && !all_) return {};
        OrderBook* book = store.create(symbol, depth, scale);
        if (book == nullptr) return {nullptr, true};
        entry.symbol = symbol;
        entry.book = value(book->instrument()) + 1;
        return {book, false};
    }

    // The symbol's book if it has one.
    [[nodiscard]] const OrderBook* find(const Symbol& symbol, const BookStore& store) const {
        const Entry& entry = table_[index(symbol)];
        return entry.book == 0 ? nullptr : &store.books()[entry.book - 1];
    }

  private:
    struct Entry {
        Symbol symbol;
        std::uint32_t book;  // 1 + number of its book; 0 while it has none
    };

    [[nodiscard]] static std::uint32_t table_size(std::size_t symbols) {
        std::uint32_t size = 64;
        while (size < 2 * symbols + 2) size *= 2;
        return size;
    }

    // Where the symbol stands or would stand; at most half of the table is ever taken.
    [[nodiscard]] std::uint32_t index(const Symbol& symbol) const {
        auto at = static_cast<std::uint32_t>(digest::keyed({1, 0}, symbol).content >> 32) & mask_;
        while (!table_[at].symbol.empty() && table_[at].symbol != symbol) at = (at + 1) & mask_;
        return at;
    }
    [[nodiscard]] Entry& slot(const Symbol& symbol) { return table_[index(symbol)]; }

    bool all_;
    std::uint32_t mask_;
    PagedArray<Entry> table_;
};

}  // namespace millrace
