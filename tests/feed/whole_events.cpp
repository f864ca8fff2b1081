#include "millrace/feed/whole_events.hpp"

#include <string>
#include <vector>

#include "millrace/feed/session.hpp"
#include "millrace/feed/venues/iex/venue.hpp"
#include "millrace/feed/venues/nasdaq_itch50/venue.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/itch_packets.hpp"

using namespace millrace;
using namespace millrace::test;

namespace {

struct Recorder {
    std::vector<std::string> log;
    void on_book(const OrderBook& book, const BookUpdate& u) {
        log.push_back("book " + std::string(book.symbol().view()) + " " + std::to_string(u.sequence) + " " +
                      std::to_string(book.order_count()) + (u.top_changed ? " top" : ""));
    }
    void on_trade(const OrderBook& book, const Trade& t) {
        log.push_back("trade " + std::string(book.symbol().view()) + " " + std::to_string(t.sequence));
    }
    void on_status(const OrderBook&, const TradingStatus& s) { log.push_back("status " + std::to_string(s.sequence)); }
    void on_quality(const OrderBook&, Quality) {}
    void on_gap(SequenceRange) { log.push_back("gap"); }
};
using Log = std::vector<std::string>;

}  // namespace

TEST_CASE("WholeEvents: a packet shows each book once, when all of it has been applied, trades before") {
    Recorder recorder;
    WholeEvents<Recorder> whole(recorder, EventBoundary::packet, 8);
    SessionConfig config;
    config.limits = {8, 100, 100};
    Session<venues::NasdaqItch50, WholeEvents<Recorder>> session(config, whole);
    const auto send = [&](const std::vector<std::uint8_t>& bytes) { session.on_packet({0, 0, bytes}); };
    send(packet(1, {directory(1, "A"), directory(2, "B"), add(1, 1, 'B', 10, "A", 100), add(2, 2, 'S', 5, "B", 50),
                    add(1, 3, 'B', 10, "A", 90), executed(2, 2, 1), trading_action(1, "A", 'T')}));
    CHECK(recorder.log == Log{"trade B 6", "status 7", "book A 5 2 top", "book B 6 1 top"});
    recorder.log.clear();
    send(packet(8, {remove(1, 1), trading_action(1, "A", 'H')}));
    send(packet(10, {directory(3, "C")}));
    CHECK(recorder.log == Log{"status 9", "book A 8 1 top"});
}

TEST_CASE("WholeEvents: a transaction shows its book once, however many messages it has") {
    Recorder recorder;
    WholeEvents<Recorder> whole(recorder, EventBoundary::event, 8);
    SessionConfig config;
    config.limits = {8, 100, 100};
    Session<venues::IexDeep, WholeEvents<Recorder>> session(config, whole);
    std::vector<std::uint8_t> room(1'400);
    IexTpPacketBuilder builder(room, {venues::IexDeep::kProtocol, 1, 7});
    const auto level = [&](const char* symbol, std::int64_t price, bool complete) {
        venues::iex::PriceLevelBuyUpdate m{};
        m.message_type.set(m.kType);
        m.second.set(complete ? 1 : 0);
        m.symbol.set(symbol);
        m.price.set(price);
        m.size.set(5);
        REQUIRE(builder.append(wire::bytes_of(m)));
    };
    level("A", 100, false);
    level("B", 50, true);
    level("A", 101, true);
    level("B", 51, true);
    session.on_packet({0, 1, builder.finish(1)});
    CHECK(recorder.log == Log{"book B 2 0 top", "book A 3 0 top", "book B 4 0 top"});
}

TEST_CASE("WholeEvents: without transactions each message is an event, its trade before its book") {
    Recorder recorder;
    WholeEvents<Recorder> whole(recorder, EventBoundary::event, 8);
    SessionConfig config;
    config.limits = {8, 100, 100};
    Session<venues::NasdaqItch50, WholeEvents<Recorder>> session(config, whole);
    const auto bytes = packet(1, {directory(1, "A"), add(1, 1, 'B', 10, "A", 100), executed(1, 1, 4), remove(1, 1)});
    session.on_packet({0, 0, bytes});
    CHECK(recorder.log == Log{"book A 2 1 top", "trade A 3", "book A 3 1 top", "book A 4 0 top"});
}
