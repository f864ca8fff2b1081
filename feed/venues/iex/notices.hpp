// What IEX's feeds have in common: trades, status, auctions and official prices, and how a message finds
// its meaning.
#pragma once

#include <cstdint>
#include <span>
#include <tuple>
#include <type_traits>

#include "millrace/feed/book_context.hpp"
#include "millrace/feed/session.hpp"
#include "millrace/feed/venues/iex/messages.hpp"
#include "millrace/feed/venues/iex/symbol_index.hpp"

namespace millrace::venues::iex {

inline constexpr PriceScale kScale{4};

[[nodiscard]] inline Price price_of(const Price4le& price) { return Price{price.value()}; }
// 0 stands for none.
[[nodiscard]] inline Price price_or_none(const Price4le& price) {
    return price.value() == 0 ? kNoPrice : price_of(price);
}

// The base of the three book builders.
template <BookHandler Handler>
class Notices {
  protected:
    using Bytes = std::span<const std::uint8_t>;

    Notices(BookContext<Handler>& context, BookDepth depth) : context_(context), depth_(depth) {}

    // Gives the message to the `on` of `builder` that takes its type.
    template <class Builder, class... M>
    [[nodiscard]] Applied dispatch(Builder& builder, Bytes bytes, std::type_identity<std::tuple<M...>>) {
        if (bytes.empty()) return Applied::malformed;
        Applied applied = Applied::unknown;
        const auto type = static_cast<char>(bytes[0]);
        const auto give = [&]<class One>(std::type_identity<One>) {
            if (bytes.size() < sizeof(One)) return Applied::malformed;
            const One& m = wire::view<One>(bytes);
            context_.header.exchange_time = m.timestamp.value();
            return builder.on(m);
        };
        static_cast<void>(((type == M::kType ? (applied = give(std::type_identity<M>{}), true) : false) || ...));
        return applied;
    }

    // Runs `apply(book)` on the symbol's book, if anybody wants it.
    template <class Apply>
    [[nodiscard]] Applied with_book(const SymbolText& symbol, Apply&& apply) {
        bool is_symbol = true;
        OrderBook* book = symbols_.open(symbol, depth_, kScale, context_, is_symbol);
        if (book != nullptr) {
            apply(*book);
            return Applied::delivered;
        }
        if (is_symbol) return Applied::filtered;
        context_.fault(FaultCounter::unknown_instrument);
        return Applied::delivered;
    }

    // The book a message is about, if it has one already.
    [[nodiscard]] const OrderBook* book_named_by(Bytes bytes) const {
        if (bytes.size() < sizeof(CodePrefix) || static_cast<char>(bytes[0]) == SystemEvent::kType) return nullptr;
        const std::uint32_t number = symbols_.find(wire::view<RetailLiquidityIndicator>(bytes).symbol);
        return number == SymbolIndex::kNoBook ? nullptr : &context_.store().books()[number];
    }

    // IEX-TP marks no end: the last message of a session says that it is that.
    [[nodiscard]] Applied on(const SystemEvent& m) {
        ended_ = m.system_event.value() == SystemEvent::kEndOfMessages;
        return Applied::delivered;
    }
    [[nodiscard]] bool ended() const { return ended_; }
    void reset() { ended_ = false; }

    // IEX tells of the securities that it lists itself.
    [[nodiscard]] Applied on(const SecurityDirectory& m) {
        return with_book(m.symbol, [&](OrderBook& book) {
            InstrumentDetails details;
            details.listing_mic = "IEXG";
            details.round_lot = m.round_lot_size.value();
            context_.instrument(book, details);
        });
    }
    [[nodiscard]] Applied on(const TradingStatus& m) {
        return with_book(m.symbol, [&](OrderBook& book) {
            millrace::TradingStatus status;
            status.code = m.second.value();
            status.state = state_of(status.code);
            status.reason = m.reason.raw;
            context_.status(book, status);
        });
    }
    [[nodiscard]] Applied on(const OperationalHaltStatus& m) {
        return report(m, What::operational_halt, m.second.value());
    }
    [[nodiscard]] Applied on(const SecurityEvent& m) { return report(m, What::security_event, m.second.value()); }
    [[nodiscard]] Applied on(const RetailLiquidityIndicator& m) {
        return report(m, What::retail_interest, m.second.value());
    }
    // The code is '1' while the test is in effect and '0' else, the reason the detail.
    [[nodiscard]] Applied on(const ShortSalePriceTestStatus& m) {
        return report(m, What::short_sale, m.second.value() != 0 ? '1' : '0', m.detail.value());
    }

