// The simulated exchange: it makes order events and keeps the truth about its books, message by message.
// Shares nothing with the decoder or the books under test.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include "tests/simulation/rng.hpp"

namespace millrace::sim {

// `level`: the total at a price is another one; `trade`: one that names no order and changes no book.
enum class Kind : std::uint8_t {
    directory, trading, add, execute, execute_priced, cancel, remove, replace, level, trade, notice
};

// In what venues differ as far as the market itself goes.
struct Dialect {
    // What changes an order says what it is now: a replaced order keeps its id, and a cancel modifies.
    bool modifies = false;
    bool prints_all = false;    // there is no trade that is not to be printed
    // Orders are not told of, but trades, and totals by price. What one order's event does to a book is a
    // transaction of as many messages as there are prices concerned.
    bool levels = false;
    char taking_orders = 'Q';   // the trading state in which orders are taken and none trade
};

// One message of the exchange. What it did to the order named stands beside what it says.
struct Event {
    Kind kind = Kind::notice;
    std::uint32_t symbol = 0;
    bool bid = false;
    bool printable = true;
    char state = 'T';                // of trading
    std::uint64_t id = 0;
    std::uint64_t new_id = 0;        // replace
    std::uint32_t price = 0;         // of the order; for execute_priced see print_price
    std::uint32_t print_price = 0;
    std::uint32_t quantity = 0;      // added, taken off, or traded; of a level what it holds now
    std::uint32_t before = 0;        // what the order (replace: the old one) or level held before
    std::uint32_t old_price = 0;     // replace: of the order that left
    std::uint64_t match = 0;
    std::int64_t time = 0;           // ns since midnight
    bool complete = true;            // it ends its transaction
    std::uint64_t step_before = 0;   // number of the message before it of its transaction; 0: it is the first
    std::uint64_t ends = 0;          // number of the message that ends its transaction

    [[nodiscard]] bool changes_book() const { return kind >= Kind::add && kind <= Kind::level; }
};

// An order at rest, or of a book of levels what rests at a price, without an id.
struct Row {
    std::uint64_t id;
    std::uint32_t price;
    std::uint32_t quantity;
    bool bid;
    friend bool operator==(const Row&, const Row&) = default;
};

// A book just after a message that ends a transaction: bids from the best, then asks from the best, each level in
// queue order.
struct Truth {
    std::uint64_t sequence = 0;  // 0: before any message
    std::vector<Row> rows;
};

// One stream's messages, numbered from 1, and every state its books went through. A session may have several, one after
// the other, where the exchange restarts.
class Day {
  public:
    Day(std::uint32_t number, std::uint32_t session, std::uint32_t restarts, std::uint32_t symbols)
        : number_(number), session_(session), restarts_(restarts), history_(symbols), states_(symbols) {
        for (auto& states : history_) states.emplace_back();
        for (auto& states : states_) states.push_back({0, ' '});
    }

    [[nodiscard]] std::uint32_t number() const { return number_; }
    [[nodiscard]] std::uint32_t session() const { return session_; }
    // How often the exchange had begun anew under one session, in all its life.
    [[nodiscard]] std::uint32_t restarts() const { return restarts_; }
    [[nodiscard]] std::uint64_t last_sequence() const { return events_.size(); }
    [[nodiscard]] const Event& event(std::uint64_t sequence) const { return events_[sequence - 1]; }
    // The symbol's book after message `sequence`.
    [[nodiscard]] const Truth& truth(std::uint32_t symbol, std::uint64_t sequence) const {
        const std::vector<Truth>& states = history_[symbol];
        std::size_t at = states.size();
        while (states[at - 1].sequence > sequence) --at;
        return states[at - 1];
    }
    // Its trading state after message `sequence`; ' ' while none was told.
    [[nodiscard]] char state(std::uint32_t symbol, std::uint64_t sequence) const {
        const auto& states = states_[symbol];
        std::size_t at = states.size();
        while (states[at - 1].sequence > sequence) --at;
        return states[at - 1].state;
    }

    // Where message `sequence` lies in the stream of messages and their lengths.
    [[nodiscard]] std::uint64_t offset(std::uint64_t sequence) const { return offsets_[sequence - 1]; }

