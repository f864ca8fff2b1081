#include "millrace/feed/streams/kafka/kafka_catalogue.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "millrace/core/clock.hpp"
#include "millrace/core/error.hpp"
#include "millrace/feed/streams/kafka/compacted_topic.hpp"
#include "millrace/feed/streams/kafka/headers.hpp"

namespace millrace::streams {

namespace {

constexpr int kAnswerMs = 10'000;
constexpr std::array<std::string_view, 4> kQualities{"live", "recovering", "stale", "suspect"};

[[noreturn]] void fail(const std::string& where, std::string_view why) {
    throw Error(ExitCode::resource, fmt::format("{}: {}", where, why));
}

struct MessageDeleter {
    void operator()(rd_kafka_message_t* message) const { rd_kafka_message_destroy(message); }
};
struct PartitionsDeleter {
    void operator()(rd_kafka_topic_partition_list_t* list) const {
        rd_kafka_topic_partition_list_destroy(list);
    }
};

void take(const rd_kafka_message_t& message, const std::string& prefix, ShardPosition& position) {
    const std::string_view key(static_cast<const char*>(message.key), message.key_len);
    Envelope envelope;
    if (!envelope_of(message, envelope)) return;
    position.newest_epoch = std::max(position.newest_epoch, envelope.epoch.value());
    if (key.substr(0, prefix.size()) != prefix) return;
    position.epoch = envelope.epoch.value();
    position.last_record[envelope.stream.value()] =
        envelope.first_record.value() + envelope.records.value() - 1;
}

// A consumer of the catalogue from its beginning.
KafkaClient reader_of(const KafkaSettings& settings, const std::string& catalogue,
                      const std::string& where) {
    KafkaClient client = make_kafka_client(RD_KAFKA_CONSUMER, settings, where);
    rd_kafka_poll_set_consumer(client.get());
    const std::unique_ptr<rd_kafka_topic_partition_list_t, PartitionsDeleter> all(
        rd_kafka_topic_partition_list_new(1));
    rd_kafka_topic_partition_list_add(all.get(), catalogue.c_str(), 0)->offset =
        RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_assign(client.get(), all.get());
    return client;
}

// The end of the log as the latest answer told it, which is the high watermark: readers of
// committed messages are told their own end apart from it.
std::int64_t log_end(rd_kafka_t* client, const std::string& catalogue) {
    std::int64_t low = RD_KAFKA_OFFSET_INVALID;
    std::int64_t high = RD_KAFKA_OFFSET_INVALID;
    rd_kafka_get_watermark_offsets(client, catalogue.c_str(), 0, &low, &high);
    return high;
}

}  // namespace

std::string ShardName::prefix() const { return run.empty() ? shard + "//" : shard + "/" + run + "/"; }

std::string catalogue_of(const std::string& topic) { return topic + ".catalogue"; }

CatalogueEntry catalogue_entry(const ShardName& name, const Symbol& symbol, const Envelope& latest) {
    const std::size_t quality = std::min<std::size_t>(latest.quality.value(), kQualities.size() - 1);
    CatalogueEntry entry;
    entry.key = name.prefix() + std::string(symbol.view());
    entry.envelope = latest;
    entry.value = fmt::format(
        R"({{"shard":"{}","run":"{}","symbol":"{}","stream":{},"epoch":{},"last_record":{},)"
        R"("last_sequence":{},"quality":"{}"}})",
        name.shard, name.run, symbol.view(), latest.stream.value(), latest.epoch.value(),
        latest.first_record.value() + latest.records.value() - 1, latest.last_sequence.value(),
        kQualities[quality]);
    return entry;
}

void ensure_catalogue(rd_kafka_t* client, const std::string& topic, const std::string& where) {
    const std::string problem = ensure_compacted(client, catalogue_of(topic), 1, kAnswerMs);
    if (!problem.empty()) fail(where, problem);
}

ShardPosition read_position(const KafkaSettings& settings, const std::string& topic,
                            const ShardName& name, const std::string& where, Nanoseconds patience) {
    const std::string catalogue = catalogue_of(topic);
    const KafkaClient client = reader_of(settings, catalogue, where);
    ShardPosition position;
    std::string problem = "the servers do not answer";
    std::int64_t end = RD_KAFKA_OFFSET_INVALID;  // of the log, when what is committed first ended
    Timestamp give_up_at = MonotonicClock::now() + patience;
    for (;;) {
        const std::unique_ptr<rd_kafka_message_t, MessageDeleter> message(
            rd_kafka_consumer_poll(client.get(), 500));
        const Timestamp now = MonotonicClock::now();
        if (message != nullptr && message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            if (end < 0) end = log_end(client.get(), catalogue);
            if (end >= 0 && message->offset >= end) break;
            problem = "a transaction of another shard is open";
        } else if (message != nullptr && message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            take(*message, name.prefix(), position);
            if (end >= 0 && message->offset + 1 >= end) break;
            give_up_at = now + patience;
        } else if (message != nullptr) {
            problem = rd_kafka_message_errstr(message.get());  // a new topic is not there at once
        }
        if (now > give_up_at) fail(where, fmt::format("{} cannot be read: {}", catalogue, problem));
    }
    rd_kafka_consumer_close(client.get());
    return position;
}

}  // namespace millrace::streams