    [[nodiscard]] Applied on(const TradeReport& m) { return trade(m, TradeKind::reported); }
    [[nodiscard]] Applied on(const TradeBreak& m) { return trade(m, TradeKind::broken); }
    // `kind` is what it is unless the flags say that it is an auction's.
    [[nodiscard]] Applied trade(const TradePrefix& m, TradeKind kind) {
        return with_book(m.symbol, [&](OrderBook& book) {
            Trade trade = trade_of(m);
            trade.kind = kind;
            if (kind != TradeKind::broken && (m.second.value() & TradePrefix::kSinglePriceCross) != 0) {
                trade.kind = TradeKind::cross;
            }
            trade.match_number = m.trade_id.value();
            context_.trade(book, trade);
        });
    }
    // What trade reports and executions share. Trades count towards volume always, and as last sale when
    // they are neither of extended hours nor odd lots.
    template <class M>
    [[nodiscard]] static Trade trade_of(const M& m) {
        Trade trade;
        trade.price = price_of(m.price);
        trade.quantity = m.size.value();
        trade.sale_conditions = m.second.value();
        trade.last_sale = (trade.sale_conditions & (TradePrefix::kExtendedHours | TradePrefix::kOddLot)) == 0;
        return trade;
    }

    [[nodiscard]] Applied on(const OfficialPrice& m) {
        return with_book(m.symbol, [&](OrderBook& book) {
            millrace::OfficialPrice official;
            official.code = m.second.value();
            official.kind = official.code == 'Q'   ? millrace::OfficialPrice::Kind::opening
                            : official.code == 'M' ? millrace::OfficialPrice::Kind::closing
                                                   : millrace::OfficialPrice::Kind::other;
            official.price = price_of(m.official_price);
            context_.official_price(book, official);
        });
    }
    [[nodiscard]] Applied on(const AuctionInformation& m) {
        return with_book(m.symbol, [&](OrderBook& book) {
            Imbalance imbalance;
            imbalance.auction_type = m.second.value();
            imbalance.direction = m.imbalance_side.value();
            imbalance.reference_price = price_or_none(m.reference_price);
            imbalance.near_price = price_or_none(m.auction_book_clearing_price);
            imbalance.indicative_price = price_or_none(m.indicative_clearing_price);
            imbalance.lower_collar = price_or_none(m.lower_auction_collar);
            imbalance.upper_collar = price_or_none(m.upper_auction_collar);
            imbalance.paired = m.paired_shares.value();
            imbalance.imbalance = m.imbalance_shares.value();
            imbalance.auction_time = Timestamp{m.scheduled_auction_time.value()} * 1'000'000'000;
            imbalance.extensions = m.extension_number.value();
            context_.imbalance(book, imbalance);
        });
    }

    BookContext<Handler>& context_;
    SymbolIndex symbols_;

  private:
    using What = millrace::TradingStatus::What;

    [[nodiscard]] static TradingState state_of(char code) {
        switch (code) {
            case 'T': return TradingState::trading;
            case 'O': return TradingState::quotation_only;  // orders are taken, and nothing trades
            case 'P': return TradingState::paused;
            case 'H': return TradingState::halted;
            default: return TradingState::unknown;
        }
    }
    template <class M>
    [[nodiscard]] Applied report(const M& m, What what, char code, char reason = ' ') {
        return with_book(m.symbol, [&](OrderBook& book) {
            millrace::TradingStatus status;
            status.what = what;
            status.state = book.trading_state();
            status.code = code;
            status.reason[0] = reason;
            context_.status(book, status);
        });
    }

    BookDepth depth_;
    bool ended_ = false;
};

}  // namespace millrace::venues::iex
