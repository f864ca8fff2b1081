#include "tests/simulation/simulation.hpp"

#include <array>

#include "tests/simulation/iex_venue.hpp"
#include "tests/simulation/itch_venue.hpp"

namespace millrace::sim {

namespace {

template <class Venue>
Outcome run(const Options& options) {
    return Simulation<Venue>(options).run();
}

template <class... Venues>
constexpr std::array<SimulatedVenue, sizeof...(Venues)> kList{{{Venues::Production::kId, run<Venues>}...}};

}  // namespace

std::span<const SimulatedVenue> simulated_venues() { return kList<ItchVenue, IexDeepVenue, IexDeepPlusVenue>; }

Run run_of(std::string_view venue) {
    for (const SimulatedVenue& each : simulated_venues()) {
        if (each.name == venue) return each.run;
    }
    return nullptr;
}

Options shrink(Options options, Run run) {
    const auto fails = [&](const Options& tried) { return !run(tried).held(); };
    options.batches_max = run(options).batches;
    for (std::size_t i = 0; i < kFaults; ++i) {
        Options fewer = options;
        fewer.faults &= ~(FaultMask{1} << i);
        if (fewer.faults != options.faults && fails(fewer)) options = fewer;
    }
    for (std::uint32_t step = options.batches_max; step > 0; step /= 2) {
        Options fewer = options;
        while (fewer.batches_max >= step) {
            fewer.batches_max -= step;
            if (!fails(fewer)) break;
            options = fewer;
        }
    }
    return options;
}

std::string text_of(FaultMask faults) {
    if ((faults & kAllFaults) == kAllFaults) return "all";
    std::string text;
    for (std::size_t i = 0; i < kFaults; ++i) {
        if ((faults >> i & 1) == 0) continue;
        if (!text.empty()) text += ',';
        text += kFaultNames[i];
    }
    return text.empty() ? "none" : text;
}

}  // namespace millrace::sim
