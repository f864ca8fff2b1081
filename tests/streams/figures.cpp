// How fast each edge is with each payload, beside the bare client library sending the same messages,
// in turns. Prints a table for docs/measurements.md; hidden, since it measures and proves nothing:
// tests_streams '[figures]'.
#if defined(MILLRACE_HAS_KAFKA) && defined(MILLRACE_HAS_REDIS)
#include <fmt/format.h>
#include <hiredis/hiredis.h>
#include <librdkafka/rdkafka.h>
#include <sys/resource.h>
#include <sys/time.h>

#include <functional>

#include "tests/support/catch.hpp"
#include "tests/support/kafka_server.hpp"
#include "tests/support/redis_server.hpp"
#include "tests/support/sink_test.hpp"

using namespace millrace;
using namespace millrace::streams;
using namespace millrace::test;

namespace {

constexpr int kRounds = 3;

// What a sink would send, kept instead.
class KeepingEdge final : public Edge {
  public:
    explicit KeepingEdge(std::vector<Batch>& kept) : kept_(kept) {}
    bool connect(std::string&) override { return true; }
    Sent send(const Batch& batch) override {
        kept_.push_back(batch);
        acks_.taken.push_back(batch.id);
        return Sent::accepted;
    }
    bool poll(int, Acks& acks, std::string&) override {
        std::swap(acks.taken, acks_.taken);
        return true;
    }
    void disconnect() override {}

