// A synthetic day of a Nasdaq-like market, as ITCH 5.0 messages: the independent truth that books are held
// against. It keeps books of its own and shares no code with core/'s.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "millrace/core/random.hpp"
#include "millrace/core/types.hpp"

namespace millrace::replay {

struct MarketConfig {
    std::uint64_t seed = 1;
    std::uint32_t symbols = 8'000;
    std::uint64_t messages = 20'000'000;     // of trading; the opening and closing formalities come on top
    std::uint32_t peak_orders = 1'500'000;   // orders alive at the peak, three fifths into the day
    double messages_per_second = 500'000;    // by the market's own clock
    double burst_messages = 6;               // messages that come within microseconds of each other, on average
    double zipf_exponent = 0.6;              // of the activity of symbols: the busiest has about 1 %
    bool sparse_references = false;          // order references spread over 64 bits instead of increasing
};

// What the generated stream looks like, measured on the stream itself.
struct StreamShape {
    std::array<std::uint64_t, 256> by_type{};
    std::uint64_t messages = 0;
    std::uint64_t adds = 0;
    std::uint64_t new_levels = 0;    // adds that created a level
    std::uint64_t deep_adds = 0;     // adds 14 levels or deeper
    std::uint32_t live_orders = 0;
    std::uint32_t live_orders_peak = 0;
    std::vector<std::uint32_t> levels_per_side;  // of all books at the peak, ascending

    [[nodiscard]] std::uint32_t levels_percentile(double percent) const;
};

class Market {
  public:
    explicit Market(const MarketConfig& config);
    ~Market();
    Market(const Market&) = delete;
    Market& operator=(const Market&) = delete;

    // The next message; empty after the last one of the day. Valid until the next call.
    [[nodiscard]] std::span<const std::uint8_t> next();
    // ns since midnight, of the last message.
    [[nodiscard]] Timestamp time() const { return time_; }

    struct Best {
        std::uint32_t price = 0;  // zeroes when the side is empty
        std::uint64_t shares = 0;
        std::uint32_t orders = 0;
    };
    [[nodiscard]] Best best(std::uint32_t symbol, bool bid) const;
    [[nodiscard]] std::uint32_t live_orders(std::uint32_t symbol) const;
    [[nodiscard]] std::string symbol_name(std::uint32_t symbol) const;
    [[nodiscard]] const StreamShape& shape() const { return shape_; }

  private:
    struct Order;
    struct Book;
    using OrderIndex = std::uint32_t;

    template <class M>
    [[nodiscard]] M begin(std::uint32_t locate) const;
    template <class M>
    void emit(const M& message);

    void open_day();
    void close_day();
    void trade_once();
    void advance_time();
    void add_order(std::uint32_t symbol);
    void add_at(std::uint32_t symbol, bool bid, std::uint32_t price, std::uint32_t shares);
    void delete_order();
    void replace_order();
    void cancel_some();
    void execute();
    void print_hidden();
    void print_imbalance();
    void rare_event();
    [[nodiscard]] std::uint32_t passive_price(const Book& book, bool bid);
    [[nodiscard]] OrderIndex young_order();
    [[nodiscard]] std::uint64_t next_reference();
    [[nodiscard]] OrderIndex rest(std::uint32_t symbol, bool bid, std::uint32_t price, std::uint32_t shares);
    void leave(OrderIndex index);
    void measure_levels();

    MarketConfig config_;
    Random random_;
    Zipf activity_;
    Timestamp time_ = 0;
    std::uint64_t burst_left_ = 0;
    std::uint64_t traded_ = 0;
    std::uint64_t reference_ = 1;
    std::uint64_t match_number_ = 1;
    std::vector<Book> books_;
    std::vector<Order> orders_;
    std::vector<OrderIndex> free_;
    std::vector<OrderIndex> live_;     // in no order; each order knows its place
    std::vector<std::uint64_t> recent_;  // ring of index and stamp of the orders added last
    std::uint64_t added_ = 0;
    std::deque<std::vector<std::uint8_t>> queued_;  // written, not yet handed out
    std::vector<std::uint8_t> current_;
    enum class Phase : std::uint8_t { opening, trading, closed } phase_ = Phase::opening;
    StreamShape shape_;
};

}  // namespace millrace::replay
