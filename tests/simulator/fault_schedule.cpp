#include "millrace/replay/simulator/fault_schedule.hpp"

#include <map>

#include "tests/support/catch.hpp"

using namespace millrace;
using namespace millrace::replay;

namespace {

// Sends `packets` of one message each down every line and notes in which order they arrive.
struct Trial {
    std::vector<std::vector<SequenceNumber>> arrived;
    std::vector<LineFaultCounts> counts;

    Trial(std::uint64_t seed, const std::vector<LineFaults>& lines, bool never_on_all,
          SequenceNumber packets)
        : arrived(lines.size()) {
        FaultSchedule faults(seed, lines, never_on_all, [this](const SimulatedPacket& p) {
            arrived[p.line].push_back(p.first);
        });
        for (SequenceNumber n = 1; n <= packets; ++n) {
            for (std::size_t line = 0; line < lines.size(); ++line) {
                faults.offer({static_cast<LineId>(line), 0, n, 1, false, {}});
            }
        }
        faults.flush();
        for (std::size_t i = 0; i < lines.size(); ++i)
            counts.push_back(faults.counts(static_cast<LineId>(i)));
    }
};

constexpr SequenceNumber kPackets = 100'000;

double share(std::uint64_t some) {
    return static_cast<double>(some) / static_cast<double>(kPackets);
}

}  // namespace

TEST_CASE("FaultSchedule: each line has its own share of each fault") {
    const Trial trial(1, {{0.05, 0.01, 0.02, 4, 0}, {0.01, 0.03, 0.10, 4, 0}}, false, kPackets);
    CHECK(share(trial.counts[0].lost) == Approx(0.05).epsilon(0.1));
    CHECK(share(trial.counts[1].lost) == Approx(0.01).epsilon(0.1));
    // Only what is not lost can be doubled or late.
    CHECK(share(trial.counts[0].duplicated) == Approx(0.01 * 0.95).epsilon(0.1));
    CHECK(share(trial.counts[1].duplicated) == Approx(0.03 * 0.99).epsilon(0.1));
    CHECK(share(trial.counts[0].reordered) == Approx(0.02 * 0.95).epsilon(0.1));
    CHECK(share(trial.counts[1].reordered) == Approx(0.10 * 0.99).epsilon(0.1));
    for (std::size_t i = 0; i < 2; ++i) {
        CHECK(trial.arrived[i].size() ==
              kPackets - trial.counts[i].lost + trial.counts[i].duplicated);
    }
}

TEST_CASE("FaultSchedule: the same seed does the same, another one something else") {
    const std::vector<LineFaults> lines(2, {0.05, 0.05, 0.05, 4, 0.2});
    const Trial one(7, lines, true, 5'000);
    const Trial again(7, lines, true, 5'000);
    const Trial other(8, lines, true, 5'000);
    CHECK(one.arrived == again.arrived);
    CHECK(one.arrived != other.arrived);
    CHECK(one.arrived[0] != one.arrived[1]);
}

TEST_CASE("FaultSchedule: a late packet falls behind no more than the packets asked for") {
    for (const std::uint32_t most : {0U, 1U, 4U, 20U}) {
        const Trial trial(2, {{0, 0, 0.1, most, 0}}, false, 20'000);
        SequenceNumber highest = 0;
        SequenceNumber furthest = 0;
        for (const SequenceNumber n : trial.arrived[0]) {
            if (n < highest) furthest = std::max(furthest, highest - n);
            highest = std::max(highest, n);
        }
        CHECK(trial.arrived[0].size() == 20'000);
        CHECK(furthest == std::max(most, 1U));
    }
}

TEST_CASE("FaultSchedule: what one line lost another does not lose, however much both lose") {
    for (const std::size_t lines : {2U, 3U}) {
        const Trial trial(3, std::vector<LineFaults>(lines, {0.4, 0, 0, 4, 0.7}), true, 20'000);
        std::map<SequenceNumber, int> seen;
        for (const auto& line : trial.arrived) {
            for (const SequenceNumber n : line) ++seen[n];
        }
        CHECK(seen.size() == 20'000);
        for (std::size_t i = 0; i < lines; ++i) CHECK(trial.counts[i].lost > 1'000);
    }
}

TEST_CASE("FaultSchedule: a single line that must lose nothing for good loses nothing") {
    CHECK(Trial(4, {{0.5, 0, 0, 4, 0}}, true, 1'000).counts[0].lost == 0);
    CHECK(Trial(4, {{0.5, 0, 0, 4, 0}}, false, 1'000).counts[0].lost > 400);
}

TEST_CASE("FaultSchedule: burst loss takes neighbours") {
    const auto longest_and_runs = [](double burst) {
        const Trial trial(5, {{0.01, 0, 0, 4, burst}}, false, kPackets);
        SequenceNumber expected = 1;
        std::uint64_t runs = 0;
        for (const SequenceNumber n : trial.arrived[0]) {
            runs += n != expected ? 1U : 0U;
            expected = n + 1;
        }
        return static_cast<double>(trial.counts[0].lost) / static_cast<double>(runs);
    };
    CHECK(longest_and_runs(0) < 1.05);
    CHECK(longest_and_runs(0.8) == Approx(5).epsilon(0.15));
}

TEST_CASE("FaultSchedule: heartbeats and ends of session come through and overtake nothing") {
    std::vector<SequenceNumber> arrived;
    FaultSchedule faults(6, {{1, 1, 1, 50, 1}}, false,
                         [&](const SimulatedPacket& p) { arrived.push_back(p.first); });
    faults.offer({0, 0, 5, 0, true, {}});
    CHECK(arrived == std::vector<SequenceNumber>{5});
    arrived.clear();
    FaultSchedule late(6, {{0, 0, 1, 50, 0}}, false,
                       [&](const SimulatedPacket& p) { arrived.push_back(p.first); });
    late.offer({0, 0, 1, 1, false, {}});
    CHECK(arrived.empty());
    late.offer({0, 0, 2, 0, true, {}});
    CHECK(arrived == std::vector<SequenceNumber>{1, 2});
}
