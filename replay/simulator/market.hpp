// A synthetic day of a Nasdaq-like market, as ITCH 5.0 messages: the independent truth that books
// are held against. It keeps books of its own and shares no code with core/'s. A function of its
// config: no clock, no chance but the seed's.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/core/random.hpp"
#include "millrace/core/types.hpp"

namespace millrace::replay {

struct MarketConfig {
    std::uint64_t seed = 1;
    std::uint32_t symbols = 8'000;          // at most 65,535, as many as there are stock locates
    std::uint64_t messages = 20'000'000;    // of trading; opening and closing come on top
    std::uint32_t peak_orders = 1'500'000;  // orders alive at the peak, three fifths into the day
    double messages_per_second = 500'000;   // by the market's own clock
    double burst_messages = 6;       // that come within microseconds of each other, on average
    double zipf_exponent = 0.6;      // of the activity of symbols: the busiest has about 1 %
    bool sparse_references = false;  // order references spread over 64 bits, not increasing
    bool all_types = true;  // each of the 23 types at least once, also if Nasdaq rarely sends it
};

// What the generated stream looks like, measured on the stream itself.
struct StreamShape {
    std::array<std::uint64_t, 256> by_type{};
    std::uint64_t messages = 0;
    std::uint64_t adds = 0;        // orders that came to rest, replacements included
    std::uint64_t new_levels = 0;  // adds that created a level
    std::uint64_t deep_adds = 0;   // adds 14 levels or deeper
    std::uint32_t live_orders = 0;
    std::uint32_t live_orders_peak = 0;
    double reference_gap = 0;  // mean step between references in order of birth; 0 when sparse
    std::vector<std::uint32_t> levels_per_side;  // of all books at the peak, ascending

    [[nodiscard]] std::uint32_t levels_percentile(double percent) const;
    // The part of all messages that these types make up.
    [[nodiscard]] double share(std::string_view types) const;
};

class Market {
  public:
    // Throws Error(usage) when the config makes no sense.
    explicit Market(const MarketConfig& config);
    ~Market();
    Market(const Market&) = delete;
    Market& operator=(const Market&) = delete;

    // The next message; empty after the last one of the day. Valid until the next call.
    [[nodiscard]] std::span<const std::uint8_t> next();
    // ns since midnight, of the last message.
    [[nodiscard]] Timestamp time() const { return handed_out_; }

    struct Best {
        std::uint32_t price = 0;  // zeroes when the side is empty
        std::uint64_t shares = 0;
        std::uint32_t orders = 0;
    };
    // The state after the last message handed out; during the opening and the closing, which are
    // written at once, after the last one written. Symbols count from 0, stock locates from 1.
    [[nodiscard]] Best best(std::uint32_t symbol, bool bid) const;
    [[nodiscard]] std::uint32_t live_orders(std::uint32_t symbol) const;
    [[nodiscard]] std::string symbol_name(std::uint32_t symbol) const;
    [[nodiscard]] const StreamShape& shape() const { return shape_; }

  private:
    struct Level;
    struct Order;
    struct Book;
    using OrderIndex = std::uint32_t;
    enum class Phase : std::uint8_t { before_day, before_open, open, after_close, day_over };

    template <class M>
    [[nodiscard]] M begin(std::uint32_t locate) const;
    template <class M>
    void emit(const M& message);
    void emit_event(char code);

    void generate();
    void open_day();
    void introduce(std::uint32_t locate);
    void open_market();
    void close_market();
    void cross(std::uint32_t symbol, char cross_type);
    void trade_once();
    void advance_time();
    [[nodiscard]] std::uint64_t adds_in_a_million() const;

    void add_order(std::uint32_t symbol);
    void delete_order();
    void replace_order();
    void cancel_some();
    void execute();
    void execute_front(Book& book, std::uint32_t symbol, bool bid, std::uint32_t shares,
                       bool at_cross);
    void print_hidden();
    void print_imbalance();
    void rare_event();
    void step_halt();
    void write_rare_notice(std::uint32_t kind);
    void break_trade();

    [[nodiscard]] std::uint32_t some_symbol();
    [[nodiscard]] std::uint32_t some_shares();
    [[nodiscard]] std::int64_t ticks_from_best(const Book& book);
    [[nodiscard]] std::uint32_t passive_price(const Book& book, bool bid);
    [[nodiscard]] OrderIndex young_order();
    [[nodiscard]] std::uint64_t next_reference();
    [[nodiscard]] OrderIndex rest(std::uint32_t symbol, bool bid, std::uint32_t price,
                                  std::uint32_t shares);
    [[nodiscard]] Level& level_of(const Order& order);
    void reduce(OrderIndex index, std::uint32_t shares);
    void leave(OrderIndex index);
    void measure_levels();

    MarketConfig config_;
    Random random_;
    Zipf activity_;
    Geometric burst_;
    Geometric reference_gap_{3};  // beyond the step of 1
    Geometric round_lots_{1};     // beyond the first
    Phase phase_ = Phase::before_day;
    Timestamp now_ = 0;
    Timestamp handed_out_ = 0;
    std::uint64_t burst_left_ = 0;
    std::uint64_t traded_ = 0;
    std::uint64_t last_reference_ = 0;
    std::uint64_t match_number_ = 1;  // the next one
    std::uint32_t rare_events_ = 0;
    std::uint32_t halted_ =
        0;  // the symbol that is halted or being reopened, while halt_step_ > 0
    std::uint32_t halt_step_ = 0;

    std::vector<Book> books_;
    std::vector<Order> orders_;
    std::vector<OrderIndex> free_;
    std::vector<OrderIndex> live_;    // in no order; each order knows its place
    std::vector<OrderIndex> recent_;  // ring of the orders added last
    std::uint32_t added_ = 0;
    std::vector<std::uint8_t> written_;  // messages behind one byte of length, not all handed out
    std::size_t handed_out_bytes_ = 0;
    StreamShape shape_;
};

}  // namespace millrace::replay
