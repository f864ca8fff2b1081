// The 23 messages of Nasdaq TotalView-ITCH 5.0 (revisions 2017 to February 2026), each declared once.
//
// Field names are the specification's in snake_case; offsets and lengths are checked against its tables
// at compile time. Integers are big-endian; timestamps count nanoseconds since midnight US/Eastern;
// prices have four implied decimals, the circuit breaker's eight.
#pragma once

#include <array>
#include <span>
#include <string_view>
#include <tuple>

#include "millrace/core/wire.hpp"

namespace millrace::venues::itch50 {

using wire::Alpha;
using wire::Code;
using wire::field;
using wire::field_of;
using wire::Price4be;
using wire::Price8be;
using wire::Reserved;
using wire::Timestamp64be;
using wire::u32be;
using wire::u64be;

// The first 11 bytes of every message.
struct Prefix {
    Code message_type;
    wire::u16be stock_locate;  // index of the security for the day; 0 for messages about none
    wire::u16be tracking_number;
    wire::Timestamp48be timestamp;

    // The timestamp, by one load of eight bytes.
    [[nodiscard]] Timestamp time() const {
        std::uint64_t with_tracking_number = 0;
        std::memcpy(&with_tracking_number, reinterpret_cast<const char*>(this) + 3, sizeof(with_tracking_number));
        return static_cast<Timestamp>(__builtin_bswap64(with_tracking_number) & 0xffff'ffff'ffffU);
    }
};

template <class M, class... Fields>
[[nodiscard]] constexpr auto after_prefix(const Fields&... fields) {
    return std::tuple(field_of<M>("message_type", &M::message_type, 0), field_of<M>("stock_locate", &M::stock_locate, 1),
                      field_of<M>("tracking_number", &M::tracking_number, 3), field_of<M>("timestamp", &M::timestamp, 5),
                      fields...);
}

// Event code: O start of messages, S start of system hours, Q start of market hours, M end of
// market hours, E end of system hours, C end of messages.
struct SystemEvent : Prefix {
    static constexpr char kType = 'S';
    static constexpr std::string_view kName = "system_event";
    Code event_code;
    static constexpr auto fields() {
        using M = SystemEvent;
        return after_prefix<M>(field("event_code", &M::event_code, 11));
    }
};
static_assert(wire::layout_matches_spec<SystemEvent>() && sizeof(SystemEvent) == 12);

// Names a stock locate for the day; always before the first message that uses it.
struct StockDirectory : Prefix {
    static constexpr char kType = 'R';
    static constexpr std::string_view kName = "stock_directory";
    Alpha<8> stock;
    Code market_category;
    Code financial_status;
    u32be round_lot_size;
    Code round_lots_only;
    Code issue_classification;
    Alpha<2> issue_sub_type;
    Code authenticity;
    Code short_sale_threshold;
    Code ipo_flag;
    Code luld_tier;
    Code etp_flag;
    u32be etp_leverage_factor;
    Code inverse_indicator;
    static constexpr auto fields() {
        using M = StockDirectory;
        return after_prefix<M>(field("stock", &M::stock, 11),
                               field("market_category", &M::market_category, 19),
                               field("financial_status", &M::financial_status, 20),
                               field("round_lot_size", &M::round_lot_size, 21),
                               field("round_lots_only", &M::round_lots_only, 25),
                               field("issue_classification", &M::issue_classification, 26),
                               field("issue_sub_type", &M::issue_sub_type, 27),
                               field("authenticity", &M::authenticity, 29),
                               field("short_sale_threshold", &M::short_sale_threshold, 30),
                               field("ipo_flag", &M::ipo_flag, 31),
                               field("luld_tier", &M::luld_tier, 32),
                               field("etp_flag", &M::etp_flag, 33),
                               field("etp_leverage_factor", &M::etp_leverage_factor, 34),
                               field("inverse_indicator", &M::inverse_indicator, 38));
    }
};
static_assert(wire::layout_matches_spec<StockDirectory>() && sizeof(StockDirectory) == 39);

// Trading state: H halted, P paused, Q quotation only, T trading.
struct StockTradingAction : Prefix {
    static constexpr char kType = 'H';
    static constexpr std::string_view kName = "stock_trading_action";
    Alpha<8> stock;
    Code state;
    Reserved<1> reserved;
    Alpha<4> reason;
    static constexpr auto fields() {
        using M = StockTradingAction;
        return after_prefix<M>(field("stock", &M::stock, 11),
                               field("state", &M::state, 19),
                               field("reserved", &M::reserved, 20),
                               field("reason", &M::reason, 21));
    }
};
static_assert(wire::layout_matches_spec<StockTradingAction>() && sizeof(StockTradingAction) == 25);

// Action: 0 none, 1 restriction after an intraday drop, 2 restriction remains.
struct RegShoRestriction : Prefix {
    static constexpr char kType = 'Y';
    static constexpr std::string_view kName = "reg_sho_restriction";
    Alpha<8> stock;
    Code action;
    static constexpr auto fields() {
        using M = RegShoRestriction;
        return after_prefix<M>(field("stock", &M::stock, 11),
                               field("action", &M::action, 19));
    }
};
static_assert(wire::layout_matches_spec<RegShoRestriction>() && sizeof(RegShoRestriction) == 20);

struct MarketParticipantPosition : Prefix {
    static constexpr char kType = 'L';
    static constexpr std::string_view kName = "market_participant_position";
    Alpha<4> mpid;
    Alpha<8> stock;
    Code primary_mm;
    Code mm_mode;
    Code state;
    static constexpr auto fields() {
        using M = MarketParticipantPosition;
        return after_prefix<M>(field("mpid", &M::mpid, 11),
                               field("stock", &M::stock, 15),
                               field("primary_mm", &M::primary_mm, 23),
                               field("mm_mode", &M::mm_mode, 24),
                               field("state", &M::state, 25));
    }
};
static_assert(wire::layout_matches_spec<MarketParticipantPosition>() && sizeof(MarketParticipantPosition) == 26);

// Market-wide circuit breaker levels, the only prices with eight decimals.
struct MwcbDeclineLevel : Prefix {
    static constexpr char kType = 'V';
    static constexpr std::string_view kName = "mwcb_decline_level";
    Price8be level_1;
    Price8be level_2;
    Price8be level_3;
    static constexpr auto fields() {
        using M = MwcbDeclineLevel;
        return after_prefix<M>(field("level_1", &M::level_1, 11),
                               field("level_2", &M::level_2, 19),
                               field("level_3", &M::level_3, 27));
    }
};
static_assert(wire::layout_matches_spec<MwcbDeclineLevel>() && sizeof(MwcbDeclineLevel) == 35);

struct MwcbStatus : Prefix {
    static constexpr char kType = 'W';
    static constexpr std::string_view kName = "mwcb_status";
    Code breached_level;
    static constexpr auto fields() {
        using M = MwcbStatus;
        return after_prefix<M>(field("breached_level", &M::breached_level, 11));
    }
};
static_assert(wire::layout_matches_spec<MwcbStatus>() && sizeof(MwcbStatus) == 12);

// Release time in seconds since midnight. Its stock locate is always 0.
struct IpoQuotingPeriodUpdate : Prefix {
    static constexpr char kType = 'K';
    static constexpr std::string_view kName = "ipo_quoting_period_update";
    Alpha<8> stock;
    u32be release_time;
    Code qualifier;
    Price4be ipo_price;
    static constexpr auto fields() {
        using M = IpoQuotingPeriodUpdate;
        return after_prefix<M>(field("stock", &M::stock, 11),
                               field("release_time", &M::release_time, 19),
                               field("qualifier", &M::qualifier, 23),
                               field("ipo_price", &M::ipo_price, 24));
    }
};
static_assert(wire::layout_matches_spec<IpoQuotingPeriodUpdate>() && sizeof(IpoQuotingPeriodUpdate) == 28);

struct LuldAuctionCollar : Prefix {
    static constexpr char kType = 'J';
    static constexpr std::string_view kName = "luld_auction_collar";
    Alpha<8> stock;
    Price4be collar_reference_price;
    Price4be upper_collar;
    Price4be lower_collar;
    u32be extension_count;
    static constexpr auto fields() {
        using M = LuldAuctionCollar;
        return after_prefix<M>(field("stock", &M::stock, 11),
                               field("collar_reference_price", &M::collar_reference_price, 19),
                               field("upper_collar", &M::upper_collar, 23),
                               field("lower_collar", &M::lower_collar, 27),
                               field("extension_count", &M::extension_count, 31));
    }
};
static_assert(wire::layout_matches_spec<LuldAuctionCollar>() && sizeof(LuldAuctionCollar) == 35);

// Market: Q Nasdaq, B Texas (BX), X PSX. Action: H halted, T lifted.
struct OperationalHalt : Prefix {
    static constexpr char kType = 'h';
    static constexpr std::string_view kName = "operational_halt";
    Alpha<8> stock;
    Code market;
    Code action;
    static constexpr auto fields() {
        using M = OperationalHalt;
        return after_prefix<M>(field("stock", &M::stock, 11),
                               field("market", &M::market, 19),
                               field("action", &M::action, 20));
    }
};
static_assert(wire::layout_matches_spec<OperationalHalt>() && sizeof(OperationalHalt) == 21);

struct AddOrder : Prefix {
    static constexpr char kType = 'A';
    static constexpr std::string_view kName = "add_order_no_mpid";
    u64be order_reference;
    Code side;
    u32be shares;
    Alpha<8> stock;
    Price4be price;
    static constexpr auto fields() {
        using M = AddOrder;
        return after_prefix<M>(field("order_reference", &M::order_reference, 11),
                               field("side", &M::side, 19),
                               field("shares", &M::shares, 20),
                               field("stock", &M::stock, 24),
                               field("price", &M::price, 32));
    }
};
static_assert(wire::layout_matches_spec<AddOrder>() && sizeof(AddOrder) == 36);

// The same with the name of the market participant.
struct AddOrderMpid : Prefix {
    static constexpr char kType = 'F';
    static constexpr std::string_view kName = "add_order_mpid";
    u64be order_reference;
    Code side;
    u32be shares;
    Alpha<8> stock;
    Price4be price;
    Alpha<4> attribution_mpid;
    static constexpr auto fields() {
        using M = AddOrderMpid;
        return after_prefix<M>(field("order_reference", &M::order_reference, 11),
                               field("side", &M::side, 19),
                               field("shares", &M::shares, 20),
                               field("stock", &M::stock, 24),
                               field("price", &M::price, 32),
                               field("attribution_mpid", &M::attribution_mpid, 36));
    }
};
static_assert(wire::layout_matches_spec<AddOrderMpid>() && sizeof(AddOrderMpid) == 40);

// At the order's own price; always printable.
struct OrderExecuted : Prefix {
    static constexpr char kType = 'E';
    static constexpr std::string_view kName = "order_executed";
    u64be order_reference;
    u32be executed_shares;
    u64be match_number;
    static constexpr auto fields() {
        using M = OrderExecuted;
        return after_prefix<M>(field("order_reference", &M::order_reference, 11),
                               field("executed_shares", &M::executed_shares, 19),
                               field("match_number", &M::match_number, 23));
    }
};
static_assert(wire::layout_matches_spec<OrderExecuted>() && sizeof(OrderExecuted) == 31);

// Reduces the order at its displayed price; prints at the price stated.
struct OrderExecutedWithPrice : Prefix {
    static constexpr char kType = 'C';
    static constexpr std::string_view kName = "order_executed_with_price";
    u64be order_reference;
    u32be executed_shares;
    u64be match_number;
    Code printable;
    Price4be execution_price;
    static constexpr auto fields() {
        using M = OrderExecutedWithPrice;
        return after_prefix<M>(field("order_reference", &M::order_reference, 11),
                               field("executed_shares", &M::executed_shares, 19),
                               field("match_number", &M::match_number, 23),
                               field("printable", &M::printable, 31),
                               field("execution_price", &M::execution_price, 32));
    }
};
static_assert(wire::layout_matches_spec<OrderExecutedWithPrice>() && sizeof(OrderExecutedWithPrice) == 36);

// Cancelled shares are to be subtracted; the order keeps its place.
struct OrderCancel : Prefix {
    static constexpr char kType = 'X';
    static constexpr std::string_view kName = "order_cancel";
    u64be order_reference;
    u32be cancelled_shares;
    static constexpr auto fields() {
        using M = OrderCancel;
        return after_prefix<M>(field("order_reference", &M::order_reference, 11),
                               field("cancelled_shares", &M::cancelled_shares, 19));
    }
};
static_assert(wire::layout_matches_spec<OrderCancel>() && sizeof(OrderCancel) == 23);

struct OrderDelete : Prefix {
    static constexpr char kType = 'D';
    static constexpr std::string_view kName = "order_delete";
    u64be order_reference;
    static constexpr auto fields() {
        using M = OrderDelete;
        return after_prefix<M>(field("order_reference", &M::order_reference, 11));
    }
};
static_assert(wire::layout_matches_spec<OrderDelete>() && sizeof(OrderDelete) == 19);

// The new order inherits side, symbol and attribution, and goes to the tail of its level.
struct OrderReplace : Prefix {
    static constexpr char kType = 'U';
    static constexpr std::string_view kName = "order_replace";
    u64be original_order_reference;
    u64be new_order_reference;
    u32be new_shares;
    Price4be new_price;
    static constexpr auto fields() {
        using M = OrderReplace;
        return after_prefix<M>(field("original_order_reference", &M::original_order_reference, 11),
                               field("new_order_reference", &M::new_order_reference, 19),
                               field("new_shares", &M::new_shares, 27),
                               field("new_price", &M::new_price, 31));
    }
};
static_assert(wire::layout_matches_spec<OrderReplace>() && sizeof(OrderReplace) == 35);

// Against an order that was not displayed; the side is always B since 2014.
struct Trade : Prefix {
    static constexpr char kType = 'P';
    static constexpr std::string_view kName = "trade";
    u64be order_reference;
    Code side;
    u32be shares;
    Alpha<8> stock;
    Price4be price;
    u64be match_number;
    static constexpr auto fields() {
        using M = Trade;
        return after_prefix<M>(field("order_reference", &M::order_reference, 11),
                               field("side", &M::side, 19),
                               field("shares", &M::shares, 20),
                               field("stock", &M::stock, 24),
                               field("price", &M::price, 32),
                               field("match_number", &M::match_number, 36));
    }
};
static_assert(wire::layout_matches_spec<Trade>() && sizeof(Trade) == 44);

// Cross type: O opening, C closing, H IPO, halt or pause, I intraday (until 2017).
struct CrossTrade : Prefix {
    static constexpr char kType = 'Q';
    static constexpr std::string_view kName = "cross_trade";
    u64be shares;
    Alpha<8> stock;
    Price4be cross_price;
    u64be match_number;
    Code cross_type;
    static constexpr auto fields() {
        using M = CrossTrade;
        return after_prefix<M>(field("shares", &M::shares, 11),
                               field("stock", &M::stock, 19),
                               field("cross_price", &M::cross_price, 27),
                               field("match_number", &M::match_number, 31),
                               field("cross_type", &M::cross_type, 39));
    }
};
static_assert(wire::layout_matches_spec<CrossTrade>() && sizeof(CrossTrade) == 40);

struct BrokenTrade : Prefix {
    static constexpr char kType = 'B';
    static constexpr std::string_view kName = "broken_trade";
    u64be match_number;
    static constexpr auto fields() {
        using M = BrokenTrade;
        return after_prefix<M>(field("match_number", &M::match_number, 11));
    }
};
static_assert(wire::layout_matches_spec<BrokenTrade>() && sizeof(BrokenTrade) == 19);

struct Noii : Prefix {
    static constexpr char kType = 'I';
    static constexpr std::string_view kName = "noii";
    u64be paired_shares;
    u64be imbalance_shares;
    Code direction;
    Alpha<8> stock;
    Price4be far_price;
    Price4be near_price;
    Price4be current_reference_price;
    Code cross_type;
    Code price_variation;
    static constexpr auto fields() {
        using M = Noii;
        return after_prefix<M>(field("paired_shares", &M::paired_shares, 11),
                               field("imbalance_shares", &M::imbalance_shares, 19),
                               field("direction", &M::direction, 27),
                               field("stock", &M::stock, 28),
                               field("far_price", &M::far_price, 36),
                               field("near_price", &M::near_price, 40),
                               field("current_reference_price", &M::current_reference_price, 44),
                               field("cross_type", &M::cross_type, 48),
                               field("price_variation", &M::price_variation, 49));
    }
};
static_assert(wire::layout_matches_spec<Noii>() && sizeof(Noii) == 50);

// Retail price improvement indicator: B buy, S sell, A both, N none.
struct RetailPriceImprovement : Prefix {
    static constexpr char kType = 'N';
    static constexpr std::string_view kName = "retail_price_improvement_indicator";
    Alpha<8> stock;
    Code interest;
    static constexpr auto fields() {
        using M = RetailPriceImprovement;
        return after_prefix<M>(field("stock", &M::stock, 11),
                               field("interest", &M::interest, 19));
    }
};
static_assert(wire::layout_matches_spec<RetailPriceImprovement>() && sizeof(RetailPriceImprovement) == 20);

// Direct listing with capital raise, price discovery; near execution time in nanoseconds.
struct DirectListingPriceDiscovery : Prefix {
    static constexpr char kType = 'O';
    static constexpr std::string_view kName = "direct_listing_with_capital_raise_price_discovery";
    Alpha<8> stock;
    Code open_eligibility;
    Price4be min_allowable_price;
    Price4be max_allowable_price;
    Price4be near_execution_price;
    Timestamp64be near_execution_time;
    Price4be lower_collar;
    Price4be upper_collar;
    static constexpr auto fields() {
        using M = DirectListingPriceDiscovery;
        return after_prefix<M>(field("stock", &M::stock, 11),
                               field("open_eligibility", &M::open_eligibility, 19),
                               field("min_allowable_price", &M::min_allowable_price, 20),
                               field("max_allowable_price", &M::max_allowable_price, 24),
                               field("near_execution_price", &M::near_execution_price, 28),
                               field("near_execution_time", &M::near_execution_time, 32),
                               field("lower_collar", &M::lower_collar, 40),
                               field("upper_collar", &M::upper_collar, 44));
    }
};
static_assert(wire::layout_matches_spec<DirectListingPriceDiscovery>() && sizeof(DirectListingPriceDiscovery) == 48);

using Messages = std::tuple<SystemEvent, StockDirectory, StockTradingAction, RegShoRestriction,
                            MarketParticipantPosition, MwcbDeclineLevel, MwcbStatus,
                            IpoQuotingPeriodUpdate, LuldAuctionCollar, OperationalHalt, AddOrder,
                            AddOrderMpid, OrderExecuted, OrderExecutedWithPrice, OrderCancel,
                            OrderDelete, OrderReplace, Trade, CrossTrade, BrokenTrade, Noii,
                            RetailPriceImprovement, DirectListingPriceDiscovery>;

inline constexpr auto kLayouts = []<class... M>(std::type_identity<std::tuple<M...>>) {
    return std::array<wire::MessageLayout, sizeof...(M)>{wire::layout_of<M>()...};
}(std::type_identity<Messages>{});

[[nodiscard]] inline std::span<const wire::MessageLayout> layouts() { return kLayouts; }

namespace detail {
// 1 + index in kLayouts by message type; 0 for types that are not known.
inline constexpr auto kIndexOfType = [] {
    std::array<std::uint8_t, 256> index{};
    for (std::size_t i = 0; i < kLayouts.size(); ++i) {
        index[static_cast<unsigned char>(kLayouts[i].type)] = static_cast<std::uint8_t>(i + 1);
    }
    return index;
}();
}  // namespace detail

// Null for types that are not known.
[[nodiscard]] inline const wire::MessageLayout* layout_of_type(char type) {
    const std::size_t index = detail::kIndexOfType[static_cast<unsigned char>(type)];
    return index == 0 ? nullptr : &kLayouts[index - 1];
}

}  // namespace millrace::venues::itch50
