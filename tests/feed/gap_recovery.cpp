#include "millrace/feed/gap_recovery.hpp"

#include "tests/support/catch.hpp"

using namespace millrace;
using Advice = GapRecovery::Advice;
using Kind = RecoveryRequest::Kind;

namespace {

constexpr Nanoseconds kMs = 1'000'000;

RecoveryConfig two_servers() {
    RecoveryConfig config;
    config.retransmit_servers = 2;
    config.request_messages_max = 50;
    config.attempts = 2;
    config.answer_timeout_ns = 10 * kMs;
    config.request_interval_ns = 1 * kMs;
    config.retransmit_ns = 1'000 * kMs;
    return config;
}

SessionKey session() {
    SessionKey key{};
    key.text[0] = 'S';
    return key;
}

}  // namespace

TEST_CASE("GapRecovery: asks for what is missing, and for the rest of it when a part has come") {
    GapRecovery recovery(two_servers());
    RecoveryRequest request;
    REQUIRE(recovery.retransmit(session(), {100, 170}, 0, request) == Advice::ask);
    CHECK(request.kind == Kind::retransmit);
    CHECK(request.server == 0);
    CHECK(request.first == 100);
    CHECK(request.count == 50);
    CHECK(request.session == session());
    CHECK(recovery.retransmit(session(), {100, 170}, 5 * kMs, request) == Advice::wait);
    REQUIRE(recovery.retransmit(session(), {130, 170}, 6 * kMs, request) == Advice::ask);
    CHECK(request.first == 130);
    CHECK(request.count == 41);
    CHECK(recovery.counters()[RecoveryCounter::requests] == 2);
    CHECK(recovery.counters()[RecoveryCounter::unanswered] == 0);
}

TEST_CASE("GapRecovery: an answer that comes in parts is waited for up to its end, or as long as parts come") {
    RecoveryConfig config = two_servers();
    config.answers_in_parts = true;
    GapRecovery recovery(config);
    RecoveryRequest request;
    REQUIRE(recovery.retransmit(session(), {100, 170}, 0, request) == Advice::ask);
    CHECK(request.count == 50);
    CHECK(recovery.retransmit(session(), {120, 170}, 9 * kMs, request) == Advice::wait);
    CHECK(recovery.retransmit(session(), {140, 170}, 18 * kMs, request) == Advice::wait);
    CHECK(recovery.retransmit(session(), {140, 170}, 27 * kMs, request) == Advice::wait);
    // The last part was lost: another server is asked for the rest.
    REQUIRE(recovery.retransmit(session(), {140, 170}, 28 * kMs, request) == Advice::ask);
    CHECK(request.server == 1);
    CHECK(request.first == 140);
    CHECK(request.count == 31);
    CHECK(recovery.counters()[RecoveryCounter::unanswered] == 1);
    // What was asked for is there; the next gap is another question.
    REQUIRE(recovery.retransmit(session(), {180, 190}, 29 * kMs, request) == Advice::ask);
    CHECK(request.first == 180);
    CHECK_FALSE(request.after_silence);
    CHECK(recovery.counters()[RecoveryCounter::unanswered] == 1);
}

