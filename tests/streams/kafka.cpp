// Kafka: against librdkafka's mock cluster, and against the real server, which is stopped, killed
// and restarted, with consumers that come, go and die, and programs of others.
#ifdef MILLRACE_HAS_KAFKA
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <map>

#include "millrace/feed/streams/kafka/settings.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/kafka_server.hpp"
#include "tests/support/killed_readers.hpp"
#include "tests/support/python.hpp"
#include "tests/support/sink_test.hpp"
#include "tests/support/tls_proxy.hpp"

using namespace millrace;
using namespace millrace::streams;
using namespace millrace::test;

namespace {

// A broker that was killed takes its time to come back.
SinkConfig patient() {
    SinkConfig config = blocking();
    config.stop_within = 60'000'000'000;
    return config;
}

void check_complete(const TestSink& sink, const CheckedTotals& totals) {
    CHECK(sink->stats().balance() == 0);
    CHECK(sink->stats().acknowledged == sink.made());
    CHECK(totals.records == sink.made());
    CHECK(totals.missing == 0);
    CHECK(totals.damaged == 0);
}

// librdkafka's own cluster of one broker, for its own clients.
class MockCluster {
  public:
    MockCluster() {
        std::array<char, 512> problem{};
        client_ = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), problem.data(),
                               problem.size());
        REQUIRE(client_ != nullptr);
        cluster_ = rd_kafka_mock_cluster_new(client_, 1);
    }
    ~MockCluster() {
        rd_kafka_mock_cluster_destroy(cluster_);
        rd_kafka_destroy(client_);
    }
    MockCluster(const MockCluster&) = delete;
    MockCluster& operator=(const MockCluster&) = delete;
    [[nodiscard]] std::string url(const std::string& rest) const {
        return std::string("kafka://") + rd_kafka_mock_cluster_bootstraps(cluster_) + "/" + rest;
    }

  private:
    rd_kafka_t* client_;
    rd_kafka_mock_cluster_t* cluster_;
};

// The last record of each symbol in a topic, and what its messages say beyond that is left aside.
std::map<std::string, std::string> last_by_symbol(const std::string& url) {
    std::map<std::string, std::string> last;
    const auto source = make_source(parse_url(url));
    Received received;
    for (Source::Next next{}; (next = source->next(100, received)) != Source::Next::end;) {
        REQUIRE(next != Source::Next::failed);
        if (next != Source::Next::batch) continue;
        replay::DbnFileReader reader(received.payload, "payload");
        dbn::RecordView record;
        while (reader.next(record)) {
            last[reader.metadata().symbols.at(0)] = {reinterpret_cast<const char*>(record.bytes().data()),
                                                     record.bytes().size()};
        }
    }
    source->close();
    return last;
}

// What the server says of a topic: its cleanup.policy.
std::string cleanup_policy(const KafkaServer& server, const std::string& topic) {
    Url url = parse_url(server.url(topic));
    const KafkaSettings settings(url);
    const KafkaClient client = make_kafka_client(RD_KAFKA_PRODUCER, settings, "test");
    rd_kafka_ConfigResource_t* asked = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic.c_str());
    rd_kafka_queue_t* answers = rd_kafka_queue_new(client.get());
    rd_kafka_DescribeConfigs(client.get(), &asked, 1, nullptr, answers);
    rd_kafka_event_t* event = rd_kafka_queue_poll(answers, 10'000);
    REQUIRE(event != nullptr);
    std::size_t count = 0;
    const auto* resources =
        rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event), &count);
    REQUIRE(count == 1);
    const auto* entries = rd_kafka_ConfigResource_configs(resources[0], &count);
    std::string policy;
    for (std::size_t i = 0; i < count; ++i) {
        if (rd_kafka_ConfigEntry_name(entries[i]) == std::string("cleanup.policy"))
            policy = rd_kafka_ConfigEntry_value(entries[i]);
    }
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(answers);
    rd_kafka_ConfigResource_destroy(asked);
    return policy;
}

}  // namespace

