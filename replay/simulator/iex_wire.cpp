#include "millrace/replay/simulator/iex_wire.hpp"

#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "millrace/feed/framing/iex_tp.hpp"
#include "millrace/feed/venues/iex/venue.hpp"
#include "millrace/feed/venues/nasdaq_itch50/messages.hpp"

namespace millrace::replay {

namespace {

namespace iex = venues::iex;
namespace itch = venues::itch50;

class IexWire final : public VenueWire {
  public:
    IexWire(IexFeed feed, std::uint32_t session) : feed_(feed), session_(session) {}

    void encode(Bytes of_market, const Put& put) override {
        put_ = &put;
        const auto give = [&]<class... M>(std::type_identity<std::tuple<M...>>) {
            const auto type = static_cast<char>(of_market[0]);
            static_cast<void>(((type == M::kType ? (take(wire::view<M>(of_market)), true) : false) || ...));
        };
        give(std::type_identity<itch::Messages>{});
    }

    void begin(std::span<std::uint8_t> room, const Place& place) override {
        builder_.emplace(room, IexTpPacketBuilder::Stream{iex_protocol(feed_), 1, session_});
        builder_->begin(place.first, place.offset);
    }
    [[nodiscard]] bool append(Bytes message) override { return builder_->append(message); }
    [[nodiscard]] Bytes finish(Timestamp time) override { return builder_->finish(kSimulatedMidnight + time); }
    [[nodiscard]] Bytes finish_session(Timestamp time) override { return finish(time); }

  private:
    struct Order {
        std::uint64_t id = 0;  // IEX's, which stays when Nasdaq's is replaced
        std::uint16_t locate = 0;
        bool bid = false;
        std::uint32_t price = 0;
        std::uint32_t shares = 0;
    };
    struct Book {
        std::string symbol;
        std::map<std::uint32_t, std::uint64_t> bids;
        std::map<std::uint32_t, std::uint64_t> asks;
        iex::QuoteUpdate quote{};  // the last one sent
    };
    struct Print {
        std::uint16_t locate = 0;
        std::uint32_t price = 0;
        std::uint32_t shares = 0;
        std::uint8_t flags = 0;
    };

    // ---- writing ----

    template <class M>
    [[nodiscard]] M start(std::uint16_t locate) {
        M m{};
        m.message_type.set(M::kType);
        m.timestamp.set(now_);
        m.symbol.set(books_[locate].symbol);
        return m;
    }
    template <class M>
    void send(const M& m) {
        (*put_)(wire::bytes_of(m));
    }
    template <class M>
    void note(const M& m) {
        now_ = kSimulatedMidnight + static_cast<Timestamp>(m.timestamp.value());
    }

    // What rests at a price now; `complete` with the last one of a transaction.
    void send_level(std::uint16_t locate, bool bid, std::uint32_t price, bool complete) {
        if (feed_ != IexFeed::deep) return;
        const auto fill = [&](auto m) {
            const auto& side = bid ? books_[locate].bids : books_[locate].asks;
            const auto at = side.find(price);
            m.second.set(complete ? iex::PriceLevel::kComplete : 0);
            m.size.set(at == side.end() ? 0 : at->second);
            m.price.set(price);
            send(m);
        };
        if (bid) fill(start<iex::PriceLevelBuyUpdate>(locate));
        else fill(start<iex::PriceLevelSellUpdate>(locate));
    }
    void send_quote(std::uint16_t locate) {
        if (feed_ != IexFeed::tops) return;
        Book& book = books_[locate];
        auto m = start<iex::QuoteUpdate>(locate);
        if (!book.bids.empty()) {
            m.bid_price.set(book.bids.rbegin()->first);
            m.bid_size.set(book.bids.rbegin()->second);
        }
        if (!book.asks.empty()) {
            m.ask_price.set(book.asks.begin()->first);
            m.ask_size.set(book.asks.begin()->second);
        }
        const auto same = [&](const auto& a, const auto& b) { return a.raw == b.raw; };
        if (same(m.bid_price, book.quote.bid_price) && same(m.bid_size, book.quote.bid_size) &&
            same(m.ask_price, book.quote.ask_price) && same(m.ask_size, book.quote.ask_size)) {
            return;
        }
        book.quote = m;
        send(m);
    }
    template <class M>
    void send_print(const Print& print, std::uint64_t match) {
        auto m = start<M>(print.locate);
        m.second.set(print.flags);
        m.size.set(print.shares);
        m.price.set(print.price);
        m.trade_id.set(match);
        send(m);
    }
    void send_status(std::uint16_t locate, char state, std::string_view reason) {
        auto m = start<iex::TradingStatus>(locate);
        m.second.set(state == 'Q' ? 'O' : state);
        m.reason.set(reason);
        send(m);
    }

    // ---- the books behind it ----

