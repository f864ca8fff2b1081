// What a seed is run with, and what came of it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

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

// Runs one seed.
using Run = Outcome (*)(const Options& options);

// Whose feeds can be simulated; Nasdaq's first.
struct SimulatedVenue {
    std::string_view name;
    Run run;
};
[[nodiscard]] std::span<const SimulatedVenue> simulated_venues();
// Null where there is none of this name.
[[nodiscard]] Run run_of(std::string_view venue);

// The same failure with fewer messages and fewer kinds of faults. `options` must fail.
[[nodiscard]] Options shrink(Options options, Run run);

// Every kind of fault that is allowed, by name; "all" or "none".
[[nodiscard]] std::string text_of(FaultMask faults);

}  // namespace millrace::sim
