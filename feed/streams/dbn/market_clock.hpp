// From a venue's own clock to UTC.
#pragma once

#include <cstdint>

#include "millrace/core/types.hpp"

namespace millrace::dbn {

// What `EventHeader::exchange_time` counts from.
enum class TimeOrigin : std::uint8_t {
    utc,               // 1970-01-01 00:00 UTC
    new_york_midnight  // 00:00 in New York of the day of trading
};

// The start of a New York day (YYYYMMDD) in ns UTC, by the law of 2007: daylight time from the
// second Sunday of March to the first Sunday of November. 0 for what is no date.
[[nodiscard]] Timestamp new_york_midnight(std::uint32_t date);

// YYYYMMDD of a point in time, in UTC and in New York.
[[nodiscard]] std::uint32_t utc_date(Timestamp at);
[[nodiscard]] std::uint32_t new_york_date(Timestamp at);
// The day after, YYYYMMDD.
[[nodiscard]] std::uint32_t next_date(std::uint32_t date);

// Gives each message its UTC time. ITCH says the time of day and not the day, so the day is taken
// from the receive time: of the midnights in New York of that day and its neighbours the one that
// puts the message nearest to its receive time. Where there is no receive time the day is the one
// that the caller names.
class MarketClock {
  public:
    MarketClock(TimeOrigin origin, std::uint32_t date)
        : origin_(origin), midnight_(date == 0 ? 0 : new_york_midnight(date)) {}

    [[nodiscard]] Timestamp utc(Timestamp exchange_time, Timestamp received_at) {
        if (origin_ == TimeOrigin::utc || exchange_time < 0 || exchange_time > kLongestDay) {
            return exchange_time;
        }
        const bool known = received_at > 0 && received_at < kEndOfTime;
        const Nanoseconds delay = known ? received_at - midnight_ - exchange_time : 0;
        if (delay > kHalfDay || delay < -kHalfDay) {
            midnight_ = nearest_midnight(exchange_time, received_at);
        }
        return midnight_ + exchange_time;
    }

  private:
    static constexpr Nanoseconds kHalfDay = Nanoseconds{43'200} * 1'000'000'000;
    static constexpr Nanoseconds kLongestDay = 8 * kHalfDay;  // no venue counts further
    static constexpr Timestamp kEndOfTime = 9'000'000'000'000'000'000;  // leaves room to add days

    [[nodiscard]] static Timestamp nearest_midnight(Timestamp exchange_time, Timestamp received_at);

    TimeOrigin origin_;
    Timestamp midnight_;
};

}  // namespace millrace::dbn
