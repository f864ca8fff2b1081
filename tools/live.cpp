// millrace live: receives the feeds of a config, shows their books, records, and reports at the
// end.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "checks.hpp"
#include "command.hpp"
#include "console.hpp"
#include "file_choice.hpp"
#include "live_feed.hpp"
#include "live_table.hpp"
#include "millrace/feed/config.hpp"
#include "millrace/feed/venues/venue_list.hpp"
#include "signals.hpp"
#include "summary.hpp"
#include "verdict.hpp"

namespace millrace::tools {

namespace {

struct LiveOptions {
    std::string config;
    std::string record;
    std::string ready_file;
    double duration = 0;
    bool until_end = false;
    bool json = false;
    bool help_config = false;
    bool check_config = false;
    SinkOptions sinks;
};

using Feeds = std::vector<std::unique_ptr<LiveFeed>>;

// A file for each feed: FILE itself for the only one, else with the feed's name before the
// extension.
std::filesystem::path recording_path(const std::string& file, const std::string& feed,
                                     std::size_t feeds) {
    if (file.empty() || feeds == 1) return file;
    std::filesystem::path path(file);
    std::filesystem::path name = path.filename();
    std::string ending = name.extension().string();
    if (name.replace_extension(); ending == ".gz" || ending == ".zst") {
        ending = name.extension().string() + ending;
        name.replace_extension();
    }
    return path.replace_filename(name.string() + "-" + feed + ending);
}

void check_outputs(const Config& config, const LiveOptions& options) {
    std::vector<std::string> written{options.ready_file};
    for (const FeedConfig& feed : config.feeds) {
        written.push_back(recording_path(options.record, feed.name, config.feeds.size()).string());
    }
    check_apart({options.config}, written);
    if (options.record.empty()) return;
    std::for_each(written.begin() + 1, written.end(), check_unused);
}

Feeds make_feeds(const Config& config, const LiveOptions& options) {
    Feeds feeds;
    for (const FeedConfig& feed : config.feeds) {
        const auto record_to = recording_path(options.record, feed.name, config.feeds.size());
        venues::with_venue(feed.venue, [&]<class Venue>() {
            feeds.push_back(std::make_unique<LiveVenueFeed<Venue>>(feed, record_to, options.sinks));
        });
    }
    return feeds;
}

void tell_ready(const std::string& file) {
    if (file.empty()) return;
    if (!(std::ofstream(file) << "ready\n").flush()) {
        throw Error(ExitCode::file, "cannot write " + file + "; is the folder there?");
    }
}

void tell_news(const Feeds& feeds) {
    for (const auto& feed : feeds) {
        for (const std::string& line : feed->news()) tell("{}", line);
    }
}

// Of feeds that have brought no packet so far.
void tell_silence(const Feeds& feeds) {
    for (const auto& feed : feeds) {
        if (feed->heard()) continue;
        tell("{}: no packet has come so far, by {}; if the exchange sends: is the interface up, are the groups right, "
             "does a firewall let them through?",
             feed->name(), feed->sources());
    }
}

// Until a signal, the duration, or the end of every session. Returns whether silence has been told of.
bool watch(const Feeds& feeds, const LiveOptions& options, StopSignals& signals) {
    constexpr auto kLook = std::chrono::milliseconds(50);
    constexpr Nanoseconds kRedraw = 250'000'000;
    // After the end of a session the other lines' last packets are still on their way.
    constexpr Nanoseconds kLinger = 500'000'000;
    constexpr Nanoseconds kPatience = 5'000'000'000;
    LiveTable table;
    const Timestamp begin = MonotonicClock::now();
    Timestamp drawn_at = 0;
    Timestamp ended_at = 0;
    bool patient = true;
    while (!signals.stopped()) {
        const Timestamp now = MonotonicClock::now();
        if (options.duration > 0 && static_cast<double>(now - begin) / 1e9 >= options.duration)
            return !patient;
        tell_news(feeds);
        if (patient && now - begin >= kPatience) {
            tell_silence(feeds);
            patient = false;
        }
        const auto stopped = [](const auto& feed) { return feed->stopped(); };
        if (std::any_of(feeds.begin(), feeds.end(), stopped)) return !patient;
        const bool ended =
            options.until_end && std::all_of(feeds.begin(), feeds.end(),
                                             [](const auto& feed) { return feed->ended(); });
        if (!ended) ended_at = now;
        else if (now - ended_at >= kLinger) return !patient;
        if (table.on_terminal() && now - drawn_at >= kRedraw) {
            std::vector<FeedPage> pages;
            for (std::size_t i = 0; i < feeds.size(); ++i)
                pages.push_back({feeds[i]->name(), feeds[i]->turn_page()});
            table.draw(pages, now);
            drawn_at = now;
        }
        std::this_thread::sleep_for(kLook);
    }
    return !patient;
}

ExitCode report(const Feeds& feeds, const LiveOptions& options) {
    RunSummary summary;
    for (const auto& feed : feeds) {
        summary.feeds.push_back(feed->summary());
        summary.seconds = std::max(summary.seconds, feed->seconds());
    }
    write_result(options.json ? summary.json() + "\n" : summary.text());
    for (const FeedSummary& feed : summary.feeds) tell_remarks(feed, feed.name);
    for (const FeedSummary& feed : summary.feeds) {
        if (feed.recording) tell("{}", feed.recording->text());
    }
    for (const FeedSummary& feed : summary.feeds) {
        if (!feed.recording || feed.recording->problem.empty()) continue;
        throw Error(ExitCode::file, fmt::format("{}: {}; the recording ends early; make room, or write elsewhere",
                                                feed.recording->file, feed.recording->problem));
    }
    for (const auto& feed : feeds) {
        if (!feed->stopped()) continue;
        throw Error(ExitCode::failure, feed->name() +
                                           ": stopped, since the feed contradicted itself (faults "
                                           "above); quality.suspect = \"quarantine\" goes on");
    }
    for (const FeedSummary& feed : summary.feeds) {
        if (!reads_as_nothing(feed)) continue;
        throw Error(ExitCode::failure, fmt::format("{}: nothing that came reads as {}; check the feed's venue and the "
                                                   "groups of its lines",
                                                   feed.name, feed.venue));
    }
    const bool balanced = std::all_of(summary.feeds.begin(), summary.feeds.end(),
                                      [](const FeedSummary& feed) {
                                          return feed.balance() == 0 && all_is_well(feed.sinks);
                                      });
    return balanced ? ExitCode::ok : ExitCode::failure;
}

ExitCode run_live(const LiveOptions& options) {
    if (options.help_config) {
        write_result(config_help());
        return ExitCode::ok;
    }
    if (options.config.empty()) {
        throw Error(ExitCode::usage,
                    "live needs a config file; examples/nasdaq_two_lines.toml is a complete one");
    }
    const Config config = load_config(options.config);
    if (options.check_config) {
        tell("{}: good", options.config);
        return ExitCode::ok;
    }
    check_outputs(config, options);
    StopSignals signals;
    const Feeds feeds = make_feeds(config, options);
    for (const auto& feed : feeds) {
        feed->start();
        tell("{}", feed->description());
    }
    tell_ready(options.ready_file);
    const bool told_of_silence = watch(feeds, options, signals);
    for (const auto& feed : feeds) feed->stop();
    if (!told_of_silence) tell_silence(feeds);
    tell_news(feeds);
    return report(feeds, options);
}

}  // namespace

void add_live(CLI::App& app, Run& run) {
    auto options = std::make_shared<LiveOptions>();
    CLI::App* command =
        app.add_subcommand("live", "Receive the feeds of a config file and keep their books");
    command->add_option("CONFIG", options->config, "TOML file (docs/config.md)");
    command->add_option("--record", options->record,
                        "write what is received to this new pcapng file (.zst, .gz: compressed); with several "
                        "feeds to a file each, DAY-NAME.pcapng for DAY.pcapng");
    command->add_option("--duration", options->duration, "end after so many seconds")
        ->check(between(1e-3, kSecondsMax));
    command->add_flag("--until-end", options->until_end, "end when the exchange ends the session");
    command->add_option("--ready-file", options->ready_file,
                        "write this file once packets can be received");
    add_sink_options(*command, options->sinks);
    command->add_flag("--json", options->json,
                      "end with one JSON object on stdout (docs/json.md)");
    command->add_flag("--check-config", options->check_config,
                      "only say whether the config is good");
    command->add_flag("--help-config", options->help_config, "print every key of the config file");
    command->callback([options, &run] { run = [options] { return run_live(*options); }; });
}

}  // namespace millrace::tools
