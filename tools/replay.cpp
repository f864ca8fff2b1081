// millrace replay: captures through the same session that runs live.
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "books_csv.hpp"
#include "checks.hpp"
#include "command.hpp"
#include "console.hpp"
#include "endpoint_text.hpp"
#include "file_choice.hpp"
#include "millrace/core/error.hpp"
#include "millrace/feed/session.hpp"
#include "millrace/feed/streams/url.hpp"
#include "millrace/feed/venues/venue_list.hpp"
#include "millrace/replay/detect.hpp"
#include "millrace/replay/replayer.hpp"
#include "progress.hpp"
#include "record_replay.hpp"
#include "schema_names.hpp"
#include "signals.hpp"
#include "sinks.hpp"
#include "source_replay.hpp"
#include "summary.hpp"
#include "venue_choice.hpp"
#include "verdict.hpp"

namespace millrace::tools {

namespace {

constexpr SequenceNumber kNoNumber = std::numeric_limits<SequenceNumber>::max();

struct ReplayOptions {
    std::vector<std::string> files;
    std::string venue;
    double pace = 0;
    bool sequential = false;
    bool json = false;
    std::string books;
    SequenceNumber books_at = kNoNumber;
    std::vector<std::string> symbols;
    std::vector<std::string> groups;
    SinkOptions sinks;
    std::string date;
    SessionConfig session;
};

replay::Replayer open_replayer(const ReplayOptions& options) {
    replay::Replayer::Readers readers;
    for (const std::string& file : options.files)
        readers.push_back(std::make_unique<replay::CaptureReader>(file));
    replay::ReplayConfig config;
    config.pace = options.pace;
    config.sequential = options.sequential;
    for (const std::string& group : options.groups)
        config.destinations.push_back(parse_endpoint(group));
    return {std::move(readers), std::move(config)};
}

SessionConfig session_config(const ReplayOptions& options) {
    SessionConfig config = options.session;
    config.last_sequence = options.books_at;
    for (const std::string& symbol : options.symbols) config.symbols.emplace_back(symbol);
    return config;
}

// What the reader of the report should know about the files themselves.
void warn_of_files(const replay::Replayer& replayer) {
    for (const auto& reader : replayer.readers()) {
        const replay::CaptureCounters& c = reader->counters();
        if (!reader->damage().empty())
            tell_damage(reader->title(), reader->damage(), "replayed");
        if (c.other + c.fragments + c.malformed != 0) {
            tell("{}: {} frames passed over ({} without UDP, {} fragments, {} malformed)",
                 reader->title(), c.other + c.fragments + c.malformed, c.other, c.fragments,
                 c.malformed);
        }
    }
    if (replayer.lines().lines_refused() != 0) {
        tell("more than {} destinations; choose with --group, {} packets were passed over",
             kLinesMax, replayer.passed_over());
    }
}

// A run that brought nothing of what was asked for is no good run, and says why.
ExitCode judge(const ReplayOptions& options, const FeedSummary& feed, bool interrupted) {
    tell_remarks(feed, options.files.front());
    if (feed.balance() != 0 || !all_is_well(feed.sinks)) return ExitCode::failure;
    if (feed.source && !feed.source->problem.empty()) {
        tell("{}; the report is of what came before", feed.source->problem);
        return feed.source->code;
    }
    if (feed.source && feed.source->bad != 0) return ExitCode::failure;
    const std::string& first = options.files.front();
    if (!interrupted && feed.source && feed.source->is_empty) {
        tell("{}: nothing there to replay", feed.source->name);
        return ExitCode::failure;
    }
    if (!options.groups.empty() && feed.packets() == 0) {
        tell("{}: no packet goes to {}; the report without --group names the destinations", first,
             fmt::join(options.groups, " or "));
        return ExitCode::failure;
    }
    if (!interrupted && judge_contents(feed, first) != ExitCode::ok) return ExitCode::failure;
    if (options.books_at != kNoNumber && !interrupted && feed.last_sequence < options.books_at) {
        tell("--books-at {}: the last number is {}; the books are those of the end", options.books_at, feed.last_sequence);
        return ExitCode::failure;
    }
    return judge_symbols(options.symbols, feed);
}

RunSummary summary_of(FeedSummary feed, const replay::Replayer& replayer, bool interrupted) {
    RunSummary summary;
    summary.feeds.push_back(std::move(feed));
    summary.seconds = replayer.seconds();
    summary.interrupted = interrupted;
    for (const auto& reader : replayer.readers()) {
        if (!reader->damage().empty())
            summary.damage.push_back(reader->title() + ": " + reader->damage());
    }
    return summary;
}

void report(const ReplayOptions& options, const RunSummary& summary) {
    write_result(options.json ? summary.json() + "\n" : summary.text());
}

template <class Venue>
ExitCode replay_venue(const ReplayOptions& options) {
    StopSignals signals;
    replay::Replayer replayer = open_replayer(options);
    NullHandler nobody;
    Session<Venue, NullHandler> session(replayer.session_config(session_config(options)), nobody);
    Progress progress(fmt::format(
        "replay {}", std::filesystem::path(options.files.front()).filename().string()));
    replayer.run(session, [&] {
        progress.update(replayer.bytes_read(), replayer.bytes_total(),
                        session.messages()[MessageCounter::decoded], "messages");
        return !signals.stopped();
    });
    progress.clear();
    warn_of_files(replayer);

    FeedSummary feed = summarise(std::string(Venue::kId), session, lines_of(replayer));
    note_missing(feed, session, session_config(options).symbols);
    const RunSummary summary = summary_of(std::move(feed), replayer, signals.stopped());
    report(options, summary);
    if (!options.books.empty()) write_books(options.books, session);
    return judge(options, summary.feeds.front(), summary.interrupted);
}

// The same with records made of the events and sent to the sinks.
ExitCode replay_to_sinks(const ReplayOptions& options, const std::string& venue) {
    StopSignals signals;
    replay::Replayer replayer = open_replayer(options);
    const dbn::SchemaSet schemas = schema_set(options.sinks.schemas);
    check_made(schemas);
    const RecordReplay what{venue, options.date, schemas, session_config(options), options.books};
    const dbn::MakerConfig config = maker_config(what, replayer);
    Sinks sinks(options.sinks, venue, config, [&] { return !signals.stopped(); });
    Progress progress(fmt::format(
        "replay {}", std::filesystem::path(options.files.front()).filename().string()));
    FeedSummary feed = replay_records(what, config, replayer, sinks, [&] {
        progress.update(replayer.bytes_read(), replayer.bytes_total(), sinks.made(), "records");
        return !signals.stopped();
    });
    progress.clear();
    warn_of_files(replayer);
    sinks.stop();
    feed.sinks = sinks.summaries();
    const RunSummary summary = summary_of(std::move(feed), replayer, signals.stopped());
    report(options, summary);
    return judge(options, summary.feeds.front(), summary.interrupted);
}

// A stream of batches in place of captures.
ExitCode replay_url(const ReplayOptions& options) {
    const std::string& url = options.files.front();
    if (options.files.size() != 1 || !options.sinks.urls.empty() || options.pace > 0) {
        throw Error(ExitCode::usage,
                    url + ": a stream is replayed by itself, without a pace or sinks");
    }
    StopSignals signals;
    Progress progress("replay");
    const Timestamp begin = MonotonicClock::now();
    RunSummary summary;
    summary.feeds.push_back(
        replay_source({url, session_config(options), options.books}, [&](std::uint64_t records) {
            progress.update(0, 0, records, "records");
            return !signals.stopped();
        }));
    progress.clear();
    summary.seconds = static_cast<double>(MonotonicClock::now() - begin) / 1e9;
    summary.interrupted = signals.stopped();
    report(options, summary);
    return judge(options, summary.feeds.front(), summary.interrupted);
}

ExitCode run_replay(const ReplayOptions& options) {
    if (streams::looks_like_url(options.files.front())) return replay_url(options);
    check_apart(options.files, {options.books});
    const std::string venue = choose_venue(options.venue, options.files);
    if (!options.sinks.urls.empty()) return replay_to_sinks(options, venue);
    ExitCode code = ExitCode::ok;
    venues::with_venue(venue, [&]<class Venue>() { code = replay_venue<Venue>(options); });
    return code;
}

}  // namespace

void add_replay(CLI::App& app, Run& run) {
    auto options = std::make_shared<ReplayOptions>();
    CLI::App* command = app.add_subcommand(
        "replay", "Run captures through the books, as fast as they go or paced");
    command
        ->add_option("FILE", options->files,
                     "pcap, pcapng, BinaryFILE or DBN, plain, gzip or zstd; or a stream's URL")
        ->required();
    command->add_option("--venue", options->venue,
                        "venue id (see millrace version); found out where the file tells");
    command
        ->add_option("--pace", options->pace,
                     "1 as captured, 2 twice as fast; left out: full speed")
        ->check(between(1e-6, 1e9));
    command->add_flag("--sequential", options->sequential,
                      "files one after the other; left out: merged by time");
    add_symbols(*command, options->symbols, "keep books for these alone, as AAPL,MSFT");
    command->add_option("--group", options->groups,
                        "only packets to this address:port; may be repeated");
    CLI::Option* books =
        command->add_option("--books", options->books, "write all books' best prices as CSV");
    command
        ->add_option("--books-at", options->books_at,
                     "stop the books at this sequence (or record) number")
        ->check(count(1))
        ->needs(books);
    add_limits(*command, options->session.limits);
    add_sink_options(*command, options->sinks);
    command->add_option("--date", options->date,
                        "the day, YYYY-MM-DD, of sinks' records where captures do not tell it");
    command->add_flag("--json", options->json,
                      "end with one JSON object on stdout (docs/json.md)");
    command->callback([options, &run] { run = [options] { return run_replay(*options); }; });
}

}  // namespace millrace::tools