TEST_CASE("kafka: a stream is complete, by librdkafka's mock cluster", "[kafka]") {
    const MockCluster cluster;
    TestSink sink(cluster.url("md"), patient());
    sink.send(5'000);
    sink->stop();
    check_complete(sink, read_all(cluster.url("md")));
}

TEST_CASE("kafka: URLs, and what is wrong with them", "[kafka]") {
    for (const std::string wrong : {"kafka://a:1", "kafka://a:1/t?profile=x", "kafka://a:1/t?x=1",
                                    "kafka://a:1/t?no.such.key=1", "kafka://a:1/t?linger.ms=x",
                                    "kafka://a:1/t?last=l.{event}", "kafka://a:1/t?last=l.{symbol}",
                                    "kafka://a:99999/t", "kafka://a:1,b:x/t", "kafka://a,/t", "kafka://a:1/no topic",
                                    "kafka://a:1/.."}) {
        INFO(wrong);
        SinkConfig config;
        CHECK_THROWS_AS(make_edge(parse_url(wrong), config), Error);
    }
    SinkConfig config;
    CHECK_THROWS_WITH(make_edge(parse_url("kafka://a:1/t?sasl.password=hidden"), config),
                      !Catch::Contains("hidden"));
    for (const std::string wrong : {"group=g&from_ms=1", "group=g&from=0:1", "from=0:1&from_ms=1", "from=x",
                                    "from=0", "from=0:1,0:2", "from=0:-1", "from=0:1x"}) {
        INFO(wrong);
        CHECK_THROWS_AS(make_source(parse_url("kafka://a:1/t?" + wrong)), Error);
    }
}

TEST_CASE("kafka: nobody there is told in time, and the ledger closes", "[kafka]") {
    SinkConfig config;
    config.stop_within = 500'000'000;
    TestSink sink("kafka://127.0.0.1:" + std::to_string(free_port()) + "/md?policy=drop_oldest",
                  config);
    sink.send(100);
    REQUIRE(in_time([&] { return sink->stats().state == EdgeState::backoff; }));
    const auto begin = std::chrono::steady_clock::now();
    sink->stop();
    CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(10));
    CHECK(sink->stats().unsent == 100);
    CHECK(sink->stats().balance() == 0);
    CHECK_FALSE(sink->problem().empty());
}

TEST_CASE("kafka: a replay's topic gives the books of the capture", "[kafka][server][no-sanitizer]") {
    const KafkaServer& server = KafkaServer::shared();
    const TempFile capture("kafka.pcapng");
    REQUIRE(run_command({"sim", "--capture", capture.path(), "--seconds", "2", "--seed", "6"})
                .code == 0);
    const Outcome sent =
        run_command({"replay", capture.path(), "--json", "--sink", server.url("books")});
    const Outcome read = run_command({"replay", server.url("books"), "--json"});
    INFO(sent.out << sent.err << read.out << read.err);
    REQUIRE(sent.code == 0);
    REQUIRE(read.code == 0);
    const auto digest_of = [](const std::string& json) {
        return json.substr(json.find("\"digest\":\"") + 10, 32);
    };
    CHECK(digest_of(read.out) == digest_of(sent.out));
    CHECK(read.out.find("\"missing\":0,\"duplicates\":0,\"damaged\":0") != std::string::npos);
}

TEST_CASE("kafka: compacted topics have the last definition and the last quote of each symbol",
          "[kafka][server][no-sanitizer]") {
    const KafkaServer& server = KafkaServer::shared();
    const TempFile capture("last.pcapng");
    REQUIRE(run_command({"sim", "--capture", capture.path(), "--seconds", "2", "--seed", "8"}).code == 0);
    const Outcome sent = run_command({"replay", capture.path(), "--json", "--schema", "definition,mbp-1", "--sink",
                                      server.url("all.{event}?last=last.{event}")});
    INFO(sent.out << sent.err);
    REQUIRE(sent.code == 0);
    CHECK(sent.out.find("\"others_failed\":0") != std::string::npos);
    for (const std::string event : {"definition", "mbp-1"}) {
        INFO(event);
        const auto all = last_by_symbol(server.url("all." + event));
        CHECK(all.size() == 20);
        CHECK(last_by_symbol(server.url("last." + event)) == all);
        CHECK(cleanup_policy(server, "last." + event) == "compact");
        CHECK(cleanup_policy(server, "all." + event) == "delete");
    }
}

