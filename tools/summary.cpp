#include "summary.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace millrace::tools {

namespace {

// Keys in the order they are documented.
using Json = nlohmann::ordered_json;

Json object_of(const std::vector<Named>& numbers) {
    Json out = Json::object();
    for (const auto& [name, number] : numbers) out[name] = number;
    return out;
}

// Where each decoded message went.
std::vector<Named> ledger_of(const FeedSummary& feed) {
    std::vector<Named> ledger;
    for (std::size_t i = 0; i < kMessageCounters.size(); ++i) {
        ledger.emplace_back(kMessageCounters[i].name, feed.message_counters[static_cast<MessageCounter>(i)]);
    }
    return ledger;
}

Json json_of(const LineSummary& line) {
    const LineLead& lead = line.lead;
    const auto samples = static_cast<Nanoseconds>(lead.samples);
    Json out{{"name", line.name},
             {"received", line.received},
             {"lost", line.counters[LineCounter::lost]},
             {"duplicate", line.counters[LineCounter::duplicate]},
             {"malformed", line.counters[LineCounter::malformed]},
             {"first", line.counters[LineCounter::first]},
             {"only", line.counters[LineCounter::only]},
             {"stray", line.counters[LineCounter::stray]},
             {"excess", line.counters[LineCounter::excess]},
             {"excess_bytes", line.counters[LineCounter::excess_bytes]},
             {"ahead_ns_mean", samples == 0 ? 0 : lead.sum_ns / samples},
             {"ahead_ns_max", lead.max_ns},
             {"silences", line.silences}};
    if (!line.receiver.empty()) out["receiver"] = object_of(line.receiver);
    return out;
}

Json json_of(const SinkSummary& sink) {
    Json out{{"url", sink.name}};
    for (const auto& [name, number] : sink.ledger) out[name] = number;
    out["balance"] = sink.balance;
    for (const auto& [name, number] : sink.counters) out[name] = number;
    if (!sink.problem.empty()) out["problem"] = sink.problem;
    return out;
}

Json json_of(const RecordingSummary& recording) {
    Json out{{"file", recording.file}, {"packets", recording.packets}, {"lost", recording.lost}};
    if (!recording.problem.empty()) out["problem"] = recording.problem;
    return out;
}

Json json_of(const FeedSummary& feed) {
    Json lines = Json::array();
    for (const LineSummary& line : feed.lines) lines.push_back(json_of(line));
    Json gaps = Json::array();
    for (const Gap& gap : feed.gaps) {
        gaps.push_back({{"first", gap.missing.first},
                        {"last", gap.missing.last},
                        {"ended", name(gap.ended)}});
    }
    Json out{{"name", feed.name},
             {"venue", feed.venue},
             {"packets", feed.packets()},
             {"bytes", feed.bytes()},
             {"sessions", feed.sessions},
             {"restarts", feed.restarts},
             {"messages", feed.messages},
             {"by_type", object_of(feed.by_type)},
             {"lines", std::move(lines)},
             {"gaps", std::move(gaps)},
             {"drops", object_of(feed.drops())},
             {"faults", object_of(faults_of(feed))},
             {"ledger", object_of(ledger_of(feed))},
             {"balance", feed.balance()},
             {"quality", object_of(feed.quality)},
             {"digest", feed.digest.text()}};
    if (!feed.recovery.empty()) out["recovery"] = object_of(feed.recovery);
    for (const TroubleSummary& trouble : feed.troubles) {
        out["server_problems"].push_back(
            {{"server", trouble.server}, {"problem", trouble.problem}, {"times", trouble.times}});
    }
    if (!feed.backend.empty()) out["backend"] = feed.backend;
    if (feed.latency) {
        out["latency_ns"] = object_of(feed.latency->percentiles_ns);
        out["latency_ns"]["samples"] = feed.latency->samples;
        out["latency_ns"]["negative"] = feed.latency->negative;
    }
    if (feed.recording) out["recording"] = json_of(*feed.recording);
    for (const SinkSummary& sink : feed.sinks) out["sinks"].push_back(json_of(sink));
    if (feed.source) {
        out["source"] = object_of(feed.source->counters);
        out["source"]["url"] = feed.source->name;
        if (!feed.source->problem.empty()) out["source"]["problem"] = feed.source->problem;
    }
    return out;
}

// "3 this, 4 that", broken into lines that begin under the first one.
std::string listed(const std::vector<Named>& numbers) {
    constexpr std::size_t kIndent = 10;
    constexpr std::size_t kWidth = 100;
    std::string text;
    std::size_t column = kIndent;
    for (const auto& [name, number] : numbers) {
        if (number == 0) continue;
        const std::string entry = fmt::format("{} {}", number, name);
        if (!text.empty()) text += ",";
        if (column + entry.size() + 2 > kWidth) {
            text += "\n" + std::string(kIndent, ' ');
            column = kIndent;
        } else if (!text.empty()) {
            text += " ";
        }
        text += entry;
        column += entry.size() + 2;
    }
    return text.empty() ? "none" : text;
}

std::string gaps_text(const FeedSummary& feed) {
    constexpr std::size_t kShown = 10;
    std::vector<Named> ended;
    for (std::size_t end = 0; end < kGapEndNames.size(); ++end) {
        ended.emplace_back(kGapEndNames[end], feed.gaps_ended[end]);
    }
    std::string text = fmt::format("gaps      {}\n", listed(ended));
    const std::size_t from = feed.gaps.size() > kShown ? feed.gaps.size() - kShown : 0;
    if (from > 0) text += fmt::format("          the last {}:\n", kShown);
    for (std::size_t i = from; i < feed.gaps.size(); ++i) {
        const Gap& gap = feed.gaps[i];
        const std::string_view filler = gap.filled_by < feed.lines.size()
                                            ? std::string_view(feed.lines[gap.filled_by].name)
                                            : "";
        const bool filled = gap.ended == GapEnd::same_line || gap.ended == GapEnd::other_line;
        text += fmt::format("          {} to {} ({}), {}{}{} after {:.0f} us\n", gap.missing.first,
                            gap.missing.last, gap.missing.size(), name(gap.ended),
                            filled ? ": line " : "", filled ? filler : "",
                            static_cast<double>(gap.ended_at - gap.opened_at) / 1e3);
    }
    return text;
}

std::string text_of(const FeedSummary& feed) {
    std::string text = fmt::format("feed {} ({})\n", feed.name, feed.venue);
    text += fmt::format("{:<10}{:>12}{:>12}{:>12}{:>12}{:>12}{:>12}\n", "line", "packets",
                        "messages", "first", "lost", "duplicate", "malformed");
    for (const LineSummary& line : feed.lines) {
        const LineCounters& c = line.counters;
        text +=
            fmt::format("{:<10}{:>12}{:>12}{:>12}{:>12}{:>12}{:>12}\n", line.name, line.received,
                        c[LineCounter::messages], c[LineCounter::first], c[LineCounter::lost],
                        c[LineCounter::duplicate], c[LineCounter::malformed]);
    }
    if (feed.sessions + feed.restarts > 1) {
        text += fmt::format("sessions  {}\n", listed({{"entered", feed.sessions}, {"begun anew", feed.restarts}}));
    }
    text += fmt::format("messages  {}\n          {}\n", feed.messages, listed(feed.by_type));
    text += gaps_text(feed);
    if (!feed.recovery.empty()) text += fmt::format("recovery  {}\n", listed(feed.recovery));
    for (const TroubleSummary& trouble : feed.troubles) {
        text += fmt::format("server    {}: {}, {} times\n", trouble.server, trouble.problem, trouble.times);
    }
    text += fmt::format("drops     {}\n", listed(feed.drops()));
    text += fmt::format("ledger    {}\n", listed(ledger_of(feed)));
    text += fmt::format("faults    {}\n", listed(faults_of(feed)));
    text += fmt::format("books     {}\n", listed(feed.quality));
    if (feed.latency && feed.latency->samples != 0) {
        text += "latency  ";
        for (const auto& [percentile, ns] : feed.latency->percentiles_ns) {
            text += fmt::format(" {} {:.1f}", percentile, static_cast<double>(ns) / 1e3);
        }
        text += fmt::format(" us, wire to book, {} packets\n", feed.latency->samples);
    }
    if (feed.recording) text += fmt::format("recording {}\n", feed.recording->text());
    if (feed.source) {
        text += fmt::format("source    {}: {}\n", feed.source->name,
                            listed(feed.source->counters));
    }
    for (const SinkSummary& sink : feed.sinks) {
        text += fmt::format("sink      {}: {}\n          {}\n          balance {}\n", sink.name,
                            listed(sink.ledger), listed(sink.counters), sink.balance);
        if (!sink.problem.empty()) text += fmt::format("          {}\n", sink.problem);
    }
    text += fmt::format("digest    {}\nbalance   {}\n", feed.digest.text(), feed.balance());
    return text;
}

}  // namespace

