// Latency under load as a feed meets it: packets are due at Poisson times whether or not the one before is done,
// and each is timed from when it was due. A stall thus delays, and is counted for, every packet behind it
// (G. Tene, "How NOT to Measure Latency": no coordinated omission).
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "millrace/core/histogram.hpp"
#include "millrace/core/random.hpp"
#include "millrace/core/types.hpp"

namespace millrace::tools {

// Times of a Poisson process, ns from 0 on.
class PoissonTimes {
  public:
    // `per_second` must be positive.
    PoissonTimes(double per_second, std::uint64_t seed) : random_(seed), mean_ns_(1e9 / per_second) {}
    [[nodiscard]] Nanoseconds next() {
        // In (0, 1]: the logarithm of nothing is no time.
        const double chance = (static_cast<double>(random_.next() >> 11) + 1) * 0x1p-53;
        at_ -= std::log(chance) * mean_ns_;
        return static_cast<Nanoseconds>(at_);
    }

  private:
    Random random_;
    double mean_ns_;
    double at_ = 0;
};

// A pause that is planted once an interval, to see that a report shows it. None by default.
struct Stall {
    Nanoseconds length = 0;
    Nanoseconds every = 1'000'000'000;
};

struct OpenLoopPlan {
    double packets_per_second = 0;
    std::uint64_t packets = 0;
    std::uint64_t seed = 1;
    Stall stall;
};

struct OpenLoopResult {
    double offered = 0;   // packets a second
    double achieved = 0;  // packets a second, of those begun to the last one done
    double seconds = 0;
    std::uint64_t packets = 0;
    Histogram latency;  // from when a packet was due until all that it changed had been told
};

// Does `work(i)` for each packet i when it is due, on the calling thread, which spins in between.
template <class Clock, class Work>
void run_open_loop(Clock& clock, Work&& work, const OpenLoopPlan& plan, OpenLoopResult& result) {
    PoissonTimes times(plan.packets_per_second, plan.seed);
    const Timestamp begin = clock.now();
    Timestamp stall_at = plan.stall.length > 0 ? begin + plan.stall.every : std::numeric_limits<Timestamp>::max();
    Timestamp done = begin;
    for (std::uint64_t i = 0; i < plan.packets; ++i) {
        const Timestamp due = begin + times.next();
        Timestamp now = clock.now();
        while (now < due || now >= stall_at) {
            if (now >= stall_at) {
                for (const Timestamp end = stall_at + plan.stall.length; now < end;) now = clock.now();
                stall_at += plan.stall.every;
            } else {
                now = clock.now();
            }
        }
        work(i);
        done = clock.now();
        result.latency.record(done - due);
    }
    result.packets = plan.packets;
    result.offered = plan.packets_per_second;
    result.seconds = static_cast<double>(done - begin) / 1e9;
    result.achieved = static_cast<double>(plan.packets) / result.seconds;
}

// The same work without waiting, with the same looks at the clock: what the path can do at most.
template <class Clock, class Work>
void run_flat_out(Clock& clock, Work&& work, std::uint64_t packets) {
    Histogram as_in_the_loop;
    for (std::uint64_t i = 0; i < packets; ++i) {
        const Timestamp now = clock.now();
        work(i);
        as_in_the_loop.record(clock.now() - now);
    }
}

}  // namespace millrace::tools
