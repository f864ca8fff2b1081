// How fast each edge is with each payload, beside the bare client library (of files and TCP: the system
// calls alone), in turns: sending the same messages, made beforehand, with their envelopes; and making the
// payloads the plainest way as it goes, without envelopes. And how long records take until they are
// acknowledged. Prints tables for docs/measurements.md; hidden, since it measures and proves nothing:
// tests_streams '[figures]', '[latencies]'.
#if defined(MILLRACE_HAS_KAFKA) && defined(MILLRACE_HAS_REDIS) && defined(MILLRACE_HAS_RABBITMQ)
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/time.h>

#include <ctime>
#include <functional>
#include <map>

#include "millrace/core/clock.hpp"
#include "millrace/core/histogram.hpp"
#include "tests/streams/bare_clients.hpp"
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
constexpr std::uint64_t kReceivedAt = 1704205800000123456;

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
    SinkConfig config = config_of(payload);
    config.linger = 60'000'000'000;  // whole batches
    TestSink sink(std::make_unique<KeepingEdge>(kept), config);
    sink.send(records, kReceivedAt);
    sink->stop();
    return kept;
}

std::string_view text_of(const Batch& batch) {
    return {reinterpret_cast<const char*>(batch.payload.data()), batch.payload.size()};
}

struct Figure {
    double seconds = 0;
    double cpu = 0;  // of all threads but the one that makes the records
    Figure& operator+=(const Figure& other) {
        seconds += other.seconds;
        cpu += other.cpu;
        return *this;
    }
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

// To a connection that somebody reads.
class BareTcp final : public BareClient {
  public:
    BareTcp()
        : port_(free_port()), listener_(net::listen_at({"127.0.0.1", port_}, SOCK_STREAM)), reader_(port_, false) {
        pollfd wait{listener_.fd(), POLLIN, 0};
        REQUIRE(poll(&wait, 1, 10'000) == 1);
        writes_ = std::make_unique<BareWrites>(
            net::Socket(accept4(listener_.fd(), nullptr, nullptr, SOCK_CLOEXEC)));
    }
    void send(const BareMessage& message) override { writes_->send({message.symbol, message.payload}); }

  private:
    std::uint16_t port_;
    net::Socket listener_;
    Reader reader_;
    std::unique_ptr<BareWrites> writes_;
};

// Payloads as a user of the library alone would make them: records are copied behind the metadata, texts are made
// by fmt. They are the same as ours, which is checked.
class PlainPayloads {
  public:
    PlainPayloads(const std::string& payload, BareClient& client, const std::vector<Batch>& ours)
        : make_(payload), client_(client), expected_(text_of(ours.at(0))) {
        if (make_ != "dbn") return;
        for (const Batch& batch : ours) {
            const std::string_view all = text_of(batch);
            std::string& metadata = metadata_[batch.symbol.view() == "AAAA" ? 0 : 1];
            metadata = all.substr(0, all.size() - batch.envelope.records.value() * sizeof(dbn::Mbo));
        }
        payloads_ = metadata_;
    }
    void send(std::uint64_t count) {
        for (; count > 0; --count) {
            records_.make_next(kReceivedAt);
            const std::size_t at = records_.instrument();
            put(records_.record(), payloads_[at]);
            const bool full = make_ == "json" || ++held_[at] == SinkConfig{}.batch_records;
            if (full) send_payload(at);
        }
        for (std::size_t at = 0; at < payloads_.size(); ++at)
            if (held_[at] != 0) send_payload(at);
        client_.finish();
    }

  private:
    static std::string time_text(std::uint64_t nanoseconds) {
        constexpr std::uint64_t kSecond = 1'000'000'000;
        const auto seconds = static_cast<std::time_t>(nanoseconds / kSecond);
        std::tm utc{};
        gmtime_r(&seconds, &utc);
        return fmt::format("{}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
                           utc.tm_hour, utc.tm_min, utc.tm_sec, nanoseconds % kSecond);
    }
    void put(const dbn::Mbo& record, std::string& to) const {
        if (make_ == "dbn") {
            to.append(reinterpret_cast<const char*>(&record), sizeof(record));
            return;
        }
        constexpr std::string_view kRow = "{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}\n";
        constexpr std::string_view kObject =
            R"({{"record":"mbo","symbol":"{14}","rtype":{0},"publisher_id":{1},"instrument_id":{2},"ts_event":"{3}",)"
            R"("order_id":{4},"price":{5},"size":{6},"flags":{7},"channel_id":{8},"action":"{9}","side":"{10}",)"
            R"("ts_recv":"{11}","ts_in_delta":{12},"sequence":{13}}})";
        fmt::format_to(std::back_inserter(to), fmt::runtime(make_ == "csv" ? kRow : kObject), record.rtype.value(),
                       record.publisher_id.value(), record.instrument_id.value(), time_text(record.ts_event.value()),
                       record.order_id.value(), static_cast<double>(record.price.value()) / 1e9, record.size.value(),
                       record.flags.value(), record.channel_id.value(), record.action.value(), record.side.value(),
                       time_text(record.ts_recv.value()), record.ts_in_delta.value(), record.sequence.value(),
                       records_.symbol());
    }
    void send_payload(std::size_t at) {
        if (!checked_) REQUIRE(payloads_[at] == expected_);
        checked_ = true;
        client_.send({at == 0 ? "AAAA" : "BBBB", payloads_[at]});
        payloads_[at] = metadata_[at];
        held_[at] = 0;
    }

    std::string make_;
    BareClient& client_;
    std::string_view expected_;  // the first one
    bool checked_ = false;
    TestRecords records_;
    std::array<std::string, 2> metadata_;
    std::array<std::string, 2> payloads_;
    std::array<std::uint32_t, 2> held_{};
};

struct Row {
    std::string edge;
    std::string payload;
    std::uint64_t records;
    std::function<std::unique_ptr<BareClient>(const std::string& place)> bare;
    std::function<std::string(const std::string& place)> url;
    std::uint16_t gateway = 0;  // its port
};

Figure measure_edge(const Row& row, const std::string& place) {
    TestSink sink(row.url(place), config_of(row.payload), SinkConfig{}.ring_records);
    if (row.gateway == 0) REQUIRE(in_time([&] { return sink->stats().state == EdgeState::live; }));
    const auto reader = row.gateway != 0 ? std::make_unique<Reader>(row.gateway, true) : nullptr;
    const Figure figure = measure([&] {
        sink.send(row.records, kReceivedAt);
        sink->stop();
    }, true);
    INFO(sink->problem());
    REQUIRE(sink->stats().acknowledged == row.records);
    return figure;
}

void run(const Row& row) {
    const std::vector<Batch> batches = batches_of(row.payload, row.records);
    Figure ours;
    Figure beforehand;
    Figure plain;
    for (int round = 0; round < kRounds; ++round) {
        const std::string place = fmt::format("{}{}{}", row.edge, row.payload, round);
        {
            const auto client = row.bare(place + "b");
            beforehand += measure([&] {
                for (const Batch& batch : batches) client->send({batch.symbol.view(), text_of(batch), &batch.envelope});
                client->finish();
            }, false);
        }
        ours += measure_edge(row, place + "s");
        const auto client = row.bare(place + "p");
        PlainPayloads payloads(row.payload, *client, batches);
        plain += measure([&] { payloads.send(row.records); }, false);
    }
    const auto records = static_cast<double>(row.records) * kRounds;
    const auto thousands = [&](const Figure& figure) { return records / figure.seconds / 1e3; };
    const auto micro = [&](const Figure& figure) { return figure.cpu / records * 1e6; };
    fmt::print("| {} | {} | {:.0f} | {:.0f} | {:.0f} % | {:.0f} | {:.0f} % | {:.3f} | {:.3f} | {:.3f} |\n", row.edge,
               row.payload, thousands(ours), thousands(beforehand), 100 * beforehand.seconds / ours.seconds,
               thousands(plain), 100 * plain.seconds / ours.seconds, micro(ours), micro(beforehand), micro(plain));
    std::fflush(stdout);
}

void print_head() {
    fmt::print("| edge | payload | 1000 records/s | bare, made beforehand | ratio | bare, made plainly | ratio "
               "| CPU us/record | beforehand | plainly |\n|---|---|---|---|---|---|---|---|---|---|\n");
}

// Long enough that starting and ending weigh nothing where a record takes 30 ns.
constexpr std::uint64_t kFastRecords = 5'000'000;

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
             [&](const auto& place) { return std::make_unique<BareRedis>(redis.port(), place); },
             [&](const auto& place) { return redis.url(place) + "?" + options; }});
    });
}