LatencySummary summarise(const Histogram& latency) {
    constexpr std::array<double, 5> kPercentiles{50, 90, 99, 99.9, 99.99};
    LatencySummary out{latency.total(), latency.negative(), {{"min", latency.min()}}};
    for (const double percent : kPercentiles) {
        out.percentiles_ns.emplace_back(fmt::format("p{:g}", percent),
                                        latency.percentile(percent));
    }
    out.percentiles_ns.emplace_back("max", latency.max());
    return out;
}

std::vector<Named> faults_of(const FeedSummary& feed) {
    std::vector<Named> faults;
    for (std::size_t i = 0; i < kFaultCounters.size(); ++i) {
        faults.emplace_back(kFaultCounters[i].name, feed.faults[static_cast<FaultCounter>(i)]);
    }
    return faults;
}

std::string RecordingSummary::text() const {
    std::string text = fmt::format("{}: {} packets recorded, {} lost", file, packets, lost);
    if (!problem.empty()) return text + fmt::format(" ({})", problem);
    return lost == 0 ? text : text + " (the disk could not follow)";
}

std::uint64_t FeedSummary::packets() const {
    std::uint64_t sum = 0;
    for (const LineSummary& line : lines) sum += line.received;
    return sum;
}

std::uint64_t FeedSummary::bytes() const {
    std::uint64_t sum = 0;
    for (const LineSummary& line : lines) sum += line.counters[LineCounter::bytes];
    return sum;
}

