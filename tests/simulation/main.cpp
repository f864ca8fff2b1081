// The command behind tools/simulate: runs seeds, hunts planted bugs, replays one seed for a debugger.
#include <signal.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "tests/simulation/bugs.hpp"
#include "tools/checks.hpp"
#include "tools/console.hpp"
#include "tools/progress.hpp"
#include "tools/signals.hpp"

namespace {

using namespace millrace;
using namespace millrace::sim;

struct Arguments {
    std::uint64_t seeds = 1000;
    std::uint64_t from = 1;
    bool json = false;
    std::string venue = "nasdaq-itch50";
    std::optional<std::string> bug;
    std::optional<std::string> plant;
    bool list_bugs = false;
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

// Long runs: how far they are, and whether to go on.
class Watch {
  public:
    explicit Watch(bool draws) {
        if (draws) progress_.emplace("simulate");
    }

    // `part` of `parts` are done; `seeds` more are run if it says yes.
    [[nodiscard]] bool keep_on(std::uint64_t part, std::uint64_t parts, std::uint64_t seeds) {
        if (signals_.stopped()) return false;
        if (progress_) progress_->update(part, parts, seeds_, "seeds");
        seeds_ += seeds;
        return true;
    }
    // Takes the line away while something else is written.
    void clear() {
        if (progress_) progress_->clear();
    }
    // 0, or what a process ends with that a signal ended.
    [[nodiscard]] int end() {
        progress_.reset();
        if (signals_.signal() == 0) return 0;
        fmt::print(stderr, "simulate: interrupted after {} seeds\n", seeds_);
        return 128 + signals_.signal();
    }