TEST_CASE("figures: Kafka beside bare librdkafka", "[.figures][.figures_kafka]") {
    const KafkaServer& kafka = KafkaServer::shared();
    print_head();
    for_each_payload([&](const std::string& payload, std::uint64_t records, const std::string& options) {
        run({"kafka", payload, records,
             [&](const auto& place) { return std::make_unique<BareKafka>(kafka.port(), place); },
             [&](const auto& place) { return kafka.url(place) + "?" + options; }});
    });
}

TEST_CASE("figures: RabbitMQ beside bare rabbitmq-c", "[.figures][.figures_rabbitmq]") {
    const RabbitServer& rabbit = RabbitServer::shared();
    print_head();
    for_each_payload([&](const std::string& payload, std::uint64_t records, const std::string& options) {
        run({"rabbitmq", payload, records / 4,
             [&](const auto& place) { return std::make_unique<BareRabbit>(rabbit, place); },
             [&](const auto& place) { return rabbit.url("x." + place) + "?queue=" + place + "&" + options; }});
    });
}

TEST_CASE("figures: files and the gateway beside the system calls alone", "[.figures][.figures_files]") {
    const TempFolder folder("figures");
    print_head();
    for_each_payload([&](const std::string& payload, std::uint64_t records, const std::string& options) {
        const std::string at = folder.path().string() + "/";
        run({"file", payload, payload == "dbn" ? kFastRecords : records,
             [&](const auto& place) { return bare_file(at + place); },
             [&](const auto& place) { return "file://" + at + place + "?" + options; }});
    });
    const std::uint16_t port = free_port();
    run({"tcp", "dbn", kFastRecords, [](const auto&) { return std::make_unique<BareTcp>(); },
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