TEST_CASE("GapRecovery: parts that trickle in do not hold a gap open for ever") {
    RecoveryConfig config = two_servers();
    config.answers_in_parts = true;
    config.request_messages_max = 1'000;
    GapRecovery recovery(config);
    RecoveryRequest request;
    Timestamp now = 0;
    REQUIRE(recovery.retransmit(session(), {1, 1'000}, now, request) == Advice::ask);
    for (SequenceNumber first = 2; (now += 9 * kMs) < 1'000 * kMs; ++first) {
        REQUIRE(recovery.retransmit(session(), {first, 1'000}, now, request) == Advice::wait);
    }
    CHECK(recovery.retransmit(session(), {500, 1'000}, now, request) == Advice::give_up);
}

TEST_CASE("GapRecovery: requests keep their distance") {
    GapRecovery recovery(two_servers());
    RecoveryRequest request;
    REQUIRE(recovery.retransmit(session(), {1, 9}, 0, request) == Advice::ask);
    CHECK(recovery.retransmit(session(), {2, 9}, kMs - 1, request) == Advice::wait);
    CHECK(recovery.retransmit(session(), {2, 9}, kMs, request) == Advice::ask);
}

TEST_CASE("GapRecovery: silent servers are asked in turn, each as often as allowed") {
    GapRecovery recovery(two_servers());
    RecoveryRequest request;
    std::vector<int> asked;
    Timestamp now = 0;
    for (;; now += kMs) {
        const Advice advice = recovery.retransmit(session(), {7, 7}, now, request);
        if (advice == Advice::give_up) break;
        if (advice != Advice::ask) continue;
        asked.push_back(request.server);
        CHECK(request.after_silence == (asked.size() > 1));
    }
    CHECK(asked == std::vector<int>{0, 1, 0, 1});
    CHECK(now == 40 * kMs);
    CHECK(recovery.counters()[RecoveryCounter::unanswered] == 4);
    CHECK(recovery.counters()[RecoveryCounter::retransmission_failed] == 1);
}

TEST_CASE("GapRecovery: a gap that stays open too long is given up however much is answered") {
    GapRecovery recovery(two_servers());
    RecoveryRequest request;
    Timestamp now = 0;
    for (SequenceNumber first = 1; now < 1'000 * kMs; now += kMs, ++first) {
        REQUIRE(recovery.retransmit(session(), {first, 100'000}, now, request) == Advice::ask);
    }
    CHECK(recovery.retransmit(session(), {5'000, 100'000}, now, request) == Advice::give_up);
}

TEST_CASE("GapRecovery: without servers a gap is given up at once; one too long for it, where there are snapshots") {
    RecoveryRequest request;
    RecoveryConfig config = two_servers();
    config.gap_messages_max = 10;
    CHECK(GapRecovery(config).retransmit(session(), {1, 11}, 0, request) == Advice::ask);
    config.snapshot_servers = 1;
    CHECK(GapRecovery(config).retransmit(session(), {1, 11}, 0, request) == Advice::give_up);
    CHECK(GapRecovery(config).retransmit(session(), {1, 10}, 0, request) == Advice::ask);
    config.retransmit_servers = 0;
    CHECK(GapRecovery(config).retransmit(session(), {1, 1}, 0, request) == Advice::give_up);
}

TEST_CASE("GapRecovery: a snapshot that is refused or makes no progress is asked of the next server, after a pause") {
    RecoveryConfig config;
    config.snapshot_servers = 2;
    config.snapshot_timeout_ns = 100 * kMs;
    config.snapshot_retry_ns = 10 * kMs;
    config.snapshot_retry_max_ns = 15 * kMs;
    GapRecovery recovery(config);
    RecoveryRequest request;
    CHECK(recovery.ask_snapshot(session(), 5, 0, request) == Advice::wait);
    recovery.want_snapshot();
    REQUIRE(recovery.ask_snapshot(session(), 5, 0, request) == Advice::ask);
    CHECK(request.kind == Kind::snapshot);
    CHECK(request.first == 5);
    CHECK(request.server == 0);
    const std::uint32_t first = request.id;
    recovery.snapshot_failed(RecoveryCounter::snapshots_refused);
    CHECK(recovery.ask_snapshot(session(), 5, kMs, request) == Advice::wait);
    CHECK(recovery.ask_snapshot(session(), 5, 9 * kMs, request) == Advice::wait);
    REQUIRE(recovery.ask_snapshot(session(), 5, 10 * kMs, request) == Advice::ask);
    CHECK(request.server == 1);
    CHECK(request.id != first);
    CHECK_FALSE(recovery.snapshot_begins(first));
    REQUIRE(recovery.snapshot_begins(request.id));
    CHECK(recovery.ask_snapshot(session(), 5, 50 * kMs, request) == Advice::wait);
    recovery.snapshot_progressed();
    CHECK(recovery.ask_snapshot(session(), 5, 140 * kMs, request) == Advice::wait);
    CHECK(recovery.ask_snapshot(session(), 5, 239 * kMs, request) == Advice::wait);
    CHECK(recovery.ask_snapshot(session(), 5, 240 * kMs, request) == Advice::give_up);
    CHECK_FALSE(recovery.snapshot_loads(request.id));
    CHECK(recovery.counters()[RecoveryCounter::snapshots_timed_out] == 1);
    // The second pause would be twice the first one, but for its limit.
    CHECK(recovery.ask_snapshot(session(), 5, 240 * kMs, request) == Advice::wait);
    CHECK(recovery.ask_snapshot(session(), 5, 254 * kMs, request) == Advice::wait);
    CHECK(recovery.ask_snapshot(session(), 5, 255 * kMs, request) == Advice::ask);
}

TEST_CASE("GapRecovery: one snapshot after the other keeps its distance too") {
    RecoveryConfig config;
    config.snapshot_servers = 1;
    config.snapshot_retry_ns = 10 * kMs;
    GapRecovery recovery(config);
    RecoveryRequest request;
    recovery.want_snapshot();
    REQUIRE(recovery.ask_snapshot(session(), 5, 0, request) == Advice::ask);
    REQUIRE(recovery.snapshot_begins(request.id));
    CHECK(recovery.ask_snapshot(session(), 5, kMs, request) == Advice::wait);
    recovery.snapshot_joined();
    recovery.want_snapshot();
    CHECK(recovery.ask_snapshot(session(), 9, 2 * kMs, request) == Advice::wait);
    CHECK(recovery.ask_snapshot(session(), 9, 11 * kMs, request) == Advice::ask);
}

TEST_CASE("GapRecovery: a snapshot that will not do is followed by another at once, and then after longer and longer pauses") {
    RecoveryConfig config;
    config.snapshot_servers = 1;
    config.snapshot_retry_ns = 10 * kMs;
    config.snapshot_retry_max_ns = 30 * kMs;
    GapRecovery recovery(config);
    RecoveryRequest request;
    recovery.want_snapshot();
    std::vector<Timestamp> asked_at;
    for (Timestamp now = 0; now < 150 * kMs; now += kMs) {
        if (recovery.ask_snapshot(session(), 5, now, request) != Advice::ask) continue;
        asked_at.push_back(now / kMs);
        REQUIRE(recovery.snapshot_begins(request.id));
        recovery.want_another_snapshot();
    }
    CHECK(asked_at == std::vector<Timestamp>{0, 1, 11, 31, 61, 91, 121});
}
