// What a venue's book builder works with: the books, the directory, the counters and the handler.
// The builder knows what the venue's messages mean; everything that is the same for all venues is here.
#pragma once

#include <cstdint>

#include "millrace/core/book_store.hpp"
#include "millrace/core/paged_array.hpp"
#include "millrace/core/planted.hpp"
#include "millrace/feed/counters.hpp"
#include "millrace/feed/handler.hpp"
#include "millrace/feed/symbol_directory.hpp"

namespace millrace {

// Messages a session looks at ahead of the one being applied, so that their cache misses overlap: so many, and what
// else is in the last packet of these, up to the room there is.
inline constexpr std::uint32_t kLookWindow = 64;
inline constexpr std::uint32_t kLookRoom = 256;

template <BookHandler Handler>
class BookContext {
  public:
    BookContext(BookStore& store, SymbolDirectory& directory, Handler& handler, std::uint32_t books_max)
        : store_(store), directory_(directory), handler_(handler), trust_(books_max) {}

    // Set by the session before each message.
    EventHeader header;
    bool last_in_packet = false;

    [[nodiscard]] BookStore& store() { return store_; }
    [[nodiscard]] const FaultCounters& faults() const { return faults_; }
    // Of the feed as a whole: what a book is that has no trouble of its own.
    [[nodiscard]] Quality feed_quality() const {
        return worst(worst(overlay_, stopped_ ? Quality::suspect : new_books_),
                     repairing_all_ ? Quality::recovering : Quality::live);
    }

    // The instrument's book, or null when nobody wants it.
    [[nodiscard]] OrderBook* open_book(const Symbol& symbol, BookDepth depth, PriceScale scale) {
        const std::size_t before = store_.books().size();
        const SymbolDirectory::Answer answer = directory_.open(symbol, store_, depth, scale);
        if (answer.full) ++faults_[FaultCounter::books_full];
        if (store_.books().size() != before) {
            trust_[value(answer.book->instrument())] = {new_books_, repairing_all_};
            suspects_ += new_books_ == Quality::suspect ? 1 : 0;
            store_.set_quality(*answer.book, feed_quality());
        }
        return answer.book;
    }

    [[gnu::always_inline]] void update(OrderBook& book, BookAction action, OrderId id, const BookChange& change) {
        publish(book, action, {id, change.price, change.quantity}, {id, change.price, change.previous_quantity},
                change);
    }
    void replaced(OrderBook& book, OrderId previous, const BookChange& removed, OrderId id,
                  const BookChange& added) {
        publish(book, BookAction::replace, {id, added.price, added.quantity},
                {previous, removed.price, removed.previous_quantity}, added);
    }

