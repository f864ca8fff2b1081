#include "millrace/feed/streams/kafka/kafka_edge.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "millrace/core/clock.hpp"
#include "millrace/core/error.hpp"
#include "millrace/feed/streams/dbn/layouts.hpp"
#include "millrace/feed/streams/kafka/compacted_topic.hpp"
#include "millrace/feed/streams/kafka/headers.hpp"
#include "millrace/feed/streams/last_record.hpp"

namespace millrace::streams {

namespace {

// The sink's thread never waits longer than that.
constexpr int kConnectMs = 200;
constexpr int kPurgeMs = 1'000;  // when it ends

// What no second attempt would change.
bool is_for_good(rd_kafka_resp_err_t code) {
    return code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ||
           code == RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE || code == RD_KAFKA_RESP_ERR_INVALID_RECORD;
}

rd_kafka_vu_t of(rd_kafka_vtype_t type) {
    rd_kafka_vu_t argument{};
    argument.vtype = type;
    return argument;
}

}  // namespace

KafkaEdge::KafkaEdge(Url& url, const SinkConfig& config)
    : where_(url.text()), topic_(url.path),
      bytes_max_(std::max<std::size_t>(config.backlog_bytes / 2, 1 << 20)), settings_(url) {
    const std::string profile = url.take("profile", "throughput");
    if (profile != "throughput" && profile != "latency") {
        throw Error(ExitCode::usage,
                    fmt::format("{}: profile is throughput or latency", where_));
    }
    const bool throughput = profile == "throughput";
    settings_.set("enable.idempotence", "true");
    settings_.set("partitioner", "murmur2_random");  // Java's
    settings_.set("linger.ms", throughput ? "5" : "0");
    settings_.set("compression.codec", throughput ? "lz4" : "none");
    if (throughput) settings_.set("batch.size", "1000000");
    settings_.set("queue.buffering.max.messages", "1000000");
    settings_.set("message.timeout.ms", "0");  // the sink's policy decides what is given up
    settings_.set("reconnect.backoff.ms", "50");
    settings_.set("reconnect.backoff.max.ms", "2000");
    settings_.take_options(url);
    take_last(url, config);
    rd_kafka_conf_set_opaque(settings_.get(), this);
    rd_kafka_conf_set_dr_msg_cb(settings_.get(), on_delivery);
    rd_kafka_conf_set_error_cb(settings_.get(), on_error);
}

void KafkaEdge::open() { client_ = make_kafka_client(RD_KAFKA_PRODUCER, settings_, where_); }

void KafkaEdge::take_last(Url& url, const SinkConfig& config) {
    const std::string pattern = url.take("last", "");
    if (pattern.empty()) return;
    last_ = Address(pattern);
    const bool by_event = Address::names_event(pattern);
    if (by_event && !config.by_event) {
        throw Error(ExitCode::usage,
                    fmt::format("{}: {{event}} in last needs {{event}} in the topic", where_));
    }
    if (Address::names_symbol(pattern))
        throw Error(ExitCode::usage, fmt::format("{}: last names topics by {{event}} alone", where_));
    for (const dbn::SchemaInfo& info : dbn::schemas()) {
        if (by_event && !config.schemas.has(info.schema)) continue;
        last_wanted_.push_back(last_.of(info.name, {}));
        if (!by_event) break;
    }
}

bool KafkaEdge::make_last_topics(std::string& problem) {
    while (!last_wanted_.empty()) {
        const std::string why = ensure_compacted(client_.get(), last_wanted_.back(), -1, kConnectMs);
        if (!why.empty()) {
            problem = fmt::format("{}: {}", where_, why);
            return false;
        }
        last_wanted_.pop_back();
    }
    return true;
}

// librdkafka connects by itself; this asks whether the topic is to be had.
bool KafkaEdge::connect(std::string& problem) {
    lost_ = false;
    if (client_ == nullptr) client_ = make_kafka_client(RD_KAFKA_PRODUCER, settings_, where_);
    rd_kafka_poll(client_.get(), 0);
    // Of several topics none is known before its first batch; the servers are, then.
    rd_kafka_topic_t* topic =
        topic_.is_fixed() ? rd_kafka_topic_new(client_.get(), topic_.of({}, {}).c_str(), nullptr)
                          : nullptr;
    const rd_kafka_metadata_t* metadata = nullptr;
    const auto code = rd_kafka_metadata(client_.get(), 0, topic, &metadata, kConnectMs);
    const bool of_one = topic != nullptr && code == RD_KAFKA_RESP_ERR_NO_ERROR && metadata->topic_cnt == 1;
    const auto of_topic = of_one
                              ? metadata->topics[0].err
                              : code;
    if (metadata != nullptr) rd_kafka_metadata_destroy(metadata);
    if (topic != nullptr) rd_kafka_topic_destroy(topic);
    if (of_topic == RD_KAFKA_RESP_ERR_NO_ERROR) {
        all_down_ = false;
        return make_last_topics(problem);
    }
    problem = fmt::format("{}: {}{}{}", where_, rd_kafka_err2str(of_topic),
                          problem_.empty() ? "" : "; ", problem_);
    return false;
}

Edge::Sent KafkaEdge::send(const Batch& batch) {
    if (bytes_ > bytes_max_) return Sent::full;
    rd_kafka_headers_t* headers = headers_of(batch.envelope);
    std::array<rd_kafka_vu_t, 5> arguments{
        of(RD_KAFKA_VTYPE_TOPIC), of(RD_KAFKA_VTYPE_KEY), of(RD_KAFKA_VTYPE_VALUE),
        of(RD_KAFKA_VTYPE_OPAQUE), of(RD_KAFKA_VTYPE_HEADERS)};
    const std::string_view key = batch.symbol.view();
    const std::string topic = topic_.of(batch.event, key);
    arguments[0].u.cstr = topic.c_str();
    // librdkafka copies the key and only reads the payload, which stays where it is until the
    // delivery report.
    arguments[1].u.mem = {const_cast<char*>(key.data()), key.size()};
    arguments[2].u.mem = {const_cast<std::uint8_t*>(batch.payload.data()), batch.payload.size()};
    arguments[3].u.ptr = reinterpret_cast<void*>(batch.id);
    arguments[4].u.headers = headers;
    rd_kafka_error_t* error =
        rd_kafka_produceva(client_.get(), arguments.data(), arguments.size());
    if (error == nullptr) {
        bytes_ += batch.payload.size();
        if (!last_.empty() && batch.envelope.records.value() != 0) send_last(batch);
        return Sent::accepted;
    }
    rd_kafka_headers_destroy(headers);
    const rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    rd_kafka_error_destroy(error);
    return refused(code, batch);
}

// Nobody is told of it: what fails is counted, and the next value takes its place.
void KafkaEdge::send_last(const Batch& batch) {
    const std::string topic = last_.of(batch.event, {});
    const std::string value = last_record(batch.payload);
    const std::string_view key = batch.symbol.view();
    std::array<rd_kafka_vu_t, 4> arguments{of(RD_KAFKA_VTYPE_TOPIC), of(RD_KAFKA_VTYPE_KEY),
                                           of(RD_KAFKA_VTYPE_VALUE), of(RD_KAFKA_VTYPE_MSGFLAGS)};
    arguments[0].u.cstr = topic.c_str();
    arguments[1].u.mem = {const_cast<char*>(key.data()), key.size()};
    arguments[2].u.mem = {const_cast<char*>(value.data()), value.size()};
    arguments[3].u.i = RD_KAFKA_MSG_F_COPY;
    rd_kafka_error_t* error = rd_kafka_produceva(client_.get(), arguments.data(), arguments.size());
    if (error == nullptr) return;
    ++others_failed_;
    rd_kafka_error_destroy(error);
}

Edge::Sent KafkaEdge::refused(rd_kafka_resp_err_t code, const Batch& batch) {
    if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL) return Sent::full;
    problem_ = rd_kafka_err2str(code);
    if (!is_for_good(code)) return Sent::failed;
    acks_.refused.push_back(batch.id);
    return Sent::accepted;
}

