// How an OrderBook reads its store: levels, orders and queues. Comes with order_book.hpp.
#pragma once

#include <cstddef>
#include <iterator>
#include <optional>
#include <ranges>

#include "millrace/core/book_store.hpp"
#include "millrace/core/order_book.hpp"

namespace millrace {

inline Level OrderBook::level(Side side, std::uint32_t depth) const {
    const PriceLadder& ladder = this->ladder(side);
    if (depth >= ladder.size()) return {};
    const PriceLevel& level = store_->levels_[ladder.at(depth)];
    return {level.price, level.quantity, level.orders};
}

inline std::optional<Order> OrderBook::find(OrderId id) const {
    OrderSlot slot = kNoSlot;
    if (store_->locate(*this, id, slot) != BookStatus::ok) return std::nullopt;
    const RestingOrder& order = store_->orders_[slot];
    const PriceLevel& level = store_->levels_[order.level];
    return Order{id, BookStore::side_of(level), level.price, order.quantity};
}

class OrderBook::OrderIterator {
  public:
    using value_type = Order;
    using difference_type = std::ptrdiff_t;

    OrderIterator() = default;
    OrderIterator(const OrderMap* orders, OrderSlot at, Side side, Price price)
        : orders_(orders), at_(at), side_(side), price_(price) {}

    [[nodiscard]] Order operator*() const {
        const RestingOrder& order = (*orders_)[at_];
        return {order.id, side_, price_, order.quantity};
    }
    OrderIterator& operator++() {
        at_ = (*orders_)[at_].behind;
        return *this;
    }
    OrderIterator operator++(int) {
        OrderIterator before = *this;
        ++*this;
        return before;
    }
    friend bool operator==(const OrderIterator& i, std::default_sentinel_t) { return i.at_ == kNoSlot; }
    friend bool operator==(const OrderIterator& a, const OrderIterator& b) { return a.at_ == b.at_; }

  private:
    const OrderMap* orders_ = nullptr;
    OrderSlot at_ = kNoSlot;
    Side side_ = Side::bid;
    Price price_{};
};

inline auto OrderBook::orders(Side side, std::uint32_t depth) const {
    OrderIterator first;
    if (depth_ == BookDepth::orders && depth < ladder(side).size()) {
        const PriceLevel& level = store_->levels_[ladder(side).at(depth)];
        first = OrderIterator(&store_->orders_, level.front, side, level.price);
    }
    return std::ranges::subrange(first, std::default_sentinel);
}

}  // namespace millrace