    // A book of levels: what rests at a price now. The book shows all messages up to `stands_at`, which is behind this
    // one where a transaction is applied before its steps are told.
    void level(OrderBook& book, const BookChange& change, bool last_in_event, SequenceNumber stands_at) {
        publish(book, BookAction::level, {{}, change.price, change.quantity},
                {{}, change.price, change.previous_quantity}, change, last_in_event, stands_at);
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

    // Whether a book that is crossed or locked in continuous trading is suspect.
    void watch_crossed(bool on) { watches_crossed_ = on; }

    void trade(OrderBook& book, Trade trade) {
        static_cast<EventHeader&>(trade) = header;
        if (trade.kind != TradeKind::broken && trade.printable && trade.last_sale && trade.quantity != 0) {
            store_.set_last_trade(book, {trade.price, trade.quantity, header.exchange_time});
        }
        handler_.on_trade(book, trade);
    }

    void status(OrderBook& book, TradingStatus status) {
        static_cast<EventHeader&>(status) = header;
        const bool deaf = planted(Bug::halt_ignored) && status.state == TradingState::halted;
        if (status.what == TradingStatus::What::trading && !deaf) store_.set_trading_state(book, status.state);
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

    void instrument(OrderBook& book, InstrumentDetails details) {
        if constexpr (HasOnInstrument<Handler>) {
            static_cast<EventHeader&>(details) = header;
            handler_.on_instrument(book, details);
        }
    }

    // The feed contradicts this book: its quality is told before anything else is. Behind a gap that was
    // given up contradictions are to be expected, and the book is marked already.
    [[gnu::noinline]] void fault(OrderBook& book, FaultCounter cause) {
        ++faults_[cause];
        if (!planted(Bug::fault_without_quality)) suspect(book);
    }
    void suspect(OrderBook& book) {
        Trust& trust = trust_of(book);
        if (trust.own != Quality::live) return;
        trust.own = Quality::suspect;
        ++suspects_;
        refresh(book);
    }
    // What would make this book exact has not come.
    void distrust(OrderBook& book, Quality quality) {
        trust_of(book).own = worst(trust_of(book).own, quality);
        refresh(book);
    }
    // Worth knowing, and no contradiction.
    void count(FaultCounter cause) { ++faults_[cause]; }
    // Which book is contradicted is not known: it may be any.
    [[gnu::noinline]] void fault(FaultCounter cause) {
        ++faults_[cause];
        if (planted(Bug::stray_message_ignored)) return;
        if (new_books_ != Quality::recovering) distrust_all(Quality::suspect);
    }
    [[gnu::noinline]] void fault(OrderBook& book, BookStatus status) {
        // The order rests elsewhere: either book may be the one that was meant.
        if (status == BookStatus::foreign_order) fault(FaultCounter::foreign_order);
        else fault(book, cause_of(status));
    }
    // How many times a book became suspect; a change means that a repair is due.
    [[nodiscard]] std::uint64_t suspects() const { return suspects_; }

    // Nothing is applied any more: from now on all books are suspect, whatever becomes of them.
    void stop() {
        stopped_ = true;
        refresh_all();
    }

    // Messages are missing, or lie: no book can be trusted until it is made anew.
    [[gnu::noinline]] void distrust_all(Quality quality) {
        new_books_ = worst(new_books_, quality);
        if (quality == Quality::suspect) ++suspects_;
        for (OrderBook& book : store_.books()) {
            trust_of(book).own = worst(trust_of(book).own, quality);
            refresh(book);
        }
    }

    // A book that the feed names first from now on is held for what all the others are.
    [[nodiscard]] bool distrusts_new_books() const { return new_books_ != Quality::live; }

    // What holds for all books while it lasts: `recovering` or `stale`, or `live` when nothing does.
    void set_overlay(Quality overlay) {
        if (overlay == overlay_) return;
        overlay_ = overlay;
        refresh_all();
    }

    // ---- making books anew from a snapshot ----

    // From here on these books are not to be trusted until end_repair(): all, and those still to come, or
    // those that are suspect. False when there is none of these.
    bool begin_repair(bool all) {
        repairing_all_ = repairing_all_ || all;
        bool any = all;
        for (OrderBook& book : store_.books()) {
            Trust& trust = trust_of(book);
            if (!all && trust.own == Quality::live) continue;
            any = true;
            trust.in_repair = true;
            refresh(book);
        }
        return any;
    }
    [[nodiscard]] bool in_repair(const OrderBook& book) const { return trust_[value(book.instrument())].in_repair; }
    [[nodiscard]] bool repairing_all() const { return repairing_all_; }
    // Empties the books in repair, and holds nothing against them any more.
    void clear_for_snapshot() {
        new_books_ = Quality::live;
        for (OrderBook& book : store_.books()) {
            if (!in_repair(book)) continue;
            trust_of(book).own = Quality::live;
            refresh(book);
            if (!planted(Bug::snapshot_on_top)) empty(book);
        }
    }
    // The snapshot that the books in repair were made from holds everything before `next`. It does not promise
    // the order of the queues (GLIMPSE 5.0 names none).
    void note_snapshot(SequenceNumber next) {
        for (OrderBook& book : store_.books()) {
            if (!in_repair(book)) continue;
            store_.set_sequence(book, next - 1);
            if (!planted(Bug::queue_doubt_forgotten)) store_.doubt_queues(book);
        }
    }
    void end_repair() {
        repairing_all_ = false;
        for (OrderBook& book : store_.books()) {
            trust_of(book).in_repair = false;
            refresh(book);
        }
    }

    // A new session: every book starts empty, and exact before its first message.
    void reset_books() {
        overlay_ = new_books_ = Quality::live;
        repairing_all_ = false;
        header = {};
        if constexpr (detail_of<Handler>() == BookDetail::totals) store_.forget_totals_orders();
        for (OrderBook& book : store_.books()) {
            const bool had_orders = !is_empty(book);
            store_.clear(book);
            if (!planted(Bug::state_survives_session)) store_.set_trading_state(book, TradingState::unknown);
            store_.set_sequence(book, 0);
            trust_of(book) = {};
            refresh(book);
            if (had_orders) publish(book, BookAction::clear, {}, {}, {});
        }
    }

  private:
    [[nodiscard]] static FaultCounter cause_of(BookStatus status) {
        switch (status) {
            case BookStatus::duplicate_order: return FaultCounter::duplicate_order;
            case BookStatus::bad_quantity: return FaultCounter::bad_quantity;
            case BookStatus::orders_full: return FaultCounter::orders_full;
            case BookStatus::levels_full: return FaultCounter::levels_full;
            case BookStatus::foreign_order: return FaultCounter::foreign_order;
            case BookStatus::ok:
            case BookStatus::unknown_order: break;
        }
        return FaultCounter::unknown_order;
    }

    // What is known against a book, apart from what holds for all of them.
    struct Trust {
        Quality own;
        bool in_repair;
    };

    [[nodiscard]] Trust& trust_of(const OrderBook& book) { return trust_[value(book.instrument())]; }
    // Works out the book's quality, and tells the handler when it is another one than before.
    void refresh(OrderBook& book) {
        const Trust& trust = trust_of(book);
        const Quality quality =
            worst(worst(stopped_ ? Quality::suspect : trust.own, overlay_), trust.in_repair ? Quality::recovering : Quality::live);
        if (book.quality() == quality) return;
        store_.set_quality(book, quality);
        if (!planted(Bug::quality_untold)) handler_.on_quality(book, quality);
    }
    void refresh_all() {
        for (OrderBook& book : store_.books()) refresh(book);
    }

    [[nodiscard, gnu::noinline]] static bool is_crossed(const OrderBook& book) {
        if (book.trading_state() != TradingState::trading) return false;
        const Top top = book.top();
        return !top.bid.empty() && !top.ask.empty() && top.bid.price >= top.ask.price;
    }
    [[nodiscard]] static bool is_empty(const OrderBook& book) {
        return book.order_count() == 0 && book.level_count(Side::bid) == 0 && book.level_count(Side::ask) == 0;
    }
    void empty(OrderBook& book) {
        if (is_empty(book)) return;
        store_.clear(book);
        publish(book, BookAction::clear, {}, {}, {});
    }

    struct Named {
        OrderId id{};
        Price price{};
        Quantity quantity = 0;
    };
    // Inlined, so that of an update only what the handler reads is made.
    [[gnu::always_inline]] void publish(OrderBook& book, BookAction action, const Named& now, const Named& before,
                                        const BookChange& change, bool last_in_event = true) {
        publish(book, action, now, before, change, last_in_event, header.sequence);
    }
    [[gnu::always_inline]] void publish(OrderBook& book, BookAction action, const Named& now, const Named& before,
                                        const BookChange& change, bool last_in_event, SequenceNumber stands_at) {
        if (!planted(Bug::update_without_sequence)) store_.set_sequence(book, stands_at);
        if (watches_crossed_ && change.top_changed && last_in_event && is_crossed(book)) [[unlikely]] {
            fault(book, FaultCounter::crossed);
        }
        if (change.total_differs) [[unlikely]] fault(book, FaultCounter::level_total);
        BookUpdate update;
        static_cast<EventHeader&>(update) = header;
        update.action = action;
        update.side = change.side;
        update.top_changed = change.top_changed && !planted(Bug::top_change_untold);
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
    Quality overlay_ = Quality::live;
    Quality new_books_ = Quality::live;  // what a book is held for that the feed names first from now on
    bool repairing_all_ = false;
    bool stopped_ = false;
    bool watches_crossed_ = false;
    std::uint64_t suspects_ = 0;
    PagedArray<Trust> trust_;  // by instrument
};

}  // namespace millrace
