// What a venue's book builder works with: the books, the directory, the counters and the handler.
// The builder knows what the venue's messages mean; everything that is the same for all venues is here.
#pragma once

#include <cstdint>

#include "millrace/core/book_store.hpp"
#include "millrace/core/planted.hpp"
#include "millrace/feed/counters.hpp"
#include "millrace/feed/handler.hpp"
#include "millrace/feed/symbol_directory.hpp"

namespace millrace {

template <BookHandler Handler>
class BookContext {
  public:
    BookContext(BookStore& store, SymbolDirectory& directory, Handler& handler)
        : store_(store), directory_(directory), handler_(handler) {}

    // Set by the session before each message.
    EventHeader header;
    bool last_in_packet = false;

    [[nodiscard]] BookStore& store() { return store_; }
    [[nodiscard]] const FaultCounters& faults() const { return faults_; }
    [[nodiscard]] Quality feed_quality() const { return feed_quality_; }

    // The instrument's book, or null when nobody wants it.
    [[nodiscard]] OrderBook* open_book(const Symbol& symbol, BookDepth depth, PriceScale scale) {
        const std::size_t before = store_.books().size();
        const SymbolDirectory::Answer answer = directory_.open(symbol, store_, depth, scale);
        if (answer.full) ++faults_[FaultCounter::books_full];
        if (store_.books().size() != before) store_.set_quality(*answer.book, feed_quality_);
        return answer.book;
    }

    void update(OrderBook& book, BookAction action, OrderId id, const BookChange& change) {
        publish(book, action, {id, change.price, change.quantity}, {id, change.price, change.previous_quantity},
                change);
    }
    void replaced(OrderBook& book, OrderId previous, const BookChange& removed, OrderId id,
                  const BookChange& added) {
        publish(book, BookAction::replace, {id, added.price, added.quantity},
                {previous, removed.price, removed.previous_quantity}, added);
    }

    // A book of levels: what rests at a price now.
    void level(OrderBook& book, const BookChange& change, bool last_in_event) {
        publish(book, BookAction::level, {{}, change.price, change.quantity},
                {{}, change.price, change.previous_quantity}, change, last_in_event);
    }
    // A book that knows the best price only, which may be another one than before.
    void level_moved(OrderBook& book, const BookChange& removed, const BookChange& added, bool last_in_event) {
        publish(book, BookAction::level, {{}, added.price, added.quantity},
                {{}, removed.price, removed.previous_quantity}, added, last_in_event);
    }

    // The venue emptied the book.
    void clear(OrderBook& book) {
        store_.clear(book);
        publish(book, BookAction::clear, {}, {}, {});
    }

    void trade(OrderBook& book, Trade trade) {
        static_cast<EventHeader&>(trade) = header;
        if (trade.kind != TradeKind::broken && trade.printable && trade.last_sale && trade.quantity != 0) {
            store_.set_last_trade(book, {trade.price, trade.quantity, header.exchange_time});
        }
        handler_.on_trade(book, trade);
    }

    void status(OrderBook& book, TradingStatus status) {
        static_cast<EventHeader&>(status) = header;
        if (status.what == TradingStatus::What::trading) store_.set_trading_state(book, status.state);
        handler_.on_status(book, status);
    }

    void official_price(OrderBook& book, OfficialPrice official) {
        if constexpr (HasOnOfficialPrice<Handler>) {
            static_cast<EventHeader&>(official) = header;
            handler_.on_official_price(book, official);
        }
    }

    void imbalance(OrderBook& book, Imbalance imbalance) {
        if constexpr (HasOnImbalance<Handler>) {
            static_cast<EventHeader&>(imbalance) = header;
            handler_.on_imbalance(book, imbalance);
        }
    }

    // The feed contradicts this book: its quality is told before anything else is. Behind a gap that was
    // given up contradictions are to be expected, and the book is marked already.
    void fault(OrderBook& book, FaultCounter cause) {
        ++faults_[cause];
        if (planted(Bug::fault_without_quality)) return;
        if (book.quality() != Quality::recovering) degrade(book, Quality::suspect);
    }
    void fault(FaultCounter cause) { ++faults_[cause]; }
    void fault(OrderBook& book, BookStatus status) { fault(book, cause_of(status)); }

    // Messages are missing: no book can be trusted until it is made anew.
    void degrade_all(Quality quality) {
        feed_quality_ = worst(feed_quality_, quality);
        for (OrderBook& book : store_.books()) degrade(book, quality);
    }

    // A new session: every book starts empty, and exact before its first message.
    void reset_books() {
        feed_quality_ = Quality::live;
        header.sequence = 0;
        for (OrderBook& book : store_.books()) {
            const bool had_orders = book.order_count() != 0 || book.level_count(Side::bid) != 0 ||
                                    book.level_count(Side::ask) != 0;
            store_.clear(book);
            if (!planted(Bug::state_survives_session)) store_.set_trading_state(book, TradingState::unknown);
            store_.set_sequence(book, 0);
            set_quality(book, Quality::live);
            if (had_orders) publish(book, BookAction::clear, {}, {}, {});
        }
    }

  private:
    [[nodiscard]] static FaultCounter cause_of(BookStatus status) {
        switch (status) {
            case BookStatus::foreign_order: return FaultCounter::foreign_order;
            case BookStatus::duplicate_order: return FaultCounter::duplicate_order;
            case BookStatus::bad_quantity: return FaultCounter::bad_quantity;
            case BookStatus::orders_full: return FaultCounter::orders_full;
            case BookStatus::levels_full: return FaultCounter::levels_full;
            case BookStatus::ok:
            case BookStatus::unknown_order: break;
        }
        return FaultCounter::unknown_order;
    }

    void degrade(OrderBook& book, Quality quality) { set_quality(book, worst(book.quality(), quality)); }
    void set_quality(OrderBook& book, Quality quality) {
        if (book.quality() == quality) return;
        store_.set_quality(book, quality);
        if (!planted(Bug::quality_untold)) handler_.on_quality(book, quality);
    }

    struct Named {
        OrderId id{};
        Price price{};
        Quantity quantity = 0;
    };
    void publish(OrderBook& book, BookAction action, const Named& now, const Named& before,
                 const BookChange& change, bool last_in_event = true) {
        if (!planted(Bug::update_without_sequence)) store_.set_sequence(book, header.sequence);
        BookUpdate update;
        static_cast<EventHeader&>(update) = header;
        update.action = action;
        update.side = change.side;
        update.top_changed = change.top_changed;
        update.last_in_packet = last_in_packet;
        update.last_in_event = last_in_event;
        update.order = now.id;
        update.price = now.price;
        update.quantity = now.quantity;
        update.previous_order = before.id;
        update.previous_price = before.price;
        update.previous_quantity = before.quantity;
        handler_.on_book(book, update);
    }

    BookStore& store_;
    SymbolDirectory& directory_;
    Handler& handler_;
    FaultCounters faults_;
    Quality feed_quality_ = Quality::live;
};

}  // namespace millrace
