#include "qualify/report.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "millrace/core/error.hpp"

namespace millrace::tools {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kPercents[] = {50, 90, 99, 99.9, 99.99};
// A percentile with fewer samples beyond it than this is chance.
constexpr double kSamplesBeyond = 10;
constexpr double kStolenMax = 0.5;  // percent of the cores' time
constexpr double kKneeFactor = 10;
constexpr double kKeptUp = 0.98;  // of the offered rate

Json histogram_json(const Histogram& histogram) {
    Json buckets = Json::array();
    histogram.for_each_bucket([&](std::uint64_t up_to, std::uint64_t count) { buckets.push_back({up_to, count}); });
    Json json{{"samples", histogram.total()}};
    for (const double percent : kPercents) json[fmt::format("p{}_ns", percent)] = histogram.percentile(percent);
    json["max_ns"] = histogram.max();
    json["buckets"] = std::move(buckets);
    return json;
}

std::string percentiles_text(const Histogram& histogram) {
    std::string text;
    for (const double percent : kPercents) {
        text += fmt::format(" {:>9}", duration_text(static_cast<double>(histogram.percentile(percent))));
    }
    return text + fmt::format(" {:>9}", duration_text(static_cast<double>(histogram.max())));
}

std::string rate_row(const std::string& name, double rate, const Histogram& latency) {
    return fmt::format("{:<12} {:>9.0f}/s{}\n", name, rate, percentiles_text(latency));
}

void csv_rows(std::string& text, const std::string& run, int multiple, double rate, const Histogram& histogram) {
    histogram.for_each_bucket([&](std::uint64_t up_to, std::uint64_t count) {
        text += fmt::format("{},{},{:.0f},{},{}\n", run, multiple, rate, up_to, count);
    });
}

}  // namespace

std::string duration_text(double ns) {
    if (ns < 1e3) return fmt::format("{:.0f} ns", ns);
    if (ns < 1e6) return fmt::format("{:.{}f} us", ns / 1e3, ns < 1e4 ? 1 : 0);
    if (ns < 1e9) return fmt::format("{:.{}f} ms", ns / 1e6, ns < 1e7 ? 1 : 0);
    return fmt::format("{:.1f} s", ns / 1e9);
}

const RateRun& Qualification::headline() const {
    for (const RateRun& run : rates) {
        if (run.multiple == kHeadlineMultiple) return run;
    }
    MILLRACE_VERIFY(!rates.empty());
    return rates.front();
}

const RateRun* Qualification::knee() const {
    if (rates.empty()) return nullptr;
    const double bound = kKneeFactor * static_cast<double>(rates.front().result.latency.percentile(99));
    const RateRun* best = nullptr;
    for (const RateRun& run : rates) {
        const bool kept_up = run.result.achieved >= kKeptUp * run.result.offered;
        if (!kept_up || static_cast<double>(run.result.latency.percentile(99)) > bound) break;
        best = &run;
    }
    return best;
}

std::vector<std::string> Qualification::doubts() const {
    std::vector<std::string> doubts = remarks;
    const Histogram& path = headline().result.latency;
    for (const double percent : {99.0, 99.9}) {
        const auto floor = static_cast<double>(control.latency.percentile(percent));
        const auto ours = static_cast<double>(path.percentile(percent));
        if (2 * floor > ours) {
            doubts.push_back(fmt::format("a thread with nothing to do was {} late at p{}, where the path took {}: the "
                                         "figure is the host's",
                                         duration_text(floor), percent, duration_text(ours)));
            break;
        }
    }
    const RateRun& run = headline();
    if (static_cast<double>(run.preemptions) > 10 * run.result.seconds) {
        doubts.push_back(fmt::format("other work took the core {} times in {:.1f} s", run.preemptions, run.result.seconds));
    }
    if (stolen_percent > kStolenMax) {
        doubts.push_back(fmt::format("the hypervisor gave {:.1f} % of the cores' time to others", stolen_percent));
    }
    if (static_cast<double>(path.total()) * 0.001 < kSamplesBeyond) {
        doubts.push_back(fmt::format("{} packets are too few for a p99.9", path.total()));
    }
    if (balance != 0) doubts.push_back(fmt::format("the ledger does not balance ({})", balance));
    return doubts;
}

