// The seeds and planted bugs of every test run.
#include <fmt/format.h>

#include "millrace/feed/session.hpp"
#include "millrace/feed/venues/nasdaq_itch50/venue.hpp"
#include "tests/simulation/bugs.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/itch_packets.hpp"

using namespace millrace;
using namespace millrace::test;
using namespace millrace::sim;

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t kSeeds = 500;  // a tenth, at ten times the cost
#else
constexpr std::uint64_t kSeeds = 5000;
#endif
constexpr std::uint64_t kBugSeeds = 5000;  // few of which are needed

void check_seeds(const SimulatedVenue& venue, std::uint64_t seeds) {
    FaultCounts faults{};
    std::uint64_t exact = 0;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        const Outcome outcome = venue.run({seed});
        INFO("./tools/simulate --venue " << venue.name << " --seeds 1 --from " << seed << ": " << outcome.violation);
        REQUIRE(outcome.held());
        exact += outcome.tally.exact;
        for (std::size_t i = 0; i < kFaults; ++i) faults[i] += outcome.faults[i];
    }
    CHECK(exact > seeds * 100);
    for (std::size_t i = 0; i < kFaults; ++i) {
        // IEX's sessions end by a message, whose number says whether it is one.
        if (i == static_cast<std::size_t>(Fault::false_end) && venue.name.starts_with("iex")) continue;
        INFO("no seed had the fault " << kFaultNames[i]);
        CHECK(faults[i] > 0);
    }
}

}  // namespace

TEST_CASE("Simulation: no seed finds a book that is silently wrong", "[simulation]") {
    check_seeds(simulated_venues().front(), kSeeds);
}

TEST_CASE("Simulation: nor does one of another venue's feed", "[simulation]") {
    for (const SimulatedVenue& venue : simulated_venues().subspan(1)) check_seeds(venue, kSeeds / 2);
}

TEST_CASE("Simulation: every planted bug is caught within the run's seeds", "[simulation]") {
    for (const BugInfo& info : bugs()) {
        INFO(info.name << ": " << info.meaning);
        CHECK(catch_bug(info, 1, kBugSeeds));
    }
}

TEST_CASE("Simulation: a level's total that has lost touch with its orders makes the book suspect") {
    SessionConfig config;
    config.limits = {1, 10, 10};
    NullHandler handler;
    Session<venues::NasdaqItch50, NullHandler> session(config, handler);
    planted_bug = Bug::level_total_drifts;
    session.on_packet({0, 0, packet(1, {directory(1, "A"), add(1, 7, 'B', 100, "A", 500), cancel(1, 7, 30)})});
    CHECK(session.book("A")->quality() == Quality::live);
    session.on_packet({0, 0, packet(4, {remove(1, 7)})});
    planted_bug = Bug::none;
    CHECK(session.book("A")->quality() == Quality::suspect);
    CHECK(session.faults()[FaultCounter::level_total] == 1);
}

TEST_CASE("Simulation: a seed is the same run on every compiler") {
    // Of all that a consumer is told. A change of the simulation, or of what is told, changes them.
    struct Stored {
        std::string_view venue;
        std::uint64_t seed;
        std::uint64_t hash;
    };
    constexpr Stored kHashes[] = {
        {"nasdaq-itch50", 1, 0xd2f0bb2de5ddc3eb},
        {"nasdaq-itch50", 2, 0xf37c52a78067e933},
        {"nasdaq-itch50", 3, 0xb7f7dade47b08444},
        {"nasdaq-itch50", 30, 0xf4d0fa4c3b40951e},
        {"nasdaq-itch50", 531, 0x79990096a2c962a2},
        {"nasdaq-itch50", 2522, 0x45c7f2c3a3fb59b7},
        {"nasdaq-itch50", 2848, 0x3f09c55104e02010},
        {"nasdaq-itch50", 0xffff'ffff'ffff'ffff, 0xf7ec59af4be10f6b},
        {"iex-deep", 1, 0xc6624348dc6c266},
        {"iex-deep", 2, 0xfb1d195d457dfb8c},
        {"iex-deepplus", 1, 0x3c46f7e419a68850},
        {"iex-deepplus", 2, 0x2365c9ee220c9203},
    };
    for (const auto& [venue, seed, hash] : kHashes) {
        INFO(venue << ", seed " << seed);
        CHECK(fmt::format("{:016x}", run_of(venue)({seed}).log_hash) == fmt::format("{:016x}", hash));
    }
}

TEST_CASE("Simulation: a seed is the same run every time", "[simulation]") {
    for (const SimulatedVenue& venue : simulated_venues()) {
        const Outcome once = venue.run({7});
        const Outcome again = venue.run({7});
        CHECK(once.log_hash == again.log_hash);
        CHECK(once.log_hash != venue.run({8}).log_hash);
    }
}
