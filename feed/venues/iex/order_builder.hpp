// DEEP+: every displayed order.
#pragma once

#include <optional>

#include "millrace/feed/venues/iex/notices.hpp"

namespace millrace::venues::iex {

template <BookHandler Handler>
class OrderBuilder : Notices<Handler> {
    using Base = Notices<Handler>;
    using typename Base::Bytes;
    friend Base;

  public:
    explicit OrderBuilder(BookContext<Handler>& context) : Base(context, BookDepth::orders) {}

    struct Hint {};
    static constexpr int kLookSteps = 3;
    template <int Step>
    void look_ahead(Bytes m, Hint&) const {
        if (m.size() < sizeof(OrderDelete)) return;
        const BookStore& store = context_.store();
        const auto& named = wire::view<OrderDelete>(m);
        const OrderId id{named.order_id.value()};
        switch (static_cast<char>(m[0])) {
            case AddOrder::kType:
                if (Step == 0) symbols_.prefetch(named.symbol);
                if (Step == 0) static_cast<void>(store.look_at_order(id));
                if (Step == 2) look_at_side(named.symbol, static_cast<char>(m[1]));
                break;
            case OrderDelete::kType:
            case OrderExecuted::kType:
            case OrderModify::kType:
                if (Step == 0) symbols_.prefetch(named.symbol);
                if (Step == 0) static_cast<void>(store.look_at_order(id));
                if (Step == 1) store.look_for_order(id);
                break;
            default: return;
        }
        if (Step == 1) look_at_book(named.symbol);
    }

    [[nodiscard]] Applied apply(Bytes m, const Hint&) {
        return this->dispatch(*this, m, std::type_identity<DeepPlusMessages>{});
    }
    using Base::book_named_by;
    using Base::ended;
    using Base::reset;

  private:
    using Base::context_;
    using Base::on;
    using Base::symbols_;

    [[nodiscard]] static Side side_of(char code) { return code == '8' ? Side::bid : Side::ask; }

    void look_at_book(const SymbolText& symbol) const {
        const std::uint32_t number = symbols_.find(symbol);
        const BookStore& store = context_.store();
        if (number != SymbolIndex::kNoBook) store.look_at_book(store.book_at(number));
    }
    void look_at_side(const SymbolText& symbol, char side) const {
        const std::uint32_t number = symbols_.find(symbol);
        const BookStore& store = context_.store();
        if (number != SymbolIndex::kNoBook) store.look_at_side(store.book_at(number), side_of(side));
    }

    [[nodiscard]] Applied on(const AddOrder& m) {
        if (m.second.value() != '8' && m.second.value() != '5') return Applied::malformed;
        return this->with_book(m.symbol, [&](OrderBook& book) {
            add(book, OrderId{m.order_id.value()}, side_of(m.second.value()), price_of(m.price), m.size.value());
        });
    }
    void add(OrderBook& book, OrderId id, Side side, Price price, Quantity quantity) {
        BookChange change;
        const BookStatus status = context_.store().add(book, id, side, price, quantity, change);
        if (status == BookStatus::ok) context_.update(book, BookAction::add, id, change);
        else context_.fault(book, status);
    }

    [[nodiscard]] Applied on(const OrderDelete& m) {
        return this->with_book(m.symbol, [&](OrderBook& book) {
            BookChange change;
            const OrderId id{m.order_id.value()};
            const BookStatus status = context_.store().remove(book, id, change);
            if (status == BookStatus::ok) context_.update(book, BookAction::remove, id, change);
            else context_.fault(book, status);
        });
    }

    // An order that keeps its priority stays where it is; all others go to the tail of their level.
    [[nodiscard]] Applied on(const OrderModify& m) {
        return this->with_book(m.symbol, [&](OrderBook& book) {
            const OrderId id{m.order_id.value()};
            const std::optional<Order> order = book.find(id);
            const bool stays = order.has_value() && order->price == price_of(m.price) &&
                               (m.second.value() & OrderModify::kKeepsPriority) != 0;
            if (stays || !order.has_value()) return resize(book, id, m.size.value());
            requeue(book, *order, price_of(m.price), m.size.value());
        });
    }
    void resize(OrderBook& book, OrderId id, Quantity quantity) {
        BookChange change;
        const BookStatus status = context_.store().resize(book, id, quantity, change);
        if (status == BookStatus::ok) context_.update(book, BookAction::modify, id, change);
        else context_.fault(book, status);
    }
    void requeue(OrderBook& book, const Order& order, Price price, Quantity quantity) {
        if (quantity == 0) return context_.fault(book, BookStatus::bad_quantity);
        BookChange removed;
        BookChange added;
        BookStatus status = context_.store().remove(book, order.id, removed);
        if (status == BookStatus::ok) {
            status = context_.store().add(book, order.id, order.side, price, quantity, added);
            if (status == BookStatus::ok) {
                added.top_changed = added.top_changed || removed.top_changed;
                return context_.replaced(book, order.id, removed, order.id, added);
            }
            // A limit is reached: the order is out of the book, as one that was refused when it came.
            context_.fault(book, status);
            return context_.update(book, BookAction::remove, order.id, removed);
        }
        context_.fault(book, status);
    }

    // The trade first, so that the last event of a message is the change of the book.
    [[nodiscard]] Applied on(const OrderExecuted& m) {
        return this->with_book(m.symbol, [&](OrderBook& book) {
            BookChange change;
            const OrderId id{m.order_id.value()};
            const BookStatus status = context_.store().reduce(book, id, m.size.value(), change);
            if (status != BookStatus::ok) return context_.fault(book, status);
            Trade trade = this->trade_of(m);
            trade.kind = trade.price == change.price ? TradeKind::execution : TradeKind::priced;
            trade.side = change.side;
            trade.order = id;
            trade.match_number = m.trade_id.value();
            context_.trade(book, trade);
            context_.update(book, BookAction::execute, id, change);
        });
    }
    // Displayed orders trade by OrderExecuted, so that this is of hidden ones on both sides.
    [[nodiscard]] Applied on(const TradeReport& m) { return this->trade(m, TradeKind::hidden); }

    [[nodiscard]] Applied on(const ClearBook& m) {
        return this->with_book(m.symbol, [&](OrderBook& book) { context_.clear(book); });
    }
};

}  // namespace millrace::venues::iex
