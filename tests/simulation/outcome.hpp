// What a seed is run with, and what came of it.
#pragma once

#include <cstdint>
#include <string>

#include "tests/simulation/checker.hpp"
#include "tests/simulation/faults.hpp"

namespace millrace::sim {

struct Options {
    std::uint64_t seed = 0;
    std::uint32_t batches_max = 0xffffffff;  // of messages, before faults end: what shrinking lowers
    FaultMask faults = kAllFaults;           // kinds allowed: what shrinking takes away
    bool verbose = false;                    // every event to stderr
};

struct Outcome {
    Tally tally;
    FaultCounts faults{};
    std::uint64_t log_hash = 0;
    std::uint32_t batches = 0;
    std::string violation;  // empty: every promise was kept

    [[nodiscard]] bool held() const { return violation.empty(); }
};

// One seed of Nasdaq's feed, and of IEX's DEEP+.
[[nodiscard]] Outcome run_itch(const Options& options);
[[nodiscard]] Outcome run_iex(const Options& options);

// The same failure with fewer messages and fewer kinds of faults. `options` must fail.
[[nodiscard]] Options shrink(Options options, Outcome (*run)(const Options&));

// Every kind of fault that is allowed, by name; "all" or "none".
[[nodiscard]] std::string text_of(FaultMask faults);

}  // namespace millrace::sim
