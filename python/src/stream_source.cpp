// Batches of DBN from a broker as a feed: their records as they are, books of those by order, and
// the place up to which Python has processed them.
#include <algorithm>
#include <deque>
#include <memory>
#include <unordered_map>
#include <utility>

#include "disposal.hpp"
#include "events.hpp"
#include "instruments.hpp"
#include "millrace/core/clock.hpp"
#include "millrace/feed/framing/moldudp64.hpp"
#include "millrace/feed/streams/edges.hpp"
#include "millrace/feed/venues/dbn_mbo/venue.hpp"
#include "millrace/replay/dbn_blocks.hpp"
#include "plain_record.hpp"
#include "session_producer.hpp"
#include "stream_intake.hpp"

namespace millrace::python {

namespace {

// What a session's callbacks add to the broker's own records: whether its books can be trusted.
template <class Owner>
class QualityTeller : IgnoreOthers {
  public:
    explicit QualityTeller(Owner& owner) : owner_(owner) {}

    void on_book(const OrderBook&, const BookUpdate&) {}
    void on_quality(const OrderBook& book, Quality quality) { owner_.tell_quality(book, quality); }
    using IgnoreOthers::on_gap;  // told by stream, with the numbers of its envelope
    using IgnoreOthers::on_status, IgnoreOthers::on_trade;  // the records say it

  private:
    Owner& owner_;
};

class StreamProducer;
using Teller = QualityTeller<StreamProducer>;

class StreamProducer final : public SessionProducer<venues::DbnMbo, Teller> {
    using Venue = venues::DbnMbo;

  public:
    explicit StreamProducer(const StreamOptions& options)
        : url_(streams::parse_url(options.url)), start_(options.start), end_(options.end),
          config_(session_config(options)), instruments_(options.symbols) {
        config_.lines = 1;
        symbol_table().reserve(config_.limits.books);
    }
    ~StreamProducer() override {
        stop();
        dispose_of(std::move(session_));
    }

    [[nodiscard]] std::string dataset() const override {
        return dataset_known_.load(std::memory_order_acquire) ? dataset_ : std::string{};
    }
    void tell_quality(const OrderBook& book, Quality quality) {
        const std::uint32_t instrument = number_of(book.symbol()).id;
        append(wire::bytes_of(quality_event(publisher_, instrument, book, quality)));
    }

  protected:
    void run() override;
    [[nodiscard]] bool makes(const std::string&) const override { return true; }
    [[nodiscard]] const Session<Venue, Teller>* session() const override { return session_.get(); }
    [[nodiscard]] std::vector<tools::LineSummary> lines() const override {
        std::vector<tools::LineSummary> lines(1);
        lines.front().name = "records";
        return lines;
    }
    void add_to_summary(tools::FeedSummary& summary) const override {
        summary.source = intake_->summary(url_.text());
        summary.source->counters.emplace_back("behind", source_->lag());
    }
    // That books which were not made from the beginning lack orders is nothing to be told of.
    [[nodiscard]] std::vector<std::string> remarks_now(const std::string& where) const override {
        tools::FeedSummary feed = feed_now();
        feed.gaps.clear();
        feed.quality.clear();
        const bool from_start = source_ != nullptr && source_->from_start();
        if (!from_start) feed.faults[FaultCounter::unknown_order] = 0;
        return tools::remarks_on(feed, where);
    }
    [[nodiscard]] double seconds() const override { return 0; }
    [[nodiscard]] std::string processed_now(const std::vector<std::optional<std::uint64_t>>& rows,
                                            bool commit) override;
    void while_waiting() override {
        if (source_ != nullptr) source_->keep_alive();
    }
    void on_stopped() override {
        if (source_ != nullptr) source_->close();
    }

  private:
    using Blocks = std::span<const std::uint8_t>;
    // Where the channels were when a batch had been appended.
    struct Mark {
        std::uint64_t batch = 0;
        std::vector<std::uint64_t> rows;  // by channel
    };

