// What a session does about messages that no line brought: retransmission, snapshot, join.
#include "tests/feed/recovery_fixture.hpp"

using namespace millrace;
using namespace millrace::test;
using namespace millrace::test::recovery;

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
    f.miss_message_2();
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
    f.miss_message_2();
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
    f.miss_message_2();
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
    f.miss_message_2();
    f.snapshot(next_id(f.ask(0)), {directory(1, "A"), add_a(101), add_a(102), add_a(103)}, 6);
    CHECK(f.session.book("A")->quality() == Quality::recovering);
    f.send(packet(5, {add_a(103)}), 3000);
    CHECK(f.session.book("A")->quality() == Quality::live);
    CHECK(f.session.book("A")->order_count() == 3);
    CHECK(f.session.faults()[FaultCounter::duplicate_order] == 0);
}

TEST_CASE("recovery: a snapshot that claims to be far ahead is not believed for ever") {
    Fixture f(recovering(0, 1));
    f.miss_message_2();
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
    f.miss_message_2();
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
    f.miss_message_2();
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
    f.miss_message_2();
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
    f.miss_message_2();
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
    f.miss_message_2();
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
    f.miss_message_2();
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
