// The messages of IEX's feeds, TOPS 1.5 and 1.6, DEEP 1.0 and DEEP+ 1.0, each declared once.
//
// Integers are little-endian, timestamps count nanoseconds since the Unix epoch (UTC), prices are signed
// with four implied decimals, symbols are text. IEX may add types and lengthen messages at any time; new
// fields come at the end, so what is declared here stays where it is.
#pragma once

#include <array>
#include <span>
#include <string_view>
#include <tuple>
#include <type_traits>

#include "millrace/core/wire.hpp"

namespace millrace::venues::iex {

using wire::Alpha;
using wire::Code;
using wire::field;
using wire::field_of;
using wire::Price4le;
using wire::Reserved;
using wire::Timestamp64le;
using wire::u32le;
using wire::u64le;
using wire::u8;

using SymbolText = Alpha<8>;

// The first 18 bytes of every message but the system event. What the second byte is called, and whether it
// is a character or bits, differs by message.
template <class SecondByte>
struct PrefixWith {
    Code message_type;
    SecondByte second;
    Timestamp64le timestamp;
    SymbolText symbol;
};
using CodePrefix = PrefixWith<Code>;
using BitsPrefix = PrefixWith<u8>;

template <class M, class... Fields>
[[nodiscard]] constexpr auto after_prefix(std::string_view second, const Fields&... fields) {
    return std::tuple(field_of<M>("message_type", &M::message_type, 0), field_of<M>(second, &M::second, 1),
                      field_of<M>("timestamp", &M::timestamp, 2), field_of<M>("symbol", &M::symbol, 10), fields...);
}

// O start of messages, S start of system hours, R start of regular hours, M end of regular hours,
// E end of system hours, C end of messages.
struct SystemEvent {
    static constexpr char kType = 'S';
    static constexpr char kEndOfMessages = 'C';
    static constexpr std::string_view kName = "system_event";
    Code message_type;
    Code system_event;
    Timestamp64le timestamp;
    static constexpr auto fields() {
        using M = SystemEvent;
        return std::tuple(field("message_type", &M::message_type, 0), field("system_event", &M::system_event, 1),
                          field("timestamp", &M::timestamp, 2));
    }
};
static_assert(wire::layout_matches_spec<SystemEvent>() && sizeof(SystemEvent) == 10);

// Flags: 0x80 test security, 0x40 when issued, 0x20 exchange-traded product. Limit-up limit-down tier:
// 0 not applicable, 1 or 2.
struct SecurityDirectory : BitsPrefix {
    static constexpr char kType = 'D';
    static constexpr std::string_view kName = "security_directory";
    u32le round_lot_size;
    Price4le adjusted_poc_price;
    u8 luld_tier;
    static constexpr auto fields() {
        using M = SecurityDirectory;
        return after_prefix<M>("security_directory_flags", field("round_lot_size", &M::round_lot_size, 18),
                               field("adjusted_poc_price", &M::adjusted_poc_price, 22),
                               field("luld_tier", &M::luld_tier, 30));
    }
};
static_assert(wire::layout_matches_spec<SecurityDirectory>() && sizeof(SecurityDirectory) == 31);

// H halted, O order acceptance period, P paused with order acceptance, T trading.
struct TradingStatus : CodePrefix {
    static constexpr char kType = 'H';
    static constexpr std::string_view kName = "trading_status";
    Alpha<4> reason;
    static constexpr auto fields() {
        using M = TradingStatus;
        return after_prefix<M>("trading_status", field("reason", &M::reason, 18));
    }
};
static_assert(wire::layout_matches_spec<TradingStatus>() && sizeof(TradingStatus) == 22);

// Space for none, A buy interest, B sell interest, C both.
struct RetailLiquidityIndicator : CodePrefix {
    static constexpr char kType = 'I';
    static constexpr std::string_view kName = "retail_liquidity_indicator";
    static constexpr auto fields() { return after_prefix<RetailLiquidityIndicator>("retail_liquidity_indicator"); }
};
static_assert(wire::layout_matches_spec<RetailLiquidityIndicator>() && sizeof(RetailLiquidityIndicator) == 18);

// O halted on IEX alone, N not.
struct OperationalHaltStatus : CodePrefix {
    static constexpr char kType = 'O';
    static constexpr std::string_view kName = "operational_halt_status";
    static constexpr auto fields() { return after_prefix<OperationalHaltStatus>("operational_halt_status"); }
};
static_assert(wire::layout_matches_spec<OperationalHaltStatus>() && sizeof(OperationalHaltStatus) == 18);

// Status 1 when the test is in effect. Detail: space none, A activated, C continued, D deactivated, N not
// available.
struct ShortSalePriceTestStatus : BitsPrefix {
    static constexpr char kType = 'P';
    static constexpr std::string_view kName = "short_sale_price_test_status";
    Code detail;
    static constexpr auto fields() {
        using M = ShortSalePriceTestStatus;
        return after_prefix<M>("short_sale_price_test_status", field("detail", &M::detail, 18));
    }
};
static_assert(wire::layout_matches_spec<ShortSalePriceTestStatus>() && sizeof(ShortSalePriceTestStatus) == 19);

// O opening process complete, C closing process complete.
struct SecurityEvent : CodePrefix {
    static constexpr char kType = 'E';
    static constexpr std::string_view kName = "security_event";
    static constexpr auto fields() { return after_prefix<SecurityEvent>("security_event"); }
};
static_assert(wire::layout_matches_spec<SecurityEvent>() && sizeof(SecurityEvent) == 18);

// Flags: 0x80 not available for trading, 0x40 pre- or post-market session.
struct QuoteUpdate : BitsPrefix {
    static constexpr char kType = 'Q';
    static constexpr std::string_view kName = "quote_update";
    u32le bid_size;
    Price4le bid_price;
    Price4le ask_price;
    u32le ask_size;
    static constexpr auto fields() {
        using M = QuoteUpdate;
        return after_prefix<M>("quote_update_flags", field("bid_size", &M::bid_size, 18),
                               field("bid_price", &M::bid_price, 22), field("ask_price", &M::ask_price, 30),
                               field("ask_size", &M::ask_size, 38));
    }
};
static_assert(wire::layout_matches_spec<QuoteUpdate>() && sizeof(QuoteUpdate) == 42);

// Event flags: 0x01 the transaction is complete. Size is what rests at the price now, 0 when nothing does.
struct PriceLevel : BitsPrefix {
    static constexpr std::uint8_t kComplete = 0x01;
    u32le size;
    Price4le price;
};
template <class M>
[[nodiscard]] constexpr auto price_level_fields() {
    return after_prefix<M>("event_flags", field_of<M>("size", &M::size, 18), field_of<M>("price", &M::price, 22));
}
struct PriceLevelBuyUpdate : PriceLevel {
    static constexpr char kType = '8';
    static constexpr std::string_view kName = "price_level_buy_update";
    static constexpr auto fields() { return price_level_fields<PriceLevelBuyUpdate>(); }
};
struct PriceLevelSellUpdate : PriceLevel {
    static constexpr char kType = '5';
    static constexpr std::string_view kName = "price_level_sell_update";
    static constexpr auto fields() { return price_level_fields<PriceLevelSellUpdate>(); }
};
static_assert(wire::layout_matches_spec<PriceLevelBuyUpdate>() && sizeof(PriceLevelBuyUpdate) == 30);
static_assert(wire::layout_matches_spec<PriceLevelSellUpdate>() && sizeof(PriceLevelSellUpdate) == 30);

// Sale conditions: 0x80 intermarket sweep, 0x40 extended hours, 0x20 odd lot, 0x10 trade-through exempt,
// 0x08 single-price cross. TOPS 1.5 sends four reserved bytes more.
struct TradePrefix : BitsPrefix {
    static constexpr std::uint8_t kExtendedHours = 0x40;
    static constexpr std::uint8_t kOddLot = 0x20;
    static constexpr std::uint8_t kSinglePriceCross = 0x08;
    u32le size;
    Price4le price;
    u64le trade_id;
};
template <class M>
[[nodiscard]] constexpr auto trade_fields() {
    return after_prefix<M>("sale_condition_flags", field_of<M>("size", &M::size, 18),
                           field_of<M>("price", &M::price, 22), field_of<M>("trade_id", &M::trade_id, 30));
}
struct TradeReport : TradePrefix {
    static constexpr char kType = 'T';
    static constexpr std::string_view kName = "trade_report";
    static constexpr auto fields() { return trade_fields<TradeReport>(); }
};
// Repeats the report of the trade that is void.
struct TradeBreak : TradePrefix {
    static constexpr char kType = 'B';
    static constexpr std::string_view kName = "trade_break";
    static constexpr auto fields() { return trade_fields<TradeBreak>(); }
};
static_assert(wire::layout_matches_spec<TradeReport>() && sizeof(TradeReport) == 38);
static_assert(wire::layout_matches_spec<TradeBreak>() && sizeof(TradeBreak) == 38);

// Q opening price, M closing price.
struct OfficialPrice : CodePrefix {
    static constexpr char kType = 'X';
    static constexpr std::string_view kName = "official_price";
    Price4le official_price;
    static constexpr auto fields() {
        using M = OfficialPrice;
        return after_prefix<M>("price_type", field("official_price", &M::official_price, 18));
    }
};
static_assert(wire::layout_matches_spec<OfficialPrice>() && sizeof(OfficialPrice) == 26);

// O opening, C closing, I initial offering, H halt, V volatility auction. Side: B, S or N. The time is in
// seconds since the epoch; a price of 0 is none.
struct AuctionInformation : CodePrefix {
    static constexpr char kType = 'A';
    static constexpr std::string_view kName = "auction_information";
    u32le paired_shares;
    Price4le reference_price;
    Price4le indicative_clearing_price;
    u32le imbalance_shares;
    Code imbalance_side;
    u8 extension_number;
    u32le scheduled_auction_time;
    Price4le auction_book_clearing_price;
    Price4le collar_reference_price;
    Price4le lower_auction_collar;
    Price4le upper_auction_collar;
    static constexpr auto fields() {
        using M = AuctionInformation;
        return after_prefix<M>(
            "auction_type", field("paired_shares", &M::paired_shares, 18),
            field("reference_price", &M::reference_price, 22),
            field("indicative_clearing_price", &M::indicative_clearing_price, 30),
            field("imbalance_shares", &M::imbalance_shares, 38), field("imbalance_side", &M::imbalance_side, 42),
            field("extension_number", &M::extension_number, 43),
            field("scheduled_auction_time", &M::scheduled_auction_time, 44),
            field("auction_book_clearing_price", &M::auction_book_clearing_price, 48),
            field("collar_reference_price", &M::collar_reference_price, 56),
            field("lower_auction_collar", &M::lower_auction_collar, 64),
            field("upper_auction_collar", &M::upper_auction_collar, 72));
    }
};
static_assert(wire::layout_matches_spec<AuctionInformation>() && sizeof(AuctionInformation) == 80);

// Side: 8 buy, 5 sell.
struct AddOrder : CodePrefix {
    static constexpr char kType = 'a';
    static constexpr std::string_view kName = "add_order";
    u64le order_id;
    u32le size;
    Price4le price;
    static constexpr auto fields() {
        using M = AddOrder;
        return after_prefix<M>("side", field("order_id", &M::order_id, 18), field("size", &M::size, 26),
                               field("price", &M::price, 30));
    }
};
static_assert(wire::layout_matches_spec<AddOrder>() && sizeof(AddOrder) == 38);

// Flags: 0x01 the order keeps its priority. Size and price are the new ones.
struct OrderModify : BitsPrefix {
    static constexpr std::uint8_t kKeepsPriority = 0x01;
    static constexpr char kType = 'M';
    static constexpr std::string_view kName = "order_modify";
    u64le order_id;
    u32le size;
    Price4le price;
    static constexpr auto fields() {
        using M = OrderModify;
        return after_prefix<M>("modify_flags", field("order_id", &M::order_id, 18), field("size", &M::size, 26),
                               field("price", &M::price, 30));
    }
};
static_assert(wire::layout_matches_spec<OrderModify>() && sizeof(OrderModify) == 38);

struct OrderDelete : PrefixWith<Reserved<1>> {
    static constexpr char kType = 'R';
    static constexpr std::string_view kName = "order_delete";
    u64le order_id;
    static constexpr auto fields() {
        using M = OrderDelete;
        return after_prefix<M>("reserved", field("order_id", &M::order_id, 18));
    }
};
static_assert(wire::layout_matches_spec<OrderDelete>() && sizeof(OrderDelete) == 26);

// The price is the trade's, which may differ from the order's.
struct OrderExecuted : BitsPrefix {
    static constexpr char kType = 'L';
    static constexpr std::string_view kName = "order_executed";
    u64le order_id;
    u32le size;
    Price4le price;
    u64le trade_id;
    static constexpr auto fields() {
        using M = OrderExecuted;
        return after_prefix<M>("sale_condition_flags", field("order_id", &M::order_id, 18),
                               field("size", &M::size, 26), field("price", &M::price, 30),
                               field("trade_id", &M::trade_id, 38));
    }
};
static_assert(wire::layout_matches_spec<OrderExecuted>() && sizeof(OrderExecuted) == 46);

struct ClearBook : PrefixWith<Reserved<1>> {
    static constexpr char kType = 'C';
    static constexpr std::string_view kName = "clear_book";
    static constexpr auto fields() { return after_prefix<ClearBook>("reserved"); }
};
static_assert(wire::layout_matches_spec<ClearBook>() && sizeof(ClearBook) == 18);

// What each feed carries, the most frequent first.
using TopsMessages = std::tuple<QuoteUpdate, TradeReport, SystemEvent, SecurityDirectory, TradingStatus,
                                RetailLiquidityIndicator, OperationalHaltStatus, ShortSalePriceTestStatus,
                                TradeBreak, OfficialPrice, AuctionInformation>;
using DeepMessages = std::tuple<PriceLevelBuyUpdate, PriceLevelSellUpdate, TradeReport, SystemEvent,
                                SecurityDirectory, TradingStatus, RetailLiquidityIndicator, OperationalHaltStatus,
                                ShortSalePriceTestStatus, SecurityEvent, TradeBreak, OfficialPrice,
                                AuctionInformation>;
using DeepPlusMessages = std::tuple<AddOrder, OrderDelete, OrderExecuted, OrderModify, TradeReport, ClearBook,
                                    SystemEvent, SecurityDirectory, TradingStatus, RetailLiquidityIndicator,
                                    OperationalHaltStatus, ShortSalePriceTestStatus, SecurityEvent, TradeBreak>;

// The layouts of a feed's messages, and the one of a type.
template <class Messages>
class LayoutTable {
  public:
    [[nodiscard]] static std::span<const wire::MessageLayout> all() { return kLayouts; }
    // Null for types that are not known.
    [[nodiscard]] static const wire::MessageLayout* of(std::span<const std::uint8_t> message) {
        if (message.empty()) return nullptr;
        const std::size_t index = kIndexOfType[message[0]];
        return index == 0 ? nullptr : &kLayouts[index - 1];
    }

  private:
    static constexpr auto kLayouts = []<class... M>(std::type_identity<std::tuple<M...>>) {
        return std::array<wire::MessageLayout, sizeof...(M)>{wire::layout_of<M>()...};
    }(std::type_identity<Messages>{});
    // 1 + index in kLayouts by message type.
    static constexpr auto kIndexOfType = [] {
        std::array<std::uint8_t, 256> index{};
        for (std::size_t i = 0; i < kLayouts.size(); ++i) {
            index[static_cast<unsigned char>(kLayouts[i].type)] = static_cast<std::uint8_t>(i + 1);
        }
        return index;
    }();
};

}  // namespace millrace::venues::iex