std::vector<LineSummary> lines_of(const replay::Replayer& replayer) {
    std::vector<LineSummary> lines;
    for (std::size_t i = 0; i < replayer.lines().lines().size(); ++i) {
        const auto id = static_cast<LineId>(i);
        const replay::CapturedLine& captured = replayer.lines().lines()[i];
        LineSummary& line = lines.emplace_back();
        line.name = replayer.lines().name(id);
        line.line = replayer.to_session(id);
        line.received = captured.received;
        line.truncated = captured.truncated;
    }
    if (replayer.of_records()) lines.emplace_back().name = "records";
    return lines;
}

std::int64_t FeedSummary::balance() const {
    std::int64_t sum = millrace::balance(message_counters);
    for (const LineSummary& line : lines) {
        sum += static_cast<std::int64_t>(line.received) -
               static_cast<std::int64_t>(line.counters[LineCounter::arbitrated] +
                                         line.counters[LineCounter::malformed] + line.truncated +
                                         line.queue_full + line.in_flight);
    }
    return sum;
}

std::vector<Named> FeedSummary::drops() const {
    LineSummary sum;
    std::uint64_t malformed = 0;
    std::uint64_t excess_bytes = 0;
    for (const LineSummary& line : lines) {
        sum.kernel += line.kernel;
        sum.truncated += line.truncated;
        sum.queue_full += line.queue_full;
        sum.no_buffers += line.no_buffers;
        malformed += line.counters[LineCounter::malformed];
        excess_bytes += line.counters[LineCounter::excess_bytes];
    }
    return {{"kernel", sum.kernel},
            {"truncated", sum.truncated},
            {"queue_full", sum.queue_full},
            {"no_buffers", sum.no_buffers},
            {"malformed_packets", malformed},
            {"malformed_messages", message_counters[MessageCounter::malformed]},
            {"excess_bytes", excess_bytes}};
}

double RunSummary::messages_per_second() const {
    std::uint64_t messages = 0;
    for (const FeedSummary& feed : feeds) messages += feed.messages;
    return seconds > 0 ? static_cast<double>(messages) / seconds : 0;
}

std::string RunSummary::json() const {
    Json out = Json::object();
    Json list = Json::array();
    for (const FeedSummary& feed : feeds) list.push_back(json_of(feed));
    if (feeds.size() == 1) out = list[0];
    out["feeds"] = std::move(list);
    out["seconds"] = seconds;
    out["messages_per_second"] = messages_per_second();
    out["interrupted"] = interrupted;
    out["damage"] = damage;
    return out.dump();
}

std::string RunSummary::text() const {
    std::string text;
    for (const FeedSummary& feed : feeds) text += text_of(feed) + "\n";
    return text +
           fmt::format("{:.3f} s, {:.0f} messages a second\n", seconds, messages_per_second());
}

}  // namespace millrace::tools
