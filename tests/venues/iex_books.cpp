// What IEX's messages do to books, and what a handler is told and when.
#include <optional>
#include <string>
#include <vector>

#include "millrace/feed/session.hpp"
#include "millrace/feed/venues/iex/venue.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/hex.hpp"

namespace {

using namespace millrace;
namespace iex = venues::iex;

struct Told : NullHandler {
    void on_book(const OrderBook& book, const BookUpdate& update) {
        updates.push_back(update);
        tops.push_back(book.top());
        orders.clear();
        for (const Order order : book.orders(update.side, 0)) orders.push_back(value(order.id));
    }
    void on_trade(const OrderBook&, const Trade& trade) { trades.push_back(trade); }
    void on_status(const OrderBook&, const TradingStatus& status) { statuses.push_back(status); }
    void on_official_price(const OrderBook&, const OfficialPrice& price) { official = price; }
    void on_instrument(const OrderBook& book, const InstrumentDetails& details) {
        listed = book.symbol();
        instrument = details;
    }

    std::vector<BookUpdate> updates;
    std::vector<Top> tops;  // at each update
    std::vector<std::uint64_t> orders;  // of the best level of the side updated last
    std::vector<Trade> trades;
    std::vector<TradingStatus> statuses;
    std::optional<OfficialPrice> official;
    Symbol listed;
    std::optional<InstrumentDetails> instrument;
};
struct ToldEachStep : Told {
    static constexpr bool kEachStep = true;
};

template <class Venue, class Handler = Told>
class Feed {
  public:
    static constexpr Nanoseconds kQuiet = 1'000'000;

