// What DBN's market-by-order records do to books (fact sheet, section 14).
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "millrace/core/paged_array.hpp"
#include "millrace/feed/book_context.hpp"
#include "millrace/feed/session.hpp"
#include "millrace/feed/streams/dbn/gateway_records.hpp"
#include "millrace/feed/streams/dbn/records.hpp"
#include "millrace/feed/streams/dbn/venue_traits.hpp"
#include "millrace/feed/venues/dbn_mbo/instrument_names.hpp"

namespace millrace::venues::dbn_mbo {

template <BookHandler Handler>
class BookBuilder {
    using Bytes = std::span<const std::uint8_t>;
    using Mbo = dbn::Mbo;

  public:
    explicit BookBuilder(BookContext<Handler>& context) : context_(context) {}

    struct Hint {};
    static constexpr int kLookSteps = 1;
    template <int Step>
    void look_ahead(Bytes m, Hint&) const {
        if (m.size() >= sizeof(Mbo)) {
            context_.store().look_at_order(OrderId{wire::view<Mbo>(m).order_id.value()});
        }
    }

    [[nodiscard]] Applied apply(Bytes m, Hint) {
        if (m.size() < sizeof(dbn::Header)) return Applied::malformed;
        switch (static_cast<dbn::Rtype>(m[1])) {
            case dbn::Rtype::mbo:
                if (m.size() < sizeof(Mbo)) return Applied::malformed;
                return on(wire::view<Mbo>(m));
            case dbn::Rtype::symbol_mapping:
                if (m.size() < sizeof(dbn::SymbolMapping)) return Applied::malformed;
                return on(wire::view<dbn::SymbolMapping>(m));
            default: {
                // Other records say nothing of orders.
                const wire::MessageLayout* layout = dbn::layout_of(m[1]);
                if (layout == nullptr) return Applied::unknown;
                return layout->fits(m) ? Applied::delivered : Applied::malformed;
            }
        }
    }

    // A new stream names its instruments afresh.
    void reset() { names_.clear(); }

  private:
    [[nodiscard]] Applied on(const dbn::SymbolMapping& m) {
        const bool named = names_.name(m.instrument_id.value(), Symbol(m.stype_out_symbol.value()));
        if (!named) context_.count(FaultCounter::books_full);
        return Applied::delivered;
    }

    [[nodiscard]] Applied on(const Mbo& m) {
        context_.header.sequence = m.sequence.value();
        context_.header.exchange_time = static_cast<Timestamp>(m.ts_event.value());
        context_.header.received_at = static_cast<Timestamp>(m.ts_recv.value());
        context_.last_in_packet = (m.flags.value() & dbn::flags::kLast) != 0;
        const char action = m.action.value();
        if (action == 'N') return Applied::delivered;
        bool wanted = false;
        OrderBook* book = book_of(m, wanted);
        if (book == nullptr) {
            if (wanted) context_.count(FaultCounter::books_full);
            return wanted ? Applied::delivered : Applied::filtered;
        }
        settle_trade(*book, m);
        Price price{};
        if (action != 'R' && !price_of(m, book->price_scale(), price)) return Applied::malformed;
        return act(*book, m, price);
    }

    [[nodiscard]] Applied act(OrderBook& book, const Mbo& m, Price price) {
        if (m.action.value() != 'C') filled_ = OrderId{};
        switch (m.action.value()) {
            case 'R': context_.clear(book); return Applied::delivered;
            case 'T': on_trade(book, m, price); return Applied::delivered;
            case 'F': on_fill(book, m, price); return Applied::delivered;
            case 'A':
            case 'M':
            case 'C': break;
            default: return Applied::malformed;
        }
        if (m.side.value() != 'A' && m.side.value() != 'B') return Applied::malformed;
        if (book.depth() != BookDepth::orders) set_level(book, m, price);
        else if (m.action.value() == 'A') add(book, m, price);
        else if (m.action.value() == 'C') cancel(book, m);
        else modify(book, m, price);
        return Applied::delivered;
    }

    [[nodiscard]] static Side side_of(const Mbo& m) {
        return m.side.value() == 'B' ? Side::bid : Side::ask;
    }
    // False where the price has more decimals than the venue's prices have. "No price" is 0.
    [[nodiscard]] static bool price_of(const Mbo& m, PriceScale scale, Price& price) {
        std::int64_t unit = 1;
        for (auto i = static_cast<unsigned>(scale); i < 9; ++i) unit *= 10;
        const std::int64_t number = m.price.value();
        price = Price{number == dbn::kUndefPrice ? 0 : number / unit};
        return number == dbn::kUndefPrice || number % unit == 0;
    }

