// Runs the claims: repetitions of ours and of the baseline in turns, a table, JSON, and a look at the run before.
// What one repetition measured are its counters, one for each figure; a figure's ratio is the median over pairs.
#include "bench/claims.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace millrace::bench {
namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

std::vector<Claim>& claims() {
    static std::vector<Claim> all;
    return all;
}

// By figure.
using Figures = std::map<std::string, double>;

// Takes the counters of the one repetition it is shown.
class Taker : public benchmark::BenchmarkReporter {
  public:
    bool ReportContext(const Context&) override { return true; }
    void ReportRuns(const std::vector<Run>& runs) override {
        for (const Run& run : runs) {
            if (run.error_occurred) error = run.error_message;
            for (const auto& [name, counter] : run.counters) figures[name] = counter.value;
        }
    }
    Figures figures;
    std::string error;
};

std::string side_name(const Claim& claim, bool ours) { return claim.name + (ours ? "/ours" : "/baseline"); }

// Throws with the reason when the side found its own result wrong.
Figures run_side(const Claim& claim, bool ours) {
    if (!ours && claim.baseline == nullptr) {
        Figures constant;
        for (const std::string& figure : claim.figures) constant[figure] = claim.constant;
        return constant;
    }
    Taker taker;
    std::string exact = "^";
    for (const char c : side_name(claim, ours)) exact += std::strchr("()[]{}.*+?^$|\\", c) != nullptr ? '.' : c;
    benchmark::RunSpecifiedBenchmarks(&taker, exact + "/iterations:1$");
    for (const std::string& figure : claim.figures) {
        if (taker.error.empty() && !taker.figures.contains(figure)) taker.error = "no figure";
    }
    if (!taker.error.empty()) throw std::runtime_error(side_name(claim, ours) + ": " + taker.error);
    return taker.figures;
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    const std::size_t middle = values.size() / 2;
    return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

// Pairs of runs, ours and the baseline's.
using Pairs = std::vector<std::pair<Figures, Figures>>;

Json row_of(const Claim& claim, const std::string& figure, const Pairs& pairs) {
    std::vector<double> ours;
    std::vector<double> baseline;
    std::vector<double> ratios;
    for (const auto& [one, other] : pairs) {
        ours.push_back(one.at(figure));
        baseline.push_back(other.at(figure));
        ratios.push_back(ours.back() / baseline.back());
    }
    const std::string name = figure.empty() ? claim.name : claim.name + ", " + figure;
    const double ratio = median(ratios);
    std::fprintf(stderr, "  %s: %zu pairs, ratios %.3f to %.3f, minima %.4g and %.4g\n", name.c_str(), ratios.size(),
                 *std::min_element(ratios.begin(), ratios.end()), *std::max_element(ratios.begin(), ratios.end()),
                 *std::min_element(ours.begin(), ours.end()), *std::min_element(baseline.begin(), baseline.end()));
    return {{"claim", name}, {"value", median(ours)}, {"unit", claim.unit}, {"baseline", median(baseline)},
            {"ratio", ratio}, {"goal", claim.goal}, {"met", ratio <= claim.goal}};
}

void measure(const Claim& claim, int pairs_max, Clock::time_point deadline, Json& rows) {
    Pairs pairs;
    while (static_cast<int>(pairs.size()) < pairs_max && (pairs.empty() || Clock::now() < deadline)) {
        // Every second pair runs the other way round, so that drift hits both.
        const bool first = pairs.size() % 2 == 0;
        Figures one = run_side(claim, first);
        Figures two = run_side(claim, !first);
        pairs.emplace_back(first ? one : two, first ? two : one);
    }
    for (const std::string& figure : claim.figures) rows.push_back(row_of(claim, figure, pairs));
}

struct Options {
    bool json = false;
    bool quick = false;
    bool list = false;
    std::string name;
    std::string last;  // file of the run before
    std::string one_side;
};

std::map<std::string, double> ratios_of_last_run(const std::string& path) {
    std::map<std::string, double> ratios;
    std::ifstream file(path);
    const Json rows = Json::parse(file, nullptr, false);
    if (!rows.is_array()) return ratios;
    for (const Json& row : rows) ratios[row.value("claim", "")] = row.value("ratio", 0.0);
    return ratios;
}

// This run's rows, and those of claims that only earlier runs measured.
void keep(const std::string& path, const Json& rows) {
    std::ifstream before(path);
    Json all = rows;
    const Json old = Json::parse(before, nullptr, false);
    if (old.is_array()) {
        for (const Json& row : old) {
            const auto same = [&](const Json& r) { return r["claim"] == row.value("claim", ""); };
            if (std::none_of(rows.begin(), rows.end(), same)) all.push_back(row);
        }
    }
    std::ofstream file(path);
    file << all.dump(1) << '\n';
    file.close();
    if (!file) std::fprintf(stderr, "bench: %s cannot be written, and this run not compared with\n", path.c_str());
}

void print_table(const Json& rows, const std::map<std::string, double>& before) {
    fmt::print("{:44} {:>10} {:>10} {:16} {:>7} {:>6} {:8} {}\n", "claim", "value", "baseline", "unit", "ratio",
               "goal", "met", "last time");
    for (const Json& row : rows) {
        const auto last = before.find(row["claim"].get<std::string>());
        fmt::print("{:44} {:10.4g} {:10.4g} {:16} {:7.3f} {:6.3g} {:8} {}\n", row["claim"].get<std::string>(),
                   row["value"].get<double>(), row["baseline"].get<double>(), row["unit"].get<std::string>(),
                   row["ratio"].get<double>(), row["goal"].get<double>(), row["met"].get<bool>() ? "met" : "not met",
                   last == before.end() ? "-" : fmt::format("{:.3f}", last->second));
    }
}

int run(const Options& options) {
    const auto deadline = options.quick ? Clock::now() + std::chrono::seconds(34) : Clock::time_point::max();
    Json rows = Json::array();
    bool any = false;
    bool failed = false;
    for (const Claim& claim : claims()) {
        if (claim.name.find(options.name) == std::string::npos || (options.quick && !claim.quick)) continue;
        any = true;
        if (const std::string why = claim.missing == nullptr ? "" : claim.missing(); !why.empty()) {
            std::fprintf(stderr, "  %s: left out: %s\n", claim.name.c_str(), why.c_str());
            continue;
        }
        if (options.quick && !rows.empty() && Clock::now() > deadline) {
            std::fprintf(stderr, "  %s: left out: no time left for it in --quick\n", claim.name.c_str());
            continue;
        }
        try {
            measure(claim, options.quick ? 2 : claim.pairs, deadline, rows);
        } catch (const std::exception& e) {
            std::fprintf(stderr, "  %s: FAILED: %s\n", claim.name.c_str(), e.what());
            failed = true;
        }
    }
    if (!any) {
        std::fprintf(stderr, "bench: no claim has \"%s\" in its name; see --list\n", options.name.c_str());
        return 2;
    }
    const auto before = ratios_of_last_run(options.last);
    if (options.json) fmt::print("{}\n", rows.dump(1));
    else print_table(rows, before);
    if (!options.last.empty()) keep(options.last, rows);
    if (std::fflush(stdout) != 0) {
        std::perror("bench: standard output");
        failed = true;
    }
    return failed ? 1 : 0;
}

// One repetition of one side and nothing else: for callgrind and profilers.
int run_one(const std::string& name) {
    for (const Claim& claim : claims()) {
        for (const bool ours : {true, false}) {
            if (side_name(claim, ours) != name) continue;
            for (const auto& [figure, value] : run_side(claim, ours)) {
                fmt::print("{}{}{} {:.4g} {}\n", name, figure.empty() ? "" : ", ", figure, value, claim.unit);
            }
            return 0;
        }
    }
    std::fprintf(stderr, "bench: no side is called %s; see --list\n", name.c_str());
    return 2;
}

}  // namespace