    // The last message up to this one behind which no transaction is half told.
    [[nodiscard]] std::uint64_t settled(std::uint64_t sequence) const {
        std::uint64_t settled = sequence;
        for (std::uint64_t at = sequence; at > 0; --at) {
            if (event(at).ends > sequence) settled = at - 1;
        }
        return settled;
    }

    void record(const Event& event) {
        events_.push_back(event);
        events_.back().ends = last_sequence();
    }
    // These messages are one transaction.
    void join(std::span<const std::uint64_t> steps) {
        std::uint64_t before = 0;
        for (const std::uint64_t step : steps) {
            events_[step - 1].step_before = std::exchange(before, step);
            events_[step - 1].ends = steps.back();
        }
    }
    // How long each message is on the wire, in order.
    void record_size(std::size_t bytes) { offsets_.push_back(offsets_.back() + 2 + bytes); }
    void record_book(std::uint32_t symbol, std::vector<Row> rows) {
        history_[symbol].push_back({last_sequence(), std::move(rows)});
    }
    void record_state(std::uint32_t symbol, char state) { states_[symbol].push_back({last_sequence(), state}); }

  private:
    struct State {
        std::uint64_t sequence;
        char state;
    };
    std::uint32_t number_;
    std::uint32_t session_;
    std::uint32_t restarts_;
    std::vector<Event> events_;
    std::vector<std::uint64_t> offsets_{0};
    std::vector<std::vector<Truth>> history_;  // by symbol
    std::vector<std::vector<State>> states_;   // by symbol
};

class Exchange {
  public:
    Exchange(std::uint64_t seed, std::uint32_t symbols, const Dialect& dialect);

    // Opens the next session: a directory, no orders, sequence numbers from 1.
    void open_day(std::int64_t now);
    // The same under the session that there is.
    void restart_day(std::int64_t now);
    // Says one more thing.
    void act(std::int64_t now);
    [[nodiscard]] Day& today() { return days_.back(); }
    [[nodiscard]] const Day& today() const { return days_.back(); }
    [[nodiscard]] const std::deque<Day>& days() const { return days_; }
    [[nodiscard]] std::uint32_t symbols() const { return symbols_; }
    [[nodiscard]] const Dialect& dialect() const { return dialect_; }
    [[nodiscard]] std::size_t orders() const { return orders_.size(); }

  private:
    struct Resting {
        std::uint64_t id;
        std::uint32_t quantity;
    };
    template <class Compare>
    using Levels = std::map<std::uint32_t, std::deque<Resting>, Compare>;
    struct Book {
        Levels<std::greater<>> bids;
        Levels<std::less<>> asks;
    };
    struct Known {
        std::uint64_t id;
        std::uint32_t symbol;
        std::uint32_t price;
        bool bid;
    };

    void begin_day(std::int64_t now, std::uint32_t session, std::uint32_t restarts);
    void say(const Event& event);
    // Says what the order's event, which has been carried out, did to its book.
    void tell(const Event& event);
    void tell_levels(const Event& order);
    void distract(std::int64_t now, std::uint32_t busy);
    void act_on_order(Event event, Kind kind);
    void change_state(Event event);
    void trade_hidden(Event event);
    [[nodiscard]] std::uint32_t total(std::uint32_t symbol, bool bid, std::uint32_t price) const;
    [[nodiscard]] Event fresh(Kind kind, std::int64_t now) const;
    [[nodiscard]] std::uint64_t new_id();
    [[nodiscard]] std::uint32_t price(std::uint32_t symbol, bool bid);
    [[nodiscard]] Resting& resting(const Known& order);
    void insert(const Known& order, std::uint32_t quantity);
    void take_out(std::size_t index);
    void record_book(std::uint32_t symbol);

    Rng rng_;
    std::uint32_t symbols_;
    Dialect dialect_;
    bool wide_ids_;
    std::uint64_t last_id_ = 0;
    std::uint64_t last_match_ = 0;
    std::deque<Day> days_;
    std::vector<Book> books_;
    std::vector<Known> orders_;  // all that rest
    std::map<std::tuple<std::uint32_t, bool, std::uint32_t>, std::uint32_t> told_;  // totals, by symbol, side and price
};

}  // namespace millrace::sim