void KafkaEdge::on_delivery(rd_kafka_t*, const rd_kafka_message_t* message, void* edge) {
    static_cast<KafkaEdge*>(edge)->deliver(*message);
}

void KafkaEdge::deliver(const rd_kafka_message_t& message) {
    const auto batch = reinterpret_cast<std::uint64_t>(message._private);
    if (batch == 0) {  // of send_last()
        others_failed_ += message.err == RD_KAFKA_RESP_ERR_NO_ERROR ? 0U : 1U;
        return;
    }
    bytes_ -= message.len;
    if (message.err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        all_down_ = false;
        acks_.taken.push_back(batch);
    } else if (is_for_good(message.err)) {
        problem_ = rd_kafka_err2str(message.err);
        acks_.refused.push_back(batch);
    } else if (message.err != RD_KAFKA_RESP_ERR__PURGE_QUEUE &&
               message.err != RD_KAFKA_RESP_ERR__PURGE_INFLIGHT) {
        problem_ = rd_kafka_err2str(message.err);
        lost_ = true;
    }
}

void KafkaEdge::on_error(rd_kafka_t* client, int code, const char* reason, void* edge) {
    auto& self = *static_cast<KafkaEdge*>(edge);
    self.problem_ = reason;
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) self.all_down_ = true;
    if (code != RD_KAFKA_RESP_ERR__FATAL) return;
    std::array<char, 512> what{};
    rd_kafka_fatal_error(client, what.data(), what.size());
    self.problem_ = what.data();
    self.lost_ = true;
}

bool KafkaEdge::poll(int wait_ms, Acks& acks, std::string& problem) {
    rd_kafka_poll(client_.get(), wait_ms);
    acks.taken.insert(acks.taken.end(), acks_.taken.begin(), acks_.taken.end());
    acks.refused.insert(acks.refused.end(), acks_.refused.begin(), acks_.refused.end());
    acks_ = {};
    if (!problem_.empty()) problem = fmt::format("{}: {}", where_, problem_);
    return !lost_;
}

void KafkaEdge::disconnect() {
    if (client_ == nullptr) return;
    // When everything was acknowledged, the last values may still be on their way.
    if (!last_.empty() && bytes_ == 0 && !lost_) rd_kafka_flush(client_.get(), kPurgeMs);
    const Timestamp until = MonotonicClock::now() + Nanoseconds{kPurgeMs} * 1'000'000;
    rd_kafka_purge(client_.get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    while (rd_kafka_outq_len(client_.get()) > 0 && MonotonicClock::now() < until)
        rd_kafka_poll(client_.get(), 50);
    // A producer that failed, or that does not let go of what it was given, is made anew.
    if (lost_ || rd_kafka_outq_len(client_.get()) > 0) client_.reset();
    acks_ = {};
    bytes_ = 0;
}

std::vector<EdgeCounter> KafkaEdge::counters() const {
    if (last_.empty()) return {};
    return {{"others_failed", others_failed_}};
}

}  // namespace millrace::streams
