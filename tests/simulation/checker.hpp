// The consumer at the end of the path, which holds everything it is told and shown against the exchange's
// truth.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "millrace/feed/handler.hpp"
#include "tests/simulation/consumers.hpp"
#include "tests/simulation/exchange.hpp"

namespace millrace::sim {

struct Tally {
    std::uint64_t events = 0;
    std::uint64_t books_checked = 0;
    std::uint64_t exact = 0;
    std::uint64_t flagged = 0;
    std::uint64_t wrong = 0;
};

// A hash of everything that happened, equal on every compiler.
class EventLog {
  public:
    void add(std::uint64_t word) { hash_ = Rng::scramble(hash_ ^ word) + 0x632be59bd9b4e019ULL; }
    [[nodiscard]] std::uint64_t hash() const { return hash_; }

  private:
    std::uint64_t hash_ = 0;
};

class Checker {
  public:
    Checker(const Exchange& exchange, bool verbose) : exchange_(exchange), verbose_(verbose), seen_(exchange.symbols()) {}

    // ---- the callbacks of a handler ----
    void on_book(const OrderBook& book, const BookUpdate& update);
    void on_trade(const OrderBook& book, const Trade& trade);
    void on_status(const OrderBook& book, const TradingStatus& status);
    void on_quality(const OrderBook& book, Quality quality);
    void on_gap(SequenceRange missing);

    // ---- from the simulation ----
    // Called first in each callback about messages: calls enter().
    std::function<void()> before_event;
    // The day whose messages are being delivered.
    void enter(const Day& day);
    [[nodiscard]] const Day& day() const { return *day_; }
    // Message `sequence` of the day was handed to the session unharmed.
    void handed(std::uint32_t day, std::uint64_t first, std::uint64_t count);
    // The session was handed a copy of this message that says something else, and cannot know it until it has
    // been handed a good one. Until then the book may be wrong, and nobody can say so.
    void handed_wrong(std::uint32_t day, std::uint64_t sequence);
    // All of these, unharmed, have been taken in.
    void taken(std::uint32_t day, std::uint64_t first, std::uint64_t count);
    // Between two packets: everything before `next` has been applied or given up. `all` compares every book
    // row by row, otherwise one of them in turn.
    void between(std::span<const OrderBook> books, SequenceNumber next, bool all);
    // So many messages the arbiter has given up, ever; what is named beyond these is in a snapshot.
    std::function<std::uint64_t()> lost;
    // Told of every book and trade.
    std::deque<Consumer> consumers;
    [[nodiscard]] const Tally& tally() const { return tally_; }
    [[nodiscard]] EventLog& log() { return log_; }

  private:
    struct Seen {
        bool known = false;
        Quality quality = Quality::live;
        std::uint64_t last_change = 0;  // sequence number of the last on_book
        std::uint64_t last_event = 0;   // sequence number of the last callback
        bool unbroken = true;           // live ever since the session began
        bool top_told = false;          // of the transaction that is being told, the best price changed
    };

    [[nodiscard]] std::uint32_t symbol_of(const OrderBook& book) const;
    Seen& notice(const OrderBook& book, std::uint32_t symbol);
    // False for what a snapshot tells, which stands at no number.
    bool in_order(const OrderBook& book, Seen& seen, const EventHeader& header);
    [[nodiscard]] bool excused(std::uint32_t symbol, SequenceNumber sequence) const;
    // Whether the book claims to be what it was after message `sequence`, and can be.
    [[nodiscard]] bool comparable(const OrderBook& book, std::uint32_t symbol, SequenceNumber sequence) const;
    // Counts the book as flagged, or holds it against its state after `sequence`.
    void verify(const OrderBook& book, std::uint32_t symbol, SequenceNumber sequence);
    void compare(const OrderBook& book, std::uint32_t symbol, SequenceNumber sequence);
    void compare_side(const OrderBook& book, Side side, const std::vector<Row>& rows, std::size_t& at);
    void compare_level(const OrderBook& book, Side side, std::uint32_t depth, std::span<const Row> rows);
    // The level's orders, in their order, or in any where the book does not know it.
    void compare_queue(const OrderBook& book, Side side, std::uint32_t depth, std::span<const Row> rows);
    void recompute_digest(const OrderBook& book) const;
    void expect(bool holds, const OrderBook& book, SequenceNumber sequence, const char* what);
    // Whether the message left the best prices, their totals and numbers of orders as they were.
    [[nodiscard]] bool same_top(std::uint32_t symbol, SequenceNumber sequence) const;
    void check_change(const OrderBook& book, Seen& seen, const BookUpdate& update, const Event& event);
    void check_update(const OrderBook& book, const BookUpdate& update, const Event& event);
    template <class... Args>
    void say(fmt::format_string<Args...> text, Args&&... args) const {
        if (verbose_) fmt::print(stderr, "  {}\n", fmt::format(text, std::forward<Args>(args)...));
    }

    const Exchange& exchange_;
    bool verbose_;
    const Day* day_ = nullptr;
    std::vector<Seen> seen_;                  // by symbol
    static constexpr std::uint32_t kAnySymbol = ~std::uint32_t{0};
    struct Wrong {
        std::uint32_t day;
        std::uint32_t symbol;
        std::uint64_t sequence;
    };
    std::vector<Wrong> wrong_;                // copies whose good one has not come
    std::vector<std::vector<bool>> handed_;   // by day, by sequence number
    SequenceNumber given_up_to_ = 0;
    std::uint64_t given_up_ = 0;
    std::size_t turn_ = 0;
    Tally tally_;
    EventLog log_;
};

}  // namespace millrace::sim