    void change(std::uint16_t locate, bool bid, std::uint32_t price, std::int64_t shares) {
        auto& side = bid ? books_[locate].bids : books_[locate].asks;
        std::uint64_t& level = side[price];
        level += static_cast<std::uint64_t>(shares);
        if (level == 0) side.erase(price);
    }
    // Takes shares off an order, which leaves with the last of them, and tells of its level.
    void take_off(std::uint64_t reference, std::uint32_t shares) {
        Order& order = orders_.at(reference);
        change(order.locate, order.bid, order.price, -std::int64_t{shares});
        order.shares -= shares;
        send_level(order.locate, order.bid, order.price, true);
        send_quote(order.locate);
        if (order.shares == 0) orders_.erase(reference);
    }

    // ---- the market's messages ----

    template <class M>
    void take(const M&) {}  // what IEX has no word for

    void take(const itch::SystemEvent& of) {
        note(of);
        iex::SystemEvent m{};
        m.message_type.set(iex::SystemEvent::kType);
        m.timestamp.set(now_);
        m.system_event.set(of.event_code.value() == 'Q' ? 'R' : of.event_code.value());
        send(m);
    }
    void take(const itch::StockDirectory& of) {
        note(of);
        books_[of.stock_locate.value()].symbol = of.stock.value();
        auto m = start<iex::SecurityDirectory>(of.stock_locate.value());
        m.round_lot_size.set(of.round_lot_size.value());
        m.luld_tier.set(of.luld_tier.value() == '2' ? 2 : of.luld_tier.value() == '1' ? 1 : 0);
        send(m);
    }
    void take(const itch::StockTradingAction& of) {
        note(of);
        send_status(of.stock_locate.value(), of.state.value(), of.reason.value());
    }
    void take(const itch::RegShoRestriction& of) {
        note(of);
        auto m = start<iex::ShortSalePriceTestStatus>(of.stock_locate.value());
        m.second.set(of.action.value() == '0' ? 0 : 1);
        m.detail.set(of.action.value() == '1' ? 'A' : of.action.value() == '2' ? 'C' : ' ');
        send(m);
    }
    void take(const itch::OperationalHalt& of) {
        note(of);
        auto m = start<iex::OperationalHaltStatus>(of.stock_locate.value());
        m.second.set(of.action.value() == 'H' ? 'O' : 'N');
        send(m);
    }
    void take(const itch::RetailPriceImprovement& of) {
        note(of);
        auto m = start<iex::RetailLiquidityIndicator>(of.stock_locate.value());
        const char interest = of.interest.value();
        m.second.set(interest == 'B' ? 'A' : interest == 'S' ? 'B' : interest == 'A' ? 'C' : ' ');
        send(m);
    }

    template <class M>
    void take_add(const M& of) {
        note(of);
        const Order order{of.order_reference.value(), of.stock_locate.value(), of.side.value() == 'B',
                          of.price.value(), of.shares.value()};
        orders_[order.id] = order;
        change(order.locate, order.bid, order.price, order.shares);
        if (feed_ == IexFeed::deep_plus) {
            auto m = start<iex::AddOrder>(order.locate);
            m.second.set(order.bid ? '8' : '5');
            m.order_id.set(order.id);
            m.size.set(order.shares);
            m.price.set(order.price);
            send(m);
        }
        send_level(order.locate, order.bid, order.price, true);
        send_quote(order.locate);
    }
    void take(const itch::AddOrder& of) { take_add(of); }
    void take(const itch::AddOrderMpid& of) { take_add(of); }

    void execute(std::uint64_t reference, std::uint32_t shares, std::uint32_t price, std::uint64_t match,
                 std::uint8_t flags) {
        const Order order = orders_.at(reference);
        const Print print{order.locate, price, shares, flags};
        prints_[match] = print;
        if (feed_ == IexFeed::deep_plus) {
            auto m = start<iex::OrderExecuted>(order.locate);
            m.second.set(flags);
            m.order_id.set(order.id);
            m.size.set(shares);
            m.price.set(price);
            m.trade_id.set(match);
            send(m);
        } else {
            send_print<iex::TradeReport>(print, match);  // before the level, as IEX does
        }
        take_off(reference, shares);
    }
    void take(const itch::OrderExecuted& of) {
        note(of);
        const std::uint64_t reference = of.order_reference.value();
        execute(reference, of.executed_shares.value(), orders_.at(reference).price, of.match_number.value(), 0);
    }
    void take(const itch::OrderExecutedWithPrice& of) {
        note(of);
        execute(of.order_reference.value(), of.executed_shares.value(), of.execution_price.value(),
                of.match_number.value(), of.printable.value() == 'Y' ? 0 : iex::TradePrefix::kSinglePriceCross);
    }
    void take(const itch::OrderCancel& of) {
        note(of);
        const std::uint64_t reference = of.order_reference.value();
        const Order& order = orders_.at(reference);
        const std::uint32_t left = order.shares - of.cancelled_shares.value();
        if (left == 0) send_delete(order);
        else send_modify(order, order.price, left, true);
        take_off(reference, of.cancelled_shares.value());
    }
    void take(const itch::OrderDelete& of) {
        note(of);
        const std::uint64_t reference = of.order_reference.value();
        send_delete(orders_.at(reference));
        take_off(reference, orders_.at(reference).shares);
    }
    void take(const itch::OrderReplace& of) {
        note(of);
        const std::uint64_t reference = of.original_order_reference.value();
        const Order before = orders_.at(reference);
        Order now = before;
        now.price = of.new_price.value();
        now.shares = of.new_shares.value();
        orders_.erase(reference);
        orders_[of.new_order_reference.value()] = now;
        send_modify(now, now.price, now.shares, false);
        change(before.locate, before.bid, before.price, -std::int64_t{before.shares});
        change(now.locate, now.bid, now.price, now.shares);
        // One transaction, and two messages where it touches two levels.
        if (before.price != now.price) send_level(now.locate, now.bid, before.price, false);
        send_level(now.locate, now.bid, now.price, true);
        send_quote(now.locate);
    }
    void send_delete(const Order& order) {
        if (feed_ != IexFeed::deep_plus) return;
        auto m = start<iex::OrderDelete>(order.locate);
        m.order_id.set(order.id);
        send(m);
    }
    void send_modify(const Order& order, std::uint32_t price, std::uint32_t shares, bool keeps_priority) {
        if (feed_ != IexFeed::deep_plus) return;
        auto m = start<iex::OrderModify>(order.locate);
        m.second.set(keeps_priority ? iex::OrderModify::kKeepsPriority : 0);
        m.order_id.set(order.id);
        m.size.set(shares);
        m.price.set(price);
        send(m);
    }

