#include "source_replay.hpp"

#include <memory>

#include "books_csv.hpp"
#include "millrace/core/error.hpp"
#include "millrace/feed/session.hpp"
#include "millrace/feed/streams/checker.hpp"
#include "millrace/feed/streams/edges.hpp"
#include "millrace/feed/venues/dbn_mbo/venue.hpp"
#include "millrace/replay/dbn_blocks.hpp"

namespace millrace::tools {

namespace {

using Venue = venues::DbnMbo;
using SourceSession = Session<Venue, NullHandler>;

// How many records a payload holds; 0 when it is no whole DBN stream.
std::uint64_t records_of(std::span<const std::uint8_t> payload) {
    try {
        replay::DbnFileReader reader(payload, "batch");
        dbn::RecordView record;
        while (reader.next(record)) {
        }
        return reader.damage().empty() ? reader.records() : 0;
    } catch (const Error&) {
        return 0;
    }
}

class Intake {
  public:
    explicit Intake(SourceSession& session) : session_(session) {}

    void take(const streams::Received& received) {
        if (!received.has_envelope) {
            // Of somebody else: nothing can be told of it but whether it is DBN.
            const bool good = records_of(received.payload) != 0;
            ++(good ? foreign_ : unreadable_);
            if (good) apply(received.payload);
            return;
        }
        const std::uint64_t missing = checker_.totals().missing;
        const streams::Verdict verdict = checker_.on_batch(received.envelope, received.payload,
                                                           records_of(received.payload));
        // Numbers passed over are a gap to the session, which distrusts its books behind it.
        next_ += checker_.totals().missing - missing;
        switch (verdict) {
            case streams::Verdict::next:
            case streams::Verdict::gap: apply(received.payload); break;
            case streams::Verdict::overlap: ++next_; break;  // no batch of ours: not to be told apart
            case streams::Verdict::duplicate:
            case streams::Verdict::damaged: break;
        }
    }

    [[nodiscard]] std::uint64_t records() const { return checker_.totals().records; }
    [[nodiscard]] SourceSummary summary(const std::string& url) const {
        const streams::CheckedTotals& totals = checker_.totals();
        return {url,
                {{"batches", totals.batches},
                 {"streams", checker_.streams()},
                 {"records", totals.records},
                 {"missing", totals.missing},
                 {"duplicates", totals.duplicates},
                 {"damaged", totals.damaged},
                 {"foreign", foreign_},
                 {"unreadable", unreadable_}},
                totals.missing + totals.damaged + unreadable_};
    }

  private:
    void apply(std::span<const std::uint8_t> payload) {
        replay::DbnBlocks batch(replay::DbnFileReader(payload, "batch"));
        std::span<const std::uint8_t> blocks;
        while (const std::uint32_t count = batch.next(blocks)) {
            session_.on_records(next_, count, blocks, 0);
            next_ += count;
        }
    }

    SourceSession& session_;
    streams::StreamChecker checker_;
    SequenceNumber next_ = 1;
    std::uint64_t foreign_ = 0;     // batches without an envelope
    std::uint64_t unreadable_ = 0;  // likewise, and no DBN
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
    for (;;) {
        const streams::Source::Next next = source->next(kWaitMs, received);
        if (next == streams::Source::Next::failed) throw Error(ExitCode::resource, source->problem());
        if (next == streams::Source::Next::batch) intake.take(received);
        if (next == streams::Source::Next::end || !keep_on(intake.records())) break;
    }
    source->close();
    session.finish();
    if (!options.books.empty()) write_books(options.books, session);
    std::vector<LineSummary> lines(1);
    lines.front().name = "records";
    FeedSummary feed = summarise(std::string(Venue::kId), session, std::move(lines));
    feed.source = intake.summary(url.text());
    return feed;
}

}  // namespace millrace::tools
