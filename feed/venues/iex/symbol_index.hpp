// From a symbol as it lies in a message to its book. IEX numbers no instruments, so every message spells out
// the symbol, and this look-up is most of what a message costs.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "millrace/core/paged_array.hpp"
#include "millrace/core/prefetch.hpp"
#include "millrace/feed/book_context.hpp"
#include "millrace/feed/venues/iex/messages.hpp"

namespace millrace::venues::iex {

// Remembers what the feed's directory answered, by the eight bytes of the text. When it is full the
// directory is asked each time, which is slower and as right.
class SymbolIndex {
  public:
    static constexpr std::uint32_t kNoBook = 0xffff'ffff;

    SymbolIndex() : table_(kSlots) {}

    void prefetch(const SymbolText& symbol) const { millrace::prefetch(&table_[home(key_of(symbol))]); }

    // Number of the symbol's book; kNoBook where it has none or is not known yet.
    [[nodiscard]] std::uint32_t find(const SymbolText& symbol) const {
        const Entry& entry = table_[slot_of(key_of(symbol))];
        return entry.answer >= kFirstBook ? entry.answer - kFirstBook : kNoBook;
    }

    // The symbol's book, made when it is wanted and first named; null when nobody wants it or there is no
    // room. `is_symbol` is set to false for text that names nothing.
    template <class Context>
    [[nodiscard]] OrderBook* open(const SymbolText& symbol, BookDepth depth, PriceScale scale, Context& context,
                                  bool& is_symbol) {
        const std::uint64_t key = key_of(symbol);
        Entry& entry = table_[slot_of(key)];
        if (entry.key == key && entry.answer != kUnknown) {
            return entry.answer == kUnwanted ? nullptr : &context.store().books()[entry.answer - kFirstBook];
        }
        const Symbol name = symbol.value();
        is_symbol = !name.empty();
        if (!is_symbol) return nullptr;
        OrderBook* book = context.open_book(name, depth, scale);
        if (used_ < kSlots / 4 * 3) {
            ++used_;
            entry = {key, book == nullptr ? kUnwanted : value(book->instrument()) + kFirstBook, 0};
        }
        return book;
    }

  private:
    static constexpr std::uint32_t kBits = 15;
    static constexpr std::uint32_t kSlots = 1U << kBits;  // IEX trades some 12,000 symbols
    static constexpr std::uint32_t kUnknown = 0;
    static constexpr std::uint32_t kUnwanted = 1;
    static constexpr std::uint32_t kFirstBook = 2;

    struct Entry {
        std::uint64_t key;
        std::uint32_t answer;  // kUnknown, kUnwanted, or number of the book + kFirstBook
        std::uint32_t unused;
    };

    [[nodiscard]] static std::uint64_t key_of(const SymbolText& symbol) {
        return wire::u64le{std::bit_cast<std::array<std::uint8_t, 8>>(symbol.raw)}.value();
    }
    [[nodiscard]] static std::uint32_t home(std::uint64_t key) {
        return static_cast<std::uint32_t>(key * 0x9e37'79b9'7f4a'7c15U >> (64 - kBits));
    }
    // Where the key stands or would stand. Symbols that were made to collide only cost time.
    [[nodiscard]] std::uint32_t slot_of(std::uint64_t key) const {
        std::uint32_t at = home(key);
        while (table_[at].answer != kUnknown && table_[at].key != key) at = (at + 1) & (kSlots - 1);
        return at;
    }

    PagedArray<Entry> table_;
    std::uint32_t used_ = 0;
};

}  // namespace millrace::venues::iex
