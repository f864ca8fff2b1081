// For handlers that want to see books only when nothing is half done: at the end of each packet, or of each of
// the venue's transactions.
//
//     WholeEvents<Strategy> whole(strategy, EventBoundary::packet, limits.books);
//     Session<Venue, WholeEvents<Strategy>> session(config, whole);
//
// The strategy then gets one on_book for every book that changed, with the last of its changes, and before
// these the trades and statuses in their order. Quality and gaps are told at once.
#pragma once

#include <cstdint>
#include <vector>

#include "millrace/feed/handler.hpp"

namespace millrace {

enum class EventBoundary : std::uint8_t { packet, event };

template <BookHandler Handler>
class WholeEvents {
  public:
    // Room for `books` books; trades and statuses beyond `kept_max` in one piece are told early, and counted.
    WholeEvents(Handler& handler, EventBoundary boundary, std::uint32_t books, std::size_t kept_max = 4096)
        : handler_(handler), boundary_(boundary), changed_(books), kept_max_(kept_max) {
        order_.reserve(books);
        kept_.reserve(kept_max);
    }

    void on_book(const OrderBook& book, const BookUpdate& update) {
        const std::uint32_t number = value(book.instrument());
        Changed& changed = changed_[number];
        if (changed.book == nullptr) order_.push_back(number);
        const bool top_changed = changed.book != nullptr && changed.update.top_changed;
        changed = {&book, update};
        changed.update.top_changed = update.top_changed || top_changed;
        if (boundary_ == EventBoundary::event && update.last_in_event) flush();
    }
    void on_trade(const OrderBook& book, const Trade& trade) { keep({&book, true, trade, {}}); }
    void on_status(const OrderBook& book, const TradingStatus& status) { keep({&book, false, {}, status}); }
    void on_quality(const OrderBook& book, Quality quality) { handler_.on_quality(book, quality); }
    void on_gap(SequenceRange missing) {
        flush();
        handler_.on_gap(missing);
    }
    // From the session, behind the last message of a packet.
    void on_packet_end() { flush(); }

    [[nodiscard]] std::uint64_t early() const { return early_; }

  private:
    struct Changed {
        const OrderBook* book = nullptr;  // null: not changed since the last boundary
        BookUpdate update;
    };
    struct Kept {
        const OrderBook* book;
        bool is_trade;
        Trade trade;
        TradingStatus status;
    };

    void keep(const Kept& kept) {
        if (kept_.size() == kept_max_) {
            ++early_;
            tell_kept();
        }
        kept_.push_back(kept);
    }
    void tell_kept() {
        for (const Kept& kept : kept_) {
            if (kept.is_trade) handler_.on_trade(*kept.book, kept.trade);
            else handler_.on_status(*kept.book, kept.status);
        }
        kept_.clear();
    }
    void flush() {
        tell_kept();
        for (const std::uint32_t number : order_) {
            Changed& changed = changed_[number];
            handler_.on_book(*changed.book, changed.update);
            changed.book = nullptr;
        }
        order_.clear();
    }

    Handler& handler_;
    EventBoundary boundary_;
    std::vector<Changed> changed_;      // by instrument
    std::vector<std::uint32_t> order_;  // of first change since the last boundary
    std::vector<Kept> kept_;
    std::size_t kept_max_;
    std::uint64_t early_ = 0;
};

}  // namespace millrace
