// What a strategy receives: book updates, trades, status, quality and gaps, in sequence order.
//
// A handler models `BookHandler`; there is no base class and no virtual call. Callbacks run on the thread
// that drives the session, between two messages; the books they see are valid only during the call.
#pragma once

#include <array>
#include <concepts>
#include <limits>
#include <string_view>

#include "millrace/core/order_book.hpp"
#include "millrace/core/types.hpp"

namespace millrace {

// What every event carries: where in the stream it stands and when it happened.
struct EventHeader {
    SequenceNumber sequence = 0;  // of the message that caused it
    Timestamp exchange_time = 0;  // ns as the venue counts them (ITCH: since midnight US/Eastern)
    Timestamp received_at = 0;    // ns since the Unix epoch; the kernel's, or the capture's
    bool from_snapshot = false;   // tells what already is; `sequence` and `received_at` are 0
};

enum class BookAction : std::uint8_t {
    add,      // a new order (or a level that was empty)
    execute,  // an order lost quantity to a trade
    reduce,   // an order lost quantity to a partial cancel
    remove,   // an order left the book
    replace,  // an order left and another took its place, at the tail of its level
    level,    // a level book: the total at a price is now `quantity`
    clear,    // the venue emptied the book; the other fields are zero
    modify,   // an order's quantity was set anew, and the order kept its place
};

// One change of one book. The book passed with it already shows the change.
struct BookUpdate : EventHeader {
    BookAction action = BookAction::add;
    Side side = Side::bid;
    bool top_changed = false;     // best price, its quantity or its number of orders changed
    bool last_in_packet = false;  // no further message of this packet follows
    bool last_in_event = true;    // the venue's transaction is complete (always so on ITCH); see kEachStep
    OrderId order{};              // replace: the new order
    Price price{};
    Quantity quantity = 0;        // what the order (or level) holds now; 0 when it is gone
    OrderId previous_order{};     // replace: the order that left; otherwise the same as `order`
    Price previous_price{};        // differs from `price` where an order or a best price moved
    Quantity previous_quantity = 0;  // what it held before; 0 for an add
};

enum class TradeKind : std::uint8_t {
    execution,   // against a displayed order, at its own price
    priced,      // against a displayed order, at the price stated
    hidden,      // against an order that was not displayed
    cross,       // an auction
    broken,      // the trade with this match number is void; price and quantity where the venue repeats them
    reported,    // the venue does not say against what, nor on which side
};

struct Trade : EventHeader {
    TradeKind kind = TradeKind::execution;
    Side side = Side::bid;        // side of the resting order
    bool printable = true;        // counts towards volume, and where `last_sale` is set as last sale
    bool last_sale = true;
    std::uint8_t sale_conditions = 0;  // the venue's bits; 0 where it has none
    char cross_type = ' ';        // the venue's code, for kind cross
    OrderId order{};              // the resting order; 0 where there is none
    Price price{};
    Quantity quantity = 0;
    std::uint64_t match_number = 0;
};

struct TradingStatus : EventHeader {
    enum class What : std::uint8_t {
        trading, short_sale, operational_halt, market_wide, security_event, retail_interest
    };
    What what = What::trading;
    TradingState state = TradingState::unknown;  // for what == trading: the book's new state
    char code = ' ';                             // the venue's code
    std::array<char, 4> reason{' ', ' ', ' ', ' '};
};

// What an auction would do now. Prices that the venue does not tell are kNoPrice.
inline constexpr Price kNoPrice{std::numeric_limits<std::int64_t>::max()};
struct Imbalance : EventHeader {
    char auction_type = ' ';   // the venue's code
    char direction = 'N';      // B more to buy, S more to sell, N none; others are the venue's own
    char price_variation = ' ';  // the venue's code
    Price reference_price = kNoPrice;
    Price near_price = kNoPrice;        // where the auction's orders and the book would clear
    Price far_price = kNoPrice;         // where the auction's orders alone would clear
    Price indicative_price = kNoPrice;  // where the venue expects to match
    Price lower_collar = kNoPrice;
    Price upper_collar = kNoPrice;
    Quantity paired = 0;
    Quantity imbalance = 0;
    Timestamp auction_time = 0;  // as `exchange_time` counts; 0 where the venue does not tell
    std::uint8_t extensions = 0;
};

// The venue's own opening or closing price.
struct OfficialPrice : EventHeader {
    enum class Kind : std::uint8_t { opening, closing, other };
    Kind kind = Kind::other;
    char code = ' ';  // the venue's
    Price price{};
};

// What the venue's directory says of an instrument, as it says it.
struct InstrumentDetails : EventHeader {
    std::uint64_t venue_id = 0;    // the venue's number for it; 0 where it has none
    std::string_view listing_mic;  // of the market that lists it; empty where the venue does not tell
    std::uint32_t round_lot = 0;
    char classification = ' ';
    std::array<char, 2> sub_type{' ', ' '};
};

// A handler declares all five; one that does not care for some says so by name:
//     struct Mine : millrace::IgnoreOthers {
//         using IgnoreOthers::on_gap;      // not wanted, and meant so
// so that a misspelt callback is a compile error and never a lost event.
class IgnoreOthers {
  protected:
    void on_trade(const OrderBook&, const Trade&) {}
    void on_status(const OrderBook&, const TradingStatus&) {}
    void on_quality(const OrderBook&, Quality) {}
    void on_gap(SequenceRange) {}
};

template <class H>
concept HasOnBook = requires(H& h, const OrderBook& b, const BookUpdate& u) { h.on_book(b, u); };
template <class H>
concept HasOnTrade = requires(H& h, const OrderBook& b, const Trade& t) { h.on_trade(b, t); };
template <class H>
concept HasOnStatus = requires(H& h, const OrderBook& b, const TradingStatus& s) { h.on_status(b, s); };
template <class H>
concept HasOnQuality = requires(H& h, const OrderBook& b, Quality q) { h.on_quality(b, q); };
template <class H>
concept HasOnGap = requires(H& h, SequenceRange missing) { h.on_gap(missing); };

// Further callbacks are optional: a handler that has them gets them.
template <class H>
concept HasOnImbalance =
    requires(H& h, const OrderBook& b, const Imbalance& i) { h.on_imbalance(b, i); };
template <class H>
concept HasOnInstrument =
    requires(H& h, const OrderBook& b, const InstrumentDetails& d) { h.on_instrument(b, d); };
// After the last message of a packet, whether or not it meant an event.
template <class H>
concept HasOnPacketEnd = requires(H& h) { h.on_packet_end(); };

template <class H>
concept HasOnOfficialPrice =
    requires(H& h, const OrderBook& b, const OfficialPrice& p) { h.on_official_price(b, p); };

// A transaction that takes several messages is applied when it is complete, and then told of step by step,
// each callback showing the whole of it, in a book that stands at the number of its last message. A handler with
// `static constexpr bool kEachStep = true` is shown every step as it comes; `last_in_event` is false while the
// book is in transit.
template <class H>
concept WantsEachStep = requires { requires H::kEachStep; };

template <class H>
concept BookHandler = HasOnBook<H> && HasOnTrade<H> && HasOnStatus<H> && HasOnQuality<H> && HasOnGap<H>;

// A handler that wants totals by price alone, and books that cost less, says so:
//     static constexpr BookDetail kBookDetail = BookDetail::totals;
// Such books hold no queues (depth() is levels, orders() is empty) and no digest.
template <class H>
[[nodiscard]] consteval BookDetail detail_of() {
    if constexpr (requires { H::kBookDetail; }) return H::kBookDetail;
    else return BookDetail::full;
}

// Receives nothing but what it must: for measuring, warming up, and building books nobody listens to.
struct NullHandler {
    void on_book(const OrderBook&, const BookUpdate&) {}
    void on_trade(const OrderBook&, const Trade&) {}
    void on_status(const OrderBook&, const TradingStatus&) {}
    void on_quality(const OrderBook&, Quality) {}
    void on_gap(SequenceRange) {}
};
static_assert(BookHandler<NullHandler>);

}  // namespace millrace
