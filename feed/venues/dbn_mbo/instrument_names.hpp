// What the instrument ids of a DBN stream stand for. Fixed size; nothing allocates after construction.
#pragma once

#include <charconv>
#include <cstdint>

#include "millrace/core/order_book.hpp"
#include "millrace/core/paged_array.hpp"
#include "millrace/core/types.hpp"

namespace millrace::venues::dbn_mbo {

class InstrumentNames {
  public:
    struct Entry {
        std::uint32_t id_plus_one;  // 0: free
        bool unwanted;              // nobody asked for its book, or there was no room
        Symbol symbol;
        OrderBook* book;
    };

    InstrumentNames() : table_(kSize) {}

    // False when there is no room.
    [[nodiscard]] bool name(std::uint32_t id, const Symbol& symbol) {
        Entry* entry = slot(id);
        if (entry == nullptr) return false;
        if (entry->symbol == symbol) return true;
        entry->symbol = symbol;
        entry->book = nullptr;  // the id stands for another instrument from here on
        entry->unwanted = false;
        return true;
    }

    // The entry of an id, whose symbol is the id in digits where nobody named it; null when full.
    [[nodiscard]] Entry* find(std::uint32_t id) {
        Entry* entry = slot(id);
        if (entry != nullptr && entry->symbol.empty()) {
            char digits[Symbol::kCapacity];
            const auto end = std::to_chars(digits, digits + sizeof(digits), id).ptr;
            entry->symbol = Symbol(std::string_view(digits, static_cast<std::size_t>(end - digits)));
        }
        return entry;
    }

    void clear() {
        for (std::size_t i = 0; i < table_.size(); ++i) table_[i] = {};
        used_ = 0;
    }

  private:
    static constexpr std::size_t kSize = std::size_t{1} << 17;

    [[nodiscard]] Entry* slot(std::uint32_t id) {
        std::size_t at = (id * 0x9e3779b1U) >> 15;
        while (table_[at].id_plus_one != 0 && table_[at].id_plus_one != id + 1) at = (at + 1) % kSize;
        if (table_[at].id_plus_one == 0) {
            if (used_ == kSize / 2 || id == 0xffffffffU) return nullptr;
            ++used_;
            table_[at].id_plus_one = id + 1;
        }
        return &table_[at];
    }

    PagedArray<Entry> table_;
    std::size_t used_ = 0;
};

}  // namespace millrace::venues::dbn_mbo