    explicit Feed(const SessionConfig& session = config())
        : session_(session, told), room_(1'400), builder_(room_, {Venue::kProtocol, 1, 7}) {}

    template <class M>
    static M message(std::string_view symbol) {
        M m{};
        m.message_type.set(M::kType);
        m.timestamp.set(1'000);
        m.symbol.set(symbol);
        return m;
    }
    // Each in a packet of its own.
    template <class M>
    void send(const M& m) {
        REQUIRE(builder_.append(wire::bytes_of(m)));
        session_.on_packet({0, ++now_, builder_.finish(now_)});
        builder_.begin_next();
    }
    void level(std::string_view symbol, Side side, std::int64_t price, std::uint32_t size, bool complete) {
        const auto fill = [&](auto m) {
            m.second.set(complete ? 1 : 0);
            m.price.set(price);
            m.size.set(size);
            send(m);
        };
        if (side == Side::bid) fill(message<iex::PriceLevelBuyUpdate>(symbol));
        else fill(message<iex::PriceLevelSellUpdate>(symbol));
    }
    void add(std::uint64_t id, std::uint32_t size, std::int64_t price, char side = '8') {
        auto m = message<iex::AddOrder>("A");
        m.second.set(side);
        m.order_id.set(id);
        m.size.set(size);
        m.price.set(price);
        send(m);
    }
    void modify(std::uint64_t id, std::uint32_t size, std::int64_t price, bool keeps) {
        auto m = message<iex::OrderModify>("A");
        m.second.set(keeps ? 1 : 0);
        m.order_id.set(id);
        m.size.set(size);
        m.price.set(price);
        send(m);
    }
    void system_event(char code) {
        iex::SystemEvent m{};
        m.message_type.set(iex::SystemEvent::kType);
        m.system_event.set(code);
        send(m);
    }
    // The stream begins anew under the same session.
    void restart() { go_on_at(1, 0); }
    // The next message is that number and lies there in the stream of bytes.
    void go_on_at(SequenceNumber number, std::uint64_t offset) { builder_.begin(number, offset); }
    void pass_time(Nanoseconds by) { now_ += by; }
    void receive(std::span<const std::uint8_t> packet) { session_.on_packet({0, ++now_, packet}); }
    // What is looked at while no packet comes.
    void be_silent_until(Timestamp now) { static_cast<void>(session_.next_request(now)); }
    [[nodiscard]] const OrderBook& book(const char* symbol) const { return *session_.book(symbol); }
    [[nodiscard]] Session<Venue, Handler>& session() { return session_; }

    Handler told;

    static SessionConfig config() {
        SessionConfig config;
        config.lines = 1;
        config.limits = {8, 64, 64};
        config.reorder_window_packets = 2;
        config.quality.quiet_ns = kQuiet;
        return config;
    }

  private:
    Session<Venue, Handler> session_;
    std::vector<std::uint8_t> room_;
    IexTpPacketBuilder builder_;
    Timestamp now_ = 0;
};

Top top(std::int64_t bid, Quantity bid_size, std::int64_t ask = 0, Quantity ask_size = 0, std::uint32_t orders = 0) {
    return {{Price{bid}, bid_size, orders}, {Price{ask}, ask_size, 0}};
}

}  // namespace

TEST_CASE("DEEP: a transaction changes the book when it is whole, and is then told of step by step") {
    Feed<venues::IexDeep> feed;
    feed.level("A", Side::bid, 100, 5, true);
    feed.level("A", Side::bid, 101, 7, false);
    CHECK(feed.told.updates.size() == 1);
    CHECK(feed.book("A").top() == top(100, 5));
    feed.level("B", Side::bid, 50, 1, true);  // another symbol's transaction comes in between
    feed.level("A", Side::bid, 100, 0, true);
    REQUIRE(feed.told.updates.size() == 4);
    const auto& updates = feed.told.updates;
    CHECK(updates[2].sequence == 2);
    CHECK_FALSE(updates[2].last_in_event);
    CHECK(updates[3].sequence == 4);
    CHECK(updates[3].last_in_event);
    CHECK(updates[3].previous_quantity == 5);
    CHECK(feed.told.tops[2] == top(101, 7));  // the first step is told when the second is done
    CHECK(feed.told.tops[3] == top(101, 7));
    CHECK(feed.book("A").level_count(Side::bid) == 1);
    CHECK(feed.book("A").depth() == BookDepth::levels);
    CHECK(feed.book("A").orders(Side::bid, 0).empty());
    CHECK(feed.book("A").order_count() == 0);
}

TEST_CASE("DEEP: a book whose transaction is not complete when nothing more comes is not live") {
    Feed<venues::IexDeep> feed;
    feed.level("A", Side::bid, 100, 5, true);
    feed.level("B", Side::bid, 50, 1, true);
    feed.level("A", Side::bid, 101, 7, false);
    CHECK(feed.book("A").quality() == Quality::live);  // exact at its own number, which is 1
    CHECK(feed.book("A").sequence() == 1);
    feed.session().finish();
    CHECK(feed.book("A").quality() == Quality::recovering);
    CHECK(feed.book("A").top() == top(100, 5));
    CHECK(feed.book("B").quality() == Quality::live);
}

TEST_CASE("DEEP: who asks for each step sees the book in transit, and marked as such") {
    Feed<venues::IexDeep, ToldEachStep> feed;
    feed.level("A", Side::bid, 100, 5, true);
    feed.level("A", Side::bid, 101, 7, false);
    REQUIRE(feed.told.updates.size() == 2);
    CHECK_FALSE(feed.told.updates[1].last_in_event);
    CHECK(feed.told.tops[1] == top(101, 7));
    feed.level("A", Side::bid, 100, 0, true);
    CHECK(feed.told.updates[2].last_in_event);
}

TEST_CASE("DEEP: more open steps than there is room for are shown in transit and counted, and nothing is lost") {
    Feed<venues::IexDeep> feed;
    for (std::uint32_t i = 0; i < 16'384; ++i) feed.level("A", Side::bid, 100 + i % 10, i + 1, false);
    CHECK(feed.told.updates.empty());
    feed.level("A", Side::ask, 200, 3, false);
    CHECK(feed.session().faults()[FaultCounter::event_split] == 1);
    CHECK(feed.told.updates.size() == 16'385);
    CHECK_FALSE(feed.told.updates.back().last_in_event);
    CHECK(feed.book("A").top() == top(109, 16'380, 200, 3));
    CHECK(feed.book("A").quality() == Quality::live);
    feed.level("A", Side::ask, 201, 4, false);  // there is room again
    feed.level("A", Side::ask, 200, 0, true);
    CHECK(feed.book("A").top().ask == Level{Price{201}, 4, 0});
}

TEST_CASE("DEEP: a level that is taken away twice is no contradiction") {
    Feed<venues::IexDeep> feed;
    feed.level("A", Side::bid, 100, 0, true);
    CHECK(feed.book("A").quality() == Quality::live);
    CHECK(feed.book("A").level_count(Side::bid) == 0);
}

TEST_CASE("TOPS: a quote replaces both sides before either is told of, and an unchanged side is not told of") {
    Feed<venues::IexTops> feed;
    auto quote = feed.message<iex::QuoteUpdate>("A");
    quote.bid_price.set(100);
    quote.bid_size.set(5);
    quote.ask_price.set(110);
    quote.ask_size.set(6);
    feed.send(quote);
    REQUIRE(feed.told.updates.size() == 2);
    CHECK(feed.told.tops[0] == top(100, 5, 110, 6));
    CHECK_FALSE(feed.told.updates[0].last_in_event);
    CHECK(feed.told.updates[1].last_in_event);
    quote.bid_price.set(99);
    feed.send(quote);
    REQUIRE(feed.told.updates.size() == 3);
    CHECK(feed.told.updates[2].previous_price == Price{100});
    CHECK(feed.told.updates[2].price == Price{99});
    CHECK(feed.told.updates[2].last_in_event);
    CHECK(feed.book("A").level_count(Side::bid) == 1);
    feed.send(quote);
    CHECK(feed.told.updates.size() == 3);
    quote.bid_price.set(0);
    quote.bid_size.set(0);
    feed.send(quote);
    CHECK(feed.book("A").top() == top(0, 0, 110, 6));
    CHECK(feed.book("A").depth() == BookDepth::top);
}

TEST_CASE("DEEP+: orders queue, and a modified order keeps its place or goes to the tail as it says") {
    Feed<venues::IexDeepPlus> feed;
    for (const std::uint64_t id : {1U, 2U, 3U}) feed.add(id, 100, 50);
    using Ids = std::vector<std::uint64_t>;
    feed.modify(1, 70, 50, true);
    CHECK(feed.told.orders == Ids{1, 2, 3});
    CHECK(feed.told.updates.back().action == BookAction::modify);
    CHECK(feed.told.updates.back().previous_quantity == 100);
    feed.modify(1, 300, 50, true);  // more, and in its place all the same
    CHECK(feed.told.orders == Ids{1, 2, 3});
    CHECK(feed.book("A").top() == top(50, 500, 0, 0, 3));
    feed.modify(1, 300, 50, false);
    CHECK(feed.told.orders == Ids{2, 3, 1});
    CHECK(feed.told.updates.back().action == BookAction::replace);
    feed.modify(2, 10, 51, true);  // to another price: nowhere to stay
    CHECK(feed.told.orders == Ids{2});
    CHECK(feed.told.updates.back().previous_price == Price{50});
    CHECK(feed.told.updates.back().top_changed);
    CHECK(feed.book("A").quality() == Quality::live);
    feed.modify(9, 10, 51, true);
    CHECK(feed.session().faults()[FaultCounter::unknown_order] == 1);
    CHECK(feed.book("A").quality() == Quality::suspect);
}

TEST_CASE("DEEP+: executions, deletes, a cleared book and an id that comes again") {
    Feed<venues::IexDeepPlus> feed;
    feed.add(1, 100, 50);
    feed.add(2, 40, 50);
    auto executed = feed.message<iex::OrderExecuted>("A");
    executed.second.set(iex::TradePrefix::kOddLot);
    executed.order_id.set(1);
    executed.size.set(30);
    executed.price.set(49);  // better than the book's, for whoever bought
    executed.trade_id.set(77);
    feed.send(executed);
    REQUIRE(feed.told.trades.size() == 1);
    CHECK(feed.told.trades[0].kind == TradeKind::priced);
    CHECK(feed.told.trades[0].match_number == 77);
    CHECK(feed.told.trades[0].order == OrderId{1});
    CHECK(feed.told.trades[0].sale_conditions == 0x20);
    CHECK_FALSE(feed.told.trades[0].last_sale);
    CHECK(feed.book("A").last_trade().quantity == 0);  // an odd lot sets no last sale
    CHECK(feed.told.orders == std::vector<std::uint64_t>{1, 2});
    executed.second.set(0);
    executed.price.set(50);
    executed.size.set(70);
    feed.send(executed);
    CHECK(feed.told.trades[1].kind == TradeKind::execution);
    CHECK(feed.book("A").last_trade().price == Price{50});
    CHECK_FALSE(feed.book("A").find(OrderId{1}).has_value());
    auto removed = feed.message<iex::OrderDelete>("A");
    removed.order_id.set(2);
    feed.send(removed);
    CHECK(feed.book("A").top() == Top{});
    feed.add(2, 10, 60, '5');
    CHECK(feed.book("A").top().ask == Level{Price{60}, 10, 1});
    feed.send(feed.message<iex::ClearBook>("A"));
    CHECK(feed.told.updates.back().action == BookAction::clear);
    CHECK(feed.book("A").order_count() == 0);
    CHECK(feed.book("A").digest() == Digest{});
    CHECK(feed.session().faults()[FaultCounter::unknown_order] == 0);
}

TEST_CASE("IEX: status, halts, the short sale test, events, interest, prices and prints reach the handler") {
    Feed<venues::IexDeep> feed;
    using What = TradingStatus::What;
    auto halted = feed.message<iex::TradingStatus>("A");
    halted.second.set('H');
    halted.reason.set("T1");
    feed.send(halted);
    CHECK(feed.book("A").trading_state() == TradingState::halted);
    CHECK(feed.told.statuses.back().reason == std::array{'T', '1', ' ', ' '});
    auto test = feed.message<iex::ShortSalePriceTestStatus>("A");
    test.second.set(1);
    test.detail.set('A');
    feed.send(test);
    CHECK(feed.told.statuses.back().what == What::short_sale);
    CHECK(feed.told.statuses.back().code == '1');
    CHECK(feed.told.statuses.back().reason[0] == 'A');
    CHECK(feed.told.statuses.back().state == TradingState::halted);
    auto halt = feed.message<iex::OperationalHaltStatus>("A");
    halt.second.set('O');
    feed.send(halt);
    CHECK(feed.told.statuses.back().what == What::operational_halt);
    auto event = feed.message<iex::SecurityEvent>("A");
    event.second.set('C');
    feed.send(event);
    CHECK(feed.told.statuses.back().what == What::security_event);
    auto interest = feed.message<iex::RetailLiquidityIndicator>("A");
    interest.second.set('C');
    feed.send(interest);
    CHECK(feed.told.statuses.back().what == What::retail_interest);
    CHECK(feed.told.statuses.back().code == 'C');
    auto price = feed.message<iex::OfficialPrice>("A");
    price.second.set('M');
    price.official_price.set(123'4500);
    feed.send(price);
    REQUIRE(feed.told.official.has_value());
    CHECK(feed.told.official->kind == OfficialPrice::Kind::closing);
    CHECK(feed.told.official->price == Price{123'4500});
    auto directory = feed.message<iex::SecurityDirectory>("A");
    directory.round_lot_size.set(40);
    feed.send(directory);
    REQUIRE(feed.told.instrument.has_value());
    CHECK(feed.told.listed == Symbol("A"));
    CHECK(feed.told.instrument->round_lot == 40);
    CHECK(feed.told.instrument->listing_mic == "IEXG");
    auto print = feed.message<iex::TradeReport>("A");
    print.size.set(10);
    print.price.set(5);
    feed.send(print);
    print.second.set(iex::TradePrefix::kSinglePriceCross);
    feed.send(print);
    auto broken = feed.message<iex::TradeBreak>("A");
    broken.trade_id.set(4);
    feed.send(broken);
    REQUIRE(feed.told.trades.size() == 3);
    CHECK(feed.told.trades[0].kind == TradeKind::reported);
    CHECK(feed.told.trades[1].kind == TradeKind::cross);
    CHECK(feed.told.trades[2].kind == TradeKind::broken);
    CHECK(feed.told.trades[2].match_number == 4);
}

TEST_CASE("IEX: text that names no symbol is counted and opens no book") {
    Feed<venues::IexDeep> feed;
    feed.level("", Side::bid, 100, 5, true);
    feed.level("A", Side::bid, 100, 5, true);
    CHECK(feed.session().faults()[FaultCounter::unknown_instrument] == 1);
    CHECK(feed.session().books().size() == 1);
    CHECK(feed.session().messages()[MessageCounter::delivered] == 2);
}

TEST_CASE("IEX: the end of messages ends the session, and silence behind it makes no book stale") {
    Feed<venues::IexDeep> feed;
    const auto silent_quality = [&](Timestamp from) {
        feed.be_silent_until(from);
        feed.be_silent_until(from + 2 * feed.kQuiet);
        return feed.book("A").quality();
    };
    feed.system_event('E');
    feed.level("A", Side::bid, 100, 5, true);
    CHECK_FALSE(feed.session().ended());
    CHECK(silent_quality(1'000'000'000) == Quality::stale);
    feed.system_event('C');
    CHECK(feed.session().ended());
    CHECK(silent_quality(2'000'000'000) == Quality::live);
    feed.restart();
    feed.level("A", Side::bid, 100, 5, true);
    CHECK_FALSE(feed.session().ended());
    CHECK(feed.session().arbiter().restarts() == 1);
    CHECK(silent_quality(3'000'000'000) == Quality::stale);
}

// Protocol 0x8002: trade reports and breaks have four reserved bytes more at their end.
TEST_CASE("TOPS 1.5: bytes written by hand from the sheet, trades of 42 bytes among them, are read as TOPS 1.6") {
    const std::string prefix = " 1f3674119efecf14 5a49455854202020 ";
    const std::string quote = "2a00 51 40" + prefix + "e8030000 b4f01e0000000000 18f11e0000000000 d0070000 ";
    const std::string trade = "2a00 54 20" + prefix + "64000000 b4f01e0000000000 0102030405060708 ffffffff ";
    const std::string broken = "2a00 42 80" + prefix + "64000000 b4f01e0000000000 0102030405060708 00000000 ";
    const auto packet = test::from_hex("01 00 0280 01000000 00008742 8400 0300 0000000000000000 0100000000000000 "
                                       "1f3674119efecf14 " + quote + trade + broken);
    CHECK(IexTp<0x8004>::parse(packet).kind == FrameKind::malformed);
    Feed<venues::IexTops> feed;
    feed.receive(packet);
    CHECK(feed.session().messages()[MessageCounter::delivered] == 3);
    CHECK(feed.book("ZIEXT").top() == top(202'7700, 1'000, 202'7800, 2'000));
    REQUIRE(feed.told.trades.size() == 2);
    CHECK(feed.told.trades[0].kind == TradeKind::reported);
    CHECK(feed.told.trades[0].price == Price{202'7700});
    CHECK(feed.told.trades[0].quantity == 100);
    CHECK(feed.told.trades[0].match_number == 0x0807060504030201);
    CHECK(feed.told.trades[0].exchange_time == 1'499'697'155'788'781'087);
    CHECK_FALSE(feed.told.trades[0].last_sale);  // an odd lot
    CHECK(feed.told.trades[1].kind == TradeKind::broken);
    // A byte less than TOPS 1.6 has is too short in either.
    auto cut = packet;
    cut.resize(cut.size() - 5);
    cut[12] = 0x7f;
    cut[40 + 44 + 44] = 0x25;
    Feed<venues::IexTops> other;
    other.receive(cut);
    CHECK(other.session().messages()[MessageCounter::malformed] == 1);
}

TEST_CASE("IEX: byte offsets that contradict while a snapshot comes need a later one") {
    constexpr std::uint64_t kBytes = 2 + sizeof(iex::AddOrder);
    auto config = Feed<venues::IexDeepPlus>::config();
    config.quality.quiet_ns = 0;
    config.reorder_window_ns = 1'000;
    config.recovery.snapshot_servers = 1;
    config.recovery.backlog_bytes = 1'000;
    Feed<venues::IexDeepPlus> feed(config);
    auto& session = feed.session();
    const auto snapshot_of_order_1 = [&](std::uint32_t id, SequenceNumber next) {
        auto m = feed.message<iex::AddOrder>("A");
        m.second.set('8');
        m.order_id.set(1);
        m.size.set(10);
        m.price.set(100);
        session.on_snapshot_message(id, wire::bytes_of(m));
        session.on_snapshot_end(id, next);
    };
    feed.add(1, 10, 100);
    feed.go_on_at(3, 2 * kBytes);  // number 2 is lost
    feed.add(3, 10, 100);
    feed.pass_time(2'000);
    feed.add(4, 10, 100);
    const auto first = session.next_request(0);
    REQUIRE(first);
    session.on_snapshot_begin(first->id);
    feed.go_on_at(5, 4 * kBytes + 7);
    feed.add(5, 10, 100);
    for (std::uint64_t id = 6; id < 40; ++id) feed.add(id, 10, 100);  // more than the log has room for
    CHECK(session.recovery()[RecoveryCounter::backlog_full] > 0);
    snapshot_of_order_1(first->id, 40);
    CHECK(feed.book("A").quality() != Quality::live);
    const auto second = session.next_request(1);
    REQUIRE(second);
    CHECK(second->first > 5);
    session.on_snapshot_begin(second->id);
    snapshot_of_order_1(second->id, 40);
    CHECK(feed.book("A").quality() == Quality::live);
    CHECK(feed.book("A").order_count() == 1);
    CHECK(session.faults()[FaultCounter::stream_offset] == 1);
    CHECK(balance(session.messages()) == 0);
}
