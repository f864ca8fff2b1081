// What a feed did, in numbers: gathered from a session once, then written as JSON or as text.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "millrace/core/digest.hpp"
#include "millrace/core/error.hpp"
#include "millrace/core/histogram.hpp"
#include "millrace/feed/counters.hpp"
#include "millrace/feed/session.hpp"
#include "millrace/replay/replayer.hpp"

namespace millrace::tools {

using Named = std::pair<std::string, std::uint64_t>;

// A line as its receiver (or the capture) saw it. What the session knows is in `counters`.
struct LineSummary {
    std::string name;
    std::optional<LineId> line;  // of the session; left out: its place in the list
    std::uint64_t received = 0;  // packets that came into this process, of whatever sort
    std::uint64_t truncated = 0;
    std::uint64_t queue_full = 0;
    std::uint64_t in_flight = 0;  // received, and not yet with the session
    std::uint64_t kernel = 0;     // dropped before they were received; in no balance
    std::uint64_t no_buffers =
        0;  // times that reception paused for want of buffers; in no balance
    std::vector<Named> receiver;  // live: all that its receiver counted
    LineCounters counters;
    LineLead lead;
    std::uint64_t silences = 0;
};

// From the kernel's receipt of a packet to the callback for its last message that changed a book.
struct LatencySummary {
    std::uint64_t samples = 0;
    std::uint64_t negative = 0;  // measured below zero, where clocks disagree; in no percentile
    std::vector<std::pair<std::string, std::uint64_t>>
        percentiles_ns;  // "p50", "p99.9", ..., "max"
};
[[nodiscard]] LatencySummary summarise(const Histogram& latency);

// What became of the records that a sink was given.
struct SinkSummary {
    std::string name;
    std::string problem;  // the last one of the edge
    std::vector<Named> ledger;
    std::vector<Named> counters;
    std::uint64_t unsent = 0;
    std::int64_t balance = 0;  // made, less what became of them
};

// What a source brought, by the account of its streams' envelopes.
struct SourceSummary {
    std::string name;
    std::vector<Named> counters;
    std::uint64_t bad = 0;  // what was missing, damaged or unreadable
    bool is_empty = false;  // read from its beginning, and there was nothing
    std::string problem;    // why it broke off before its end, in one line; empty when it did not
    ExitCode code = ExitCode::ok;  // that says so
};

// A server that did not do what was asked of it.
struct TroubleSummary {
    std::string server;   // what it is, and its address
    std::string problem;  // a name of kServerProblems
    std::uint64_t times = 0;
};

// How writing down what was received went.
struct RecordingSummary {
    std::string file;
    std::uint64_t packets = 0;  // in the file
    std::uint64_t lost = 0;     // received, and not in the file
    std::string problem;        // why the file took no more; empty while it did

    [[nodiscard]] std::string text() const;
};

struct FeedSummary {
    std::string name;
    std::string venue;
    std::vector<LineSummary> lines;
    std::uint64_t sessions = 0;  // that were entered
    std::uint64_t restarts = 0;  // of the stream, under one of them
    std::uint64_t messages = 0;  // each once, whatever became of it
    SequenceNumber last_sequence = 0;  // of the last session; what was given up counts
    std::vector<Named> by_type;
    MessageCounters message_counters;
    FaultCounters faults;
    std::vector<Gap> gaps;                                        // the most recent ones
    std::array<std::uint64_t, kGapEndNames.size()> gaps_ended{};  // of all gaps, by GapEnd
    std::vector<Named> quality;                                   // books by state
    Digest digest;
    std::vector<Named> recovery;  // what it did; live only, with servers to ask
    std::vector<TroubleSummary> troubles;  // live only
    std::string backend;          // live only
    std::optional<LatencySummary> latency;
    std::optional<RecordingSummary> recording;  // live only
    std::vector<SinkSummary> sinks;
    std::optional<SourceSummary> source;
    std::vector<std::string> symbols_missing;  // asked for, and without a book

