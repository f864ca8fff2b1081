#include "millrace/feed/session.hpp"

#include <string>
#include <vector>

#include "millrace/feed/venues/nasdaq_itch50/venue.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/itch_packets.hpp"

using namespace millrace;
using namespace millrace::test;
using venues::NasdaqItch50;

namespace {

// Writes down what it is told, in the order in which it is told.
struct Recorder {
    std::vector<std::string> log;

    void on_book(const OrderBook& book, const BookUpdate& u) {
        log.push_back("book " + std::string(book.symbol().view()) + " " + std::to_string(u.sequence) + " " +
                      std::to_string(static_cast<int>(u.action)) + " " + std::to_string(u.previous_quantity) + ">" +
                      std::to_string(u.quantity) + (u.last_in_packet ? " last" : "") +
                      (book.quality() == Quality::live ? "" : " " + std::string(name(book.quality()))));
    }
    void on_trade(const OrderBook& book, const Trade& t) {
        log.push_back("trade " + std::string(book.symbol().view()) + " " + std::to_string(value(t.price)) + "x" +
                      std::to_string(t.quantity));
    }
    void on_status(const OrderBook& book, const TradingStatus& s) {
        log.push_back("status " + std::string(book.symbol().view()) + " " + s.code);
    }
    void on_quality(const OrderBook& book, Quality quality) {
        log.push_back("quality " + std::string(book.symbol().view()) + " " + std::string(name(quality)));
    }
    void on_gap(SequenceRange missing) {
        log.push_back("gap " + std::to_string(missing.first) + "-" + std::to_string(missing.last));
    }
    [[nodiscard]] std::vector<std::string> take() { return std::exchange(log, {}); }
};

SessionConfig small() {
    SessionConfig config;
    config.limits = {8, 1000, 1000};
    config.reorder_window_packets = 8;
    config.reorder_window_ns = 1000;
    return config;
}

struct Fixture {
    explicit Fixture(SessionConfig config = small()) : session(config, recorder) {}
    void send(const std::vector<std::uint8_t>& packet, LineId line = 0, Timestamp at = 0) {
        session.on_packet({line, at, packet});
        CHECK(balance(session.messages()) == 0);
    }
    Recorder recorder;
    Session<NasdaqItch50, Recorder> session;
};

using Log = std::vector<std::string>;

}  // namespace

TEST_CASE("Session: orders come, trade, change and go") {
    Fixture f;
    f.send(packet(1, {directory(7, "AAPL"), add(7, 100, 'B', 300, "AAPL", 1500000), add(7, 101, 'S', 200, "AAPL", 1510000)}));
    CHECK(f.recorder.take() == Log{"book AAPL 2 0 0>300", "book AAPL 3 0 0>200 last"});
    const OrderBook& book = *f.session.book("AAPL");
    CHECK(book.top() == Top{{Price{1500000}, 300, 1}, {Price{1510000}, 200, 1}});
    CHECK(book.sequence() == 3);
    CHECK(book.quality() == Quality::live);

    f.send(packet(4, {executed(7, 100, 120)}));
    CHECK(f.recorder.take() == Log{"trade AAPL 1500000x120", "book AAPL 4 1 300>180 last"});
    CHECK(book.last_trade().quantity == 120);
    f.send(packet(5, {executed_with_price(7, 101, 50, 1505000, 'N')}));
    CHECK(f.recorder.take() == Log{"trade AAPL 1505000x50", "book AAPL 5 1 200>150 last"});
    CHECK(book.last_trade().quantity == 120);
    f.send(packet(6, {cancel(7, 100, 80), replace(7, 100, 102, 500, 1490000), remove(7, 101)}));
    CHECK(f.recorder.take() == Log{"book AAPL 6 2 180>100", "book AAPL 7 4 100>500", "book AAPL 8 3 150>0 last"});
    CHECK(book.top() == Top{{Price{1490000}, 500, 1}, {}});
    f.send(packet(9, {trading_action(7, "AAPL", 'H')}));
    CHECK(f.recorder.take() == Log{"status AAPL H"});
    CHECK(book.trading_state() == TradingState::halted);
}

TEST_CASE("Session: symbols nobody asked for cost a look-up and no book") {
    SessionConfig config = small();
    config.symbols = {"MSFT"};
    Fixture f(config);
    f.send(packet(1, {directory(7, "AAPL"), directory(8, "MSFT"), add(7, 100, 'B', 300, "AAPL", 1500000),
                      add(8, 101, 'B', 1, "MSFT", 100), remove(7, 100)}));
    CHECK(f.recorder.take() == Log{"book MSFT 4 0 0>1"});
    CHECK(f.session.book("AAPL") == nullptr);
    CHECK(f.session.books().size() == 1);
    CHECK(f.session.messages()[MessageCounter::filtered] == 3);
}

TEST_CASE("Session: a gap that is given up turns every book before the next callback") {
    Fixture f;
    f.send(packet(1, {directory(1, "A"), directory(2, "B")}), 0, 100);
    f.send(packet(4, {add(1, 9, 'B', 1, "A", 100)}), 0, 200);
    CHECK(f.recorder.take().empty());
    f.session.on_time(1201);
    CHECK(f.recorder.take() == Log{"gap 3-3", "quality A recovering", "quality B recovering",
                                   "book A 4 0 0>1 last recovering"});
    f.send(packet(5, {directory(3, "C"), add(3, 10, 'S', 1, "C", 100)}), 0, 1300);
    CHECK(f.recorder.take() == Log{"book C 6 0 0>1 last recovering"});
    CHECK(balance(f.session.messages()) == 0);
}

