// All books of a session as CSV: best prices, depth and orders, a row for every symbol of the
// directory.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "millrace/core/order_book.hpp"
#include "millrace/feed/session.hpp"

namespace millrace::tools {

// A price with all its implied decimals: 1234500 at scale 4 is "123.4500".
[[nodiscard]] std::string price_text(Price price, PriceScale scale);

class BooksCsv {
  public:
    void add(std::optional<std::uint32_t> locate, const OrderBook& book);
    // Throws Error(file).
    void write(const std::string& path) const;

  private:
    std::string rows_;
};

// Throws Error(file).
template <class Session>
void write_books(const std::string& path, const Session& session) {
    BooksCsv csv;
    const auto add = [&](std::uint32_t locate, const OrderBook& book) { csv.add(locate, book); };
    if constexpr (requires { session.builder().for_each_instrument(add); }) {
        session.builder().for_each_instrument(add);
    } else {
        for (const OrderBook& book : session.books()) csv.add(std::nullopt, book);
    }
    csv.write(path);
}

}  // namespace millrace::tools