TEST_CASE("kafka: encrypted, by keys that are passed through", "[.long][kafka][server][no-sanitizer]") {
    TlsProxy proxy;
    const KafkaServer server(proxy.port());  // clients are told to come through the proxy
    proxy.lead_to(server.port());
    const std::string url = "kafka://localhost:" + std::to_string(proxy.port()) + "/tls?security.protocol=ssl";
    TestSink stranger(url);  // vouched for by nobody of the system's authorities
    REQUIRE(in_time([&] { return stranger->stats().state == EdgeState::backoff; }));
    stranger->stop();
    CHECK(stranger->stats().acknowledged == 0);
    const std::string known = url + "&ssl.ca.location=" + proxy.certificate();
    TestSink sink(known, patient());
    sink.send(5'000);
    sink->stop();
    INFO(sink->problem());
    check_complete(sink, read_all(known));
}

TEST_CASE("kafka: a server that is killed and comes back has everything", "[kafka][server][no-sanitizer]") {
    KafkaServer& server = KafkaServer::shared();
    TestSink sink(server.url("killed"), patient());
    sink.send(20'000);
    REQUIRE(in_time([&] { return sink->stats().acknowledged > 2'000; }));
    server.kill_it();
    sink.send(2'000);
    server.start();
    sink.send(5'000);
    sink->stop();
    check_complete(sink, read_all(server.url("killed")));
}

TEST_CASE("kafka: while the server stands still the feed does not, and the loss is counted",
          "[kafka][server][no-sanitizer]") {
    const KafkaServer& server = KafkaServer::shared();
    SinkConfig config;
    config.backlog_bytes = 2 << 20;
    config.stop_within = 60'000'000'000;
    TestSink sink(server.url("paused?policy=drop_oldest"), config);
    sink.send(1'000);
    REQUIRE(in_time([&] { return sink->stats().acknowledged == sink.made(); }));
    server.signal(SIGSTOP);
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < 300; ++i) {
        sink.send(500);
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(20));
    CHECK(sink->stats().state == EdgeState::degraded);
    server.signal(SIGCONT);
    sink.send(2);  // so that what was dropped last shows as a hole before something
    sink->stop();
    const SinkStats stats = sink->stats();
    CHECK(stats.balance() == 0);
    CHECK(stats.unsent == 0);
    CHECK(stats.dropped > 10'000);
    CHECK(stats.backlog_bytes_max < (2 << 20) + (1 << 20));
    const CheckedTotals totals = read_all(server.url("paused"));
    CHECK(totals.records == stats.acknowledged);
    CHECK(totals.missing == stats.dropped + stats.ring_full);
}

TEST_CASE("kafka: a batch that is too large is refused, and counted", "[kafka][server][no-sanitizer]") {
    const KafkaServer& server = KafkaServer::shared();
    SinkConfig config = patient();
    config.linger = 1'000'000'000;
    TestSink sink(server.url("large?message.max.bytes=1400"), config);
    sink.send(40);  // of two instruments: full batches of 20
    sink.send(10);  // and smaller ones
    sink->stop();
    CHECK(sink->stats().balance() == 0);
    CHECK(sink->stats().dropped == 40);
    CHECK(sink->stats().acknowledged == 10);
    CHECK(sink->problem().find("too large") != std::string::npos);
    const CheckedTotals totals = read_all(server.url("large"));
    CHECK(totals.records == 10);
    CHECK(totals.missing == 40);
}

TEST_CASE("kafka: a group goes on where it was, and shares its partitions", "[kafka][server][no-sanitizer]") {
    const KafkaServer& server = KafkaServer::shared();
    TestSink sink(server.url("group"), patient());
    sink.send(20'000);
    sink->stop();
    const std::string url = server.url("group?group=g&heartbeat.interval.ms=200");
    StreamChecker checker;
    for (const std::uint64_t batches : {1U, 50U, 200U}) {
        const auto source = make_source(parse_url(url));
        read_into(checker, *source, batches);
        source->close();
    }
    // Two of them take turns until both have nothing more.
    std::array<std::unique_ptr<Source>, 2> members{make_source(parse_url(url + "&follow=1")),
                                                   make_source(parse_url(url + "&follow=1"))};
    Received received;
    for (int idle = 0; idle < 300;) {
        ++idle;
        for (const auto& member : members) {
            const Source::Next next = member->next(10, received);
            REQUIRE(next != Source::Next::failed);
            if (next != Source::Next::batch) continue;
            idle = 0;
            checker.on_batch(received.envelope, received.payload, records_in(received.payload));
        }
    }
    CHECK(checker.totals().records == sink.made());
    CHECK(checker.totals().missing == 0);
    CHECK(members[0]->lag() + members[1]->lag() == 0);
    for (const auto& member : members) member->close();
    StreamChecker after;
    const auto late = make_source(parse_url(url));
    read_into(after, *late);
    CHECK(after.totals().batches == 0);
}

TEST_CASE("kafka: a topic that is written without pause ends where it was at the start",
          "[kafka][server][no-sanitizer]") {
    const KafkaServer& server = KafkaServer::shared();
    TestSink sink(server.url("endless"), patient());
    check_ends_while_written(sink, server.url("endless"), 0);
    check_ends_while_written(sink, server.url("endless?group=endless"), 0);
    sink->stop();
}

TEST_CASE("kafka: what was read ahead and not committed comes again", "[kafka][server][no-sanitizer]") {
    const KafkaServer& server = KafkaServer::shared();
    TestSink sink(server.url("by-hand"), patient());
    sink.send(2'000);
    sink->stop();
    check_commits_by_hand(server.url("by-hand"), "group=by-hand", sink->stats().batches);
    const auto gone = make_source(parse_url(server.url("by-hand?from=0:0,1:0,2:0,3:999999")));
    Received received;
    Source::Next next = Source::Next::none;
    for (int i = 0; i < 600 && next != Source::Next::failed; ++i) next = gone->next(100, received);
    CHECK(next == Source::Next::failed);
}

namespace {

void check_killed_consumers(const std::string& topic, int lives, std::uint64_t records) {
    const KafkaServer& server = KafkaServer::shared();
    TestSink sink(server.url(topic), patient());
    sink.send(records);
    sink->stop();
    // Under a name of its own a member takes its place again at once.
    const std::string url = server.url(
        topic + "?group=k&group.instance.id=one&session.timeout.ms=6000&auto.commit.interval.ms=20");
    const CheckedTotals totals = read_by_killing(url, lives, 13, 60);
    CHECK(totals.records == sink.made());
    CHECK(totals.missing == 0);
    CHECK(totals.damaged == 0);
    CHECK(totals.duplicates > 0);
}

}  // namespace

TEST_CASE("kafka: consumers of a group are killed and miss nothing", "[kafka][server][no-sanitizer]") {
    check_killed_consumers("killed-consumer", 4, 10'000);
}

TEST_CASE("kafka: a hundred consumers of a group are killed and miss nothing",
          "[.long][kafka][server][no-sanitizer]") {
    check_killed_consumers("killed-consumers", 100, 120'000);
}

TEST_CASE("kafka: reading from a time on", "[kafka][server][no-sanitizer]") {
    const KafkaServer& server = KafkaServer::shared();
    TestSink sink(server.url("times"), patient());
    sink.send(100);
    REQUIRE(in_time([&] { return sink->stats().acknowledged == 100; }));
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    sink.send(40);
    sink->stop();
    const CheckedTotals totals = read_all(server.url("times?from_ms=" + std::to_string(ms)));
    CHECK(totals.records == 40);
    CHECK(totals.missing == 100);  // they came before
    CHECK_THROWS_WITH(make_source(parse_url(server.url("times?from=9:1"))), Catch::Contains("partition 9"));
}

TEST_CASE("kafka: the usual programs read it as they are; a change to the stream is found",
          "[kafka][server][no-sanitizer]") {
    const std::string python = venv_python("kafka, confluent_kafka");
    if (python.empty()) {
        WARN("skipped: no Python with kafka and confluent_kafka (./tools/test makes it)");
        return;
    }
    const KafkaServer& server = KafkaServer::shared();
    const auto consume = [&](const std::string& topic, const std::string& how) {
        return run_program({python, kScripts + "kafka_consumer.py", server.port(), topic, how});
    };
    TestSink json(server.url("json?payload=json"), patient());
    json.send(500);
    json->stop();
    for (const std::string how : {"kafka-python", "confluent-kafka"}) {
        const Outcome printed = consume("json", how);
        INFO(how << printed.out << printed.err);
        CHECK(printed.code == 0);
        CHECK(std::count(printed.out.begin(), printed.out.end(), '\n') == 500);
        CHECK(printed.out.find("\"symbol\":\"BBBB\"") != std::string::npos);
    }
    TestSink sink(server.url("whole"), patient());
    sink.send(1'000);
    sink->stop();
    for (const std::string change : {"decode", "remove", "repeat", "alter"}) {
        INFO(change);
        const Outcome changed = consume("whole", change);  // into a topic of that name
        INFO(changed.out << changed.err);
        REQUIRE(changed.code == 0);
        const CheckedTotals totals = read_all(server.url(change == "decode" ? "whole" : change));
        const std::uint64_t of_batch = std::stoull(changed.out);
        CHECK(totals.missing == (change == "remove" || change == "alter" ? of_batch : 0));
        CHECK(totals.duplicates == (change == "repeat" ? of_batch : 0));
        CHECK(totals.damaged == (change == "alter" ? 1 : 0));
    }
}
#endif
