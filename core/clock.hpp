// The only ways to ask for the time. The hot path takes time as an argument and asks nobody.
#pragma once

#include <ctime>

#include <concepts>

#include "millrace/core/types.hpp"

namespace millrace {

template <class C>
concept Clock = requires(C& clock) {
    { clock.now() } -> std::same_as<Timestamp>;
};

// Nanoseconds since the Unix epoch. Answered without a system call where the kernel's clock source allows.
struct SystemClock {
    [[nodiscard]] static Timestamp now() {
        timespec t{};
        clock_gettime(CLOCK_REALTIME, &t);
        return Timestamp{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
    }
};

// Never set back: for intervals and schedules.
struct MonotonicClock {
    [[nodiscard]] static Timestamp now() {
        timespec t{};
        clock_gettime(CLOCK_MONOTONIC, &t);
        return Timestamp{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
    }
};

// Stands still until it is moved.
struct ManualClock {
    Timestamp time = 0;
    [[nodiscard]] Timestamp now() const { return time; }
};

}  // namespace millrace