TEST_CASE("Session: a book that is contradicted becomes suspect and says so first") {
    Fixture f;
    f.send(packet(1, {directory(1, "A"), directory(2, "B"), add(1, 9, 'B', 10, "A", 100)}));
    static_cast<void>(f.recorder.take());
    f.send(packet(4, {remove(1, 77)}));
    CHECK(f.recorder.take() == Log{"quality A suspect"});
    f.send(packet(5, {remove(2, 9)}));
    CHECK(f.recorder.take() == Log{"quality B suspect"});
    f.send(packet(6, {executed(1, 9, 11), add(1, 9, 'B', 10, "A", 100), remove(3, 9)}));
    CHECK(f.recorder.take().empty());
    CHECK(f.session.faults()[FaultCounter::unknown_order] == 1);
    CHECK(f.session.faults()[FaultCounter::foreign_order] == 1);
    CHECK(f.session.faults()[FaultCounter::bad_quantity] == 1);
    CHECK(f.session.faults()[FaultCounter::duplicate_order] == 1);
    CHECK(f.session.faults()[FaultCounter::unknown_instrument] == 1);
}

TEST_CASE("Session: a locate that is given to another instrument makes every book suspect") {
    Fixture f;
    f.send(packet(1, {directory(1, "A"), directory(2, "B"), add(1, 7, 'B', 10, "A", 100)}));
    f.send(packet(4, {directory(1, "A")}));
    CHECK(f.session.book("A")->quality() == Quality::live);
    f.send(packet(5, {directory(1, "C")}));
    for (const char* symbol : {"A", "B", "C"}) CHECK(f.session.book(symbol)->quality() == Quality::suspect);
    CHECK(f.session.faults()[FaultCounter::renamed_instrument] == 1);
}

TEST_CASE("Session: unknown and short messages are counted apart and take their numbers") {
    Fixture f;
    auto shortened = add(1, 9, 'B', 10, "A", 100);
    shortened.resize(35);
    auto longer = add(1, 10, 'B', 10, "A", 100);
    longer.push_back(0);
    f.send(packet(1, {directory(1, "A"), {'z', 1, 2}, shortened, {}, longer}));
    CHECK(f.session.messages()[MessageCounter::unknown] == 1);
    CHECK(f.session.messages()[MessageCounter::malformed] == 2);
    CHECK(f.session.messages()[MessageCounter::delivered] == 2);
    CHECK(f.session.arbiter().next_expected() == 6);
    CHECK(f.session.book("A")->order_count() == 1);
}

TEST_CASE("Session: bytes behind a packet's last message are counted on its line, with every copy of it") {
    Fixture f;
    auto longer = packet(1, {directory(1, "A")});
    longer.insert(longer.end(), {0, 0, 0});
    f.send(longer, 1);
    f.send(longer, 1);
    f.send(packet(2, {}), 1);
    f.send(packet(2, {directory(2, "B")}), 0);
    CHECK(f.session.arbiter().line(1)[LineCounter::excess] == 2);
    CHECK(f.session.arbiter().line(1)[LineCounter::excess_bytes] == 6);
    CHECK(f.session.arbiter().line(1)[LineCounter::arbitrated] == 3);
    CHECK(f.session.arbiter().line(0)[LineCounter::excess] == 0);
    CHECK(f.session.messages()[MessageCounter::delivered] == 2);
}

TEST_CASE("Session: a packet whose framing does not hold is counted on its line and changes nothing") {
    Fixture f;
    auto broken = packet(1, {directory(1, "A")});
    broken.pop_back();
    f.send(broken, 1);
    CHECK(f.session.arbiter().line(1)[LineCounter::malformed] == 1);
    f.send(packet(~std::uint64_t{0} - 1, {directory(1, "A"), directory(2, "B")}), 1);
    CHECK(f.session.arbiter().line(1)[LineCounter::malformed] == 2);
    CHECK(f.session.messages()[MessageCounter::decoded] == 0);
}

TEST_CASE("Session: a new session empties the books, which are exact again") {
    Fixture f;
    f.send(packet(1, {directory(1, "A"), add(1, 9, 'B', 10, "A", 100), remove(1, 5)}));
    static_cast<void>(f.recorder.take());
    f.send(packet(1, {directory(5, "A")}, "SESSION2"));
    CHECK(f.recorder.take() == Log{"quality A live", "book A 0 6 0>0 last"});
    CHECK(f.session.book("A")->order_count() == 0);
    f.send(packet(2, {add(5, 9, 'S', 10, "A", 200)}, "SESSION2"));
    CHECK(f.session.book("A")->top().ask.quantity == 10);
}

TEST_CASE("Session: books as of a sequence number ignore what follows") {
    SessionConfig config = small();
    config.last_sequence = 2;
    Fixture f(config);
    f.send(packet(1, {directory(1, "A"), add(1, 9, 'B', 10, "A", 100), remove(1, 9)}));
    CHECK(f.session.book("A")->order_count() == 1);
    CHECK(f.session.messages()[MessageCounter::filtered] == 1);
}
