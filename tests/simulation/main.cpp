// The command behind tools/simulate: runs seeds, hunts planted bugs, replays one seed for a debugger.
#include <signal.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "tests/simulation/bugs.hpp"
#include "tools/checks.hpp"

namespace {

using namespace millrace;
using namespace millrace::sim;

struct Arguments {
    std::uint64_t seeds = 1000;
    std::uint64_t from = 1;
    bool json = false;
    std::string venue = "nasdaq-itch50";
    std::string bug;
    bool verbose = false;
    std::uint32_t batches = 0xffffffff;
    FaultMask faults = kAllFaults;
    Run run = nullptr;  // of the venue
};

struct Totals {
    Tally tally;
    FaultCounts faults{};
    std::uint64_t seeds = 0;
    double seconds = 0;
    bool failed = false;
    Options failure;        // shrunk
    std::string violation;  // of the shrunk run

    void add(const Outcome& outcome) {
        ++seeds;
        tally.events += outcome.tally.events;
        tally.books_checked += outcome.tally.books_checked;
        tally.exact += outcome.tally.exact;
        tally.flagged += outcome.tally.flagged;
        tally.wrong += outcome.tally.wrong;
        for (std::size_t i = 0; i < kFaults; ++i) faults[i] += outcome.faults[i];
    }
};

// For a seed that crashes: the one that runs. Written before each, read by the signal handler on the same thread.
std::uint64_t running_seed = 0;

extern "C" void on_crash(int signal) {
    std::array<char, 80> text{};
    const auto end = fmt::format_to_n(text.data(), text.size(), "simulate: seed {} crashes\n", running_seed);
    static_cast<void>(!write(STDERR_FILENO, text.data(), end.size));
    raise(signal);  // as it would have without, since the handler stands for one signal only
}
void name_crashing_seeds() {
    struct sigaction action {};
    action.sa_handler = on_crash;
    action.sa_flags = static_cast<int>(SA_RESETHAND | SA_NODEFER);
    for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) sigaction(signal, &action, nullptr);
}

Totals run_seeds(const Arguments& arguments) {
    const auto begin = std::chrono::steady_clock::now();
    Totals totals;
    for (std::uint64_t i = 0; i < arguments.seeds && !totals.failed; ++i) {
        running_seed = arguments.from + i;
        Options options{arguments.from + i, arguments.batches, arguments.faults, arguments.verbose};
        const Outcome outcome = arguments.run(options);
        totals.add(outcome);
        if (outcome.held()) continue;
        totals.failed = true;
        options.verbose = false;
        totals.failure = shrink(options, arguments.run);
        totals.violation = arguments.run(totals.failure).violation;
    }
    totals.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    return totals;
}

void print_json(const Totals& t) {
    std::string faults;
    for (std::size_t i = 0; i < kFaults; ++i) {
        faults += fmt::format("{}\"{}\": {}", i == 0 ? "" : ", ", kFaultNames[i], t.faults[i]);
    }
    fmt::print("{{\"seeds\": {}, \"events\": {}, \"faults\": {{{}}}, \"books_checked\": {}, \"exact\": {}, "
               "\"flagged\": {}, \"wrong\": {}, \"seconds\": {:.3f}, \"failed_seed\": {}}}\n",
               t.seeds, t.tally.events, faults, t.tally.books_checked, t.tally.exact, t.tally.flagged, t.tally.wrong,
               t.seconds, t.failed ? fmt::to_string(t.failure.seed) : "null");
}

void print_text(const Totals& t) {
    fmt::print("{} seeds, {} events, {} books checked: {} exact, {} flagged, {} wrong; {:.1f} s, {:.2f} ms a seed\n",
               t.seeds, t.tally.events, t.tally.books_checked, t.tally.exact, t.tally.flagged, t.tally.wrong, t.seconds,
               t.seconds * 1000 / static_cast<double>(std::max<std::uint64_t>(t.seeds, 1)));
    for (std::size_t i = 0; i < kFaults; ++i) fmt::print("  {:<16} {}\n", kFaultNames[i], t.faults[i]);
}

