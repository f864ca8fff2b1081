// millrace replay: captures through the same session that runs live.
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "books_csv.hpp"
#include "command.hpp"
#include "endpoint_text.hpp"
#include "millrace/feed/session.hpp"
#include "millrace/feed/venues/venue_list.hpp"
#include "millrace/replay/detect.hpp"
#include "millrace/replay/replayer.hpp"
#include "progress.hpp"
#include "signals.hpp"
#include "summary.hpp"
#include "venue_choice.hpp"

namespace millrace::tools {

namespace {

struct ReplayOptions {
    std::vector<std::string> files;
    std::string venue;
    double pace = 0;
    bool sequential = false;
    bool json = false;
    std::string books;
    SequenceNumber books_at = std::numeric_limits<SequenceNumber>::max();
    std::vector<std::string> symbols;
    std::vector<std::string> groups;
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
            fmt::print(stderr, "millrace: {}: {}\n", reader->title(), reader->damage());
        if (c.other + c.fragments + c.malformed != 0) {
            fmt::print(stderr,
                       "millrace: {}: {} frames passed over ({} without UDP, {} fragments, {} "
                       "malformed)\n",
                       reader->title(), c.other + c.fragments + c.malformed, c.other, c.fragments,
                       c.malformed);
        }
    }
    if (replayer.lines().lines_refused() != 0) {
        fmt::print(stderr,
                   "millrace: more than {} destinations; choose with --group, {} packets were "
                   "passed over\n",
                   kLinesMax, replayer.passed_over());
    }
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
    if (!options.books.empty()) write_books(options.books, session);

    RunSummary summary;
    summary.feeds.push_back(summarise(std::string(Venue::kId), session, lines_of(replayer)));
    summary.seconds = replayer.seconds();
    if (options.json) fmt::print("{}\n", summary.json());
    else fmt::print("{}", summary.text());
    return summary.feeds.front().balance() == 0 ? ExitCode::ok : ExitCode::failure;
}

ExitCode run_replay(const ReplayOptions& options) {
    const std::string venue = choose_venue(options.venue, options.files);
    ExitCode code = ExitCode::ok;
    venues::with_venue(venue, [&]<class Venue>() { code = replay_venue<Venue>(options); });
    return code;
}

}  // namespace

void add_replay(CLI::App& app, Run& run) {
    auto options = std::make_shared<ReplayOptions>();
    CLI::App* command = app.add_subcommand(
        "replay", "Run captures through the books, as fast as they go or paced");
    command->add_option("FILE", options->files, "pcap, pcapng or BinaryFILE; plain, gzip or zstd")
        ->required();
    command->add_option("--venue", options->venue,
                        "venue id (see millrace version); found out where the file tells");
    command
        ->add_option("--pace", options->pace,
                     "1 as captured, 2 twice as fast; left out: full speed")
        ->check(CLI::Range(1e-6, 1e9));
    command->add_flag("--sequential", options->sequential,
                      "files one after the other; left out: merged by time");
    command->add_option("--symbols", options->symbols, "keep books for these alone, as AAPL,MSFT")
        ->delimiter(',');
    command->add_option("--group", options->groups,
                        "only packets to this address:port; may be repeated");
    CLI::Option* books =
        command->add_option("--books", options->books, "write all books' best prices as CSV");
    command
        ->add_option("--books-at", options->books_at,
                     "stop the books at this sequence (or record) number")
        ->needs(books);
    command->add_option("--instruments", options->session.limits.books, "room for so many books")
        ->capture_default_str();
    command
        ->add_option("--orders", options->session.limits.orders, "room for so many resting orders")
        ->capture_default_str();
    command
        ->add_option("--levels", options->session.limits.levels, "room for so many price levels")
        ->capture_default_str();
    command->add_flag("--json", options->json,
                      "end with one JSON object on stdout (docs/json.md)");
    command->callback([options, &run] { run = [options] { return run_replay(*options); }; });
}

}  // namespace millrace::tools
