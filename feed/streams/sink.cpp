#include "millrace/feed/streams/sink.hpp"

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

constexpr std::size_t kRingBytes = 256;   // a record, of which most are smaller
// Of payloads, until the edge has its turn: much of it for one call of the kernel, and all still in the cache.
constexpr std::size_t kTurnBytes = std::size_t{128} << 10;
constexpr Nanoseconds kBackoffMin = 50'000'000;
constexpr Nanoseconds kBackoffMax = 10'000'000'000;
constexpr std::size_t kPooled = 256;
constexpr std::chrono::microseconds kWaitForRoom{100};

void add(std::atomic<std::uint64_t>& counter, std::uint64_t count) {
    counter.store(counter.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
}

std::vector<dbn::Schema> events_of(const SinkConfig& config) {
    std::vector<dbn::Schema> events;
    for (const dbn::SchemaInfo& info : dbn::schemas())
        if (config.by_event && config.schemas.has(info.schema)) events.push_back(info.schema);
    if (events.empty()) events.push_back(config.schemas.schema());
    return events;
}

std::uint8_t rtype_of(dbn::Schema schema) {
    if (schema == dbn::Schema::mixed) return 0;
    return static_cast<std::uint8_t>(dbn::schemas()[static_cast<std::size_t>(schema)].rtype);
}

}  // namespace

std::string_view name(EdgeState state) {
    constexpr std::array<std::string_view, 5> kNames{"connecting", "live", "degraded", "backoff",
                                                     "stopped"};
    return kNames[static_cast<std::size_t>(state)];
}

