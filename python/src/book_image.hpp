// A copy of one book, to be read at leisure on another thread.
#pragma once

#include <string>
#include <vector>

#include "millrace/core/order_book.hpp"

namespace millrace::python {

struct BookImage {
    Symbol symbol;
    SequenceNumber sequence = 0;
    Quality quality = Quality::live;
    TradingState state = TradingState::unknown;
    BookDepth depth = BookDepth::orders;
    PriceScale scale{};
    Digest digest;
    LastTrade last_trade;
    std::vector<Level> levels[2];               // by Side, best first
    std::vector<std::vector<Order>> orders[2];  // by Side and level, where asked for
};

[[nodiscard]] inline BookImage image_of(const OrderBook& book, bool with_orders) {
    BookImage image;
    image.symbol = book.symbol();
    image.sequence = book.sequence();
    image.quality = book.quality();
    image.state = book.trading_state();
    image.depth = book.depth();
    image.scale = book.price_scale();
    image.digest = book.digest();
    image.last_trade = book.last_trade();
    for (const Side side : {Side::bid, Side::ask}) {
        auto& levels = image.levels[static_cast<std::size_t>(side)];
        const std::uint32_t count = book.level_count(side);
        levels.reserve(count);
        for (std::uint32_t depth = 0; depth < count; ++depth) {
            levels.push_back(book.level(side, depth));
            if (!with_orders) continue;
            auto& queue = image.orders[static_cast<std::size_t>(side)].emplace_back();
            for (const Order& order : book.orders(side, depth)) queue.push_back(order);
        }
    }
    return image;
}

}  // namespace millrace::python
