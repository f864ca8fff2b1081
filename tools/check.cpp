// millrace check: whether what a broker or a file holds of a feed's streams is all that was sent.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "command.hpp"
#include "console.hpp"
#include "millrace/core/error.hpp"
#include "millrace/feed/streams/checker.hpp"
#include "millrace/feed/streams/edges.hpp"
#include "progress.hpp"
#include "signals.hpp"
#include "stream_intake.hpp"
#include "summary.hpp"

namespace millrace::tools {

namespace {

using streams::Completeness;

struct CheckOptions {
    std::string source;
    bool json = false;
    bool ended = false;
};

struct Checked {
    streams::StreamChecker checker;
    std::uint64_t foreign = 0;  // batches without an envelope
    std::vector<streams::SourceCounter> source;
    std::string problem;  // why reading broke off; empty when it came to the end
};

// Of DBN, or the lines of JSON and CSV.
std::uint64_t payload_records(std::span<const std::uint8_t> payload) {
    constexpr std::string_view kMagic = "DBN";
    if (payload.size() >= kMagic.size() && std::equal(kMagic.begin(), kMagic.end(), payload.begin()))
        return records_in(payload);
    const auto lines = std::count(payload.begin(), payload.end(), std::uint8_t{'\n'});
    const bool open = !payload.empty() && payload.back() != '\n';
    return static_cast<std::uint64_t>(lines) + (open ? 1 : 0);
}

streams::Url url_of(const std::string& text) {
    if (streams::looks_like_url(text)) return streams::parse_url(text);
    return streams::parse_url("file://" + std::filesystem::absolute(text).string());
}

Checked read(const streams::Url& url) {
    constexpr int kWaitMs = 100;
    StopSignals signals;
    Progress progress("check");
    Checked checked;
    const std::unique_ptr<streams::Source> source = streams::make_source(url);
    streams::Received received;
    while (!signals.stopped()) {
        const streams::Source::Next next = source->next(kWaitMs, received);
        if (next == streams::Source::Next::failed) {
            checked.problem = source->problem();
            if (checked.checker.streams() == 0) throw Error(code_of_failed(url), checked.problem);
            break;
        }
        if (next == streams::Source::Next::end) break;
        if (next == streams::Source::Next::none) continue;
        if (received.has_envelope) {
            checked.checker.on_batch(received.envelope, received.payload,
                                     payload_records(received.payload));
        } else {
            ++checked.foreign;
        }
        progress.update(0, 0, checked.checker.totals().records, "records");
    }
    progress.clear();
    checked.source = source->counters();
    if (checked.problem.empty()) source->close();
    return checked;
}

std::vector<Named> counters_of(const Checked& checked) {
    const streams::CheckedTotals& t = checked.checker.totals();
    std::vector<Named> all{{"batches", t.batches},       {"streams", checked.checker.streams()},
                           {"records", t.records},       {"missing", t.missing},
                           {"conflated", t.conflated},   {"left_out", t.left_out},
                           {"lost", t.lost()},           {"late", t.late},
                           {"duplicates", t.duplicates}, {"damaged", t.damaged},
                           {"superseded", t.superseded}, {"restarts", t.restarts},
                           {"open", checked.checker.open()}, {"foreign", checked.foreign}};
    for (const streams::SourceCounter& counter : checked.source)
        all.emplace_back(counter.name, counter.count);
    return all;
}

void report(const CheckOptions& options, const std::string& url, const Checked& checked,
            std::string_view verdict) {
    if (options.json) {
        nlohmann::ordered_json out;
        out["url"] = url;
        for (const auto& [name, count] : counters_of(checked)) out[std::string(name)] = count;
        out["verdict"] = verdict;
        return write_result(out.dump() + "\n");
    }
    std::string text = fmt::format("{}\n", url);
    for (const auto& [name, count] : counters_of(checked))
        text += fmt::format("  {:<12} {}\n", name, count);
    write_result(text + fmt::format("{}\n", verdict));
}

ExitCode run_check(const CheckOptions& options) {
    const streams::Url url = url_of(options.source);
    const Checked checked = read(url);
    const streams::StreamChecker& checker = checked.checker;
    const Completeness completeness = checker.totals().completeness();
    // Of what was not read nothing is known.
    report(options, url.text(), checked, checked.problem.empty() ? name(completeness) : "unfinished");
    if (checked.foreign != 0)
        tell("{}: {} messages without an envelope, of which nothing can be told", url.text(), checked.foreign);
    if (checker.streams() == 0) tell("{}: nothing there to check", url.text());
    const bool open = options.ended && checker.open() != 0;
    if (open) tell("{}: {} streams have no end mark", url.text(), checker.open());
    if (!checked.problem.empty()) {
        tell("{}; the counts are of what came before", checked.problem);
        return code_of_failed(url);
    }
    const bool good = completeness != Completeness::broken && checked.foreign == 0 &&
                      checker.streams() != 0 && !open;
    return good ? ExitCode::ok : ExitCode::failure;
}

}  // namespace

void add_check(CLI::App& app, Run& run) {
    auto options = std::make_shared<CheckOptions>();
    CLI::App* command = app.add_subcommand(
        "check", "Prove a feed's streams in a broker or file complete, or say what is missing");
    command->add_option("URL", options->source, "a stream's URL, or a file that file:// wrote")
        ->required();
    command->add_flag("--ended", options->ended, "also ask that every stream has its end mark");
    command->add_flag("--json", options->json, "print one JSON object");
    command->footer("The verdict is the weakest that holds:\n"
                    "  complete   every record is there\n"
                    "  conflated  but book records that newer ones replaced, which the sender counted\n"
                    "  counted    but records that the sender left out, and counted\n"
                    "  broken     records were lost on the way, or are damaged; ends with 1\n"
                    "  unfinished reading broke off, and what was not read is not known; ends with 5 or 11");
    command->callback([options, &run] { run = [options] { return run_check(*options); }; });
}

}  // namespace millrace::tools