StreamSink::StreamSink(const SinkConfig& config, std::unique_ptr<Edge> edge)
    : config_(config), edge_(std::move(edge)), events_(events_of(config)),
      ring_(config.ring_records * kRingBytes), named_(config.instruments), symbols_(config.instruments) {
    for (std::size_t i = events_.size(); i-- > 0;)
        event_of_[rtype_of(events_[i])] = static_cast<std::uint8_t>(i);
    streams_.resize(config_.by_symbol ? config_.instruments * events_.size() : 1);
    numbers_.resize(streams_.size());
    if (config_.epoch == 0)
        config_.epoch = static_cast<std::uint32_t>(SystemClock::now() / 1'000'000'000);
    if (config_.payload == Payload::json) config_.batch_records = 1;
    if (config_.when_full == WhenFull::spill) {
        const std::filesystem::path folder = config_.spill_folder.empty()
                                                 ? std::filesystem::temp_directory_path()
                                                 : std::filesystem::path(config_.spill_folder);
        spill_ = std::make_unique<Spill>(folder, config_.spill_bytes);
    }
    jitter_ = static_cast<std::uint64_t>(MonotonicClock::now()) | 1;
    thread_ = start_thread("sink", config_.cpu, [this] { run(); });
}

StreamSink::~StreamSink() { stop(); }

void StreamSink::stop() {
    waits_ = waits_ && config_.keep_waiting;
    patient_.store(waits_, std::memory_order_relaxed);
    stop_.store(true, std::memory_order_release);  // pairs with run(): all records are visible
    while (waits_ && state_.load(std::memory_order_relaxed) != EdgeState::stopped) {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        waits_ = config_.keep_waiting();
    }
    patient_.store(false, std::memory_order_relaxed);
    if (thread_.joinable()) thread_.join();
}

bool StreamSink::push(const RecordRing::Head& head, const void* bytes) {
    while (!ring_.push(head, static_cast<const std::uint8_t*>(bytes))) {
        if (config_.when_full != WhenFull::block || !waits_) return false;
        std::this_thread::sleep_for(kWaitForRoom);
        if (config_.keep_waiting) waits_ = config_.keep_waiting();
    }
    return true;
}

void StreamSink::on_record(const dbn::MadeRecord& made, const Symbol& symbol,
                           std::span<const std::uint8_t> bytes) {
    const std::uint32_t instrument = value(made.instrument);
    RecordRing::Head head;
    head.instrument = instrument;
    head.quality = static_cast<std::uint8_t>(made.quality);
    head.sequence = made.sequence;
    head.number = ++numbers_[stream_of(instrument, dbn::RecordView(bytes).rtype())];
    add(made_, 1);
    if (!named_[instrument]) {
        head.kind = RecordRing::Kind::symbol;
        head.size = sizeof(symbol);
        // Records whose symbol did not get through cannot be told apart, and are lost with it.
        if (!push(head, &symbol)) return add(ring_full_, 1);
        named_[instrument] = true;
        head.kind = RecordRing::Kind::record;
    }
    head.size = static_cast<std::uint16_t>(bytes.size());
    if (!push(head, bytes.data())) add(ring_full_, 1);
}

// Takes some of what is in the ring. False when there was nothing.
bool StreamSink::take_from_ring() {
    std::size_t made = 0;
    return ring_.take([&](const RecordRing::Head& head, std::span<const std::uint8_t> bytes) {
        if (head.kind == RecordRing::Kind::symbol) take_symbol(head.instrument, bytes);
        else made += take_record(head, bytes);
        return made < kTurnBytes;
    }) != 0;
}

void StreamSink::take_symbol(std::uint32_t instrument, std::span<const std::uint8_t> bytes) {
    Symbol& symbol = symbols_[instrument];
    std::memcpy(&symbol, bytes.data(), sizeof(symbol));
    for (const dbn::Schema event : events_) {
        const std::string feed =
            config_.by_event ? fmt::format("{}/{}", config_.feed, dbn::name(event)) : config_.feed;
        streams_[stream_of(instrument, rtype_of(event))].id =
            stream_id(feed, config_.by_symbol ? symbol.view() : std::string_view{});
    }
    edge_->on_symbol(dbn::RecordMaker::id_of(InstrumentId{instrument}), symbol);
}

// How many bytes of a payload it became.
std::size_t StreamSink::take_record(const RecordRing::Head& head, std::span<const std::uint8_t> record) {
    const dbn::RecordView view(record);
    const std::size_t number = stream_of(head.instrument, view.rtype());
    Stream& stream = streams_[number];
    Envelope& envelope = stream.open.envelope;
    // A hole, made by a full ring, ends the batch, whose records are numbered without one.
    if (head.number != stream.made + 1) {
        if (envelope.records.value() != 0) seal(number);
        stream.why |= static_cast<std::uint8_t>(WhyLeftOut::dropped);
    }
    stream.made = head.number;
    if (envelope.records.value() == 0) begin_batch(number, head, view);
    const std::size_t before = envelope.records.value() == 0 ? 0 : stream.open.payload.size();
    append(stream.open, symbols_[head.instrument], view);
    const std::size_t bytes = stream.open.payload.size() - before;
    bytes_ += bytes;
    envelope.records.set(envelope.records.value() + 1);
    envelope.last_sequence.set(head.sequence);
    if (head.quality > envelope.quality.value()) envelope.quality.set(head.quality);
    if (envelope.records.value() >= config_.batch_records) seal(number);
    return bytes;
}

void StreamSink::begin_batch(std::size_t number, const RecordRing::Head& head, dbn::RecordView first) {
    Stream& stream = streams_[number];
    Batch& batch = stream.open;
    batch = {};
    if (!pool_.empty()) {
        batch.payload = std::move(pool_.back());
        pool_.pop_back();
        batch.payload.clear();
    }
    if (config_.by_symbol) batch.symbol = symbols_[head.instrument];
    const dbn::Schema event = events_[number % events_.size()];
    batch.event = dbn::name(event);
    batch.stream = number;
    batch.books_only = config_.by_symbol;
    batch.envelope.stream.set(stream.id);
    batch.envelope.epoch.set(config_.epoch);
    batch.envelope.first_record.set(head.number);
    batch.envelope.first_sequence.set(head.sequence);
    stream.opened_at = now_;
    open_.push_back(number);
    if (config_.payload == Payload::dbn) put_metadata(stream, event, first);
}

// Of the first record's day.
void StreamSink::put_metadata(Stream& stream, dbn::Schema event, dbn::RecordView first) {
    Batch& batch = stream.open;
    const auto at = static_cast<Timestamp>(first.header().ts_event.value());
    const std::uint32_t date = dbn::utc_date(at);
    if (stream.date != date) {
        stream.date = date;
        dbn::Metadata metadata;
        metadata.dataset = config_.dataset;
        metadata.schema = static_cast<std::uint16_t>(event);
        metadata.stype_in = static_cast<std::uint8_t>(dbn::SymbolType::raw_symbol);
        const std::string symbol(batch.symbol.view());
        const std::string id = std::to_string(first.header().instrument_id.value());
        metadata.symbols = {symbol};
        metadata.mappings = {{symbol, {{date, dbn::next_date(date), id}}}};
        stream.metadata = dbn::encode(metadata);
    }
    batch.payload.insert(batch.payload.end(), stream.metadata.begin(), stream.metadata.end());
}

void StreamSink::append(Batch& batch, const Symbol& symbol, dbn::RecordView record) {
    batch.books_only = batch.books_only && dbn::shows_book(record);
    if (config_.payload == Payload::dbn || config_.payload == Payload::records) {
        batch.payload.insert(batch.payload.end(), record.bytes().begin(), record.bytes().end());
        return;
    }
    text_.clear();
    if (config_.payload == Payload::json) {
        dbn::append_json(text_, record, symbol.view());
    } else {
        const wire::MessageLayout* layout = dbn::layout_of(record.rtype());
        if (layout != nullptr) dbn::append_csv(text_, *layout, record, symbol.view());
        text_.push_back('\n');
    }
    batch.payload.insert(batch.payload.end(), text_.begin(), text_.end());
}

void StreamSink::seal(std::size_t stream) {
    Batch& batch = streams_[stream].open;
    batch.id = next_id_++;
    batch.sealed_ms = sealed_ms_;
    bytes_ += sizeof(Batch);
    const bool to_disk =
        spill_ != nullptr && (!spill_->empty() || bytes_ > config_.backlog_bytes);
    // Records alone have no envelope to carry it; what lies on disk is checked by it.
    if (config_.payload != Payload::records || to_disk) batch.envelope.crc32c.set(crc32c(batch.payload));
    if (to_disk) put_on_disk(batch);
    else backlog_.push_back(std::move(batch));
    batch = {};
    open_.erase(std::find(open_.begin(), open_.end(), stream));
    add(batches_, 1);
}

void StreamSink::seal_due(bool all) {
    for (std::size_t i = 0; i < open_.size();) {
        const Stream& stream = streams_[open_[i]];
        if (all || now_ - stream.opened_at >= config_.linger) seal(open_[i]);
        else ++i;
    }
}

void StreamSink::put_on_disk(Batch& batch) {
    if (!spill_->put(batch)) {
        problem_ = spill_->problem();
        return leave_out(batch, WhyLeftOut::dropped);
    }
    add(spilled_, batch.envelope.records.value());
    recycle(batch);
}

// In order, as room comes free in memory.
void StreamSink::take_from_disk() {
    while (spill_ != nullptr && !spill_->empty() && bytes_ < config_.backlog_bytes / 2) {
        Batch batch;
        const std::uint64_t damaged = spill_->damaged_records();
        if (spill_->next(batch) != Spill::Step::batch) {
            add(dropped_, spill_->damaged_records() - damaged);
            continue;
        }
        bytes_ += batch.payload.size() + sizeof(Batch);
        backlog_.push_back(std::move(batch));
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
    if (bytes_ <= config_.backlog_bytes || config_.when_full == WhenFull::block || ending_) return;
    if (config_.when_full == WhenFull::spill) return seal_due(true);
    if (config_.when_full == WhenFull::conflate) conflate();
    drop_waiting();
    if (bytes_ <= config_.backlog_bytes || open_.empty()) return;
    seal_due(true);
    drop_waiting();
}

void StreamSink::leave_out(Batch& batch, WhyLeftOut why) {
    add(why == WhyLeftOut::dropped ? dropped_ : conflated_, batch.envelope.records.value());
    streams_[batch.stream].why |= static_cast<std::uint8_t>(why);
    recycle(batch);
}

void StreamSink::drop_waiting() {
    const auto first = backlog_.begin() + static_cast<std::ptrdiff_t>(first_unsent());
    auto last = first;
    for (; last != backlog_.end() && bytes_ > config_.backlog_bytes; ++last)
        leave_out(*last, WhyLeftOut::dropped);
    backlog_.erase(first, last);
}

void StreamSink::conflate() {
    std::unordered_set<std::uint64_t> newer;  // streams that have a newer batch of their book
    auto kept = backlog_.end();               // what waits and stays, gathered from the back
    const std::size_t first = first_unsent();
    for (std::size_t i = backlog_.size(); i-- > first;) {
        Batch& batch = backlog_[i];
        if (batch.books_only && !newer.insert(batch.envelope.stream.value()).second) {
            leave_out(batch, WhyLeftOut::conflated);
            continue;
        }
        --kept;
        if (&*kept != &batch) *kept = std::move(batch);
    }
    backlog_.erase(backlog_.begin() + static_cast<std::ptrdiff_t>(first), kept);
}

// When everything else was acknowledged: so that a consumer sees what is missing at the end.
void StreamSink::put_end_marks() {
    ending_ = true;
    if (!config_.end_marks || config_.payload == Payload::records) return;
    for (std::size_t i = 0; i < streams_.size(); ++i) {
        Stream& stream = streams_[i];
        // acquire in run(): the hot thread is done, and its numbers are visible.
        if (numbers_[i] == 0 || stream.id == 0) continue;
        if (numbers_[i] != stream.made) stream.why |= static_cast<std::uint8_t>(WhyLeftOut::dropped);
        Batch mark;
        mark.id = next_id_++;
        mark.stream = i;
        mark.event = dbn::name(events_[i % events_.size()]);
        if (config_.by_symbol) mark.symbol = symbols_[i / events_.size()];
        mark.sealed_ms = sealed_ms_;
        mark.payload = stream.metadata;
        mark.envelope.stream.set(stream.id);
        mark.envelope.epoch.set(config_.epoch);
        mark.envelope.first_record.set(numbers_[i] + 1);
        mark.envelope.crc32c.set(crc32c(mark.payload));
        bytes_ += mark.payload.size() + sizeof(Batch);
        backlog_.push_back(std::move(mark));
    }
}

// How many records those batches have.
std::uint64_t StreamSink::settle(std::vector<std::uint64_t>& ids) {
    std::uint64_t records = 0;
    for (const std::uint64_t id : ids) {
        const auto last = backlog_.begin() + static_cast<std::ptrdiff_t>(in_flight_);
        const auto found =
            std::lower_bound(backlog_.begin(), last, id,
                             [](const Batch& batch, std::uint64_t of) { return batch.id < of; });
        if (found == last || found->id != id || found->done) continue;
        found->done = true;
        records += found->envelope.records.value();
        recycle(*found);
    }
    ids.clear();
    return records;
}

void StreamSink::handle_acks() {
    if (!acks_.taken.empty()) backoff_ = 0;
    add(acknowledged_, settle(acks_.taken));
    const std::uint64_t refused = settle(acks_.refused);
    add(dropped_, refused);
    add(refused_, refused);
    for (; in_flight_ > 0 && backlog_.front().done; --in_flight_) backlog_.pop_front();
}

void StreamSink::lose_connection() {
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
    retry_at_ = now_ + backoff_ / 2 +
                static_cast<Nanoseconds>(jitter_ % static_cast<std::uint64_t>(backoff_ / 2));
    state_.store(EdgeState::backoff, std::memory_order_relaxed);
}

// Tells with the batch what was left out before it, which is known only now.
Edge::Sent StreamSink::give(Batch& batch) {
    Stream& stream = streams_[batch.stream];
    Envelope& envelope = batch.envelope;
    if (!batch.again) {
        const std::uint64_t left_out = envelope.first_record.value() - stream.told;
        envelope.left_out.set(static_cast<std::uint16_t>(std::min(left_out, kLeftOutMost)));
        envelope.why.set(left_out == 0 ? std::uint8_t{0} : stream.why);
    }
    const Edge::Sent sent = edge_->send(batch);
    if (sent == Edge::Sent::full || batch.again) return sent;
    stream.told = envelope.first_record.value() + envelope.records.value();
    // Parts of what failed may have arrived.
    batch.again = sent == Edge::Sent::failed;
    return sent;
}

void StreamSink::work_edge() {
    if (!connected_) {
        if (now_ < retry_at_) return;
        state_.store(EdgeState::connecting, std::memory_order_relaxed);
        if (!edge_->connect(problem_)) return lose_connection();
        connected_ = true;
        add(connects_, 1);
    }
    bool full = false;
    while (in_flight_ < backlog_.size() && !full) {
        const Edge::Sent sent = give(backlog_[in_flight_]);
        if (sent == Edge::Sent::failed) return lose_connection();
        full = sent == Edge::Sent::full;
        if (!full) ++in_flight_;
    }
    const bool good = !full && edge_->healthy();
    state_.store(good ? EdgeState::live : EdgeState::degraded, std::memory_order_relaxed);
    const bool alive = edge_->poll(0, acks_, problem_);
    handle_acks();
    if (!alive) lose_connection();
}

// Being full for a moment is none.
void StreamSink::note_trouble() {
    const bool now = (!connected_ || !edge_->healthy()) && !problem_.empty();
    if (!now && !in_trouble_) return;
    in_trouble_ = now;
    const std::lock_guard lock(trouble_lock_);
    trouble_ = now ? problem_ : std::string{};
}

std::string StreamSink::trouble() const {
    const std::lock_guard lock(trouble_lock_);
    return trouble_;
}

void StreamSink::update_gauges() {
    backlog_bytes_.store(bytes_, std::memory_order_relaxed);
    if (bytes_ > backlog_bytes_max_.load(std::memory_order_relaxed))
        backlog_bytes_max_.store(bytes_, std::memory_order_relaxed);
}

// Once a turn; what happens within a turn happens at one time.
void StreamSink::read_clocks() {
    now_ = MonotonicClock::now();
    sealed_ms_ = std::max(sealed_ms_, static_cast<std::uint64_t>(SystemClock::now() / 1'000'000));
}

void StreamSink::run() {
    Timestamp give_up_at = 0;
    for (;;) {
        // acquire: pairs with stop(); what the hot thread pushed before is in the ring.
        const bool stopping = stop_.load(std::memory_order_acquire);
        // Who may block leaves records in the ring, and so holds the feed up.
        const bool take = config_.when_full != WhenFull::block || bytes_ <= config_.backlog_bytes;
        read_clocks();
        const bool took = take && take_from_ring();
        seal_due(stopping && !took);
        make_room();
        work_edge();
        take_from_disk();
        update_gauges();
        note_trouble();
        if (stopping) {
            const bool patient = patient_.load(std::memory_order_relaxed);
            if (give_up_at == 0 || patient) give_up_at = now_ + config_.stop_within;
            const bool done = !took && take && open_.empty() && backlog_.empty() &&
                              (spill_ == nullptr || spill_->empty());
            // Marks are not worth waiting for a server that has gone.
            if ((done && ending_) || ((done || ending_) && !connected_) || now_ > give_up_at) break;
            if (done) put_end_marks();
        }
        if (took) continue;
        if (!connected_ || !edge_->poll(1, acks_, problem_)) {
            if (connected_) lose_connection();
            else std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        handle_acks();
    }
    while (take_from_ring()) {
    }
    seal_due(true);
    for (const Batch& batch : backlog_) {
        if (!batch.done) add(unsent_, batch.envelope.records.value());
    }
    if (spill_ != nullptr) add(unsent_, spill_->records());
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
    stats.spilled = read(spilled_);
    stats.batches = read(batches_);
    stats.refused = read(refused_);
    stats.resent = read(resent_);
    stats.connects = read(connects_);
    stats.backlog_bytes = read(backlog_bytes_);
    stats.backlog_bytes_max = read(backlog_bytes_max_);
    return stats;
}

}  // namespace millrace::streams
