#include "live_table.hpp"

#include "millrace/feed/session.hpp"
#include "millrace/feed/venues/venue_list.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/itch_packets.hpp"

using namespace millrace;
using namespace millrace::test;
using tools::LiveHandler;

namespace {

SessionConfig small() {
    SessionConfig config;
    config.limits = {64, 256, 256};
    return config;
}

}  // namespace

TEST_CASE("LiveHandler: a page holds the busiest books, as they stand when it is served") {
    LiveHandler handler(64);
    Session<venues::NasdaqItch50, LiveHandler> session(small(), handler);
    std::vector<Message> messages;
    for (std::uint16_t locate = 1; locate <= 20; ++locate) {
        messages.push_back(directory(locate, "S" + std::to_string(locate)));
    }
    for (std::uint64_t i = 0; i < 3; ++i) {
        messages.push_back(add(17, 100 + i, 'B', 10, "S17", static_cast<std::uint32_t>(500 + i)));
    }
    messages.push_back(add(4, 200, 'S', 70, "S4", 900));
    messages.push_back(executed(17, 100, 5));
    session.on_packet({0, 0, packet(1, messages)});

    CHECK(handler.turn_page().row_count == 0);  // nothing was served yet
    session.on_packet({0, 0, packet(26, {add(4, 201, 'B', 30, "S4", 800)})});
    handler.serve_page(session);
    const tools::BookPage page = handler.turn_page();
    REQUIRE(page.row_count == tools::BookPage::kRows);
    CHECK(page.rows[0].symbol == Symbol("S17"));
    CHECK(page.rows[0].updates == 4);
    CHECK(page.rows[0].trades == 1);
    CHECK(page.rows[0].top.bid.price == Price{502});
    CHECK(page.rows[1].symbol == Symbol("S4"));
    CHECK(page.rows[1].top.bid.quantity == 30);
    CHECK(page.books == 20);
    CHECK(page.messages == 26);
    CHECK(page.packets == 2);
}

TEST_CASE("LiveHandler: latency counts packets whose last message changed a book") {
    LiveHandler handler(64);
    Session<venues::NasdaqItch50, LiveHandler> session(small(), handler);
    const Timestamp now = SystemClock::now();
    session.on_packet({0, now, packet(1, {directory(1, "AAPL"), add(1, 7, 'B', 1, "AAPL", 5)})});
    session.on_packet({0, now, packet(3, {add(1, 8, 'B', 1, "AAPL", 5), directory(2, "MSFT")})});
    session.on_packet({0, 0, packet(5, {add(1, 9, 'B', 1, "AAPL", 5)})});  // not stamped
    CHECK(handler.latency().total() + handler.latency().negative() == 1);
}

TEST_CASE("LiveTable: a row shows best prices with sizes, trades and quality") {
    tools::FeedPage feed;
    feed.name = "demo";
    feed.page.row_count = 1;
    feed.page.books = 2;
    feed.page.messages = 300;
    feed.page.packets = 40;
    feed.page.gaps = 5;
    tools::BookRow& row = feed.page.rows[0];
    row.symbol = "AAPL";
    row.scale = 4;
    row.trades = 9;
    row.top.ask = {Price{1'000'100}, 300, 2};
    row.quality = static_cast<std::uint32_t>(Quality::recovering);
    const std::vector<std::string> lines = tools::LiveTable::lines(feed, 1234.4);
    REQUIRE(lines.size() == 3);
    CHECK(lines[0] == "demo  2 books  300 messages  1234/s  40 packets  5 gaps");
    CHECK(lines[1] == "symbol      size         bid         ask    size    trades  quality");
    CHECK(lines[2] == "AAPL                       -    100.0100     300         9  recovering");
}
