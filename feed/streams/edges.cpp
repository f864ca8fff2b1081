#include "millrace/feed/streams/edges.hpp"

#include <fmt/format.h>

#include <array>

#include "millrace/core/error.hpp"
#include "millrace/feed/streams/address.hpp"
#include "millrace/feed/streams/framed/file_edge.hpp"
#include "millrace/feed/streams/framed/framed_source.hpp"
#include "millrace/feed/streams/tcp/gateway.hpp"
#ifdef MILLRACE_HAS_KAFKA
#include "millrace/feed/streams/kafka/kafka_edge.hpp"
#include "millrace/feed/streams/kafka/kafka_shard.hpp"
#include "millrace/feed/streams/kafka/kafka_source.hpp"
#endif
#ifdef MILLRACE_HAS_REDIS
#include "millrace/feed/streams/redis/redis_edge.hpp"
#include "millrace/feed/streams/redis/redis_source.hpp"
#endif
#ifdef MILLRACE_HAS_RABBITMQ
#include "millrace/feed/streams/rabbitmq/rabbit_edge.hpp"
#include "millrace/feed/streams/rabbitmq/rabbit_source.hpp"
#endif

namespace millrace::streams {

namespace {

#ifdef MILLRACE_HAS_KAFKA
constexpr bool kKafka = true;
#else
constexpr bool kKafka = false;
#endif
#ifdef MILLRACE_HAS_REDIS
constexpr bool kRedis = true;
#else
constexpr bool kRedis = false;
#endif
#ifdef MILLRACE_HAS_RABBITMQ
constexpr bool kRabbit = true;
#else
constexpr bool kRabbit = false;
#endif

constexpr std::array<EdgeComponent, 8> kComponents{{
    {"dbn", "DBN files, out and in", true, ""},
    {"csv", "CSV files, out and in", true, ""},
    {"tcp", "a DBN gateway, out", true, ""},
    {"raw", "framed TCP, in", true, ""},
    {"file", "files of batches and growing files, out and in", true, ""},
    {"redis", "Redis Streams, out and in", kRedis, "hiredis"},
    {"kafka", "Kafka, out and in", kKafka, "librdkafka"},
    {"amqp", "RabbitMQ, out and in", kRabbit, "librabbitmq"},
}};

constexpr std::uint64_t kBatchMost = 1 << 20;
constexpr std::uint64_t kLingerMost = 60'000;    // ms
constexpr Nanoseconds kMillisecond = 1'000'000;
constexpr std::uint64_t kBacklogMost = 1 << 20;  // MiB

bool is_amqp(const Url& url) { return url.scheme == "amqp" || url.scheme == "amqps"; }
bool is_redis(const Url& url) { return url.scheme == "redis" || url.scheme == "rediss"; }

[[noreturn]] void refuse(const Url& url) {
    for (const EdgeComponent& component : kComponents) {
        const bool meant = component.scheme == (is_amqp(url) ? "amqp" : is_redis(url) ? "redis" : url.scheme);
        if (!meant || component.built) continue;
        throw Error(ExitCode::usage,
                    fmt::format("{}: this build has no {}; install {} and build again", url.text(),
                                component.scheme, component.library));
    }
    throw Error(ExitCode::usage,
                fmt::format("{}: no such way in or out; millrace version lists them", url.text()));
}

void take_frame_options(Url& url, SinkConfig& config) {
    const std::string payload = url.take("payload", "dbn");
    if (payload == "dbn") config.payload = Payload::dbn;
    else if (payload == "json") config.payload = Payload::json;
    else if (payload == "csv") config.payload = Payload::csv;
    else throw Error(ExitCode::usage, fmt::format("{}: payload is dbn, json or csv", url.text()));
    const std::string policy = url.take("policy", "");
    if (policy == "block") config.when_full = WhenFull::block;
    else if (policy == "drop_oldest") config.when_full = WhenFull::drop_oldest;
    else if (policy == "conflate") config.when_full = WhenFull::conflate;
    else if (policy == "spill") config.when_full = WhenFull::spill;
    else if (!policy.empty()) {
        throw Error(ExitCode::usage,
                    fmt::format("{}: policy is block, drop_oldest, conflate or spill", url.text()));
    }
    config.spill_folder = url.take("spill_dir", config.spill_folder);
    config.spill_bytes = url.take_number("spill_mb", config.spill_bytes >> 20, kBacklogMost) << 20;
    config.batch_records = static_cast<std::uint32_t>(
        url.take_number("batch", config.batch_records, kBatchMost));
    config.linger = static_cast<Nanoseconds>(url.take_number(
                        "linger_ms", static_cast<std::uint64_t>(config.linger / kMillisecond),
                        kLingerMost)) *
                    kMillisecond;
    config.backlog_bytes =
        url.take_number("backlog_mb", config.backlog_bytes >> 20, kBacklogMost) << 20;
    config.feed = url.take("feed", config.feed);
    // What prints texts as they come would stumble over a mark.
    config.end_marks = url.take_number("end_marks", config.payload == Payload::dbn ? 1 : 0, 1) != 0;
    if (config.batch_records == 0)
        throw Error(ExitCode::usage, fmt::format("{}: batch is at least 1", url.text()));
    if (config.backlog_bytes == 0)
        throw Error(ExitCode::usage, fmt::format("{}: backlog_mb is at least 1", url.text()));
}

// Throws Error(usage) for an option that nothing has taken.
void refuse_rest(const Url& url) {
    if (url.options.empty()) return;
    throw Error(ExitCode::usage, fmt::format("{}: no option is called {} (docs/streams.md)",
                                             url.text(), url.options.begin()->first));
}

std::unique_ptr<Edge> make_gateway(Url& url, SinkConfig& config) {
    if (config.when_full == WhenFull::spill)
        throw Error(ExitCode::usage, fmt::format("{}: the gateway does not spill", url.text()));
    if (config.payload != Payload::dbn)
        throw Error(ExitCode::usage, fmt::format("{}: the gateway serves DBN alone", url.text()));
    config.payload = Payload::records;
    config.by_symbol = false;
    return std::make_unique<Gateway>(url, config);
}

#ifdef MILLRACE_HAS_KAFKA
std::unique_ptr<Edge> make_kafka(Url& url, SinkConfig& config) {
    const bool shard = url.options.count("shard") + url.options.count("run") != 0;
    if (shard) return std::make_unique<KafkaShard>(url, config);
    return std::make_unique<KafkaEdge>(url, config);
}
#endif

}  // namespace

std::span<const EdgeComponent> edge_components() { return kComponents; }

std::unique_ptr<Edge> make_edge(Url url, SinkConfig& config) {
    if (url.scheme == "tcp") config.linger = 0;  // clients are served as records come
    // What is routed by event is numbered by event, so that who reads some of them sees no hole.
    config.by_event = is_amqp(url) || Address::names_event(url.path);
    take_frame_options(url, config);
    std::unique_ptr<Edge> edge;
    if (url.scheme == "tcp") edge = make_gateway(url, config);
    else if (url.scheme == "file") edge = std::make_unique<FileEdge>(url);
#ifdef MILLRACE_HAS_KAFKA
    else if (url.scheme == "kafka") edge = make_kafka(url, config);
#endif
#ifdef MILLRACE_HAS_REDIS
    else if (is_redis(url)) edge = std::make_unique<RedisEdge>(url);
#endif
#ifdef MILLRACE_HAS_RABBITMQ
    else if (is_amqp(url)) edge = std::make_unique<RabbitEdge>(url, config);
#endif
    else refuse(url);
    refuse_rest(url);
    edge->open();
    return edge;
}

std::unique_ptr<Source> make_source(Url url, std::function<bool()> given_up) {
    std::unique_ptr<Source> source;
    if (url.scheme == "raw" || url.scheme == "file") source = std::make_unique<FramedSource>(url);
#ifdef MILLRACE_HAS_KAFKA
    if (url.scheme == "kafka") source = std::make_unique<KafkaSource>(url);
#endif
#ifdef MILLRACE_HAS_REDIS
    if (is_redis(url)) source = std::make_unique<RedisSource>(url);
#endif
#ifdef MILLRACE_HAS_RABBITMQ
    if (is_amqp(url)) source = std::make_unique<RabbitSource>(url);
#endif
    if (source == nullptr) refuse(url);
    refuse_rest(url);
    source->give_up_when(std::move(given_up));
    source->open();
    return source;
}

}  // namespace millrace::streams