std::string as_text(const Qualification& found) {
    std::string text = fmt::format("input      {}, CRC-32 {:08x}\ndigest     {}\nhost       {}, Linux {}, core {} of {}, {} pages, {}\n",
                                   found.input, found.input_checksum, found.digest.text(), found.host.cpu, found.host.kernel, found.host.core,
                                   found.host.cores, found.host.pages, found.host.backend);
    text += fmt::format("clock      {:.0f} ns to read it\nflat out   {:.0f} packets/s, {:.0f} messages/s\n\n", found.clock_ns,
                        found.flat_out, found.flat_out_messages);
    text += fmt::format("{:<12} {:>11} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}\n", "", "rate", "p50", "p90", "p99", "p99.9",
                        "p99.99", "max");
    text += rate_row("no work", found.control.offered, found.control.latency);
    for (const RateRun& run : found.rates) {
        text += rate_row(fmt::format("{}x", run.multiple), run.result.offered, run.result.latency);
    }
    for (const SocketRun& run : found.sockets) text += rate_row("socket", run.packets_per_second, run.latency);
    if (found.sockets.empty()) text += fmt::format("socket       left out: {}\n", found.no_sockets);
    text += '\n';
    if (const RateRun* knee = found.knee()) {
        text += fmt::format("knee       {:.0f} packets/s ({}x)\n", knee->result.offered, knee->multiple);
    } else {
        text += "knee       below 1x\n";
    }
    const std::vector<std::string> doubts = found.doubts();
    if (!doubts.empty()) return text + fmt::format("not credible: {}\n", fmt::join(doubts, "; "));
    const RateRun& run = found.headline();
    return text + fmt::format("from due to book at {:.0f} packets/s: p50 {}, p99 {}, p99.9 {} of {} packets\n",
                              run.result.offered, duration_text(static_cast<double>(run.result.latency.percentile(50))),
                              duration_text(static_cast<double>(run.result.latency.percentile(99))),
                              duration_text(static_cast<double>(run.result.latency.percentile(99.9))),
                              run.result.packets);
}

std::string as_json(const Qualification& found) {
    const std::vector<std::string> doubts = found.doubts();
    Json json{{"credible", doubts.empty()}, {"doubts", doubts}, {"input", found.input},
              {"input_crc32", fmt::format("{:08x}", found.input_checksum)},
              {"digest", found.digest.text()}, {"balance", found.balance}};
    json["host"] = {{"cpu", found.host.cpu}, {"kernel", found.host.kernel}, {"compiler", found.host.compiler},
                    {"flags", found.host.flags}, {"pages", found.host.pages}, {"backend", found.host.backend},
                    {"core", found.host.core}, {"cores", found.host.cores}, {"command", found.host.command},
                    {"stolen_percent", found.stolen_percent}};
    json["clock_ns"] = found.clock_ns;
    json["gaps"] = histogram_json(found.gaps);
    json["flat_out_packets_per_second"] = found.flat_out;
    json["flat_out_messages_per_second"] = found.flat_out_messages;
    json["control"] = {{"packets_per_second", found.control.offered}, {"latency", histogram_json(found.control.latency)}};
    const RateRun* knee = found.knee();
    json["knee_packets_per_second"] = knee == nullptr ? Json() : Json(knee->result.offered);
    json["rates"] = Json::array();
    for (const RateRun& run : found.rates) {
        json["rates"].push_back({{"multiple", run.multiple}, {"packets_per_second", run.result.offered},
                                 {"achieved_packets_per_second", run.result.achieved},
                                 {"preemptions", run.preemptions}, {"latency", histogram_json(run.result.latency)}});
    }
    json["sockets"] = Json::array();
    for (const SocketRun& run : found.sockets) {
        json["sockets"].push_back({{"packets_per_second", run.packets_per_second}, {"sent", run.sent},
                                   {"lost", run.lost}, {"latency", histogram_json(run.latency)}});
    }
    json["seconds"] = found.seconds;
    // A file's name may be of any bytes.
    return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string as_csv(const Qualification& found) {
    std::string text = "run,multiple,packets_per_second,latency_ns_up_to,packets\n";
    csv_rows(text, "gaps", 0, 0, found.gaps);
    csv_rows(text, "control", kHeadlineMultiple, found.control.offered, found.control.latency);
    for (const RateRun& run : found.rates) {
        csv_rows(text, "memory", run.multiple, run.result.offered, run.result.latency);
    }
    for (const SocketRun& run : found.sockets) csv_rows(text, "socket", 0, run.packets_per_second, run.latency);
    return text;
}

}  // namespace millrace::tools