Registered::Registered(Claim claim) {
    benchmark::RegisterBenchmark(side_name(claim, true).c_str(), claim.ours)->Iterations(1);
    if (claim.baseline != nullptr) {
        benchmark::RegisterBenchmark(side_name(claim, false).c_str(), claim.baseline)->Iterations(1);
    }
    claims().push_back(std::move(claim));
}

}  // namespace millrace::bench

int main(int argc, char** argv) {
    using namespace millrace::bench;
    Options options;
    for (int i = 1; i < argc; ++i) {
        const std::string_view arg = argv[i];
        if (arg == "--json") options.json = true;
        else if (arg == "--quick") options.quick = true;
        else if (arg == "--list") options.list = true;
        else if (arg.rfind("--last=", 0) == 0) options.last = arg.substr(7);
        else if (arg.rfind("--side=", 0) == 0) options.one_side = arg.substr(7);
        else options.name = arg;
    }
    int none = 1;
    benchmark::Initialize(&none, argv);
    std::sort(claims().begin(), claims().end(), [](const Claim& a, const Claim& b) { return a.name < b.name; });
    if (options.list) {
        for (const Claim& claim : claims()) fmt::print("{}\n", claim.name);
        return 0;
    }
    return options.one_side.empty() ? run(options) : run_one(options.one_side);
}
