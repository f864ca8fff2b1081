// What a session says of its books when the feed contradicts itself or falls silent, by the policy that was chosen.
#include "tests/feed/recovery_fixture.hpp"

using namespace millrace;
using namespace millrace::test;
using namespace millrace::test::recovery;

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