    // An instrument's book is of the kind that its first record speaks of.
    [[nodiscard]] OrderBook* book_of(const Mbo& m, bool& wanted) {
        InstrumentNames::Entry* entry = names_.find(m.instrument_id.value());
        wanted = true;
        if (entry == nullptr) return nullptr;
        if (entry->book == nullptr && !entry->unwanted) {
            const std::uint8_t flags = m.flags.value();
            const BookDepth depth = (flags & dbn::flags::kTopOfBook) != 0 ? BookDepth::top
                                    : (flags & dbn::flags::kLevel) != 0   ? BookDepth::levels
                                                                          : BookDepth::orders;
            entry->book = context_.open_book(entry->symbol, depth,
                                             dbn::price_scale_of(m.publisher_id.value()));
            entry->unwanted = entry->book == nullptr;
        }
        wanted = !entry->unwanted;
        return entry->book;
    }

    // A trade is told with its fill, which names the resting order; without one, before whatever
    // comes next.
    void on_trade(OrderBook& book, const Mbo& m, Price price) {
        Trade trade;
        trade.price = price;
        trade.quantity = m.size.value();
        if (m.side.value() == 'N') {
            trade.kind = TradeKind::hidden;
            return context_.trade(book, trade);
        }
        trade.side = opposite(side_of(m));
        pending_ = trade;
        pending_book_ = &book;
    }
    void on_fill(OrderBook& book, const Mbo& m, Price price) {
        Trade trade;
        trade.side = side_of(m);
        trade.order = OrderId{m.order_id.value()};
        trade.price = price;
        trade.quantity = m.size.value();
        trade.printable = pending_book_ == &book || printed_;
        printed_ = trade.printable;  // one trade may fill several orders
        pending_book_ = nullptr;
        filled_ = trade.order;
        context_.trade(book, trade);
    }
    void settle_trade(const OrderBook& book, const Mbo& m) {
        const bool fill = m.action.value() == 'F';
        if (!fill) printed_ = false;
        if (pending_book_ == nullptr || (fill && pending_book_ == &book)) return;
        context_.trade(*pending_book_, pending_);
        pending_book_ = nullptr;
    }

    void add(OrderBook& book, const Mbo& m, Price price) {
        BookChange change;
        const OrderId id{m.order_id.value()};
        const BookStatus status = context_.store().add(book, id, side_of(m), price, m.size.value(), change);
        if (status == BookStatus::ok) context_.update(book, BookAction::add, id, change);
        else context_.fault(book, status);
    }

    void cancel(OrderBook& book, const Mbo& m) {
        BookChange change;
        const OrderId id{m.order_id.value()};
        const BookStatus status = context_.store().reduce(book, id, m.size.value(), change);
        if (status != BookStatus::ok) return context_.fault(book, status);
        const BookAction action = id == filled_            ? BookAction::execute
                                  : change.quantity == 0 ? BookAction::remove
                                                         : BookAction::reduce;
        context_.update(book, action, id, change);
    }

    // Absolute: the order's new price and size. It keeps its place when it only shrinks.
    void modify(OrderBook& book, const Mbo& m, Price price) {
        const OrderId id{m.order_id.value()};
        const std::optional<Order> now = book.find(id);
        if (!now) return add(book, m, price);
        if (now->side != side_of(m)) return context_.fault(book, BookStatus::foreign_order);
        BookChange change;
        if (now->price == price && m.size.value() == now->quantity) return;
        if (now->price == price && m.size.value() < now->quantity) {
            const BookStatus status =
                context_.store().reduce(book, id, now->quantity - m.size.value(), change);
            if (status != BookStatus::ok) return context_.fault(book, status);
            return context_.update(book, BookAction::reduce, id, change);
        }
        BookStatus status = context_.store().remove(book, id, change);
        if (status != BookStatus::ok) return context_.fault(book, status);
        BookChange added;
        status = context_.store().add(book, id, now->side, price, m.size.value(), added);
        if (status != BookStatus::ok) {
            context_.update(book, BookAction::remove, id, change);
            return context_.fault(book, status);
        }
        added.top_changed = added.top_changed || change.top_changed;
        context_.replaced(book, id, change, id, added);
    }

    // Books of levels and of best prices alone. A best price replaces its whole side.
    void set_level(OrderBook& book, const Mbo& m, Price price) {
        const Side side = side_of(m);
        const bool none = m.action.value() == 'C' || m.price.value() == dbn::kUndefPrice;
        if (book.depth() == BookDepth::top) {
            while (book.level_count(side) > 0) {
                const Price best = book.level(side, 0).price;
                if (!none && best == price) break;
                put_level(book, side, best, 0);
            }
            if (!none) put_level(book, side, price, m.size.value());
            return;
        }
        put_level(book, side, price, none ? 0 : m.size.value());
    }
    void put_level(OrderBook& book, Side side, Price price, Quantity quantity) {
        BookChange change;
        const BookStatus status = context_.store().set_level(book, side, price, quantity, 0, change);
        if (status == BookStatus::ok) context_.update(book, BookAction::level, OrderId{}, change);
        else context_.fault(book, status);
    }

    BookContext<Handler>& context_;
    InstrumentNames names_;
    Trade pending_;                       // waits for its fill
    OrderBook* pending_book_ = nullptr;   // null: none waits
    bool printed_ = false;                // the fill before this one had a trade
    OrderId filled_{};                    // the order that the last record filled
};

}  // namespace millrace::venues::dbn_mbo
