#include "millrace/replay/pacing.hpp"

#include "tests/support/catch.hpp"

using namespace millrace;
using replay::PaceSchedule;

TEST_CASE("PaceSchedule: packets are due as far apart as they were captured, by the scale") {
    PaceSchedule twice_as_fast(2.0);
    CHECK(twice_as_fast.due(1'000, 50) == 50);
    CHECK(twice_as_fast.due(3'000, 50) == 1'050);
    PaceSchedule slower(0.5);
    CHECK(slower.due(1'000, 50) == 50);
    CHECK(slower.due(3'000, 50) == 4'050);
}

TEST_CASE("PaceSchedule: a late packet does not delay those behind it") {
    PaceSchedule schedule(1.0);
    (void)schedule.due(0, 1'000);
    Timestamp late = 1'000;
    for (Timestamp captured = 1'000; captured <= 1'000'000'000; captured += 999'000) {
        late = schedule.due(captured, late + 700);  // each was asked for 700 ns after it was due
    }
    CHECK(late == 1'000 + 1'000 + 999'000 * ((1'000'000'000 - 1'000) / 999'000));
}

TEST_CASE("PaceSchedule: capture times of today keep their nanoseconds") {
    PaceSchedule schedule(1.0);
    constexpr Timestamp kToday = 1'764'000'000'123'456'789;
    (void)schedule.due(kToday, 7);
    CHECK(schedule.due(kToday + 1, 7) == 8);
    CHECK(schedule.due(kToday + 23'400'000'000'001, 7) == 23'400'000'000'008);
}

TEST_CASE("wait_until: a time gone by is not waited for, and a wait can be ended") {
    CHECK(replay::wait_until(0, [] { return true; }));
    CHECK_FALSE(
        replay::wait_until(MonotonicClock::now() + 3'600'000'000'000, [] { return false; }));
}