    void take(const streams::Received& received);
    void clear_book(std::span<const std::uint8_t> payload);
    void apply(const streams::Received& received, std::uint64_t missing);
    void take_names(Blocks blocks, std::uint32_t count);
    void append_records(Blocks blocks, std::uint32_t count);
    void append_record(dbn::RecordView record);
    void tell_gap(const streams::Envelope& envelope, std::uint64_t missing);
    void mark_batch();
    void settle(const std::vector<std::optional<std::uint64_t>>& rows);
    Instruments::Entry number_of(const Symbol& symbol) {
        const Instruments::Entry entry = instruments_.number_of(symbol);
        if (entry.fresh) symbol_table().add(entry.id, symbol);
        return entry;
    }
    // Of an id of the present batch; one that nobody named is called by its digits.
    [[nodiscard]] Instruments::Entry instrument(std::uint32_t id) {
        const auto [at, fresh] = ids_.try_emplace(id);
        if (fresh) at->second = number_of(Symbol(std::to_string(id)));
        return at->second;
    }

    streams::Url url_;
    Timestamp start_;
    Timestamp end_;
    SessionConfig config_;
    Instruments instruments_;
    Teller teller_{*this};
    // Made by run(); afterwards used between two packets.
    std::unique_ptr<streams::Source> source_;
    std::unique_ptr<tools::StreamIntake> intake_;
    std::unique_ptr<Session<Venue, Teller>> session_;
    SequenceNumber next_ = 1;  // of the session's messages
    std::unordered_map<std::uint32_t, Instruments::Entry> ids_;  // of the present batch
    std::uint16_t publisher_ = 0;
    dbn::UpgradeBuffer plain_{};
    std::uint64_t batches_ = 0;
    bool keeps_place_ = false;  // what was processed is told to the source
    std::deque<Mark> marks_;  // of batches that are not known to be processed
    std::string dataset_;     // producer writes, once, before dataset_known_ (release)
    std::atomic<bool> dataset_known_{false};
};

void StreamProducer::run() {
    constexpr int kWaitMs = 20;  // for that long a question may have to wait
    auto source = streams::make_source(url_, [this] { return stopping(); });
    keeps_place_ = source->commit_by_hand();
    intake_ = std::make_unique<tools::StreamIntake>(source->from_start());
    session_ = std::make_unique<Session<Venue, Teller>>(config_, teller_);
    // Books that are not made from their beginning are not exact: a message is missing before all.
    next_ = source->from_start() ? 1 : 2;
    source_ = std::move(source);
    wait_between_packets();
    streams::Received received;
    while (!stopping()) {
        const streams::Source::Next next = source_->next(kWaitMs, received);
        if (next == streams::Source::Next::failed)
            throw Error(ExitCode::resource, source_->problem());
        if (next == streams::Source::Next::end) break;
        if (next == streams::Source::Next::batch) take(received);
        serve();
    }
    session_->finish();
    publish();
}

void StreamProducer::take(const streams::Received& received) {
    ++batches_;
    const bool good = intake_->take(received);
    const std::uint64_t missing = intake_->missing_before();
    if (intake_->began_anew()) clear_book(received.payload);
    if (good) apply(received, missing);
    else next_ += missing;
    mark_batch();
    packet_done(0);
}

// The session's alone: consumers get what the broker has, and no more.
void StreamProducer::clear_book(std::span<const std::uint8_t> payload) {
    const std::vector<std::uint8_t> stream = tools::clearing(payload);
    if (stream.empty()) return;
    replay::DbnBlocks batch(replay::DbnFileReader(stream, "batch"));
    Blocks blocks;
    while (const std::uint32_t count = batch.next(blocks)) {
        session_->on_records(next_, count, blocks, 0);
        next_ += count;
    }
}

void StreamProducer::apply(const streams::Received& received, std::uint64_t missing) {
    replay::DbnBlocks batch(replay::DbnFileReader(received.payload, "batch"));
    if (!dataset_known_.load(std::memory_order_relaxed)) {
        dataset_ = batch.metadata().dataset;
        dataset_known_.store(true, std::memory_order_release);
    }
    ids_.clear();
    next_ += missing;
    Blocks blocks;
    while (const std::uint32_t count = batch.next(blocks)) {
        take_names(blocks, count);
        if (missing != 0) tell_gap(received.envelope, std::exchange(missing, 0));
        session_->on_records(next_, count, blocks, 0);
        session_->finish();  // there is no other line that may bring what is missing
        next_ += count;
        append_records(blocks, count);
    }
}

template <class See>
void for_each_block(std::span<const std::uint8_t> blocks, std::uint32_t count, See&& see) {
    MoldUdp64::Walker walker(blocks);
    for (; count > 0; --count) see(dbn::RecordView(walker.next()));
}

void StreamProducer::take_names(Blocks blocks, std::uint32_t count) {
    for_each_block(blocks, count, [&](dbn::RecordView record) {
        publisher_ = record.header().publisher_id.value();
        const auto* mapping = record.as<dbn::SymbolMapping>();
        if (mapping == nullptr) return;
        ids_[mapping->instrument_id.value()] =
            number_of(Symbol(mapping->stype_out_symbol.value()));
    });
}

void StreamProducer::append_records(Blocks blocks, std::uint32_t count) {
    for_each_block(blocks, count, [&](dbn::RecordView record) {
        if (record.rtype() != static_cast<std::uint8_t>(dbn::Rtype::symbol_mapping))
            append_record(record);
    });
}

void StreamProducer::append_record(dbn::RecordView record) {
    const auto at = static_cast<Timestamp>(record.header().ts_event.value());
    const std::size_t size = plain_size(record);
    if (at < start_ || at >= end_ || size == 0) return;
    const Instruments::Entry entry = instrument(record.header().instrument_id.value());
    if (!entry.wanted) return;
    const std::span<std::uint8_t> own = plain_copy(record, size, plain_);
    reinterpret_cast<dbn::Header*>(own.data())->instrument_id.set(entry.id);
    append(own);
}

// By its stream's record numbers; without an envelope there are none.
void StreamProducer::tell_gap(const streams::Envelope& envelope, std::uint64_t missing) {
    const std::uint32_t about = ids_.size() == 1 ? ids_.begin()->second.id : 0;
    const std::uint64_t first = envelope.first_record.value();
    append(wire::bytes_of(gap_event(publisher_, about, first - missing, first - 1)));
}

void StreamProducer::mark_batch() {
    constexpr std::size_t kMarksMax = 1 << 14;
    Mark& mark = marks_.emplace_back(Mark{batches_, {}});
    for (std::size_t i = 0; i < channel_count(); ++i) mark.rows.push_back(channel(i).rows());
    if (!keeps_place_) marks_.clear();
    if (marks_.size() <= kMarksMax) return;
    // Of a consumer that never asks: what it was given before is a part of whatever it commits.
    std::vector<std::optional<std::uint64_t>> handed_out(channel_count());
    for (std::size_t i = 0; i < handed_out.size(); ++i)
        if (!channel(i).closed()) handed_out[i] = channel(i).handed_out();
    settle(handed_out);
}

void StreamProducer::settle(const std::vector<std::optional<std::uint64_t>>& rows) {
    const auto counts = [](const auto& row) { return row.has_value(); };
    if (std::none_of(rows.begin(), rows.end(), counts)) return;
    const auto is_done = [&](const Mark& mark) {
        for (std::size_t i = 0; i < std::min(rows.size(), mark.rows.size()); ++i)
            if (rows[i] && mark.rows[i] > *rows[i]) return false;
        return true;
    };
    std::uint64_t batch = 0;
    for (; !marks_.empty() && is_done(marks_.front()); marks_.pop_front())
        batch = marks_.front().batch;
    if (batch != 0) source_->processed(batch);
}

std::string StreamProducer::processed_now(const std::vector<std::optional<std::uint64_t>>& rows,
                                          bool commit) {
    if (source_ == nullptr || !keeps_place_) return {};
    settle(rows);
    if (commit && !source_->commit()) throw Error(ExitCode::resource, source_->problem());
    return source_->position();
}

}  // namespace

std::unique_ptr<Producer> stream_source(const StreamOptions& options) {
    return std::make_unique<StreamProducer>(options);
}

}  // namespace millrace::python