    void take(const itch::Trade& of) {
        note(of);
        const Print print{of.stock_locate.value(), of.price.value(), of.shares.value(), 0};
        prints_[of.match_number.value()] = print;
        send_print<iex::TradeReport>(print, of.match_number.value());
    }
    void take(const itch::CrossTrade& of) {
        note(of);
        const Print print{of.stock_locate.value(), of.cross_price.value(),
                          static_cast<std::uint32_t>(of.shares.value()), iex::TradePrefix::kSinglePriceCross};
        if (print.shares != 0) {
            prints_[of.match_number.value()] = print;
            send_print<iex::TradeReport>(print, of.match_number.value());
        }
        const char cross = of.cross_type.value();
        if (cross != 'O' && cross != 'C') return;
        if (feed_ != IexFeed::deep_plus && print.shares != 0) {
            auto m = start<iex::OfficialPrice>(print.locate);
            m.second.set(cross == 'O' ? 'Q' : 'M');
            m.official_price.set(print.price);
            send(m);
        }
        if (feed_ != IexFeed::tops) {
            auto m = start<iex::SecurityEvent>(print.locate);
            m.second.set(cross);
            send(m);
        }
    }
    void take(const itch::BrokenTrade& of) {
        note(of);
        const auto at = prints_.find(of.match_number.value());
        if (at != prints_.end()) send_print<iex::TradeBreak>(at->second, at->first);
    }
    void take(const itch::Noii& of) {
        note(of);
        if (feed_ == IexFeed::deep_plus) return;
        auto m = start<iex::AuctionInformation>(of.stock_locate.value());
        m.second.set(of.cross_type.value());
        m.paired_shares.set(of.paired_shares.value());
        m.imbalance_shares.set(of.imbalance_shares.value());
        m.imbalance_side.set(of.direction.value());
        m.reference_price.set(of.current_reference_price.value());
        m.indicative_clearing_price.set(of.near_price.value());
        m.auction_book_clearing_price.set(of.far_price.value());
        send(m);
    }

    IexFeed feed_;
    std::uint32_t session_;
    Timestamp now_ = 0;
    const Put* put_ = nullptr;
    std::map<std::uint16_t, Book> books_;               // by Nasdaq's locate
    std::unordered_map<std::uint64_t, Order> orders_;   // by Nasdaq's reference
    std::unordered_map<std::uint64_t, Print> prints_;   // by match number
    std::optional<IexTpPacketBuilder> builder_;
};

}  // namespace

std::optional<IexFeed> iex_feed(std::string_view venue) {
    if (venue == venues::IexTops::kId) return IexFeed::tops;
    if (venue == venues::IexDeep::kId) return IexFeed::deep;
    if (venue == venues::IexDeepPlus::kId) return IexFeed::deep_plus;
    return std::nullopt;
}

std::uint16_t iex_protocol(IexFeed feed) {
    switch (feed) {
        case IexFeed::tops: return venues::IexTops::kProtocol;
        case IexFeed::deep: return venues::IexDeep::kProtocol;
        case IexFeed::deep_plus: break;
    }
    return venues::IexDeepPlus::kProtocol;
}

std::uint32_t iex_session_id(std::string_view session) {
    std::uint32_t id = 2'166'136'261U;  // FNV-1a
    for (const char c : session) id = (id ^ static_cast<unsigned char>(c)) * 16'777'619U;
    return id;
}

std::unique_ptr<VenueWire> make_iex_wire(IexFeed feed, const std::string& session) {
    return std::make_unique<IexWire>(feed, iex_session_id(session));
}

}  // namespace millrace::replay
