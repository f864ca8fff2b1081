// A handler that turns a feed's events into two numbers, by which two runs are seen to have had the same ones.
#pragma once

#include <cstdint>

#include "millrace/feed/handler.hpp"

namespace millrace::test {

class EventHash {
  public:
    void on_book(const OrderBook& book, const BookUpdate& u) {
        begin(1, book, u);
        put(stream_, static_cast<std::uint64_t>(u.action), static_cast<std::uint64_t>(u.side), u.top_changed,
            u.last_in_event, value(u.order), value(u.price), u.quantity, value(u.previous_order),
            value(u.previous_price), u.previous_quantity);
        const Top top = book.top();
        for (const Level& level : {top.bid, top.ask}) put(stream_, value(level.price), level.quantity, level.orders);
        put(stream_, book.order_count(), book.digest().content, book.digest().queue);
    }
    void on_trade(const OrderBook& book, const Trade& t) {
        begin(2, book, t);
        put(stream_, static_cast<std::uint64_t>(t.kind), static_cast<std::uint64_t>(t.side), t.printable,
            static_cast<std::uint64_t>(t.cross_type), value(t.order), value(t.price), t.quantity, t.match_number);
    }
    void on_status(const OrderBook& book, const TradingStatus& s) {
        begin(3, book, s);
        put(stream_, static_cast<std::uint64_t>(s.what), static_cast<std::uint64_t>(s.state),
            static_cast<std::uint64_t>(s.code));
        for (const char c : s.reason) put(stream_, static_cast<std::uint64_t>(c));
    }
    void on_quality(const OrderBook& book, Quality quality) {
        ++faults_;
        put(troubles_, 4, name_of(book), static_cast<std::uint64_t>(quality), stream_);
    }
    void on_gap(SequenceRange missing) {
        ++faults_;
        put(troubles_, 5, missing.first, missing.last, stream_);
    }

    // Of book, trade and status events, in their order. Neither receive times are in it, nor which message ends
    // a packet: lines cut their packets differently, and which line comes first differs from run to run.
    [[nodiscard]] std::uint64_t stream() const { return stream_; }
    [[nodiscard]] std::uint64_t events() const { return events_; }
    // Of gap and quality events, and where in the stream they stand.
    [[nodiscard]] std::uint64_t troubles() const { return troubles_; }
    [[nodiscard]] std::uint64_t faults() const { return faults_; }

  private:
    template <class... Words>
    static void put(std::uint64_t& hash, Words... words) {
        constexpr std::uint64_t kOdd = 0x9e3779b97f4a7c15;
        ((hash = (hash ^ static_cast<std::uint64_t>(words)) * kOdd, hash ^= hash >> 29), ...);
    }
    [[nodiscard]] static std::uint64_t name_of(const OrderBook& book) {
        std::uint64_t hash = 0;
        for (const char c : book.symbol().view()) put(hash, static_cast<std::uint64_t>(c));
        return hash;
    }
    void begin(std::uint64_t kind, const OrderBook& book, const EventHeader& header) {
        ++events_;
        put(stream_, kind, name_of(book), header.sequence, header.exchange_time);
    }

    std::uint64_t stream_ = 1;
    std::uint64_t troubles_ = 1;
    std::uint64_t events_ = 0;
    std::uint64_t faults_ = 0;
};
static_assert(BookHandler<EventHash>);

}  // namespace millrace::test
