// How fast each edge is with each payload, beside the bare client library (of files and TCP: the system
// calls alone) sending the same messages, in turns; and how long records take until they are
// acknowledged. Prints tables for docs/measurements.md; hidden, since it measures and proves nothing:
// tests_streams '[figures]', '[latencies]'.
#if defined(MILLRACE_HAS_KAFKA) && defined(MILLRACE_HAS_REDIS) && defined(MILLRACE_HAS_RABBITMQ)
#include <fmt/format.h>
#include <hiredis/hiredis.h>
#include <librdkafka/rdkafka.h>
#include <sys/resource.h>
#include <sys/time.h>

#include <functional>
#include <map>

#include "millrace/core/clock.hpp"
#include "millrace/core/histogram.hpp"
#include "millrace/feed/streams/rabbitmq/connection.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/kafka_server.hpp"
#include "tests/support/rabbit_server.hpp"
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

// Publishes with confirms, in a window.
void rabbit_bare(const RabbitServer& server, const std::string& queue, const std::vector<Batch>& batches) {
    Url url = parse_url(server.url(queue));
    RabbitConnection connection(url);
    std::string problem;
    REQUIRE(connection.open(problem));
    REQUIRE(connection.declare({queue, "x." + queue, "quorum", {"#"}}, problem));
    amqp_confirm_select(connection.get(), RabbitConnection::kChannel);
    REQUIRE(connection.answered(problem));
    std::uint64_t sent = 0;
    std::uint64_t confirmed = 0;
    const auto confirm = [&] {
        amqp_frame_t frame;
        REQUIRE(amqp_simple_wait_frame(connection.get(), &frame) == AMQP_STATUS_OK);
        REQUIRE(frame.payload.method.id == AMQP_BASIC_ACK_METHOD);
        const auto& ack = *static_cast<const amqp_basic_ack_t*>(frame.payload.method.decoded);
        confirmed = ack.multiple != 0 ? ack.delivery_tag : confirmed + 1;
        connection.release();
    };
    const std::string exchange = "x." + queue;
    for (const Batch& batch : batches) {
        std::vector<std::pair<std::string, std::string>> fields;
        for_each_field(batch.envelope, [&](std::string_view name, std::string_view text) {
            fields.emplace_back(name, text);
        });
        RabbitTable headers;
        for (const auto& [name, text] : fields) headers.add(name, text);
        amqp_basic_properties_t properties{};
        properties._flags = AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_HEADERS_FLAG;
        properties.delivery_mode = AMQP_DELIVERY_PERSISTENT;
        properties.headers = headers.get();
        const std::string key = "mbo." + std::string(batch.symbol.view());
        REQUIRE(amqp_basic_publish(connection.get(), RabbitConnection::kChannel, bytes_of(exchange), bytes_of(key),
                                   1, 0, &properties, bytes_of(payload_of(batch))) == AMQP_STATUS_OK);
        if (++sent - confirmed >= 1'024) confirm();
    }
    while (confirmed < sent) confirm();
    connection.close();
}

void write_all(int fd, std::span<const std::uint8_t> bytes) {
    for (std::size_t done = 0; done < bytes.size();) {
        const auto n = ::write(fd, bytes.data() + done, bytes.size() - done);
        REQUIRE(n > 0);
        done += static_cast<std::size_t>(n);
    }
}

void file_bare(const std::string& path, const std::vector<Batch>& batches) {
    const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    REQUIRE(fd >= 0);
    for (const Batch& batch : batches) {
        write_all(fd, wire::bytes_of(batch.envelope));
        write_all(fd, batch.payload);
    }
    close(fd);
}

// A process that reads whatever comes from a port, first speaking as a client of the gateway if so asked.
class Reader {
  public:
    Reader(std::uint16_t port, bool greets) {
        std::array<int, 2> ends{};
        REQUIRE(pipe(ends.data()) == 0);
        pid_ = fork();
        if (pid_ == 0) read_all(port, greets, ends[1]);
        char byte = 0;
        REQUIRE(::read(ends[0], &byte, 1) == 1);
        close(ends[0]);
        close(ends[1]);
    }
    ~Reader() {
        kill(pid_, SIGKILL);
        waitpid(pid_, nullptr, 0);
    }
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;

  private:
    [[noreturn]] static void read_all(std::uint16_t port, bool greets, int ready) {
        TcpClient client(port);
        if (greets) {
            static_cast<void>(client.receive_bytes(55));
            client.send("auth=" + std::string(64, 'a') +
                        "-opqrs|dataset=TEST.SET|encoding=dbn|ts_out=0|compression=none|client=x\n");
            static_cast<void>(client.receive());
            client.send("schema=mbo|stype_in=raw_symbol|symbols=ALL_SYMBOLS|is_last=1\nstart_session=0\n");
            static_cast<void>(client.receive());
        }
        static_cast<void>(::write(ready, "", 1));
        while (!client.receive().empty()) {
        }
        _exit(0);
    }

    pid_t pid_ = -1;
};

void tcp_bare(const std::vector<Batch>& batches) {
    const std::uint16_t port = free_port();
    const net::Socket listener = net::listen_at({"127.0.0.1", port}, SOCK_STREAM);
    const Reader reader(port, false);
    pollfd wait{listener.fd(), POLLIN, 0};
    REQUIRE(poll(&wait, 1, 10'000) == 1);
    const net::Socket client(accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC));
    for (const Batch& batch : batches) write_all(client.fd(), batch.payload);
}

struct Row {
    std::string edge;
    std::string payload;
    std::uint64_t records;
    std::function<void(const std::vector<Batch>&, const std::string& place)> bare;
    std::function<std::string(const std::string& place)> url;
    std::uint16_t gateway = 0;  // its port
};

void run(const Row& row) {
    const std::vector<Batch> batches = batches_of(row.payload, row.records);
    Figure ours;
    Figure bare;
    for (int round = 0; round < kRounds; ++round) {
        const std::string place = fmt::format("{}{}{}", row.edge, row.payload, round);
        const Figure b = measure([&] { row.bare(batches, place + "b"); }, false);
        TestSink sink(row.url(place + "s"), config_of(row.payload), SinkConfig{}.ring_records);
        if (row.gateway == 0) REQUIRE(in_time([&] { return sink->stats().state == EdgeState::live; }));
        const auto reader = row.gateway != 0 ? std::make_unique<Reader>(row.gateway, true) : nullptr;
        const Figure s = measure([&] {
            sink.send(row.records);
            sink->stop();
        }, true);
        INFO(sink->problem());
        REQUIRE(sink->stats().acknowledged == row.records);
        bare.seconds += b.seconds;
        bare.cpu += b.cpu;
        ours.seconds += s.seconds;
        ours.cpu += s.cpu;
    }
    const auto records = static_cast<double>(row.records) * kRounds;
    fmt::print("| {} | {} | {:.0f} | {:.0f} | {:.0f} % | {:.3f} | {:.3f} |\n", row.edge, row.payload,
               records / ours.seconds / 1e3, records / bare.seconds / 1e3, 100 * bare.seconds / ours.seconds,
               ours.cpu / records * 1e6, bare.cpu / records * 1e6);
    std::fflush(stdout);
}

void print_head() {
    fmt::print("| edge | payload | 1000 records/s | of the bare library | ratio | CPU us/record | bare |\n"
               "|---|---|---|---|---|---|---|\n");
}

// Calls `use` with each payload, how many records of it make a run, and the options of a sink for it.
template <class Use>
void for_each_payload(Use&& use) {
    for (const std::string payload : {"dbn", "csv", "json"}) {
        const std::uint64_t records = payload == "json" ? 60'000 : 1'000'000;
        use(payload, records, "policy=block&end_marks=0&linger_ms=50&payload=" + payload);
    }
}

// Tells how long it took from the time in a record until it was acknowledged.
class TimingEdge final : public Edge {
  public:
    TimingEdge(std::unique_ptr<Edge> inner, Histogram& times) : inner_(std::move(inner)), times_(times) {}
    void on_symbol(std::uint32_t id, const Symbol& symbol) override { inner_->on_symbol(id, symbol); }
    bool connect(std::string& problem) override { return inner_->connect(problem); }
    Sent send(const Batch& batch) override {
        const Sent sent = inner_->send(batch);
        if (sent != Sent::accepted) return sent;
        std::vector<Timestamp>& made = made_[batch.id];
        replay::DbnFileReader reader(batch.payload, "batch");
        dbn::RecordView record;
        while (reader.next(record))
            made.push_back(static_cast<Timestamp>(record.as<dbn::Mbo>()->ts_recv.value()));
        return sent;
    }
    bool poll(int wait_ms, Acks& acks, std::string& problem) override {
        const std::size_t before = acks.taken.size();
        const bool good = inner_->poll(wait_ms, acks, problem);
        const Timestamp now = MonotonicClock::now();
        for (std::size_t i = before; i < acks.taken.size(); ++i) {
            for (const Timestamp made : made_[acks.taken[i]]) times_.record(now - made);
            made_.erase(acks.taken[i]);
        }
        return good;
    }
    bool healthy() const override { return inner_->healthy(); }
    void disconnect() override { inner_->disconnect(); }

  private:
    std::unique_ptr<Edge> inner_;
    Histogram& times_;
    std::map<std::uint64_t, std::vector<Timestamp>> made_;
};

// 10,000 records a second for five seconds.
void print_latency(const std::string& what, const std::string& url) {
    constexpr int kRecords = 50'000;
    constexpr Nanoseconds kApart = 100'000;
    Histogram times;
    SinkConfig config = config_of("dbn");
    auto edge = std::make_unique<TimingEdge>(make_edge(parse_url(url), config), times);
    TestSink sink(std::move(edge), config);
    REQUIRE(in_time([&] { return sink->stats().state == EdgeState::live; }));
    Timestamp due = MonotonicClock::now();
    for (int i = 0; i < kRecords; ++i) {
        due += kApart;
        std::this_thread::sleep_for(std::chrono::nanoseconds(due - MonotonicClock::now()));
        sink.send(1, static_cast<std::uint64_t>(MonotonicClock::now()));
    }
    sink->stop();
    REQUIRE(times.total() == kRecords);
    const auto ms = [&](double percent) { return static_cast<double>(times.percentile(percent)) / 1e6; };
    fmt::print("| {} | {:.2f} | {:.2f} | {:.2f} | {:.2f} | {:.2f} |\n", what, ms(50), ms(90), ms(99), ms(99.9),
               static_cast<double>(times.max()) / 1e6);
    std::fflush(stdout);
}

}  // namespace

TEST_CASE("figures: Redis beside bare hiredis", "[.figures][.figures_redis]") {
    const RedisServer redis;
    print_head();
    for_each_payload([&](const std::string& payload, std::uint64_t records, const std::string& options) {
        run({"redis", payload, records,
             [&](const auto& all, const auto& place) { redis_bare(redis.port(), place, all); },
             [&](const auto& place) { return redis.url(place) + "?" + options; }});
    });
}

TEST_CASE("figures: Kafka beside bare librdkafka", "[.figures][.figures_kafka]") {
    const KafkaServer& kafka = KafkaServer::shared();
    print_head();
    for_each_payload([&](const std::string& payload, std::uint64_t records, const std::string& options) {
        run({"kafka", payload, records,
             [&](const auto& all, const auto& place) { kafka_bare(kafka.port(), place, all); },
             [&](const auto& place) { return kafka.url(place) + "?" + options; }});
    });
}

TEST_CASE("figures: RabbitMQ beside bare rabbitmq-c", "[.figures][.figures_rabbitmq]") {
    const RabbitServer& rabbit = RabbitServer::shared();
    print_head();
    for_each_payload([&](const std::string& payload, std::uint64_t records, const std::string& options) {
        run({"rabbitmq", payload, records / 4,
             [&](const auto& all, const auto& place) { rabbit_bare(rabbit, place, all); },
             [&](const auto& place) { return rabbit.url("x." + place) + "?queue=" + place + "&" + options; }});
    });
}

TEST_CASE("figures: files and the gateway beside the system calls alone", "[.figures][.figures_files]") {
    const TempFolder folder("figures");
    print_head();
    for_each_payload([&](const std::string& payload, std::uint64_t records, const std::string& options) {
        const std::string at = folder.path().string() + "/";
        run({"file", payload, records, [&](const auto& all, const auto& place) { file_bare(at + place, all); },
             [&](const auto& place) { return "file://" + at + place + "?" + options; }});
    });
    const std::uint16_t port = free_port();
    run({"tcp", "dbn", 1'000'000, [&](const auto& all, const auto&) { tcp_bare(all); },
         [&](const auto&) { return "tcp://127.0.0.1:" + std::to_string(port) + "?policy=block"; }, port});
}

TEST_CASE("figures: from a record to its acknowledgement", "[.latencies]") {
    fmt::print("| edge | p50, ms | p90 | p99 | p99.9 | max |\n|---|---|---|---|---|---|\n");
    const RedisServer redis;
    print_latency("redis", redis.url("l") + "?policy=block");
    print_latency("redis, linger_ms=0", redis.url("m") + "?policy=block&linger_ms=0");
    const KafkaServer& kafka = KafkaServer::shared();
    print_latency("kafka", kafka.url("l") + "?policy=block");
    print_latency("kafka, linger_ms=0, profile=latency", kafka.url("m") + "?policy=block&linger_ms=0&profile=latency");
    const RabbitServer& rabbit = RabbitServer::shared();
    print_latency("rabbitmq, quorum queue", rabbit.url("x.l") + "?queue=l&policy=block");
    print_latency("rabbitmq, stream, linger_ms=0", rabbit.url("x.m") + "?queue=m&type=stream&policy=block&linger_ms=0");
}
#endif