    [[nodiscard]] std::uint64_t packets() const;
    [[nodiscard]] std::uint64_t bytes() const;
    // What is counted on neither side of a ledger, of packets and of messages.
    [[nodiscard]] std::int64_t balance() const;
    // What was lost on the way to the books, by stage.
    [[nodiscard]] std::vector<Named> drops() const;
};

struct RunSummary {
    std::vector<FeedSummary> feeds;
    double seconds = 0;  // first packet in to last event out
    bool interrupted = false;         // by a signal, before the end of the files
    std::vector<std::string> damage;  // files that ended early: "FILE: why"

    [[nodiscard]] double messages_per_second() const;
    // The one object that --json ends with (docs/json.md).
    [[nodiscard]] std::string json() const;
    // The report for people.
    [[nodiscard]] std::string text() const;
};

// What the books found wrong, by cause.
[[nodiscard]] std::vector<Named> faults_of(const FeedSummary& feed);

// The lines of a replay, and what its captures hold of each.
[[nodiscard]] std::vector<LineSummary> lines_of(const replay::Replayer& replayer);

// Notes which of these symbols have no book.
template <class Session>
void note_missing(FeedSummary& feed, const Session& session, const std::vector<Symbol>& asked) {
    for (const Symbol& symbol : asked) {
        if (session.book(symbol) == nullptr) feed.symbols_missing.emplace_back(symbol.view());
    }
}

// Takes what the session knows. `lines` brings names and what the receivers counted; a session may have more
// lines than were used.
template <class Venue, class Handler>
[[nodiscard]] FeedSummary summarise(std::string name, const Session<Venue, Handler>& session,
                                    std::vector<LineSummary> lines) {
    FeedSummary feed;
    feed.name = std::move(name);
    feed.venue = Venue::kId;
    for (std::size_t i = 0; i < lines.size(); ++i) {
        const LineId line = lines[i].line.value_or(static_cast<LineId>(i));
        lines[i].counters = session.arbiter().line(line);
        lines[i].lead = session.arbiter().lead(line);
        if (line < kLinesMax) lines[i].silences = session.silences(line);
    }
    feed.lines = std::move(lines);
    feed.sessions = session.arbiter().sessions();
    feed.restarts = session.arbiter().restarts();
    feed.last_sequence = session.arbiter().known_end() - 1;
    std::uint64_t named = 0;
    for (const wire::MessageLayout& layout : Venue::layouts()) {
        const std::uint64_t count = session.by_type()[static_cast<std::uint8_t>(layout.type)];
        if (count == 0) continue;
        feed.by_type.emplace_back(layout.name, count);
        named += count;
    }
    for (const std::uint64_t count : session.by_type()) feed.messages += count;
    if (feed.messages > named) feed.by_type.emplace_back("unknown", feed.messages - named);
    feed.message_counters = session.messages();
    feed.faults = session.faults();
    const GapLog& gaps = session.arbiter().gaps();
    for (std::size_t i = 0; i < gaps.kept(); ++i) feed.gaps.push_back(gaps[i]);
    std::uint64_t ended = 0;
    for (std::size_t end = 1; end < kGapEndNames.size(); ++end) {
        feed.gaps_ended[end] = gaps.ended(static_cast<GapEnd>(end));
        ended += feed.gaps_ended[end];
    }
    feed.gaps_ended[static_cast<std::size_t>(GapEnd::open)] = gaps.total() - ended;
    for (const Quality quality :
         {Quality::live, Quality::recovering, Quality::stale, Quality::suspect}) {
        std::uint64_t books = 0;
        for (const OrderBook& book : session.books()) books += book.quality() == quality ? 1U : 0U;
        feed.quality.emplace_back(millrace::name(quality), books);
    }
    feed.digest = session.digest();
    return feed;
}

}  // namespace millrace::tools