int hunt(const Arguments& arguments) {
    bool all_caught = true;
    for (const BugInfo& info : bugs()) {
        if (arguments.bug != "all" && arguments.bug != info.name) continue;
        std::string violation;
        const auto seed = catch_bug(info, arguments.from, arguments.seeds, &violation);
        all_caught = all_caught && seed.has_value();
        if (seed) fmt::print("{} caught by seed {}\n", info.name, *seed);
        else fmt::print("{} escaped\n", info.name);
        if (arguments.verbose) fmt::print(stderr, "  {}: {}\n", info.meaning, violation);
    }
    return all_caught ? 0 : 1;
}

FaultMask parse_faults(const std::string& text) {
    if (text == "all") return kAllFaults;
    FaultMask mask = 0;
    for (std::size_t at = 0; text != "none" && at <= text.size();) {
        const std::size_t comma = std::min(text.find(',', at), text.size());
        const auto name = std::string_view(text).substr(at, comma - at);
        const auto found = std::find(kFaultNames.begin(), kFaultNames.end(), name);
        if (found == kFaultNames.end()) throw CLI::ValidationError("--faults", fmt::format("no fault '{}'", name));
        mask |= FaultMask{1} << (found - kFaultNames.begin());
        at = comma + 1;
    }
    return mask;
}

const BugInfo& known_bug(const std::string& name) {
    const BugInfo* bug = find_bug(name);
    if (bug == nullptr) throw CLI::ValidationError(fmt::format("no bug '{}'; --list-bugs names them", name));
    return *bug;
}

std::vector<std::string> venues() {
    std::vector<std::string> names;
    for (const SimulatedVenue& venue : simulated_venues()) names.emplace_back(venue.name);
    return names;
}

int simulate(const Arguments& arguments) {
    if (!arguments.bug.empty()) return hunt(arguments);
    name_crashing_seeds();
    const Totals totals = run_seeds(arguments);
    if (arguments.json) print_json(totals);
    else print_text(totals);
    if (!totals.failed) return 0;
    const std::string again = fmt::format("--venue {} --seeds 1 --from {} --batches {} --faults {} --verbose",
                                          arguments.venue, totals.failure.seed, totals.failure.batches_max,
                                          text_of(totals.failure.faults));
    fmt::print(stderr, "simulate: seed {} fails: {}\nsimulate: again, shrunk: ./tools/simulate {}\n",
               totals.failure.seed, totals.violation, again);
    return 1;
}

}  // namespace

int main(int argc, char** argv) {
    Arguments arguments;
    std::string faults = "all";
    std::string plant;
    bool list = false;
    CLI::App app{"Simulates the whole path by seed and checks that no book is ever silently wrong."};
    app.add_option("--seeds", arguments.seeds, "how many seeds to run")
        ->check(tools::count())
        ->capture_default_str();
    app.add_option("--from", arguments.from, "the first seed, any unsigned 64-bit number; behind the last comes 0")
        ->check(tools::count())
        ->capture_default_str();
    app.add_option("--venue", arguments.venue, "whose feed")->check(CLI::IsMember(venues()))->capture_default_str();
    app.add_flag("--json", arguments.json, "one JSON object on stdout");
    app.add_option("--bug", arguments.bug, "plant this bug, or each in turn with 'all', until a seed catches it");
    app.add_option("--plant", plant, "run the seeds with this bug, to see what a violation looks like");
    app.add_flag("--list-bugs", list, "name the bugs that can be planted");
    app.add_flag("--verbose", arguments.verbose, "every event to stderr");
    app.add_option("--batches", arguments.batches, "at most so many batches of messages before faults end");
    app.add_option("--faults", faults, "only these kinds, separated by commas; all or none")->capture_default_str();
    try {
        app.parse(argc, argv);
        arguments.faults = parse_faults(faults);
        arguments.run = run_of(arguments.venue);
        if (!plant.empty()) planted_bug = known_bug(plant).bug;
        if (!arguments.bug.empty() && arguments.bug != "all") static_cast<void>(known_bug(arguments.bug));
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;
    }
    if (list) {
        for (const BugInfo& info : bugs()) fmt::print("{:<26} {}\n", info.name, info.meaning);
        return 0;
    }
    return simulate(arguments);
}
