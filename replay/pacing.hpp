// When a captured packet is due. The schedule is absolute: each packet's time is worked out from
// the first one's, so that waiting too long once delays one packet and not all that follow.
#pragma once

#include <algorithm>
#include <ctime>

#include "millrace/core/clock.hpp"
#include "millrace/core/types.hpp"

namespace millrace::replay {

class PaceSchedule {
  public:
    // `time_scale` 2.0 replays twice as fast as captured. The first packet is due at once.
    explicit PaceSchedule(double time_scale) : time_scale_(time_scale) {}

    // Monotonic time at which what was captured at `captured_at` is due, given that it is `now`.
    // Capture times that run backwards are due at once.
    [[nodiscard]] Timestamp due(Timestamp captured_at, Timestamp now) {
        if (!begun_) {
            begun_ = true;
            first_captured_at_ = captured_at;
            start_ = now;
        }
        const auto elapsed = static_cast<double>(captured_at - first_captured_at_) / time_scale_;
        return start_ + static_cast<Timestamp>(elapsed);
    }

  private:
    double time_scale_;
    bool begun_ = false;
    Timestamp first_captured_at_ = 0;
    Timestamp start_ = 0;
};

// Waits until the monotonic clock says `due`: asleep while it is far, awake for the last stretch,
// since a sleeper wakes tens of microseconds late. Asks `keep_on` at least every 50 ms; false when
// that said no.
template <class KeepOn>
[[nodiscard]] bool wait_until(Timestamp due, KeepOn&& keep_on) {
    constexpr Nanoseconds kAwake = 200'000;
    constexpr Nanoseconds kSlice = 50'000'000;
    for (;;) {
        const Timestamp now = MonotonicClock::now();
        if (now >= due) return true;
        if (due - now <= kAwake) continue;
        if (!keep_on()) return false;
        const Nanoseconds nap = std::min(due - now - kAwake, kSlice);
        const timespec length{static_cast<time_t>(nap / 1'000'000'000),
                              static_cast<long>(nap % 1'000'000'000)};
        nanosleep(&length, nullptr);
    }
}

}  // namespace millrace::replay
