#include "millrace/feed/streams/kafka/kafka_shard.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "millrace/core/clock.hpp"
#include "millrace/core/error.hpp"
#include "millrace/feed/streams/dbn/codec.hpp"
#include "millrace/feed/streams/kafka/headers.hpp"

namespace millrace::streams {

namespace {

constexpr int kStepMs = 5'000;   // what a call to the servers may take before it is asked again
constexpr Nanoseconds kStep = 5'000'000'000;
constexpr int kBeginMs = 20'000;
// Longer than a server lets a transaction live that nobody ends.
constexpr Nanoseconds kBegin = 90'000'000'000;
constexpr std::size_t kBytesMost = std::size_t{8} << 20;  // of a transaction
constexpr std::uint64_t kCommitMost = 60'000;
constexpr Nanoseconds kMillisecond = 1'000'000;
constexpr std::size_t kDbnPrefix = 8;  // "DBN", the version, the length of the metadata

void check_name(const std::string& where, const std::string& option, const std::string& name) {
    const auto good = [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               c == '.' || c == '_' || c == '-';
    };
    if (std::all_of(name.begin(), name.end(), good)) return;
    throw Error(ExitCode::usage,
                fmt::format("{}: {} is made of letters, digits, '.', '_' and '-'", where, option));
}

rd_kafka_vu_t of(rd_kafka_vtype_t type) {
    rd_kafka_vu_t argument{};
    argument.vtype = type;
    return argument;
}

// The venue's sequence number of a record that comes not before `at_least`: records have its lower
// 32 bits, those of state none.
std::uint64_t sequence_of(dbn::RecordView record, std::uint64_t at_least) {
    const wire::MessageLayout* layout = dbn::layout_of(record.rtype());
    if (layout == nullptr) return at_least;
    for (const wire::FieldLayout& field : layout->fields) {
        std::uint32_t low = 0;
        const auto offset = static_cast<std::size_t>(field.offset);
        if (field.name != "sequence" || offset + sizeof(low) > record.bytes().size()) continue;
        std::memcpy(&low, record.bytes().data() + offset, sizeof(low));
        const std::uint64_t sequence = (at_least & ~std::uint64_t{0xffff'ffff}) | low;
        return sequence < at_least ? sequence + (std::uint64_t{1} << 32) : sequence;
    }
    return at_least;
}

}  // namespace

Batch without_first(const Batch& batch, std::uint64_t records) {
    std::uint32_t metadata = 0;
    std::memcpy(&metadata, batch.payload.data() + 4, sizeof(metadata));
    const std::size_t head = kDbnPrefix + metadata;
    std::span<const std::uint8_t> rest = std::span(batch.payload).subspan(head);
    dbn::RecordView record;
    for (std::uint64_t i = 0; i < records; ++i) {
        MILLRACE_VERIFY(dbn::next_record(rest, record) == dbn::Step::record);
        rest = rest.subspan(record.bytes().size());
    }
    Batch out;
    out.id = batch.id;
    out.symbol = batch.symbol;
    out.envelope = batch.envelope;
    out.payload.assign(batch.payload.begin(),
                       batch.payload.begin() + static_cast<std::ptrdiff_t>(head));
    out.payload.insert(out.payload.end(), rest.begin(), rest.end());
    const std::uint64_t from = batch.envelope.first_sequence.value();
    MILLRACE_VERIFY(dbn::next_record(rest, record) == dbn::Step::record);
    out.envelope.first_record.set(batch.envelope.first_record.value() + records);
    out.envelope.records.set(static_cast<std::uint32_t>(batch.envelope.records.value() - records));
    out.envelope.first_sequence.set(sequence_of(record, from));
    out.envelope.crc32c.set(crc32c(out.payload));
    return out;
}

KafkaShard::KafkaShard(Url& url, const SinkConfig& config)
    : where_(url.text()), topic_(url.path), settings_(url), reader_(url) {
    name_.shard = url.take("shard", "");
    name_.run = url.take("run", "");
    check_name(where_, "shard", name_.shard);
    check_name(where_, "run", name_.run);
    if (name_.shard.empty())
        throw Error(ExitCode::usage, fmt::format("{}: a run is of a shard; name it", where_));
    if (config.payload != Payload::dbn)
        throw Error(ExitCode::usage, fmt::format("{}: a shard's payload is dbn", where_));
    if (!name_.run.empty() && config.when_full != WhenFull::block) {
        throw Error(ExitCode::usage,
                    fmt::format("{}: a run is a replay that loses nothing: its policy is block",
                                where_));
    }
    commit_every_ =
        static_cast<Nanoseconds>(url.take_number("commit_ms", 100, kCommitMost)) * kMillisecond;
    reader_.set("group.id", "millrace");
    reader_.set("enable.auto.commit", "false");
    reader_.set("enable.partition.eof", "true");
    reader_.set("isolation.level", "read_committed");
    settings_.set("transactional.id", name_.shard);
    settings_.set("transaction.timeout.ms", "60000");
    settings_.set("partitioner", "murmur2_random");  // Java's
    settings_.set("linger.ms", "5");
    settings_.set("compression.codec", "lz4");
    settings_.set("queue.buffering.max.messages", "1000000");
    Url same = url;
    reader_.take_options(same);
    settings_.take_options(url);
}

void KafkaShard::open() {
    client_ = make_kafka_client(RD_KAFKA_PRODUCER, settings_, where_);
    if (!name_.run.empty() && !initialise(kBeginMs, kBegin))
        throw Error(ExitCode::resource, problem_);
}

// Notes what went wrong. True when there was an error.
bool KafkaShard::failed(rd_kafka_error_t* error) {
    if (error == nullptr) return false;
    problem_ = fmt::format("{}: {}", where_, rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
    look_for_end();
    return true;
}

// A writer that was fenced never tries again: it would fence its successor.
void KafkaShard::look_for_end() {
    std::array<char, 512> why{};
    if (gone_ || rd_kafka_fatal_error(client_.get(), why.data(), why.size()) == 0) return;
    gone_ = true;
    problem_ = fmt::format("{}: shard {} has another writer now, or cannot go on: {}", where_,
                           name_.shard, why.data());
}

bool KafkaShard::initialise(int wait_ms, Nanoseconds patience) {
    if (initialised_) return true;
    if (!has_fenced_ && failed(rd_kafka_init_transactions(client_.get(), wait_ms))) return false;
    has_fenced_ = true;
    try {
        ensure_catalogue(client_.get(), topic_, where_);
        resume(read_position(reader_, topic_, name_, where_, patience));
    } catch (const Error& error) {
        problem_ = error.what();
        return false;
    }
    initialised_ = true;
    return true;
}

// A run goes on where it was, in its epoch. Whoever begins is newer than all that there is, also on a
// machine whose clock is behind, and in the second in which the writer before it has begun.
void KafkaShard::resume(const ShardPosition& position) {
    epoch_min_ = position.newest_epoch + 1;
    if (name_.run.empty() || position.epoch == 0) return;
    epoch_min_ = epoch_max_ = position.epoch;
    done_ = position.last_record;
}

Envelope KafkaShard::numbered(Envelope envelope) const {
    envelope.epoch.set(std::clamp(envelope.epoch.value(), epoch_min_, epoch_max_));
    return envelope;
}

bool KafkaShard::connect(std::string& problem) {
    rd_kafka_poll(client_.get(), 0);
    if (!gone_ && !initialise(kStepMs, kStep) && !gone_) {
        problem = problem_;
        return false;
    }
    if (state_ == State::aborting) abort(kStepMs);
    if (state_ == State::aborting && !gone_) {
        problem = problem_;
        return false;
    }
    return true;
}

bool KafkaShard::begin() {
    if (failed(rd_kafka_begin_transaction(client_.get()))) return false;
    state_ = State::open;
    began_at_ = MonotonicClock::now();
    bytes_ = 0;
    return true;
}

Edge::Sent KafkaShard::send(const Batch& batch) {
    if (gone_) {
        acks_.refused.push_back(batch.id);
        return Sent::accepted;
    }
    const std::uint64_t first = batch.envelope.first_record.value();
    const std::uint64_t end = first + batch.envelope.records.value();
    const auto found = done_.find(batch.envelope.stream.value());
    const std::uint64_t done = found == done_.end() ? 0 : found->second;
    if (end <= done + 1) {
        resumed_ += batch.envelope.records.value();
        acks_.taken.push_back(batch.id);
        return Sent::accepted;
    }
    if (state_ == State::committing || bytes_ >= kBytesMost) return Sent::full;
    if (state_ == State::idle && !begin()) return gone_ ? send(batch) : Sent::failed;
    if (first <= done) {
        resumed_ += done + 1 - first;
        return put(without_first(batch, done + 1 - first));
    }
    return put(batch);
}

// Into the present transaction.
Edge::Sent KafkaShard::put(const Batch& batch) {
    const Envelope envelope = numbered(batch.envelope);
    const rd_kafka_resp_err_t code =
        produce(topic_, batch.symbol.view(), batch.payload, envelope);
    if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL) return Sent::full;
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        problem_ = fmt::format("{}: {}", where_, rd_kafka_err2str(code));
        if (code != RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) return Sent::failed;
        acks_.refused.push_back(batch.id);
        return Sent::accepted;
    }
    bytes_ += batch.payload.size();
    sent_.push_back(batch.id);
    touched_[envelope.stream.value()] = {batch.symbol, envelope};
    return Sent::accepted;
}

rd_kafka_resp_err_t KafkaShard::produce(const std::string& topic, std::string_view key,
                                        std::span<const std::uint8_t> value,
                                        const Envelope& envelope) {
    rd_kafka_headers_t* headers = headers_of(envelope);
    std::array<rd_kafka_vu_t, 5> arguments{
        of(RD_KAFKA_VTYPE_TOPIC), of(RD_KAFKA_VTYPE_KEY), of(RD_KAFKA_VTYPE_VALUE),
        of(RD_KAFKA_VTYPE_MSGFLAGS), of(RD_KAFKA_VTYPE_HEADERS)};
    arguments[0].u.cstr = topic.c_str();
    arguments[1].u.mem = {const_cast<char*>(key.data()), key.size()};  // copied
    arguments[2].u.mem = {const_cast<std::uint8_t*>(value.data()), value.size()};
    arguments[3].u.i = RD_KAFKA_MSG_F_COPY;
    arguments[4].u.headers = headers;
    rd_kafka_error_t* error =
        rd_kafka_produceva(client_.get(), arguments.data(), arguments.size());
    if (error == nullptr) return RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_headers_destroy(headers);
    const rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    rd_kafka_error_destroy(error);
    return code;
}

bool KafkaShard::put_catalogue() {
    for (auto one = touched_.begin(); one != touched_.end(); one = touched_.erase(one)) {
        const CatalogueEntry entry =
            catalogue_entry(name_, one->second.symbol, one->second.envelope);
        const auto* bytes = reinterpret_cast<const std::uint8_t*>(entry.value.data());
        const rd_kafka_resp_err_t code = produce(catalogue_of(topic_), entry.key,
                                                 {bytes, entry.value.size()}, entry.envelope);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) continue;
        problem_ = fmt::format("{}: {}", where_, rd_kafka_err2str(code));
        // When there is no room, what is left goes with the next try.
        if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL) state_ = State::aborting;
        return false;
    }
    return true;
}

