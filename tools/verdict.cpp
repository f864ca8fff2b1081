#include "verdict.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "console.hpp"

namespace millrace::tools {

namespace {

// "3 this, 4 that" of what is not zero; empty when all is.
std::string listed(const std::vector<Named>& numbers) {
    std::string text;
    for (const auto& [name, number] : numbers) {
        if (number != 0) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", number, name);
    }
    return text;
}

// What never came to the books, in whichever session it was; empty where all came.
std::string losses_of(const FeedSummary& feed) {
    std::uint64_t messages = 0;
    std::uint64_t gaps = 0;
    SequenceRange first;
    for (const Gap& gap : feed.gaps) {
        if (gap.ended != GapEnd::given_up && gap.ended != GapEnd::session_end && gap.ended != GapEnd::open) continue;
        if (gaps++ == 0) first = gap.missing;
        messages += gap.missing.size();
    }
    std::uint64_t malformed = 0;
    std::uint64_t excess_bytes = 0;
    for (const LineSummary& line : feed.lines) {
        malformed += line.counters[LineCounter::malformed];
        excess_bytes += line.counters[LineCounter::excess_bytes];
    }
    std::string text = listed({{"messages never came to the books", messages},
                               {"malformed packets", malformed},
                               {"bytes behind the last message of a packet", excess_bytes},
                               {"malformed messages", feed.message_counters[MessageCounter::malformed]}});
    if (gaps == 1) text += fmt::format("; a gap of {} to {}", first.first, first.last);
    if (gaps > 1) text += fmt::format("; {} gaps, the first of {} to {}", gaps, first.first, first.last);
    return text;
}

// Records that a sink did not hand over, though nobody asked it to; empty where it did.
std::string left_out_by(const SinkSummary& sink) {
    std::vector<Named> left_out;
    for (const Named& one : sink.ledger)
        if (one.first == "ring_full" || one.first == "dropped" || one.first == "unsent") left_out.push_back(one);
    return listed(left_out);
}

// Even where all of it came by another way: next time it may not.
void remark_on_host(const FeedSummary& feed, const std::string& where, std::vector<std::string>& lines) {
    std::uint64_t kernel = 0;
    std::uint64_t queue_full = 0;
    std::uint64_t cut = 0;         // by a buffer
    std::uint64_t cut_before = 0;  // when they were captured
    for (const LineSummary& line : feed.lines) {
        kernel += line.kernel;
        queue_full += line.queue_full;
        (line.receiver.empty() ? cut_before : cut) += line.truncated;
    }
    if (kernel != 0) {
        lines.push_back(fmt::format("{}: the kernel dropped {} packets at a full socket buffer; raise "
                                    "receive.socket_buffer_bytes and net.core.rmem_max (millrace doctor)", where, kernel));
    }
    if (queue_full != 0) {
        lines.push_back(fmt::format("{}: {} packets found the queue to the decoder full; raise receive.queue, or give "
                                    "the decoder a CPU of its own", where, queue_full));
    }
    if (cut != 0) {
        lines.push_back(fmt::format("{}: {} packets were longer than a receive buffer, and dropped; raise "
                                    "receive.buffer_bytes", where, cut));
    }
    if (cut_before != 0) {
        lines.push_back(fmt::format("{}: {} packets were cut when they were captured, and left out; capture whole ones "
                                    "(tcpdump --snapshot-length=0)", where, cut_before));
    }
}

void remark_on_source(const FeedSummary& feed, const std::string& where, std::vector<std::string>& lines) {
    if (!feed.source || feed.source->bad == 0) return;
    std::vector<Named> bad;
    for (const Named& one : feed.source->counters)
        if (one.first == "missing" || one.first == "damaged" || one.first == "unreadable") bad.push_back(one);
    lines.push_back(fmt::format("{}: not all of it came whole: {} (docs/streams.md, millrace check)", where,
                                listed(bad)));
}

// What became of the venue's stream, by the numbers in it.
void remark_on_stream(const FeedSummary& feed, const std::string& where, std::vector<std::string>& lines) {
    if (feed.sessions + feed.restarts > 1) {
        lines.push_back(fmt::format("{}: {} session{}, begun anew {} time{}; the books are those of the last one", where,
                                    feed.sessions, feed.sessions == 1 ? "" : "s", feed.restarts,
                                    feed.restarts == 1 ? "" : "s"));
    }
    if (const std::string losses = losses_of(feed); !losses.empty()) {
        lines.push_back(fmt::format("{}: {} (docs/json.md, gaps and lines)", where, losses));
    }
    if (const std::uint64_t stray = feed.message_counters[MessageCounter::stray]; stray != 0) {
        lines.push_back(fmt::format("{}: {} messages passed over (stray), of packets that alone spoke of another "
                                    "session, of numbers far ahead or of a place elsewhere in the stream; two sessions "
                                    "at once want a run each", where, stray));
    }
    if (const std::string faults = listed(faults_of(feed)); !faults.empty()) {
        lines.push_back(fmt::format("{}: contradictions and limits: {} (docs/json.md, faults)", where, faults));
    }
}

void remark_on_sinks(const FeedSummary& feed, std::vector<std::string>& lines) {
    for (const SinkSummary& sink : feed.sinks) {
        std::string text = left_out_by(sink);
        if (text.empty()) continue;
        text = fmt::format("{}: records that did not arrive: {}", sink.name, text);
        const std::string told = sink.name + ": ";  // which most problems begin with
        const std::string_view why = sink.problem;
        if (!why.empty()) text += fmt::format("; {}", why.substr(why.rfind(told, 0) == 0 ? told.size() : 0));
        lines.push_back(std::move(text));
    }
}

}  // namespace

std::vector<std::string> remarks_on(const FeedSummary& feed, const std::string& where) {
    std::vector<std::string> lines;
    // Numbers read out of something else mean nothing.
    if (!reads_as_nothing(feed)) remark_on_stream(feed, where, lines);
    remark_on_host(feed, where, lines);
    std::uint64_t books = 0;
    std::vector<Named> doubtful;
    for (const auto& [quality, count] : feed.quality) {
        books += count;
        if (quality != name(Quality::live)) doubtful.emplace_back(quality, count);
    }
    if (const std::string text = listed(doubtful); !text.empty()) {
        lines.push_back(fmt::format("{}: not all of {} books are live: {}", where, books, text));
    }
    remark_on_source(feed, where, lines);
    remark_on_sinks(feed, lines);
    return lines;
}

void tell_remarks(const FeedSummary& feed, const std::string& where) {
    for (const std::string& line : remarks_on(feed, where)) tell("{}", line);
}

void tell_damage(const std::string& file, const std::string& damage, std::string_view done) {
    tell("{}: {}; what stands before that was {}; copy the file again if more should be in it", file, damage, done);
}

bool reads_as_nothing(const Readable& what) {
    if (what.messages != 0) return false;
    return what.bad_messages != 0 || (what.bad_packets != 0 && what.heartbeats == 0);
}

bool reads_as_nothing(const FeedSummary& feed) {
    const MessageCounters& messages = feed.message_counters;
    Readable what{messages[MessageCounter::delivered] + messages[MessageCounter::filtered],
                  messages[MessageCounter::malformed] + messages[MessageCounter::unknown]};
    for (const LineSummary& line : feed.lines) {
        const LineCounters& c = line.counters;
        // Of a feed without messages all packets with such bytes are heartbeats as well.
        what.heartbeats += c[LineCounter::heartbeats] - std::min(c[LineCounter::heartbeats], c[LineCounter::excess]);
        what.bad_packets += c[LineCounter::malformed] + c[LineCounter::excess];
    }
    return reads_as_nothing(what);
}

void tell_empty(const std::string& file) {
    tell("{}: there is no packet or record of a feed in it; is it the right file, and whole?", file);
}

ExitCode judge_contents(const FeedSummary& feed, const std::string& file) {
    if (reads_as_nothing(feed)) {
        tell("{}: nothing in it reads as {}; leave --venue out, or name another one", file, feed.venue);
        return ExitCode::failure;
    }
    if (feed.source || feed.packets() + feed.messages != 0) return ExitCode::ok;
    tell_empty(file);
    return ExitCode::failure;
}

ExitCode judge_symbols(const std::vector<std::string>& asked, const FeedSummary& feed) {
    for (const std::string& symbol : feed.symbols_missing) {
        tell("--symbols {}: no such symbol in the captures", symbol);
    }
    return asked.empty() || feed.symbols_missing.size() < asked.size() ? ExitCode::ok : ExitCode::failure;
}

}  // namespace millrace::tools
