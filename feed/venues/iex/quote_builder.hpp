// TOPS: the best bid and offer of each symbol, both sides in every message.
#pragma once

#include "millrace/feed/venues/iex/notices.hpp"

namespace millrace::venues::iex {

template <BookHandler Handler>
class QuoteBuilder : Notices<Handler> {
    using Base = Notices<Handler>;
    using typename Base::Bytes;
    friend Base;

  public:
    explicit QuoteBuilder(BookContext<Handler>& context) : Base(context, BookDepth::top) {}

    using Hint = std::uint32_t;  // number of a book
    static constexpr int kLookSteps = 2;
    template <int Step>
    void look_ahead(Bytes m, Hint& hint) const {
        if (m.size() < sizeof(QuoteUpdate)) return;
        const SymbolText& symbol = wire::view<QuoteUpdate>(m).symbol;
        if (Step == 0) symbols_.prefetch(symbol);
        if (Step == 1) hint = symbols_.find(symbol);
        if (Step == 1 && hint != SymbolIndex::kNoBook) millrace::prefetch(&context_.store().books()[hint]);
    }

    [[nodiscard]] Applied apply(Bytes m, Hint) {
        return this->dispatch(*this, m, std::type_identity<TopsMessages>{});
    }
    using Base::book_named_by;
    using Base::ended;
    using Base::reset;

  private:
    using Base::context_;
    using Base::on;
    using Base::symbols_;

    // What a quote did to one side.
    struct Moved {
        BookChange removed;
        BookChange added;
        bool any = false;
    };

    [[nodiscard]] Applied on(const QuoteUpdate& m) {
        return this->with_book(m.symbol, [&](OrderBook& book) {
            Moved bid;
            Moved ask;
            const BookStatus bid_status = move(book, Side::bid, price_of(m.bid_price), m.bid_size.value(), bid);
            const BookStatus ask_status = move(book, Side::ask, price_of(m.ask_price), m.ask_size.value(), ask);
            if (bid_status != BookStatus::ok) context_.fault(book, bid_status);
            if (ask_status != BookStatus::ok) context_.fault(book, ask_status);
            // Both sides have moved before either is told of.
            if (bid.any) context_.level_moved(book, bid.removed, bid.added, !ask.any);
            if (ask.any) context_.level_moved(book, ask.removed, ask.added, true);
        });
    }

    [[nodiscard]] BookStatus move(OrderBook& book, Side side, Price price, Quantity quantity, Moved& moved) {
        const Level before = book.level(side, 0);
        if (before.quantity == quantity && (quantity == 0 || before.price == price)) return BookStatus::ok;
        moved.any = true;
        moved.removed = {side, true, before.price, 0, before.quantity};
        moved.added = moved.removed;
        BookStatus status = BookStatus::ok;
        if (!before.empty() && (quantity == 0 || before.price != price)) {
            status = context_.store().set_level(book, side, before.price, 0, 0, moved.added);
        }
        if (quantity != 0 && status == BookStatus::ok) {
            status = context_.store().set_level(book, side, price, quantity, 0, moved.added);
        }
        return status;
    }
};

}  // namespace millrace::venues::iex