bool KafkaShard::due() const {
    if (state_ == State::committing) return true;
    return state_ == State::open && (bytes_ >= kBytesMost || sent_.empty() ||
                                     MonotonicClock::now() - began_at_ >= commit_every_);
}

void KafkaShard::commit(int wait_ms) {
    if (state_ == State::open && !put_catalogue()) return;
    state_ = State::committing;
    rd_kafka_error_t* error = rd_kafka_commit_transaction(client_.get(), wait_ms);
    if (error == nullptr) {
        ++transactions_;
        settle();
        return;
    }
    const bool again = rd_kafka_error_is_retriable(error) != 0;
    static_cast<void>(failed(error));
    if (!again) state_ = State::aborting;
}

void KafkaShard::settle() {
    acks_.taken.insert(acks_.taken.end(), sent_.begin(), sent_.end());
    sent_.clear();
    touched_.clear();
    bytes_ = 0;
    state_ = State::idle;
}

void KafkaShard::abort(int wait_ms) {
    if (failed(rd_kafka_abort_transaction(client_.get(), wait_ms))) return;
    ++aborted_;
    state_ = State::idle;
}

bool KafkaShard::poll(int wait_ms, Acks& acks, std::string& problem) {
    rd_kafka_poll(client_.get(), wait_ms);
    look_for_end();
    if (!gone_ && due()) commit(kStepMs);
    if (gone_) {  // nothing of this transaction will ever be seen
        acks_.refused.insert(acks_.refused.end(), sent_.begin(), sent_.end());
        sent_.clear();
        state_ = State::idle;
    }
    acks.taken.insert(acks.taken.end(), acks_.taken.begin(), acks_.taken.end());
    acks.refused.insert(acks.refused.end(), acks_.refused.begin(), acks_.refused.end());
    acks_ = {};
    if (!problem_.empty()) problem = problem_;
    return state_ != State::aborting;
}

// What was sent and not committed is aborted; the frame sends it again.
void KafkaShard::disconnect() {
    acks_ = {};
    sent_.clear();
    touched_.clear();
    bytes_ = 0;
    if (state_ == State::idle || gone_) return;
    state_ = State::aborting;
    abort(kStepMs);
}

std::vector<EdgeCounter> KafkaShard::counters() const {
    return {{"transactions", transactions_},
            {"aborted", aborted_},
            {"resumed", resumed_},
            {"fenced", gone_ ? std::uint64_t{1} : std::uint64_t{0}}};
}

}  // namespace millrace::streams
