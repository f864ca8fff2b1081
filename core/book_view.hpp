// What needs whole queues: walking one, emptying a book, and OrderBook's view of its store.
// Included by book_store.hpp, which see.
#pragma once

#include "millrace/core/book_store.hpp"

namespace millrace {

inline void BookStore::forget_orders(std::uint32_t where, const OrderTag* tags, std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i) orders_.erase(orders_.find_tagged(tags[i], where));
}

inline void BookStore::clear(OrderBook& book) {
    const std::uint32_t others = orders_.size() - book.order_count_;
    for (const Side side : {Side::bid, Side::ask}) {
        if (side == Side::ask && planted(Bug::ghost_level_after_reset)) continue;
        PriceLadder& ladder = book.ladder(side);
        for (std::uint32_t depth = 0; depth < ladder.size(); ++depth) {
            levels_.clear_queue(ladder.at(depth), [this](std::uint32_t where, const OrderTag* tags, std::uint32_t count) {
                forget_orders(where, tags, count);
            });
        }
    }
    // Orders that stand in no queue name their level.
    if (orders_.size() > others) {
        orders_.erase_if([&](std::uint32_t where) {
            return levels_[levels_.level_of(where)].book_and_side / 2 == book.number_ + 1;
        });
    }
    for (const Side side : {Side::bid, Side::ask}) {
        if (side == Side::ask && planted(Bug::ghost_level_after_reset)) continue;
        PriceLadder& ladder = book.ladder(side);
        for (std::uint32_t depth = 0; depth < ladder.size(); ++depth) {
            forget_doubt(book, ladder.at(depth));
            levels_.give_back(ladder.at(depth));
        }
        ladder.clear();
        book.best_[static_cast<std::size_t>(side)] = kNoLevel;
    }
    book.order_count_ = 0;
    book.digest_ = {};
}

inline void BookStore::doubt_queues(OrderBook& book) {
    for (const Side side : {Side::bid, Side::ask}) {
        const PriceLadder& ladder = book.ladder(side);
        for (std::uint32_t depth = 0; depth < ladder.size(); ++depth) {
            PriceLevel& level = levels_[ladder.at(depth)];
            if (level.orders < 2 || level.doubtful) continue;
            level.doubtful = true;
            ++doubtful_levels_;
            ++book.doubtful_levels_;
        }
    }
}

inline Level OrderBook::level(Side side, std::uint32_t depth) const {
    if (depth == 0) {
        if (best(side) == kNoLevel) return {};
        const PriceLevel& level = store_->levels_[best(side)];
        return {level.price, level.quantity, level.orders};
    }
    const PriceLadder& ladder = this->ladder(side);
    if (depth >= ladder.size()) return {};
    const PriceLevel& level = store_->levels_[ladder.at(depth)];
    return {level.price, level.quantity, level.orders};
}

inline std::optional<Order> OrderBook::find(OrderId id) const {
    const BookStore::Located at = store_->locate(*this, id);
    if (at.status != BookStatus::ok) return std::nullopt;
    const PriceLevel& level = store_->levels_[at.level];
    return Order{id, BookStore::side_of(level), level.price, at.order.quantity};
}

// Walks the tags of a level's lines; each order is looked up when it is asked for.
class OrderBook::OrderIterator {
  public:
    using value_type = Order;
    using difference_type = std::ptrdiff_t;

    OrderIterator() = default;
    OrderIterator(const RestingOrders& orders, const LevelPool& levels, LevelSlot level)
        : orders_(&orders), levels_(&levels), level_(level), where_(level) {
        if (levels[level].count == 0) next_line();
    }

    [[nodiscard]] Order operator*() const {
        const PriceLevel& level = (*levels_)[level_];
        const OrderSlot slot = orders_->find_tagged(tags()[at_], where_);
        return {orders_->id(slot), static_cast<Side>(level.book_and_side & 1), level.price, orders_->quantity(slot)};
    }
    OrderIterator& operator++() {
        if (++at_ == count()) next_line();
        return *this;
    }
    OrderIterator operator++(int) {
        OrderIterator before = *this;
        ++*this;
        return before;
    }
    friend bool operator==(const OrderIterator& i, std::default_sentinel_t) { return i.where_ == kNoLevel; }
    friend bool operator==(const OrderIterator& a, const OrderIterator& b) {
        return a.where_ == b.where_ && a.at_ == b.at_;
    }

  private:
    [[nodiscard]] bool in_chunk() const { return (where_ & kChunk) != 0; }
    [[nodiscard]] const OrderTag* tags() const {
        return in_chunk() ? levels_->chunk(where_).tags : levels_->tags(level_);
    }
    [[nodiscard]] std::uint32_t count() const {
        return in_chunk() ? levels_->chunk(where_).count : (*levels_)[level_].count;
    }
    void next_line() {
        const std::uint32_t last = (*levels_)[level_].last_chunk;
        at_ = 0;
        if (last == 0 || where_ == (last | kChunk)) where_ = kNoLevel;
        else where_ = levels_->chunk(in_chunk() ? where_ : last).behind | kChunk;
    }

    const RestingOrders* orders_ = nullptr;
    const LevelPool* levels_ = nullptr;
    LevelSlot level_ = kNoLevel;
    std::uint32_t where_ = kNoLevel;  // the line; kNoLevel at the end
    std::uint32_t at_ = 0;
};

inline auto OrderBook::orders(Side side, std::uint32_t depth) const {
    OrderIterator first;
    if (depth_ == BookDepth::orders && depth < ladder(side).size()) {
        first = OrderIterator(store_->orders_, store_->levels_, ladder(side).at(depth));
    }
    return std::ranges::subrange(first, std::default_sentinel);
}

}  // namespace millrace