  private:
    std::vector<Batch>& kept_;
    Acks acks_;
};

SinkConfig config_of(const std::string& payload) {
    SinkConfig config;
    config.when_full = WhenFull::block;
    config.end_marks = false;
    config.payload = payload == "json" ? Payload::json : payload == "csv" ? Payload::csv : Payload::dbn;
    config.stop_within = 120'000'000'000;
    return config;
}

std::vector<Batch> batches_of(const std::string& payload, std::uint64_t records) {
    std::vector<Batch> kept;
    TestSink sink(std::make_unique<KeepingEdge>(kept), config_of(payload));
    sink.send(records);
    sink->stop();
    return kept;
}

struct Figure {
    double seconds = 0;
    double cpu = 0;  // of all threads but the one that makes the records
};

double cpu_of(int who) {
    rusage usage{};
    getrusage(who, &usage);
    const auto seconds = [](const timeval& t) {
        return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

Figure measure(const std::function<void()>& work, bool others_only) {
    const double all = cpu_of(RUSAGE_SELF);
    const double mine = cpu_of(RUSAGE_THREAD);
    const auto begin = std::chrono::steady_clock::now();
    work();
    Figure figure;
    figure.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    figure.cpu = cpu_of(RUSAGE_SELF) - all - (others_only ? cpu_of(RUSAGE_THREAD) - mine : 0);
    return figure;
}

std::string_view payload_of(const Batch& batch) {
    return {reinterpret_cast<const char*>(batch.payload.data()), batch.payload.size()};
}

void redis_bare(const std::string& port, const std::string& key, const std::vector<Batch>& batches) {
    redisContext* context = redisConnect("127.0.0.1", std::stoi(port));
    REQUIRE(context->err == 0);
    std::size_t asked = 0;
    const auto answer = [&] {
        void* reply = nullptr;
        REQUIRE(redisGetReply(context, &reply) == REDIS_OK);
        freeReplyObject(reply);
        --asked;
    };
    for (const Batch& batch : batches) {
        const std::string id = fmt::format("{}-{}", batch.sealed_ms, batch.id);
        std::vector<std::string> words{"XADD", key, "MAXLEN", "~", "1000000", id, "symbol",
                                       std::string(batch.symbol.view())};
        for_each_field(batch.envelope, [&](std::string_view name, std::string_view text) {
            words.emplace_back(name);
            words.emplace_back(text);
        });
        words.emplace_back("data");
        std::vector<const char*> argv;
        std::vector<std::size_t> sizes;
        for (const std::string& word : words) {
            argv.push_back(word.data());
            sizes.push_back(word.size());
        }
        argv.push_back(payload_of(batch).data());
        sizes.push_back(payload_of(batch).size());
        redisAppendCommandArgv(context, static_cast<int>(argv.size()), argv.data(), sizes.data());
        if (++asked >= 1'024) answer();
    }
    while (asked > 0) answer();
    redisFree(context);
}

// librdkafka's macros cast as C does.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast"
void kafka_bare(const std::string& port, const std::string& topic, const std::vector<Batch>& batches) {
    std::array<char, 512> problem{};
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    for (const auto& [key, value] : std::initializer_list<std::pair<std::string, std::string>>{
             {"bootstrap.servers", "127.0.0.1:" + port},
             {"enable.idempotence", "true"},
             {"partitioner", "murmur2_random"},
             {"linger.ms", "5"},
             {"compression.codec", "lz4"},
             {"batch.size", "1000000"},
             {"queue.buffering.max.messages", "1000000"}}) {
        REQUIRE(rd_kafka_conf_set(conf, key.c_str(), value.c_str(), problem.data(), problem.size()) ==
                RD_KAFKA_CONF_OK);
    }
    rd_kafka_t* client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, problem.data(), problem.size());
    REQUIRE(client != nullptr);
    for (const Batch& batch : batches) {
        rd_kafka_headers_t* headers = rd_kafka_headers_new(kEnvelopeFields);
        for_each_field(batch.envelope, [&](std::string_view name, std::string_view text) {
            rd_kafka_header_add(headers, name.data(), static_cast<ssize_t>(name.size()), text.data(),
                                static_cast<ssize_t>(text.size()));
        });
        const std::string_view key = batch.symbol.view();
        const std::string_view value = payload_of(batch);
        while (rd_kafka_producev(client, RD_KAFKA_V_TOPIC(topic.c_str()), RD_KAFKA_V_KEY(key.data(), key.size()),
                                 RD_KAFKA_V_VALUE(const_cast<char*>(value.data()), value.size()),
                                 RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END) == RD_KAFKA_RESP_ERR__QUEUE_FULL)
            rd_kafka_poll(client, 10);
        rd_kafka_poll(client, 0);
    }
    REQUIRE(rd_kafka_flush(client, 60'000) == RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_destroy(client);
}
#pragma GCC diagnostic pop

struct Row {
    std::string edge;
    std::string payload;
    std::uint64_t records;
    std::function<void(const std::vector<Batch>&, const std::string& place)> bare;
    std::function<std::string(const std::string& place)> url;
};

void run(const Row& row) {
    const std::vector<Batch> batches = batches_of(row.payload, row.records);
    Figure ours;
    Figure bare;
    for (int round = 0; round < kRounds; ++round) {
        const std::string place = fmt::format("{}{}{}", row.edge, row.payload, round);
        const Figure b = measure([&] { row.bare(batches, place + "b"); }, false);
        TestSink sink(row.url(place + "s"), config_of(row.payload));
        const Figure s = measure([&] {
            sink.send(row.records);
            sink->stop();
        }, true);
        REQUIRE(sink->stats().acknowledged == row.records);
        bare.seconds += b.seconds;
        bare.cpu += b.cpu;
        ours.seconds += s.seconds;
        ours.cpu += s.cpu;
    }
    const auto records = static_cast<double>(row.records) * kRounds;
    fmt::print("| {} | {} | {:.0f} | {:.0f} | {:.0f} % | {:.2f} | {:.2f} |\n", row.edge, row.payload,
               records / ours.seconds / 1e3, records / bare.seconds / 1e3, 100 * bare.seconds / ours.seconds,
               ours.cpu / records * 1e6, bare.cpu / records * 1e6);
    std::fflush(stdout);
}

}  // namespace

TEST_CASE("figures of the edges, beside their bare client libraries", "[.figures]") {
    const RedisServer redis;
    const KafkaServer& kafka = KafkaServer::shared();
    fmt::print("| edge | payload | 1000 records/s | of the bare library | ratio | CPU us/record | bare |\n"
               "|---|---|---|---|---|---|---|\n");
    for (const std::string payload : {"dbn", "csv", "json"}) {
        const std::uint64_t records = payload == "json" ? 60'000 : 1'000'000;
        const std::string with = "&end_marks=0&linger_ms=50&payload=" + payload;
        run({"redis", payload, records,
             [&](const auto& all, const auto& place) { redis_bare(redis.port(), place, all); },
             [&](const auto& place) { return redis.url(place) + "?policy=block" + with; }});
        run({"kafka", payload, records,
             [&](const auto& all, const auto& place) { kafka_bare(kafka.port(), place, all); },
             [&](const auto& place) { return kafka.url(place) + "?policy=block" + with; }});
    }
}
#endif
