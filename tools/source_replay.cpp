#include "source_replay.hpp"

#include <memory>

#include "books_csv.hpp"
#include "millrace/core/error.hpp"
#include "millrace/feed/session.hpp"
#include "millrace/feed/streams/edges.hpp"
#include "millrace/feed/venues/dbn_mbo/venue.hpp"
#include "millrace/replay/dbn_blocks.hpp"
#include "stream_intake.hpp"

namespace millrace::tools {

namespace {

using Venue = venues::DbnMbo;
using SourceSession = Session<Venue, NullHandler>;

// What a batch holds, into the session.
class Intake {
  public:
    explicit Intake(SourceSession& session) : session_(session) {}

    void take(const streams::Received& received) {
        took_any_ = true;
        const bool good = checked_.take(received);
        if (checked_.began_anew()) apply(clearing(received.payload));
        // Numbers passed over are a gap to the session, which distrusts its books behind it.
        next_ += checked_.missing_before();
        if (good) apply(received.payload);
    }
    [[nodiscard]] const StreamIntake& checked() const { return checked_; }
    [[nodiscard]] bool took_any() const { return took_any_; }

  private:
    void apply(std::span<const std::uint8_t> payload) {
        if (payload.empty()) return;
        replay::DbnBlocks batch(replay::DbnFileReader(payload, "batch"));
        std::span<const std::uint8_t> blocks;
        while (const std::uint32_t count = batch.next(blocks)) {
            session_.on_records(next_, count, blocks, 0);
            next_ += count;
        }
    }

    SourceSession& session_;
    StreamIntake checked_;
    SequenceNumber next_ = 1;
    bool took_any_ = false;
};

}  // namespace

FeedSummary replay_source(const SourceReplay& options, const KeepOn& keep_on) {
    constexpr int kWaitMs = 100;
    const streams::Url url = streams::parse_url(options.url);
    const std::unique_ptr<streams::Source> source = streams::make_source(url);
    SessionConfig config = options.session;
    config.lines = 1;
    NullHandler nobody;
    SourceSession session(config, nobody);
    Intake intake(session);
    streams::Received received;
    auto next = streams::Source::Next::none;
    do {
        next = source->next(kWaitMs, received);
        if (next == streams::Source::Next::batch) intake.take(received);
    } while (next != streams::Source::Next::failed && next != streams::Source::Next::end &&
             keep_on(intake.checked().records()));
    const bool failed = next == streams::Source::Next::failed;
    // What was received before is worth a report.
    if (failed && !intake.took_any()) throw Error(code_of_failed(url), source->problem());
    if (!failed) source->close();
    session.finish();
    if (!options.books.empty()) write_books(options.books, session);
    std::vector<LineSummary> lines(1);
    lines.front().name = "records";
    FeedSummary feed = summarise(std::string(Venue::kId), session, std::move(lines));
    feed.source = intake.checked().summary(url.text());
    if (failed) {
        feed.source->problem = source->problem();
        feed.source->code = code_of_failed(url);
    }
    feed.source->is_empty = source->from_start() && !intake.took_any();
    for (const streams::SourceCounter& counter : source->counters())
        feed.source->counters.emplace_back(counter.name, counter.count);
    note_missing(feed, session, config.symbols);
    return feed;
}

}  // namespace millrace::tools
