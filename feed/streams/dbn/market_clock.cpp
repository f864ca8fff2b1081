#include "millrace/feed/streams/dbn/market_clock.hpp"

#include <chrono>
#include <cstdlib>

namespace millrace::dbn {

namespace {

using namespace std::chrono;
using Nanos = std::chrono::nanoseconds;

constexpr auto kStandard = hours(5);  // New York is so far behind UTC in winter
constexpr auto kDaylight = hours(4);

// Whether the midnight that begins this day is one of daylight time. The clocks change at 2:00, so
// the day of change in March still begins in standard time, and that of November in daylight time.
[[nodiscard]] bool begins_in_daylight_time(local_days day) {
    const year_month_day date(day);
    const local_days begin{date.year() / March / Sunday[2]};
    const local_days end{date.year() / November / Sunday[1]};
    return day > begin && day <= end;
}

[[nodiscard]] Timestamp midnight_of(local_days day) {
    const auto offset = begins_in_daylight_time(day) ? kDaylight : kStandard;
    return Nanos(day.time_since_epoch() + offset).count();
}

[[nodiscard]] std::uint32_t number_of(const year_month_day& date) {
    return static_cast<std::uint32_t>(static_cast<int>(date.year())) * 10'000 +
           static_cast<unsigned>(date.month()) * 100 + static_cast<unsigned>(date.day());
}

[[nodiscard]] year_month_day date_of(std::uint32_t date) {
    return {year(static_cast<int>(date / 10'000)), month(date / 100 % 100), day(date % 100)};
}

// The New York day that a point in time lies in.
[[nodiscard]] local_days new_york_day(Timestamp at) {
    const local_days guess{floor<days>(Nanos(at) - kStandard)};
    return at >= midnight_of(guess + days(1)) ? guess + days(1) : guess;
}

}  // namespace

Timestamp new_york_midnight(std::uint32_t date) {
    const year_month_day day = date_of(date);
    return day.ok() ? midnight_of(local_days(day)) : 0;
}

std::uint32_t utc_date(Timestamp at) { return number_of(sys_days(floor<days>(Nanos(at)))); }

std::uint32_t new_york_date(Timestamp at) { return number_of(year_month_day(new_york_day(at))); }

std::uint32_t next_date(std::uint32_t date) {
    const year_month_day day = date_of(date);
    return day.ok() ? number_of(sys_days(day) + days(1)) : date;
}

Timestamp MarketClock::nearest_midnight(Timestamp exchange_time, Timestamp received_at) {
    const local_days today = new_york_day(received_at);
    Timestamp best = midnight_of(today);
    for (const local_days day : {today - days(1), today + days(1)}) {
        const Timestamp other = midnight_of(day);
        if (std::abs(received_at - other - exchange_time) < std::abs(received_at - best - exchange_time)) {
            best = other;
        }
    }
    return best;
}

}  // namespace millrace::dbn
