// The names behind a feed's instrument numbers: the producer adds, anyone reads, nobody waits.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>

#include "millrace/core/types.hpp"

namespace millrace::python {

class SymbolTable {
  public:
    struct Entry {
        std::uint32_t instrument = 0;
        Symbol symbol;
    };

    // Producer, once and before add(): room for so many.
    void reserve(std::size_t symbols) {
        entries_ = std::make_unique<Entry[]>(symbols);
        capacity_ = symbols;
    }
    // Producer.
    void add(std::uint32_t instrument, const Symbol& symbol) {
        const std::size_t at = size_.load(std::memory_order_relaxed);
        if (at == capacity_) return;
        entries_[at] = {instrument, symbol};
        size_.store(at + 1, std::memory_order_release);  // pairs with size()
    }

    [[nodiscard]] std::size_t size() const { return size_.load(std::memory_order_acquire); }
    // Below a size() that was read.
    [[nodiscard]] const Entry& operator[](std::size_t at) const { return entries_[at]; }
    // Producer, or when it has finished.
    [[nodiscard]] bool has(const Symbol& symbol) const {
        return std::any_of(entries_.get(), entries_.get() + size(),
                           [&](const Entry& entry) { return entry.symbol == symbol; });
    }

  private:
    std::unique_ptr<Entry[]> entries_;
    std::size_t capacity_ = 0;
    std::atomic<std::size_t> size_{0};
};

}  // namespace millrace::python
