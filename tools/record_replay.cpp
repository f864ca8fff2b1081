#include "record_replay.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "books_csv.hpp"
#include "millrace/core/error.hpp"
#include "millrace/feed/session.hpp"
#include "millrace/feed/venues/venue_list.hpp"

namespace millrace::tools {

namespace {

// YYYY-MM-DD, as a number YYYYMMDD; 0 for none. Throws Error(usage).
std::uint32_t date_of(const std::string& text) {
    unsigned year = 0;
    unsigned month = 0;
    unsigned day = 0;
    char tail = 0;
    if (text.empty()) return 0;
    const bool read = std::sscanf(text.c_str(), "%4u-%2u-%2u%c", &year, &month, &day, &tail) == 3;
    const std::uint32_t date = year * 10'000 + month * 100 + day;
    if (!read || dbn::new_york_midnight(date) == 0) {
        throw Error(ExitCode::usage,
                    fmt::format("--date {}: no date; write it as 2024-01-31", text));
    }
    return date;
}

void check_day(const replay::Replayer& replayer, const dbn::MakerConfig& config) {
    if (config.date != 0 || config.venue.time_origin == dbn::TimeOrigin::utc) return;
    for (const auto& reader : replayer.readers()) {
        if (reader->format() != replay::CaptureFormat::binaryfile) continue;
        throw Error(
            ExitCode::usage,
            fmt::format("{}: BinaryFILE does not tell the day of its messages; give it with "
                        "--date YYYY-MM-DD",
                        reader->title()));
    }
}

// Throws Error(usage) for an unknown venue.
dbn::VenueTraits traits_of_venue(const std::string& venue) {
    dbn::VenueTraits traits;
    if (!venues::with_venue(venue, [&]<class Venue>() { traits = dbn::traits_of<Venue>(); })) {
        throw Error(ExitCode::usage, fmt::format("no venue is called {}", venue));
    }
    return traits;
}

}  // namespace

dbn::MakerConfig maker_config(const std::string& venue, dbn::SchemaSet schemas,
                              std::uint32_t instruments) {
    dbn::MakerConfig config;
    config.schemas = schemas;
    config.venue = traits_of_venue(venue);
    config.instruments = instruments;
    return config;
}

dbn::MakerConfig maker_config(const RecordReplay& options, const replay::Replayer& replayer) {
    dbn::MakerConfig config =
        maker_config(options.venue, options.schemas, options.session.limits.books);
    config.date = date_of(options.date);
    check_day(replayer, config);
    return config;
}

FeedSummary replay_records(const RecordReplay& options, const dbn::MakerConfig& config,
                           replay::Replayer& replayer, RecordTaker& taker,
                           const std::function<bool()>& keep_on) {
    RecordHandler maker(config, taker);
    FeedSummary summary;
    venues::with_venue(options.venue, [&]<class Venue>() {
        Session<Venue, RecordHandler> session(replayer.session_config(options.session), maker);
        replayer.run(session, keep_on);
        if (!options.books.empty()) write_books(options.books, session);
        summary = summarise(std::string(Venue::kId), session, lines_of(replayer));
        note_missing(summary, session, options.session.symbols);
    });
    return summary;
}

}  // namespace millrace::tools