  private:
    tools::StopSignals signals_;
    std::optional<tools::Progress> progress_;
    std::uint64_t seeds_ = 0;
};

Totals run_seeds(const Arguments& arguments, Watch& watch) {
    const auto begin = std::chrono::steady_clock::now();
    Totals totals;
    for (std::uint64_t i = 0; i < arguments.seeds && !totals.failed && watch.keep_on(i, arguments.seeds, 1); ++i) {
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

std::string json_of(const Totals& t) {
    std::string faults;
    for (std::size_t i = 0; i < kFaults; ++i) {
        faults += fmt::format("{}\"{}\": {}", i == 0 ? "" : ", ", kFaultNames[i], t.faults[i]);
    }
    return fmt::format(
        "{{\"seeds\": {}, \"events\": {}, \"faults\": {{{}}}, \"books_checked\": {}, \"exact\": {}, "
        "\"flagged\": {}, \"wrong\": {}, \"seconds\": {:.3f}, \"failed_seed\": {}}}\n",
        t.seeds, t.tally.events, faults, t.tally.books_checked, t.tally.exact, t.tally.flagged, t.tally.wrong,
        t.seconds, t.failed ? fmt::to_string(t.failure.seed) : "null");
}

std::string report_of(const Totals& t) {
    std::string text = fmt::format(
        "{} seeds, {} events, {} books checked: {} exact, {} flagged, {} wrong; {:.1f} s, {:.2f} ms a seed\n", t.seeds,
        t.tally.events, t.tally.books_checked, t.tally.exact, t.tally.flagged, t.tally.wrong, t.seconds,
        t.seconds * 1000 / static_cast<double>(std::max<std::uint64_t>(t.seeds, 1)));
    for (std::size_t i = 0; i < kFaults; ++i) text += fmt::format("  {:<16} {}\n", kFaultNames[i], t.faults[i]);
    return text;
}

// A bug of which not all seeds could be run has neither been caught nor escaped.
int hunt(const Arguments& arguments, Watch& watch) {
    std::vector<BugInfo> hunted;
    for (const BugInfo& info : bugs()) {
        if (*arguments.bug == "all" || *arguments.bug == info.name) hunted.push_back(info);
    }
    bool all_caught = true;
    for (std::size_t i = 0; i < hunted.size() && watch.keep_on(i, hunted.size(), 0); ++i) {
        const BugInfo& info = hunted[i];
        std::string violation;
        bool whole = true;
        const auto keep_on = [&] { return whole = watch.keep_on(i, hunted.size(), 1); };
        const auto seed = catch_bug(info, arguments.from, arguments.seeds, &violation, keep_on);
        if (!seed && !whole) break;
        all_caught = all_caught && seed.has_value();
        watch.clear();
        tools::write_result(seed ? fmt::format("{} caught by seed {}\n", info.name, *seed)
                                 : fmt::format("{} escaped\n", info.name));
        if (arguments.verbose) fmt::print(stderr, "  {}: {}\n", info.meaning, violation);
    }
    const int interrupted = watch.end();
    return !all_caught ? 1 : interrupted;
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

// Refuses names of no bug.
CLI::Validator bug_name(bool or_all) {
    return {[or_all](std::string& name) {
                if (find_bug(name) != nullptr || (or_all && name == "all")) return std::string();
                return fmt::format("no bug '{}'; --list-bugs names them", name);
            },
            or_all ? "NAME or all" : "NAME"};
}

std::vector<std::string> venues() {
    std::vector<std::string> names;
    for (const SimulatedVenue& venue : simulated_venues()) names.emplace_back(venue.name);
    return names;
}

std::string list_of_bugs() {
    std::string text;
    for (const BugInfo& info : bugs()) text += fmt::format("{:<26} {}\n", info.name, info.meaning);
    return text;
}

int simulate(const Arguments& arguments) {
    if (arguments.list_bugs) {
        tools::write_result(list_of_bugs());
        return 0;
    }
    Watch watch(!arguments.verbose);
    if (arguments.bug) return hunt(arguments, watch);
    if (arguments.plant) planted_bug = find_bug(*arguments.plant)->bug;
    name_crashing_seeds();
    const Totals totals = run_seeds(arguments, watch);
    const int interrupted = watch.end();
    tools::write_result(arguments.json ? json_of(totals) : report_of(totals));
    if (!totals.failed) return interrupted;
    const std::string again = fmt::format("{}--venue {} --seeds 1 --from {} --batches {} --faults {} --verbose",
                                          arguments.plant ? "--plant " + *arguments.plant + " " : "", arguments.venue,
                                          totals.failure.seed, totals.failure.batches_max,
                                          text_of(totals.failure.faults));
    fmt::print(stderr, "simulate: seed {} fails: {}\nsimulate: again, shrunk: ./tools/simulate {}\n",
               totals.failure.seed, totals.violation, again);
    return 1;
}

// Options that another one would have ignored exclude each other.
void add_options(CLI::App& app, Arguments& arguments, std::string& faults) {
    app.add_option("--seeds", arguments.seeds, "how many seeds to run")->check(tools::count(1))->capture_default_str();
    app.add_option("--from", arguments.from, "the first seed, any unsigned 64-bit number; behind the last comes 0")
        ->check(tools::count())
        ->capture_default_str();
    auto* venue = app.add_option("--venue", arguments.venue, "whose feed")
                      ->check(CLI::IsMember(venues()))
                      ->capture_default_str();
    auto* json = app.add_flag("--json", arguments.json, "one JSON object on stdout");
    auto* bug = app.add_option("--bug", arguments.bug,
                               "plant this bug, or each in turn with 'all', until a seed of its venue catches it");
    auto* plant = app.add_option("--plant", arguments.plant,
                                 "run the seeds with this bug, to see what a violation looks like");
    bug->check(bug_name(true));
    plant->check(bug_name(false));
    auto* list = app.add_flag("--list-bugs", arguments.list_bugs, "name the bugs that can be planted");
    app.add_flag("--verbose", arguments.verbose, "every event to stderr");
    auto* batches = app.add_option("--batches", arguments.batches,
                                   "at most so many batches of messages before faults end");
    batches->check(tools::count());
    auto* kinds = app.add_option("--faults", faults, "only these kinds, separated by commas; all or none")
                      ->capture_default_str();
    for (CLI::Option* ignored : {venue, json, plant, batches, kinds}) {
        bug->excludes(ignored);
        list->excludes(ignored);
    }
    list->excludes(bug);
}

int run(int argc, char** argv) {
    Arguments arguments;
    std::string faults = "all";
    CLI::App app{"Simulates the whole path by seed and checks that no book is ever silently wrong."};
    add_options(app, arguments, faults);
    try {
        app.parse(argc, argv);
        arguments.faults = parse_faults(faults);
        arguments.run = run_of(arguments.venue);
    } catch (const CLI::Success& help) {
        std::ostringstream text;
        const int code = app.exit(help, text, text);
        tools::write_result(text.str());
        return code;
    } catch (const CLI::ParseError& error) {
        fmt::print(stderr, "simulate: {} (see ./tools/simulate --help)\n", error.what());
        return static_cast<int>(ExitCode::usage);
    }
    return simulate(arguments);
}

}  // namespace

int main(int argc, char** argv) {
    tools::prepare_console();
    try {
        return run(argc, argv);
    } catch (const Error& error) {
        fmt::print(stderr, "simulate: {}\n", error.what());
        return static_cast<int>(error.code());
    }
}
