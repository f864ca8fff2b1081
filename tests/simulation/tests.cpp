// The seeds and planted bugs of every test run.
#include <fmt/format.h>

#include "tests/simulation/bugs.hpp"
#include "tests/support/catch.hpp"

using namespace millrace;
using namespace millrace::sim;

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t kSeeds = 500;  // a tenth, at ten times the cost
#else
constexpr std::uint64_t kSeeds = 5000;
#endif
constexpr std::uint64_t kBugSeeds = 5000;  // few of which are needed

void check_seeds(const char* venue, Outcome (*run)(const Options&), std::uint64_t seeds) {
    FaultCounts faults{};
    std::uint64_t exact = 0;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        const Outcome outcome = run({seed});
        INFO("./tools/simulate --venue " << venue << " --seeds 1 --from " << seed << ": " << outcome.violation);
        REQUIRE(outcome.held());
        exact += outcome.tally.exact;
        for (std::size_t i = 0; i < kFaults; ++i) faults[i] += outcome.faults[i];
    }
    CHECK(exact > seeds * 100);
    for (std::size_t i = 0; i < kFaults; ++i) {
        INFO("no seed had the fault " << kFaultNames[i]);
        CHECK(faults[i] > 0);
    }
}

}  // namespace

TEST_CASE("Simulation: no seed finds a book that is silently wrong", "[simulation]") {
    check_seeds("nasdaq-itch50", run_itch, kSeeds);
}

TEST_CASE("Simulation: nor does one of another venue's feed", "[simulation]") {
    check_seeds("iex-deepplus", run_iex, kSeeds / 2);
}

TEST_CASE("Simulation: every planted bug is caught within the run's seeds", "[simulation]") {
    for (const BugInfo& info : bugs()) {
        INFO(info.name << ": " << info.meaning);
        CHECK(catch_bug(info.bug, 1, kBugSeeds));
    }
}

TEST_CASE("Simulation: a seed is the same run every time", "[simulation]") {
    const Outcome once = run_itch({7});
    const Outcome again = run_itch({7});
    CHECK(once.log_hash == again.log_hash);
    CHECK(once.log_hash != run_itch({8}).log_hash);
}
