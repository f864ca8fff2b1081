#include "millrace/feed/streams/sink.hpp"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <unordered_set>
#include <utility>

#include "millrace/core/clock.hpp"
#include "millrace/core/cpu.hpp"
#include "millrace/core/error.hpp"
#include "millrace/feed/streams/dbn/market_clock.hpp"
#include "millrace/feed/streams/dbn/metadata.hpp"
#include "millrace/feed/streams/dbn/text.hpp"

namespace millrace::streams {

namespace {

constexpr std::size_t kTakeMost = 512;  // cells at once
constexpr Nanoseconds kBackoffMin = 50'000'000;
constexpr Nanoseconds kBackoffMax = 10'000'000'000;
constexpr std::size_t kPooled = 256;
constexpr std::uint32_t kAskEvery = 64;  // yields of a feed that waits

void add(std::atomic<std::uint64_t>& counter, std::uint64_t count) {
    counter.store(counter.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
}

}  // namespace

std::string_view name(EdgeState state) {
    constexpr std::array<std::string_view, 5> kNames{"connecting", "live", "degraded", "backoff",
                                                     "stopped"};
    return kNames[static_cast<std::size_t>(state)];
}

StreamSink::StreamSink(const SinkConfig& config, std::unique_ptr<Edge> edge)
    : config_(config), edge_(std::move(edge)), ring_(config.ring_records * 2),
      numbers_(config.instruments), named_(config.instruments), in_(kTakeMost),
      symbols_(config.instruments), streams_(config.by_symbol ? config.instruments : 1) {
    if (config_.epoch == 0)
        config_.epoch = static_cast<std::uint32_t>(SystemClock::now() / 1'000'000'000);
    if (config_.payload == Payload::json) config_.batch_records = 1;
    out_.reserve(dbn::kRecordMax / Cell::kBytes + 1);
    record_.reserve(dbn::kRecordMax);
    jitter_ = static_cast<std::uint64_t>(MonotonicClock::now()) | 1;
    thread_ = start_thread("sink", config_.cpu, [this] { run(); });
}

StreamSink::~StreamSink() { stop(); }

void StreamSink::stop() {
    waits_ = waits_ && config_.keep_waiting;
    patient_.store(waits_, std::memory_order_relaxed);
    stop_.store(true, std::memory_order_release);  // pairs with run(): all cells are visible
    while (waits_ && state_.load(std::memory_order_relaxed) != EdgeState::stopped) {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        waits_ = config_.keep_waiting();
    }
    patient_.store(false, std::memory_order_relaxed);
    if (thread_.joinable()) thread_.join();
}

bool StreamSink::push(const Cell* cells, std::size_t count) {
    // All of a record's cells or none. The consumer only makes the ring emptier, so that what is
    // free now stays free.
    for (std::uint32_t yields = 0; ring_.capacity() - ring_.size() < count;) {
        if (config_.when_full != WhenFull::block || !waits_) return false;
        sched_yield();
        if (++yields % kAskEvery != 0) continue;
        std::this_thread::sleep_for(std::chrono::microseconds(100));
        if (config_.keep_waiting) waits_ = config_.keep_waiting();
    }
    for (std::size_t i = 0; i < count; ++i) MILLRACE_VERIFY(ring_.push(cells[i]));
    return true;
}

void StreamSink::on_record(const dbn::MadeRecord& made, const Symbol& symbol,
                           std::span<const std::uint8_t> bytes) {
    const std::uint32_t instrument = value(made.instrument);
    Cell cell;
    cell.instrument = instrument;
    cell.quality = static_cast<std::uint8_t>(made.quality);
    cell.sequence = made.sequence;
    cell.number = ++numbers_[stream_of(instrument)];
    add(made_, 1);
    if (!named_[instrument]) {
        cell.size = 0;
        cell.part = 0;
        std::memcpy(cell.bytes.data(), &symbol, sizeof(symbol));
        // Records whose symbol did not get through cannot be told apart, and are lost with it.
        if (!push(&cell, 1)) return add(ring_full_, 1);
        named_[instrument] = true;
    }
    cell.size = static_cast<std::uint16_t>(bytes.size());
    out_.clear();
    for (std::uint8_t part = 0; !bytes.empty(); ++part) {
        cell.part = part;
        const std::size_t n = std::min(bytes.size(), Cell::kBytes);
        std::memcpy(cell.bytes.data(), bytes.data(), n);
        out_.push_back(cell);
        bytes = bytes.subspan(n);
    }
    if (!push(out_.data(), out_.size())) add(ring_full_, 1);
}

// Takes what is in the ring. False when there was nothing.
bool StreamSink::take_cells() {
    in_size_ = ring_.pop(in_.data(), in_.size());
    for (in_at_ = 0; in_at_ < in_size_; ++in_at_) {
        const Cell& cell = in_[in_at_];
        if (cell.size == 0) {
            take_symbol(cell);
            continue;
        }
        if (cell.part == 0) record_.clear();
        const std::size_t n = std::min<std::size_t>(Cell::kBytes, cell.size - record_.size());
        record_.insert(record_.end(), cell.bytes.begin(),
                       cell.bytes.begin() + static_cast<std::ptrdiff_t>(n));
        if (record_.size() == cell.size) take_record(cell);
    }
    return in_size_ > 0;
}

void StreamSink::take_symbol(const Cell& cell) {
    Symbol& symbol = symbols_[cell.instrument];
    std::memcpy(&symbol, cell.bytes.data(), sizeof(symbol));
    streams_[stream_of(cell.instrument)].id =
        stream_id(config_.feed, config_.by_symbol ? symbol.view() : std::string_view{});
    edge_->on_symbol(dbn::RecordMaker::id_of(InstrumentId{cell.instrument}), symbol);
}

void StreamSink::take_record(const Cell& cell) {
    const std::uint32_t number = stream_of(cell.instrument);
    Stream& stream = streams_[number];
    Envelope& envelope = stream.open.envelope;
    // A hole ends the batch, whose records are numbered without one.
    const bool hole = envelope.records.value() != 0 &&
                      envelope.first_record.value() + envelope.records.value() != cell.number;
    if (hole) seal(number);
    if (envelope.records.value() == 0) begin_batch(stream, cell);
    const std::size_t before = envelope.records.value() == 0 ? 0 : stream.open.payload.size();
    append(stream.open, symbols_[cell.instrument], record_);
    bytes_ += stream.open.payload.size() - before;
    envelope.records.set(envelope.records.value() + 1);
    envelope.last_sequence.set(cell.sequence);
    if (cell.quality > envelope.quality.value()) envelope.quality.set(cell.quality);
    if (envelope.records.value() >= config_.batch_records) seal(number);
}

void StreamSink::begin_batch(Stream& stream, const Cell& cell) {
    Batch& batch = stream.open;
    batch = {};
    if (!pool_.empty()) {
        batch.payload = std::move(pool_.back());
        pool_.pop_back();
        batch.payload.clear();
    }
    if (config_.by_symbol) batch.symbol = symbols_[cell.instrument];
    batch.books_only = config_.by_symbol;
    batch.envelope.stream.set(stream.id);
    batch.envelope.epoch.set(config_.epoch);
    batch.envelope.first_record.set(cell.number);
    batch.envelope.first_sequence.set(cell.sequence);
    stream.opened_at = MonotonicClock::now();
    open_.push_back(stream_of(cell.instrument));
    if (config_.payload != Payload::dbn) return;
    const auto at = static_cast<Timestamp>(dbn::RecordView(record_).header().ts_event.value());
    const std::uint32_t date = dbn::utc_date(at);
    if (stream.date != date) {
        stream.date = date;
        dbn::Metadata metadata;
        metadata.dataset = config_.dataset;
        metadata.schema = static_cast<std::uint16_t>(config_.schemas.schema());
        metadata.stype_in = static_cast<std::uint8_t>(dbn::SymbolType::raw_symbol);
        const std::string symbol(batch.symbol.view());
        const std::string id =
            std::to_string(dbn::RecordMaker::id_of(InstrumentId{cell.instrument}));
        metadata.symbols = {symbol};
        metadata.mappings = {{symbol, {{date, dbn::next_date(date), id}}}};
        stream.metadata = dbn::encode(metadata);
    }
    batch.payload.insert(batch.payload.end(), stream.metadata.begin(), stream.metadata.end());
}

void StreamSink::append(Batch& batch, const Symbol& symbol, std::span<const std::uint8_t> record) {
    const dbn::RecordView view(record);
    batch.books_only = batch.books_only && dbn::shows_book(view);
    if (config_.payload == Payload::dbn || config_.payload == Payload::records) {
        batch.payload.insert(batch.payload.end(), record.begin(), record.end());
        return;
    }
    fmt::memory_buffer text;
    if (config_.payload == Payload::json) {
        dbn::append_json(text, view, symbol.view());
    } else {
        const wire::MessageLayout* layout = dbn::layout_of(view.rtype());
        if (layout != nullptr) dbn::append_csv(text, *layout, view, symbol.view());
        text.push_back('\n');
    }
    batch.payload.insert(batch.payload.end(), text.begin(), text.end());
}

void StreamSink::seal(std::uint32_t stream) {
    Batch& batch = streams_[stream].open;
    batch.id = next_id_++;
    const auto now_ms = static_cast<std::uint64_t>(SystemClock::now() / 1'000'000);
    sealed_ms_ = std::max(sealed_ms_, now_ms);
    batch.sealed_ms = sealed_ms_;
    batch.envelope.crc32c.set(crc32c(batch.payload));
    bytes_ += sizeof(Batch);
    backlog_.push_back(std::move(batch));
    batch = {};
    open_.erase(std::find(open_.begin(), open_.end(), stream));
    add(batches_, 1);
}

void StreamSink::seal_due(Timestamp now, bool all) {
    for (std::size_t i = 0; i < open_.size();) {
        const Stream& stream = streams_[open_[i]];
        if (all || now - stream.opened_at >= config_.linger) seal(open_[i]);
        else ++i;
    }
}

void StreamSink::recycle(Batch& batch) {
    bytes_ -= batch.payload.size() + sizeof(Batch);
    if (pool_.size() < kPooled) pool_.push_back(std::move(batch.payload));
    batch.payload = {};
}

// The first batch that the edge was never given: only from there on may batches be left out. Of
// those given over a connection that was lost nobody knows whether they arrived, and the ledger
// could not be right.
std::size_t StreamSink::first_unsent() const {
    std::size_t first = in_flight_;
    while (first < backlog_.size() && backlog_[first].again) ++first;
    return first;
}

// Keeps what waits below the cap.
void StreamSink::make_room() {
    if (bytes_ <= config_.backlog_bytes || config_.when_full == WhenFull::block) return;
    if (config_.when_full == WhenFull::conflate) conflate();
    drop_waiting();
    if (bytes_ <= config_.backlog_bytes || open_.empty()) return;
    seal_due(0, true);
    drop_waiting();
}

void StreamSink::drop_waiting() {
    const auto first = backlog_.begin() + static_cast<std::ptrdiff_t>(first_unsent());
    auto last = first;
    for (; last != backlog_.end() && bytes_ > config_.backlog_bytes; ++last) {
        add(dropped_, last->envelope.records.value());
        recycle(*last);
    }
    backlog_.erase(first, last);
}

void StreamSink::conflate() {
    std::unordered_set<std::uint64_t> newer;  // streams that have a newer batch of their book
    auto kept = backlog_.end();               // what waits and stays, gathered from the back
    const std::size_t first = first_unsent();
    for (std::size_t i = backlog_.size(); i-- > first;) {
        Batch& batch = backlog_[i];
        if (batch.books_only && !newer.insert(batch.envelope.stream.value()).second) {
            add(conflated_, batch.envelope.records.value());
            recycle(batch);
            continue;
        }
        --kept;
        if (&*kept != &batch) *kept = std::move(batch);
    }
    backlog_.erase(backlog_.begin() + static_cast<std::ptrdiff_t>(first), kept);
}

void StreamSink::settle(std::vector<std::uint64_t>& ids, std::atomic<std::uint64_t>& counter) {
    for (const std::uint64_t id : ids) {
        const auto last = backlog_.begin() + static_cast<std::ptrdiff_t>(in_flight_);
        const auto found =
            std::lower_bound(backlog_.begin(), last, id,
                             [](const Batch& batch, std::uint64_t of) { return batch.id < of; });
        if (found == last || found->id != id || found->done) continue;
        found->done = true;
        add(counter, found->envelope.records.value());
        recycle(*found);
    }
    ids.clear();
}

void StreamSink::handle_acks() {
    if (!acks_.taken.empty()) backoff_ = 0;
    settle(acks_.taken, acknowledged_);
    settle(acks_.refused, dropped_);
    for (; in_flight_ > 0 && backlog_.front().done; --in_flight_) backlog_.pop_front();
}

void StreamSink::lose_connection(Timestamp now) {
    edge_->disconnect();
    connected_ = false;
    handle_acks();
    const auto waiting = backlog_.begin() + static_cast<std::ptrdiff_t>(in_flight_);
    const auto done = std::remove_if(backlog_.begin(), waiting,
                                     [](const Batch& batch) { return batch.done; });
    std::for_each(backlog_.begin(), done, [](Batch& batch) { batch.again = true; });
    add(resent_, static_cast<std::uint64_t>(done - backlog_.begin()));
    backlog_.erase(done, waiting);
    in_flight_ = 0;
    backoff_ = std::clamp(backoff_ * 2, kBackoffMin, kBackoffMax);
    jitter_ ^= jitter_ << 13;
    jitter_ ^= jitter_ >> 7;
    jitter_ ^= jitter_ << 17;
    // Between half and all of it, so that many sinks do not come back at once.
    retry_at_ = now + backoff_ / 2 +
                static_cast<Nanoseconds>(jitter_ % static_cast<std::uint64_t>(backoff_ / 2));
    state_.store(EdgeState::backoff, std::memory_order_relaxed);
}

void StreamSink::work_edge(Timestamp now) {
    if (!connected_) {
        if (now < retry_at_) return;
        state_.store(EdgeState::connecting, std::memory_order_relaxed);
        if (!edge_->connect(problem_)) return lose_connection(now);
        connected_ = true;
        add(connects_, 1);
    }
    bool full = false;
    while (in_flight_ < backlog_.size() && !full) {
        const Edge::Sent sent = edge_->send(backlog_[in_flight_]);
        if (sent == Edge::Sent::failed) return lose_connection(now);
        full = sent == Edge::Sent::full;
        if (!full) ++in_flight_;
    }
    const bool good = !full && edge_->healthy();
    state_.store(good ? EdgeState::live : EdgeState::degraded, std::memory_order_relaxed);
    const bool alive = edge_->poll(0, acks_, problem_);
    handle_acks();
    if (!alive) lose_connection(now);
}

void StreamSink::update_gauges() {
    backlog_bytes_.store(bytes_, std::memory_order_relaxed);
    if (bytes_ > backlog_bytes_max_.load(std::memory_order_relaxed))
        backlog_bytes_max_.store(bytes_, std::memory_order_relaxed);
}

void StreamSink::run() {
    Timestamp give_up_at = 0;
    for (;;) {
        // acquire: pairs with stop(); what the hot thread pushed before is in the ring.
        const bool stopping = stop_.load(std::memory_order_acquire);
        // Who may block leaves records in the ring, and so holds the feed up.
        const bool take = config_.when_full != WhenFull::block || bytes_ <= config_.backlog_bytes;
        const bool took = take && take_cells();
        const Timestamp now = MonotonicClock::now();
        seal_due(now, stopping && !took);
        make_room();
        work_edge(now);
        update_gauges();
        if (stopping) {
            const bool patient = patient_.load(std::memory_order_relaxed);
            if (give_up_at == 0 || patient) give_up_at = now + config_.stop_within;
            if ((!took && take && open_.empty() && backlog_.empty()) || now > give_up_at) break;
        }
        if (took) continue;
        if (!connected_ || !edge_->poll(1, acks_, problem_)) {
            if (connected_) lose_connection(now);
            else std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        handle_acks();
    }
    while (take_cells()) {
    }
    seal_due(0, true);
    for (const Batch& batch : backlog_) {
        if (!batch.done) add(unsent_, batch.envelope.records.value());
    }
    if (connected_) edge_->disconnect();
    state_.store(EdgeState::stopped, std::memory_order_relaxed);
}

SinkStats StreamSink::stats() const {
    const auto read = [](const auto& counter) { return counter.load(std::memory_order_relaxed); };
    SinkStats stats;
    stats.state = read(state_);
    stats.made = read(made_);
    stats.acknowledged = read(acknowledged_);
    stats.ring_full = read(ring_full_);
    stats.dropped = read(dropped_);
    stats.conflated = read(conflated_);
    stats.unsent = read(unsent_);
    stats.batches = read(batches_);
    stats.resent = read(resent_);
    stats.connects = read(connects_);
    stats.backlog_bytes = read(backlog_bytes_);
    stats.backlog_bytes_max = read(backlog_bytes_max_);
    return stats;
}

}  // namespace millrace::streams
