// What a session does about messages that no line brought: retransmission, snapshot, join.
#include <optional>
#include <string>
#include <vector>

#include "millrace/feed/session.hpp"
#include "millrace/feed/venues/nasdaq_itch50/venue.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/itch_packets.hpp"

using namespace millrace;
using namespace millrace::test;
using venues::NasdaqItch50;
using Kind = RecoveryRequest::Kind;

namespace {

struct Recorder {
    std::vector<std::string> log;

    void on_book(const OrderBook& book, const BookUpdate& u) {
        log.push_back("book " + std::string(book.symbol().view()) + " " + std::to_string(u.sequence) +
                      (u.action == BookAction::clear ? " clear" : " " + std::to_string(value(u.order))) +
                      (u.from_snapshot ? " snapshot" : "") +
                      (book.quality() == Quality::live ? "" : " " + std::string(name(book.quality()))));
    }
    void on_trade(const OrderBook&, const Trade&) {}
    void on_status(const OrderBook&, const TradingStatus&) {}
    void on_quality(const OrderBook& book, Quality quality) {
        log.push_back("quality " + std::string(book.symbol().view()) + " " + std::string(name(quality)));
    }
    void on_gap(SequenceRange missing) {
        log.push_back("gap " + std::to_string(missing.first) + "-" + std::to_string(missing.last));
    }
    [[nodiscard]] std::vector<std::string> take() { return std::exchange(log, {}); }
};

using Log = std::vector<std::string>;

constexpr Nanoseconds kMs = 1'000'000;

SessionConfig recovering(std::uint8_t retransmit, std::uint8_t snapshot) {
    SessionConfig config;
    config.limits = {8, 1000, 1000};
    config.reorder_window_packets = 8;
    config.reorder_window_ns = 1000;
    config.quality = QualityConfig::live();
    config.quality.crossed = true;
    config.recovery.retransmit_servers = retransmit;
    config.recovery.snapshot_servers = snapshot;
    config.recovery.hold_bytes = 20'000;
    config.recovery.backlog_bytes = 4'000;
    config.recovery.attempts = 1;
    config.recovery.answer_timeout_ns = 10 * kMs;
    config.recovery.request_interval_ns = 0;
    config.recovery.snapshot_retry_ns = 5 * kMs;
    config.recovery.snapshot_timeout_ns = 50 * kMs;
    return config;
}

struct Fixture {
    explicit Fixture(const SessionConfig& config) : session(config, recorder) {}
    void send(const std::vector<std::uint8_t>& packet, Timestamp at = 0, LineId line = 0) {
        session.on_packet({line, at, packet});
        CHECK(balance(session.messages()) == 0);
    }
    void answer(const std::vector<std::uint8_t>& packet) { send(packet, 0, session.recovery_line()); }
    [[nodiscard]] std::optional<RecoveryRequest> ask(Timestamp now) {
        asked_at = now;
        const auto request = session.next_request(now);
        CHECK(balance(session.messages()) == 0);
        return request;
    }
    void snapshot(std::uint32_t id, const std::vector<Message>& messages, SequenceNumber next) {
        session.on_snapshot_begin(id);
        for (const Message& m : messages) session.on_snapshot_message(id, m);
        session.on_snapshot_end(id, next);
        go_on();
    }
    // The reorder window goes by, and then the lines show that their session goes on.
    void go_on() {
        static_cast<void>(ask(asked_at));
        static_cast<void>(ask(asked_at + 1'001));
        send(packet(session.arbiter().known_end(), {}));
    }
    [[nodiscard]] std::uint64_t count(RecoveryCounter counter) const { return session.recovery()[counter]; }
    Recorder recorder;
    Session<NasdaqItch50, Recorder> session;
    Timestamp asked_at = 0;
};

Message add_a(std::uint64_t id) { return add(1, id, 'B', 10, "A", 100); }
std::uint32_t next_id(const std::optional<RecoveryRequest>& request) { return request ? request->id : 0; }

}  // namespace

TEST_CASE("recovery: what is missing is asked for, books say recovering, and are live when it has come") {
    Fixture f(recovering(1, 0));
    f.send(packet(1, {directory(1, "A"), add_a(100)}), 0);
    static_cast<void>(f.recorder.take());
    f.send(packet(4, {add_a(102)}), 10);
    CHECK_FALSE(f.ask(0));
    f.send(packet(5, {add_a(103)}), 1011);
    CHECK(f.recorder.take().empty());
    const auto request = f.ask(1);
    REQUIRE(request);
    CHECK(request->kind == Kind::retransmit);
    CHECK(request->first == 3);
    CHECK(request->count == 1);
    CHECK(f.recorder.take() == Log{"quality A recovering"});
    f.answer(packet(3, {add_a(101)}));
    CHECK(f.recorder.take() == Log{"book A 3 101 recovering", "book A 4 102 recovering", "book A 5 103 recovering",
                                   "quality A live"});
    CHECK_FALSE(f.ask(2));
    REQUIRE(f.session.arbiter().gaps().total() == 1);
    CHECK(f.session.arbiter().gaps()[0].ended == GapEnd::retransmitted);
    CHECK(f.session.book("A")->order_count() == 4);
}

TEST_CASE("recovery: a reply that holds only a part is followed by a request for the rest") {
    Fixture f(recovering(1, 0));
    f.send(packet(1, {directory(1, "A")}), 0);
    f.send(packet(5, {add_a(104)}), 0);
    f.send(packet(6, {add_a(105)}), 2000);
    CHECK(f.ask(0)->count == 3);
    f.answer(packet(2, {add_a(101), add_a(102)}));
    const auto rest = f.ask(1);
    REQUIRE(rest);
    CHECK(rest->first == 4);
    CHECK(rest->count == 1);
    f.answer(packet(4, {add_a(103)}));
    CHECK(f.session.book("A")->order_count() == 5);
    CHECK(f.session.book("A")->quality() == Quality::live);
}

TEST_CASE("recovery: without an answer and without a snapshot the gap is given up and the books stay flagged") {
    Fixture f(recovering(1, 0));
    f.send(packet(1, {directory(1, "A")}), 0);
    f.send(packet(3, {add_a(101)}), 0);
    f.send(packet(4, {add_a(102)}), 2000);
    REQUIRE(f.ask(0));
    static_cast<void>(f.recorder.take());
    CHECK_FALSE(f.ask(10 * kMs));
    CHECK(f.recorder.take() == Log{"gap 2-2", "book A 3 101 recovering", "book A 4 102 recovering"});
    CHECK(f.session.arbiter().gaps()[0].ended == GapEnd::given_up);
}

TEST_CASE("recovery: a snapshot is joined to the live stream with nothing lost and nothing doubled") {
    Fixture f(recovering(0, 1));
    f.send(packet(1, {directory(1, "A"), add_a(100)}), 0);
    f.send(packet(4, {add_a(102)}), 0);
    f.send(packet(5, {add_a(103)}), 2000);
    static_cast<void>(f.recorder.take());
    const auto request = f.ask(0);
    REQUIRE(request);
    CHECK(request->kind == Kind::snapshot);
    CHECK(request->first == 4);
    CHECK(f.recorder.take() == Log{"gap 3-3", "quality A recovering"});
    f.send(packet(6, {add_a(104)}), 3000);
    CHECK(f.recorder.take().empty());
    CHECK(f.session.messages()[MessageCounter::held] == 3);
    f.snapshot(request->id, {directory(1, "A"), add_a(100), add_a(101), add_a(102)}, 5);
    CHECK(f.recorder.take() == Log{"book A 0 clear snapshot recovering", "book A 0 100 snapshot recovering",
                                   "book A 0 101 snapshot recovering", "book A 0 102 snapshot recovering", "gap 4-4",
                                   "book A 5 103 recovering", "book A 6 104 recovering", "quality A live"});
    CHECK(f.session.messages()[MessageCounter::superseded] == 1);
    CHECK(f.session.arbiter().gaps()[0].ended == GapEnd::snapshot);
    CHECK(f.count(RecoveryCounter::snapshots_joined) == 1);
    CHECK_FALSE(f.session.recovering());
    f.send(packet(7, {add_a(105)}), 4000);
    CHECK(f.recorder.take() == Log{"book A 7 105"});
}

TEST_CASE("recovery: a book from a snapshot says that its queues are not known, until those levels have emptied") {
    const auto add_at = [](std::uint64_t id, std::uint32_t price) { return add(1, id, 'B', 10, "A", price); };
    Fixture f(recovering(0, 1));
    f.send(packet(2, {add_at(9, 90)}), 0);
    f.send(packet(3, {add_at(10, 90)}), 2000);
    const auto request = f.ask(0);
    f.snapshot(next_id(request), {directory(1, "A"), add_at(3, 100), add_at(1, 100), add_at(2, 110)}, 2);
    const OrderBook& book = *f.session.book("A");
    CHECK(book.quality() == Quality::live);
    CHECK(book.order_count() == 5);
    CHECK_FALSE(book.queue_exact());
    f.send(packet(4, {remove(1, 3), add_at(4, 100), remove(1, 1)}), 3000);
    CHECK_FALSE(book.queue_exact());
    f.send(packet(7, {remove(1, 4)}), 4000);
    CHECK(book.queue_exact());
    f.send(packet(8, {add_at(5, 100), add_at(6, 100)}), 5000);
    CHECK(book.queue_exact());
}

TEST_CASE("recovery: retransmission that fails is followed by the snapshot") {
    Fixture f(recovering(1, 1));
    f.send(packet(1, {directory(1, "A")}), 0);
    f.send(packet(3, {add_a(101)}), 0);
    f.send(packet(4, {add_a(102)}), 2000);
    CHECK(f.ask(0)->kind == Kind::retransmit);
    const auto request = f.ask(10 * kMs);
    REQUIRE(request);
    CHECK(request->kind == Kind::snapshot);
    f.snapshot(request->id, {directory(1, "A"), add_a(100), add_a(101), add_a(102)}, 5);
    CHECK(f.session.book("A")->quality() == Quality::live);
    CHECK(f.session.book("A")->order_count() == 3);
}

TEST_CASE("recovery: who joins late gets the snapshot") {
    Fixture f(recovering(0, 1));
    f.send(packet(1000, {remove(1, 100)}), 0);
    f.send(packet(1001, {add_a(102)}), 2000);
    const auto request = f.ask(0);
    REQUIRE(request);
    CHECK(request->first == 1000);
    f.snapshot(request->id, {directory(1, "A"), add_a(100)}, 1000);
    REQUIRE(f.session.book("A") != nullptr);
    CHECK(f.session.book("A")->quality() == Quality::live);
    CHECK(f.session.book("A")->order_count() == 1);
    CHECK(f.session.book("A")->find(OrderId{102}));
}

TEST_CASE("recovery: a snapshot older than the gap is not joined; another one is asked for") {
    Fixture f(recovering(0, 1));
    f.send(packet(1, {directory(1, "A")}), 0);
    f.send(packet(3, {add_a(101)}), 0);
    f.send(packet(4, {add_a(102)}), 2000);
    const auto request = f.ask(0);
    f.snapshot(next_id(request), {directory(1, "A")}, 2);
    CHECK(f.session.book("A")->quality() == Quality::recovering);
    CHECK(f.count(RecoveryCounter::snapshots_too_old) == 1);
    CHECK_FALSE(f.ask(1 * kMs));
    const auto again = f.ask(6 * kMs);
    REQUIRE(again);
    CHECK(again->id != request->id);
    f.snapshot(again->id, {directory(1, "A"), add_a(100), add_a(101)}, 4);
    CHECK(f.session.book("A")->quality() == Quality::live);
    CHECK(f.session.book("A")->order_count() == 3);
}

TEST_CASE("recovery: a snapshot ahead of the lines is joined when these have come as far") {
    Fixture f(recovering(0, 1));
    f.send(packet(1, {directory(1, "A")}), 0);
    f.send(packet(3, {add_a(101)}), 0);
    f.send(packet(4, {add_a(102)}), 2000);
    f.snapshot(next_id(f.ask(0)), {directory(1, "A"), add_a(101), add_a(102), add_a(103)}, 6);
    CHECK(f.session.book("A")->quality() == Quality::recovering);
    f.send(packet(5, {add_a(103)}), 3000);
    CHECK(f.session.book("A")->quality() == Quality::live);
    CHECK(f.session.book("A")->order_count() == 3);
    CHECK(f.session.faults()[FaultCounter::duplicate_order] == 0);
}

TEST_CASE("recovery: a snapshot that claims to be far ahead is not believed for ever") {
    Fixture f(recovering(0, 1));
    f.send(packet(1, {directory(1, "A")}), 0);
    f.send(packet(3, {add_a(101)}), 0);
    f.send(packet(4, {add_a(102)}), 2000);
    f.snapshot(next_id(f.ask(0)), {directory(1, "A")}, 1'000'000);
    CHECK_FALSE(f.ask(1));
    CHECK_FALSE(f.ask(1 + 50 * kMs));
    CHECK(f.count(RecoveryCounter::snapshots_timed_out) == 1);
    const auto again = f.ask(1 + 60 * kMs);
    REQUIRE(again);
    f.snapshot(again->id, {directory(1, "A"), add_a(101), add_a(102)}, 5);
    CHECK(f.session.book("A")->quality() == Quality::live);
}

TEST_CASE("recovery: a snapshot that may be of the next session is joined when the lines show theirs to go on") {
    Fixture f(recovering(0, 1));
    f.send(packet(1, {directory(1, "A")}), 0);
    f.send(packet(3, {add_a(101)}), 0);
    f.send(packet(4, {add_a(102)}), 2000);
    const auto request = f.ask(0);
    REQUIRE(request);
    f.session.on_snapshot_begin(request->id);
    for (const Message& m : {directory(1, "A"), add_a(77)}) f.session.on_snapshot_message(request->id, m);
    f.session.on_snapshot_end(request->id, 5);
    static_cast<void>(f.ask(1));
    CHECK(f.count(RecoveryCounter::snapshots_joined) == 0);
    f.send(packet(5, {}), 2000, 1);  // may have been on its way all the time
    f.send(packet(4, {add_a(102)}), 2000, 1);
    static_cast<void>(f.ask(1'003));
    f.send(packet(4, {add_a(102)}), 2000, 1);
    CHECK(f.count(RecoveryCounter::snapshots_joined) == 0);
    CHECK(f.session.book("A")->quality() == Quality::recovering);

    SECTION("they do") {
        f.send(packet(5, {}), 2000, 1);
        CHECK(f.count(RecoveryCounter::snapshots_joined) == 1);
        CHECK(f.session.book("A")->quality() == Quality::live);
    }
    SECTION("they do not") {
        f.send(packet(1, {directory(1, "A")}, "NEXT"), 3000);
        f.send(packet(2, {add_a(7)}, "NEXT"), 3000);
        CHECK(f.count(RecoveryCounter::snapshots_joined) == 0);
        CHECK(f.session.book("A")->order_count() == 1);
        CHECK(f.session.book("A")->quality() == Quality::live);
    }
}

TEST_CASE("recovery: a snapshot that names an instrument otherwise than the lines did is no answer for one book") {
    Fixture f(recovering(0, 1));
    f.send(packet(1, {directory(1, "A"), directory(2, "A"), add_a(100)}), 0);  // 2 is B
    f.send(packet(4, {remove(1, 7)}), 0);
    CHECK(f.session.book("A")->quality() == Quality::suspect);
    const auto request = f.ask(0);
    REQUIRE(request);
    f.send(packet(5, {add(2, 101, 'B', 10, "B", 100)}), 0);
    f.session.on_snapshot_begin(request->id);
    for (const Message& m : {directory(1, "A"), directory(2, "B")}) f.session.on_snapshot_message(request->id, m);
    CHECK(f.session.faults()[FaultCounter::renamed_instrument] == 1);
    CHECK(f.session.book("A")->quality() == Quality::suspect);
    const auto again = f.ask(10 * kMs);
    REQUIRE(again);
    CHECK(again->id != request->id);
    f.snapshot(again->id, {directory(1, "A"), directory(2, "B"), add_a(100), add(2, 101, 'B', 10, "B", 100)}, 6);
    CHECK(f.count(RecoveryCounter::snapshots_joined) == 1);
    for (const char* symbol : {"A", "B"}) {
        CHECK(f.session.book(symbol)->quality() == Quality::live);
        CHECK(f.session.book(symbol)->order_count() == 1);
    }
}

TEST_CASE("recovery: a message lost while a snapshot is on its way needs a later one") {
    Fixture f(recovering(0, 1));
    f.send(packet(1, {directory(1, "A")}), 0);
    f.send(packet(3, {add_a(101)}), 0);
    f.send(packet(4, {add_a(102)}), 2000);
    const auto request = f.ask(0);
    f.send(packet(6, {add_a(104)}), 3000);
    f.send(packet(7, {add_a(105)}), 5000);
    static_cast<void>(f.ask(1));
    f.snapshot(next_id(request), {directory(1, "A"), add_a(100), add_a(101)}, 4);
    CHECK(f.session.book("A")->quality() == Quality::recovering);
    CHECK(f.count(RecoveryCounter::snapshots_too_old) == 1);
    const auto later = f.ask(10 * kMs);
    static_cast<void>(later);
    const auto again = f.ask(20 * kMs);
    f.snapshot(again ? again->id : next_id(later), {directory(1, "A"), add_a(100), add_a(101), add_a(102), add_a(103)}, 6);
    CHECK(f.session.book("A")->quality() == Quality::live);
    CHECK(f.session.book("A")->order_count() == 6);
}

TEST_CASE("recovery: what waits for a snapshot that no server has begun is shown at the next gap, on flagged books") {
    Fixture f(recovering(0, 1));
    f.send(packet(1, {directory(1, "A")}), 0);
    f.send(packet(3, {add_a(101)}), 0);
    f.send(packet(4, {add_a(102)}), 2000);
    REQUIRE(f.ask(0));
    static_cast<void>(f.recorder.take());
    f.send(packet(6, {add_a(104)}), 3000);
    f.send(packet(7, {add_a(105)}), 5000);
    static_cast<void>(f.ask(1));
    CHECK(f.recorder.take() == Log{"book A 3 101 recovering", "book A 4 102 recovering", "gap 5-5"});
    CHECK(f.session.messages()[MessageCounter::held] == 2);
    f.session.finish();
    CHECK(f.recorder.take() == Log{"book A 6 104 recovering", "book A 7 105 recovering"});
    CHECK(f.session.messages()[MessageCounter::held] == 0);
    CHECK(f.session.messages()[MessageCounter::superseded] == 0);
    CHECK(f.session.messages()[MessageCounter::given_up] == 0);
    CHECK(f.session.arbiter().gaps().ended(GapEnd::given_up) == 2);
}

TEST_CASE("recovery: what a later snapshot has to contain is named as given up until one has") {
    Fixture f(recovering(0, 1));
    f.send(packet(1, {directory(1, "A")}), 0);
    f.send(packet(3, {add_a(101)}), 0);
    f.send(packet(4, {add_a(102)}), 2000);
    const auto request = f.ask(0);
    REQUIRE(request);
    f.session.on_snapshot_begin(request->id);
    f.session.on_snapshot_message(request->id, directory(1, "A"));
    static_cast<void>(f.recorder.take());
    f.send(packet(6, {add_a(104)}), 3000);
    f.send(packet(7, {add_a(105)}), 5000);
    static_cast<void>(f.ask(1));
    CHECK(f.recorder.take() == Log{"gap 3-4", "gap 5-5"});
    CHECK(f.session.messages()[MessageCounter::given_up] == 2);
    CHECK(f.session.arbiter().gaps().ended(GapEnd::given_up) == 3);
    f.session.on_snapshot_end(request->id, 4);
    const auto again = f.ask(10 * kMs);
    REQUIRE(again);
    f.snapshot(again->id, {directory(1, "A"), add_a(100), add_a(101), add_a(102), add_a(103)}, 6);
    CHECK(f.session.book("A")->quality() == Quality::live);
    CHECK(f.session.messages()[MessageCounter::given_up] == 0);
    CHECK(f.session.messages()[MessageCounter::superseded] == 2);
    CHECK(f.session.arbiter().gaps().ended(GapEnd::snapshot) == 3);
    CHECK(f.session.arbiter().gaps().ended(GapEnd::given_up) == 0);
}

TEST_CASE("recovery: once every snapshot server has failed messages flow on, flagged, until one is asked again") {
    Fixture f(recovering(0, 2));
    f.send(packet(1, {directory(1, "A")}), 0);
    f.send(packet(3, {add_a(101)}), 0);
    f.send(packet(4, {add_a(102)}), 2000);
    const auto first = f.ask(0);
    REQUIRE(first);
    static_cast<void>(f.recorder.take());
    f.session.on_snapshot_failed(first->id, ServerProblem::token);
    CHECK_FALSE(f.ask(1));
    CHECK(f.recorder.take().empty());  // there is another server
    const auto second = f.ask(6 * kMs);
    REQUIRE(second);
    CHECK(second->server != first->server);
    f.session.on_snapshot_failed(second->id, ServerProblem::unreachable);
    CHECK_FALSE(f.ask(7 * kMs));
    CHECK(f.recorder.take() == Log{"book A 3 101 recovering", "book A 4 102 recovering"});
    f.send(packet(5, {add_a(103)}), 3000);
    CHECK(f.recorder.take() == Log{"book A 5 103 recovering"});
    CHECK(f.session.recovering());
    const auto third = f.ask(40 * kMs);
    REQUIRE(third);
    CHECK(third->first == 6);  // what was shown meanwhile the snapshot has to hold
    f.send(packet(6, {add_a(104)}), 4000);
    CHECK(f.recorder.take().empty());
    f.snapshot(third->id, {directory(1, "A"), add_a(100), add_a(101), add_a(102), add_a(103)}, 6);
    CHECK(f.session.book("A")->quality() == Quality::live);
    CHECK(f.session.book("A")->order_count() == 5);
    CHECK(f.session.messages()[MessageCounter::superseded] == 0);
    CHECK(f.session.faults() == FaultCounters{});
}

TEST_CASE("recovery: a server that has no snapshot new enough yet is waited for") {
    Fixture f(recovering(0, 1));
    f.send(packet(1, {directory(1, "A")}), 0);
    f.send(packet(3, {add_a(101)}), 0);
    f.send(packet(4, {add_a(102)}), 2000);
    const auto request = f.ask(0);
    f.session.on_snapshot_failed(next_id(request), ServerProblem::not_yet);
    CHECK_FALSE(f.ask(1));
    CHECK(f.session.messages()[MessageCounter::held] == 2);
    const auto again = f.ask(6 * kMs);
    REQUIRE(again);
    CHECK(again->first == 3);
}

TEST_CASE("recovery: a full backlog is counted, and left to a later snapshot") {
    Fixture f(recovering(0, 1));
    f.send(packet(1, {directory(1, "A")}), 0);
    f.send(packet(3, {add_a(1)}), 0);
    f.send(packet(4, {add_a(2)}), 2000);
    const auto request = f.ask(0);
    std::uint64_t next = 5;
    for (; f.count(RecoveryCounter::backlog_full) == 0; ++next) {
        REQUIRE(next < 200);
        f.send(packet(next, {add_a(next)}), 3000);
    }
    f.snapshot(next_id(request), {directory(1, "A"), add_a(1), add_a(2)}, 5);
    CHECK(f.session.book("A")->quality() == Quality::recovering);
    f.send(packet(next, {add_a(next)}), 4000);
    static_cast<void>(f.ask(1));
    const auto again = f.ask(10 * kMs);
    REQUIRE(again);
    f.snapshot(again->id, {directory(1, "A"), add_a(7)}, next);
    CHECK(f.session.book("A")->quality() == Quality::live);
    CHECK(f.session.book("A")->order_count() == 2);
}

TEST_CASE("recovery: a new session ends all recovery, and a late snapshot of the old one changes nothing") {
    Fixture f(recovering(0, 1));
    f.send(packet(1, {directory(1, "A"), add_a(1)}), 0);
    f.send(packet(4, {add_a(2)}), 0);
    f.send(packet(5, {add_a(3)}), 2000);
    const auto request = f.ask(0);
    REQUIRE(request);
    f.send(packet(1, {directory(1, "A"), add_a(9)}, "SESSION2"), 3000);
    f.send(packet(3, {}, "SESSION2"), 3000);
    f.snapshot(request->id, {directory(1, "A"), add_a(1), add_a(5)}, 5);
    CHECK(f.session.book("A")->quality() == Quality::live);
    CHECK(f.session.book("A")->order_count() == 1);
    CHECK(f.session.book("A")->find(OrderId{9}));
}

TEST_CASE("recovery: a suspect book stands still until a snapshot makes it anew, and the others go on") {
    Fixture f(recovering(0, 1));
    f.send(packet(1, {directory(1, "A"), directory(2, "B"), add_a(1)}), 0);
    f.send(packet(4, {remove(1, 77)}), 0);
    CHECK(f.session.book("A")->quality() == Quality::suspect);
    const auto request = f.ask(0);
    REQUIRE(request);
    CHECK(request->kind == Kind::snapshot);
    CHECK(request->first == 5);
    static_cast<void>(f.recorder.take());
    f.send(packet(5, {add_a(2), add(2, 50, 'B', 1, "B", 1)}), 0);
    CHECK(f.recorder.take() == Log{"book B 6 50"});
    f.snapshot(request->id, {directory(1, "A"), directory(2, "B"), add_a(1), add(2, 51, 'B', 1, "B", 1)}, 5);
    CHECK(f.recorder.take() == Log{"quality A recovering", "book A 0 clear snapshot recovering",
                                   "book A 0 1 snapshot recovering", "book A 5 2 recovering", "quality A live"});
    CHECK(f.session.book("B")->order_count() == 1);
}

TEST_CASE("recovery: a copy that differs makes the books it is about suspect when it comes") {
    Fixture f(recovering(0, 0));
    f.send(packet(1, {directory(1, "A"), directory(2, "B"), directory(3, "C"), add_a(7)}), 0, 0);
    f.send(packet(1, {directory(1, "A"), directory(2, "B"), directory(3, "C")}), 0, 1);
    CHECK(f.session.faults()[FaultCounter::lines_differ] == 0);
    // The second copy speaks of another book.
    f.send(packet(4, {add(2, 7, 'B', 10, "B", 100)}), 0, 1);
    CHECK(f.session.faults()[FaultCounter::lines_differ] == 1);
    CHECK(f.session.book("A")->quality() == Quality::suspect);
    CHECK(f.session.book("B")->quality() == Quality::suspect);
    CHECK(f.session.book("C")->quality() == Quality::live);
}

TEST_CASE("recovery: copies are compared also while they are held, and cut differently by each line") {
    Fixture f(recovering(0, 0));
    f.send(packet(1, {directory(1, "A")}), 0, 0);
    f.send(packet(3, {add_a(3), add_a(4), add_a(5)}), 0, 0);
    f.send(packet(3, {add_a(3), add_a(40), add_a(5)}), 0, 1);
    CHECK(f.session.book("A")->quality() == Quality::suspect);
    Fixture g(recovering(0, 0));
    g.send(packet(1, {directory(1, "A"), add_a(2)}), 0, 0);
    g.send(packet(2, {add_a(20), add_a(3)}), 0, 1);
    CHECK(g.session.book("A")->quality() == Quality::suspect);
    CHECK(g.session.faults()[FaultCounter::lines_differ] == 1);
}

TEST_CASE("recovery: copies that differ before their instrument is named make every book suspect") {
    Fixture f(recovering(0, 1));
    f.send(packet(2, {add_a(7)}), 0, 0);
    f.send(packet(2, {add_a(8)}), 0, 1);
    f.send(packet(1, {directory(1, "A")}), 0, 0);
    REQUIRE(f.session.book("A"));
    CHECK(f.session.book("A")->quality() == Quality::suspect);
    CHECK(f.session.book("A")->find(OrderId{7}));
    const auto request = f.ask(0);
    REQUIRE(request);
    CHECK(request->first == 3);
    f.send(packet(3, {directory(2, "B"), add(2, 50, 'B', 1, "B", 1)}), 0);
    f.snapshot(request->id, {directory(1, "A"), add_a(8)}, 3);
    CHECK(f.session.book("A")->quality() == Quality::live);
    CHECK(f.session.book("A")->find(OrderId{8}));
    CHECK(f.session.book("B")->quality() == Quality::live);
    CHECK(f.session.book("B")->order_count() == 1);
}

TEST_CASE("recovery: copies that name an instrument differently make every book suspect") {
    Fixture f(recovering(0, 0));
    f.send(packet(1, {directory(1, "A"), directory(2, "B")}), 0, 0);
    f.send(packet(1, {directory(1, "A"), directory(2, "C")}), 0, 1);
    CHECK(f.session.book("A")->quality() == Quality::suspect);
    CHECK(f.session.book("B")->quality() == Quality::suspect);
}

TEST_CASE("recovery: a silent feed makes its books stale until it is heard, one silent line only counts") {
    SessionConfig config = recovering(0, 0);
    config.quality.quiet_ns = 10 * kMs;
    Fixture f(config);
    CHECK_FALSE(f.ask(0));
    f.send(packet(1, {directory(1, "A")}), 0, 0);
    f.send(packet(1, {directory(1, "A")}), 0, 1);
    CHECK_FALSE(f.ask(100 * kMs));
    f.send(packet(2, {add_a(1)}), 0, 0);
    CHECK_FALSE(f.ask(105 * kMs));
    CHECK_FALSE(f.ask(111 * kMs));
    CHECK(f.session.silent(1));
    CHECK(f.session.silences(1) == 1);
    CHECK_FALSE(f.session.silent(0));
    static_cast<void>(f.recorder.take());
    CHECK_FALSE(f.ask(115 * kMs));
    CHECK(f.recorder.take() == Log{"quality A stale"});
    f.send(packet(3, {add_a(2)}), 0, 1);
    CHECK(f.recorder.take() == Log{"quality A live", "book A 3 2"});
}

TEST_CASE("recovery: a crossed book is suspect in continuous trading, before the callback, and not before it") {
    Fixture f(recovering(0, 0));
    f.send(packet(1, {directory(1, "A"), add(1, 1, 'B', 10, "A", 101), add(1, 2, 'S', 10, "A", 101)}));
    CHECK(f.session.book("A")->quality() == Quality::live);
    f.send(packet(4, {remove(1, 1), trading_action(1, "A", 'T')}));
    static_cast<void>(f.recorder.take());
    f.send(packet(6, {add(1, 3, 'B', 10, "A", 100)}));
    CHECK(f.recorder.take() == Log{"book A 6 3"});
    f.send(packet(7, {add(1, 4, 'B', 10, "A", 101)}));
    CHECK(f.recorder.take() == Log{"quality A suspect", "book A 7 4 suspect"});
    CHECK(f.session.faults()[FaultCounter::crossed] == 1);
}

TEST_CASE("recovery: with the policy stop nothing is applied after a contradiction") {
    SessionConfig config = recovering(0, 0);
    config.quality.suspect = SuspectPolicy::stop;
    Fixture f(config);
    f.send(packet(1, {directory(1, "A"), add_a(1)}));
    CHECK_FALSE(f.session.stopped());
    f.send(packet(3, {remove(1, 99)}));
    CHECK(f.session.stopped());
    static_cast<void>(f.recorder.take());
    f.send(packet(4, {add_a(2)}));
    CHECK(f.recorder.take().empty());
    CHECK(f.session.messages()[MessageCounter::filtered] == 1);
}

TEST_CASE("recovery: with the policy keep a suspect book goes on, and no snapshot is asked for") {
    SessionConfig config = recovering(0, 1);
    config.quality.suspect = SuspectPolicy::keep;
    Fixture f(config);
    f.send(packet(1, {directory(1, "A"), add_a(1), remove(1, 99)}));
    CHECK_FALSE(f.ask(0));
    static_cast<void>(f.recorder.take());
    f.send(packet(4, {add_a(2)}));
    CHECK(f.recorder.take() == Log{"book A 4 2 suspect"});
}

TEST_CASE("recovery: a gap ends though the packets' clock stands still") {
    for (const std::uint8_t servers : {std::uint8_t{0}, std::uint8_t{1}}) {
        Fixture f(recovering(servers, 0));
        f.send(packet(1, {directory(1, "A")}), 5000);
        f.send(packet(3, {add_a(1)}), 5000);
        CHECK_FALSE(f.ask(0));
        CHECK_FALSE(f.ask(2000));
        CHECK(f.ask(2001).has_value() == (servers != 0));
        CHECK(f.session.book("A")->quality() == Quality::recovering);
    }
}
