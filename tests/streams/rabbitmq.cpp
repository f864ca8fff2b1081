// RabbitMQ against the real server: confirms, returns, refusals and alarms, connections that are
// cut, queues and streams, and programs of pika.
#ifdef MILLRACE_HAS_RABBITMQ
#include <random>

#include "millrace/feed/streams/rabbitmq/connection.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/killed_readers.hpp"
#include "tests/support/python.hpp"
#include "tests/support/rabbit_server.hpp"
#include "tests/support/sink_test.hpp"
#include "tests/support/tcp_proxy.hpp"
#include "tests/support/tls_proxy.hpp"

using namespace millrace;
using namespace millrace::streams;
using namespace millrace::test;

namespace {

void check_complete(const TestSink& sink, const CheckedTotals& totals) {
    CHECK(sink->stats().balance() == 0);
    CHECK(sink->stats().acknowledged == sink.made());
    CHECK(totals.records == sink.made());
    CHECK(totals.missing == 0);
    CHECK(totals.damaged == 0);
}

// A queue that takes so many messages, and refuses what comes then.
void make_small_queue(const RabbitServer& server, const std::string& name, std::int64_t messages) {
    Url url = parse_url(server.url(name));
    RabbitConnection connection(url);
    std::string problem;
    REQUIRE(connection.open(problem));
    REQUIRE(connection.declare_exchange("x." + name, problem));
    RabbitTable arguments;
    arguments.add("x-queue-type", "classic");
    arguments.add("x-max-length", messages);
    arguments.add("x-overflow", "reject-publish");
    const std::string exchange = "x." + name;
    amqp_queue_declare(connection.get(), RabbitConnection::kChannel, bytes_of(name), 0, 1, 0, 0,
                       arguments.get());
    REQUIRE(connection.answered(problem));
    amqp_queue_bind(connection.get(), RabbitConnection::kChannel, bytes_of(name),
                    bytes_of(exchange), bytes_of("#"), amqp_empty_table);
    REQUIRE(connection.answered(problem));
    connection.close();
}

std::uint64_t messages_of(const CheckedTotals& totals) { return totals.batches + totals.ends; }

// What comes within a moment.
void read_some(StreamChecker& checker, Source& source) {
    Received received;
    while (source.next(100, received) == Source::Next::batch)
        checker.on_batch(received.envelope, received.payload, records_in(received.payload));
}

// Reads until there is no more; false where that is for a problem.
bool reads_to_end(StreamChecker& checker, Source& source) {
    Received received;
    for (;;) {
        const Source::Next next = source.next(100, received);
        if (next == Source::Next::end) return true;
        if (next == Source::Next::failed) return false;
        if (next == Source::Next::none) continue;
        checker.on_batch(received.envelope, received.payload, records_in(received.payload));
    }
}

// The source cannot be read, for a reason that has this in its one line.
void check_fails(const std::string& url, const std::string& why) {
    INFO(url);
    std::string problem;
    try {
        StreamChecker checker;
        const auto source = make_source(parse_url(url));
        CHECK_FALSE(reads_to_end(checker, *source));
        problem = source->problem();
    } catch (const Error& error) {
        CHECK(error.code() == ExitCode::resource);
        problem = error.what();
    }
    INFO(problem);
    CHECK(problem.find(why) != std::string::npos);
    CHECK(problem.find('\n') == std::string::npos);
}

}  // namespace

TEST_CASE("rabbitmq: URLs, and what is wrong with them", "[rabbitmq]") {
    for (const std::string wrong :
         {"amqp://a:1", "amqp://a:1/x?window=0", "amqp://a:1/x?type=lazy", "amqp://a:1/x?y=1",
          "amqp://a:1/x?heartbeat_s=0", "amqp://a:0/x"}) {
        INFO(wrong);
        SinkConfig config;
        CHECK_THROWS_AS(make_edge(parse_url(wrong), config), Error);
    }
    CHECK_THROWS_AS(make_source(parse_url("amqp://127.0.0.1:1/q")), Error);
}

TEST_CASE("rabbitmq: a replay's queue gives the books of the capture",
          "[rabbitmq][server][no-sanitizer]") {
    const RabbitServer& server = RabbitServer::shared();
    const TempFile capture("rabbitmq.pcapng");
    REQUIRE(run_command({"sim", "--capture", capture.path(), "--seconds", "2", "--seed", "7"})
                .code == 0);
    const auto digest_of = [](const Outcome& outcome) {
        INFO(outcome.out << outcome.err);
        REQUIRE(outcome.code == 0);
        return outcome.out.substr(outcome.out.find("\"digest\":\"") + 10, 32);
    };
    for (const std::string type : {"quorum", "stream"}) {
        INFO(type);
        const std::string digest = digest_of(
            run_command({"replay", capture.path(), "--json", "--sink",
                         server.url("x." + type + "?queue=" + type + "&type=" + type)}));
        const Outcome read = run_command({"replay", server.url(type + "?type=" + type), "--json"});
        CHECK(digest_of(read) == digest);
        CHECK(read.out.find("\"missing\":0,\"duplicates\":0,\"damaged\":0") != std::string::npos);
    }
}

TEST_CASE("rabbitmq: what no queue takes is counted, and named",
          "[rabbitmq][server][no-sanitizer]") {
    const RabbitServer& server = RabbitServer::shared();
    TestSink sink(server.url("x.nobody"), blocking());
    sink.send(100);
    sink->stop();
    CHECK(sink->stats().dropped == 100);
    CHECK(sink->stats().balance() == 0);
    CHECK(sink.counter("returned") > 0);
    CHECK(sink->problem().find("mbo.BBBB") != std::string::npos);
    const TempFile capture("nobody.pcapng");
    REQUIRE(run_command({"sim", "--capture", capture.path(), "--seconds", "0.2", "--seed", "7"}).code == 0);
    const auto replay = [&](const std::string& options) {
        return run_command({"replay", capture.path(), "--json", "--sink", server.url("x.nobody" + options)});
    };
    const Outcome lost = replay("");
    CHECK(lost.code == 1);
    CHECK(lost.err.find("NO_ROUTE") != std::string::npos);
    CHECK(lost.err.find("mandatory=0") != std::string::npos);
    CHECK(lost.out.find("\"refused\":0,") == std::string::npos);
    const Outcome meant = replay("?mandatory=0");
    CHECK(meant.code == 0);
    CHECK(meant.out.find("\"refused\":0,") != std::string::npos);
}

TEST_CASE("rabbitmq: a full queue refuses, and is waited for", "[rabbitmq][server][no-sanitizer]") {
    const RabbitServer& server = RabbitServer::shared();
    make_small_queue(server, "small", 20);
    TestSink sink(server.url("x.small"), blocking());
    sink.send(2'000);  // a hundred messages
    REQUIRE(in_time([&] { return sink->stats().state == EdgeState::degraded; }));
    StreamChecker checker;
    const auto source = make_source(parse_url(server.url("small?prefetch=10&follow=1")));
    REQUIRE(in_time([&] {
        read_some(checker, *source);
        return sink->stats().acknowledged == sink.made();
    }));
    sink->stop();
    read_some(checker, *source);
    CHECK(sink.counter("nacks") > 0);
    CHECK(sink.counter("sent_again") >= sink.counter("nacks"));
    CHECK(sink->stats().connects == 1);
    check_complete(sink, checker.totals());
    CHECK(checker.totals().duplicates == 0);
}

TEST_CASE("rabbitmq: a full queue does not hold the feed up, and the loss is counted",
          "[rabbitmq][server][no-sanitizer]") {
    const RabbitServer& server = RabbitServer::shared();
    make_small_queue(server, "full", 20);
    SinkConfig config = blocking();
    config.when_full = WhenFull::drop_oldest;
    config.backlog_bytes = 1 << 20;
    config.stop_within = 500'000'000;
    TestSink sink(server.url("x.full"), config);
    sink.send(2'000);
    REQUIRE(in_time([&] { return sink->stats().state == EdgeState::degraded; }));
    for (int i = 0; i < 100; ++i) {
        sink.send(500);
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    sink->stop();
    const SinkStats stats = sink->stats();
    CHECK(stats.balance() == 0);
    CHECK(stats.dropped + stats.ring_full > 10'000);
    CHECK(read_all(server.url("full")).records == stats.acknowledged);
}

TEST_CASE("rabbitmq: while the server is blocked the feed is not, and the loss is counted",
          "[.long][rabbitmq][server][no-sanitizer]") {
    const RabbitServer& server = RabbitServer::shared();
    SinkConfig config;
    config.backlog_bytes = 1 << 20;
    TestSink sink(server.url("x.blocked?queue=blocked&policy=drop_oldest"), config);
    sink.send(1'000);
    REQUIRE(in_time([&] { return sink->stats().acknowledged == sink.made(); }));
    server.control({"set_vm_memory_high_watermark", "0"});
    sink.send(100);  // the server says that it is blocked to who sends
    REQUIRE(in_time([&] { return sink->stats().state == EdgeState::degraded; }));
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < 200; ++i) {
        sink.send(500);
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(20));
    server.control({"set_vm_memory_high_watermark", "0.4"});
    REQUIRE(in_time([&] {
        const SinkStats now = sink->stats();
        return now.acknowledged + now.dropped + now.ring_full == sink.made();
    }));
    sink.send(2);  // so that what was dropped last shows as a hole before something
    sink->stop();
    const SinkStats stats = sink->stats();
    CHECK(sink.counter("blocked") > 0);
    CHECK(stats.balance() == 0);
    CHECK(stats.unsent == 0);
    CHECK(stats.dropped > 10'000);
    CHECK(stats.backlog_bytes_max < (1 << 20) + (1 << 20));
    const CheckedTotals totals = read_all(server.url("blocked"));
    CHECK(totals.records == stats.acknowledged);
    CHECK(totals.missing == stats.dropped + stats.ring_full);
}

TEST_CASE("rabbitmq: a connection cut in the middle of a frame costs nothing",
          "[rabbitmq][server][no-sanitizer]") {
    const RabbitServer& server = RabbitServer::shared();
    TcpProxy proxy(static_cast<std::uint16_t>(std::stoi(server.port())));
    const std::string at = "amqp://127.0.0.1:" + std::to_string(proxy.port());
    TestSink sink(at + "/x.cut?queue=cut", blocking());
    std::mt19937 random(3);
    for (std::uint64_t cut = 1; cut <= 6; ++cut) {
        REQUIRE(in_time([&] { return sink->stats().connects >= cut; }));
        proxy.cut_after(random() % 50'000);
        sink.send(2'000);
        REQUIRE(in_time([&] { return sink->stats().connects > cut; }));
    }
    sink->stop();
    CHECK(sink->stats().resent > 0);
    check_complete(sink, read_all(server.url("cut")));
}

TEST_CASE("rabbitmq: an idle connection lives by its heartbeats",
          "[rabbitmq][server][no-sanitizer]") {
    const RabbitServer& server = RabbitServer::shared();
    TestSink sink(server.url("x.idle?queue=idle&heartbeat_s=1"), blocking());
    sink.send(10);
    REQUIRE(in_time([&] { return sink->stats().acknowledged == 10; }));
    // Longer than the server waits, which is for two of them.
    std::this_thread::sleep_for(std::chrono::milliseconds(3'500));
    sink.send(10);
    sink->stop();
    CHECK(sink->stats().acknowledged == 20);
    CHECK(sink->stats().connects == 1);
}

namespace {

void check_killed_consumers(const std::string& queue, int lives, std::uint64_t records) {
    const RabbitServer& server = RabbitServer::shared();
    TestSink sink(server.url("x." + queue + "?queue=" + queue), blocking());
    sink.send(records);
    sink->stop();
    REQUIRE(sink->stats().acknowledged == records);
    const CheckedTotals totals = read_by_killing(server.url(queue + "?prefetch=20"), lives, 12, 30);
    CHECK(totals.records == sink.made());
    CHECK(totals.missing == 0);
    CHECK(totals.damaged == 0);
    CHECK(totals.duplicates > 0);
}

}  // namespace

TEST_CASE("rabbitmq: consumers of a queue are killed and miss nothing", "[rabbitmq][server][no-sanitizer]") {
    check_killed_consumers("killed-consumer", 5, 5'000);
}

TEST_CASE("rabbitmq: a hundred consumers of a queue are killed and miss nothing",
          "[.long][rabbitmq][server][no-sanitizer]") {
    check_killed_consumers("killed-consumers", 100, 50'000);
}

TEST_CASE("rabbitmq: a stream is read from wherever one likes, as often as one likes",
          "[rabbitmq][server][no-sanitizer]") {
    const RabbitServer& server = RabbitServer::shared();
    TestSink sink(server.url("x.stream?queue=stream.all&type=stream"), blocking());
    sink.send(1'000);
    sink->stop();
    const std::uint64_t messages = sink->stats().batches + 2;  // and an end mark each
    for (const std::string prefetch : {"1", "7", "256"})
        check_complete(sink, read_all(server.url("stream.all?type=stream&prefetch=" + prefetch)));
    const CheckedTotals late = read_all(server.url("stream.all?type=stream&from=30"));
    CHECK(messages_of(late) == messages - 30);
    CHECK(late.missing + late.records == sink.made());
    // At its end nothing is to come, and that is sure.
    const std::string end = std::to_string(messages);
    CHECK(messages_of(read_all(server.url("stream.all?type=stream&from=" + end))) == 0);
}

TEST_CASE("rabbitmq: a stream's end is behind all that was confirmed before",
          "[rabbitmq][server][no-sanitizer]") {
    const RabbitServer& server = RabbitServer::shared();
    std::uint64_t messages = 0;
    std::uint64_t records = 0;
    for (int round = 0; round < 6; ++round) {
        SinkConfig config = blocking();
        config.feed = "round " + std::to_string(round);  // streams of their own
        config.batch_records = 1;
        TestSink sink(server.url("x.rounds?queue=rounds&type=stream"), config);
        sink.send(round % 3 == 0 ? 1'000 : 3);
        sink->stop();
        REQUIRE(sink->stats().acknowledged == sink.made());
        messages += sink->stats().batches + 2;
        records += sink.made();
        // At once, when the server's counts do not know of it yet.
        const CheckedTotals totals = read_all(server.url("rounds?type=stream"));
        REQUIRE(messages_of(totals) == messages);
        REQUIRE(totals.records == records);
    }
}

TEST_CASE("rabbitmq: an empty stream, and queues of another kind, are named",
          "[rabbitmq][server][no-sanitizer]") {
    const RabbitServer& server = RabbitServer::shared();
    const std::string empty = "empty?type=stream&timeout_ms=1000";
    check_fails(server.url(empty), "no queue 'empty'");
    check_fails(server.url(empty + "&exchange=x.empty"), "nothing in the stream");
    check_fails(server.url("empty"), "type=stream");
    TestSink sink(server.url("x.kind?queue=kind"), blocking());
    sink.send(10);
    sink->stop();
    check_fails(server.url("kind?type=stream"), "x-stream-offset");  // the server says it
    check_complete(sink, read_all(server.url("kind")));
}

TEST_CASE("rabbitmq: what was read ahead and not committed comes again",
          "[rabbitmq][server][no-sanitizer]") {
    const RabbitServer& server = RabbitServer::shared();
    TestSink sink(server.url("x.hand?queue=hand&bind=%23"), blocking());
    TestSink stream(server.url("x.hand.stream?queue=hand.stream&type=stream"), blocking());
    sink.send(2'000);
    stream.send(2'000);
    sink->stop();
    stream->stop();
    const std::uint64_t messages = sink->stats().batches + 2;
    for (int life = 0; life < 3; ++life) {
        const auto source = make_source(parse_url(server.url("hand")));
        REQUIRE(source->commit_by_hand());
        CHECK_FALSE(source->from_start());
        StreamChecker read(false);
        read_into(read, *source, 25);
        source->processed(10);
        CHECK(source->commit());
        source->processed(25);  // and not committed
        source->close();
    }
    CHECK(messages_of(read_all(server.url("hand"))) == messages - 30);
    // The place in a stream is the reader's to keep.
    const std::string url = server.url("hand.stream?type=stream&prefetch=10");
    const auto source = make_source(parse_url(url));
    REQUIRE(source->commit_by_hand());
    StreamChecker read;
    read_into(read, *source, 25);
    CHECK(source->position().empty());
    source->processed(10);
    CHECK(source->position() == "10");
    CHECK(messages_of(read_all(url + "&from=10")) == messages - 10);
}

TEST_CASE("rabbitmq: a connection that is lost ends a reader with one line",
          "[rabbitmq][server][no-sanitizer]") {
    const RabbitServer& server = RabbitServer::shared();
    TestSink sink(server.url("x.lost?queue=lost&type=stream"), blocking());
    sink.send(20'000);
    sink->stop();
    TcpProxy proxy(static_cast<std::uint16_t>(std::stoi(server.port())));
    // Of what a reader says: an acknowledgement of some twenty bytes after each message.
    proxy.cut_after(5'000);
    const Outcome cut = run_command({"replay", "amqp://127.0.0.1:" + std::to_string(proxy.port()) +
                                                   "/lost?type=stream&prefetch=2"});
    INFO(cut.err);
    CHECK(cut.code == 11);
    CHECK(std::count(cut.err.begin(), cut.err.end(), '\n') == 1);
    CHECK(cut.err.find("does the server run? What was not acknowledged comes again") != std::string::npos);
    check_complete(sink, read_all(server.url("lost?type=stream")));
}

TEST_CASE("rabbitmq: a server that is killed and comes back has everything",
          "[.long][rabbitmq][server][no-sanitizer]") {
    RabbitServer server;
    SinkConfig config = blocking();
    config.stop_within = 120'000'000'000;  // it takes its time to come back
    TestSink sink(server.url("x.killed?queue=killed"), config);
    sink.send(1'000);
    REQUIRE(in_time([&] { return sink->stats().acknowledged == 1'000; }));
    // Which queues there are it writes with a delay: one that was made a moment before would be
    // without a leader.
    std::this_thread::sleep_for(std::chrono::seconds(3));
    sink.send(20'000);
    REQUIRE(in_time([&] { return sink->stats().acknowledged > 2'000; }));
    const auto reader = make_source(parse_url(server.url("killed?follow=1")));
    server.kill_it();
    StreamChecker checker;
    CHECK_FALSE(reads_to_end(checker, *reader));
    CHECK_FALSE(reader->problem().empty());
    server.start();
    sink->stop();
    INFO(sink->problem());
    CHECK(sink->stats().resent > 0);
    const auto again = make_source(parse_url(server.url("killed")));
    CHECK(reads_to_end(checker, *again));
    check_complete(sink, checker.totals());
}

TEST_CASE("rabbitmq: a password comes by environment, and is not told",
          "[rabbitmq][server][no-sanitizer]") {
    const RabbitServer& server = RabbitServer::shared();
    REQUIRE(setenv("MILLRACE_AMQP_PASSWORD", "hidden", 1) == 0);
    TestSink sink(server.url("x.password"));
    REQUIRE(in_time([&] { return sink->trouble().find("refused") != std::string::npos; }));
    sink->stop();
    const Outcome read = run_command({"replay", server.url("password")});
    unsetenv("MILLRACE_AMQP_PASSWORD");
    CHECK(read.code == 11);
    for (const std::string& problem : {sink->problem(), read.err}) {
        INFO(problem);
        CHECK(problem.find("refused") != std::string::npos);
        CHECK(problem.find("hidden") == std::string::npos);
    }
    CHECK(std::count(read.err.begin(), read.err.end(), '\n') == 1);
}

TEST_CASE("rabbitmq: encrypted, to a server whose certificate is good for its name",
          "[rabbitmq][server][no-sanitizer]") {
    const RabbitServer& server = RabbitServer::shared();
    TlsProxy proxy;
    proxy.lead_to(server.port());
    const std::string at = "amqps://localhost:" + std::to_string(proxy.port());
    // Vouched for by nobody of the system's authorities.
    TestSink stranger(at + "/x.tls?queue=tls");
    REQUIRE(in_time([&] { return stranger->stats().state == EdgeState::backoff; }));
    stranger->stop();
    CHECK(stranger->problem().find("certificate") != std::string::npos);
    REQUIRE(setenv("MILLRACE_AMQP_CA", proxy.certificate().c_str(), 1) == 0);
    TestSink sink(at + "/x.tls?queue=tls", blocking());
    sink.send(5'000);
    sink->stop();
    INFO(sink->problem());
    check_complete(sink, read_all(at + "/tls"));
    unsetenv("MILLRACE_AMQP_CA");
}

TEST_CASE("rabbitmq: programs of pika read it as they are; a change to the stream is found",
          "[.long][rabbitmq][server][no-sanitizer]") {
    const std::string python = venv_python("pika");
    if (python.empty()) {
        WARN("skipped: no Python with pika (./tools/test makes it)");
        return;
    }
    const RabbitServer& server = RabbitServer::shared();
    const auto consume = [&](const std::string& queue, const std::string& how) {
        return run_program({python, kScripts + "rabbitmq_consumer.py", server.port(), queue, how});
    };
    TestSink json(server.url("x.json?queue=json&payload=json"), blocking());
    json.send(500);
    json->stop();
    const Outcome printed = consume("json", "print");
    INFO(printed.out << printed.err);
    CHECK(printed.code == 0);
    CHECK(std::count(printed.out.begin(), printed.out.end(), '\n') == 500);
    CHECK(printed.out.find("\"symbol\":\"AAAA\"") != std::string::npos);
    for (const std::string change : {"decode", "remove", "repeat", "alter"}) {
        INFO(change);
        TestSink sink(server.url("x." + change + "?queue=" + change), blocking());
        sink.send(1'000);
        sink->stop();
        const Outcome changed = consume(change, change);
        INFO(changed.out << changed.err);
        REQUIRE(changed.code == 0);
        const CheckedTotals totals = read_all(server.url(change));
        const std::uint64_t of_batch = std::stoull(changed.out);
        CHECK(totals.missing == (change == "remove" || change == "alter" ? of_batch : 0));
        CHECK(totals.duplicates == (change == "repeat" ? of_batch : 0));
        CHECK(totals.damaged == (change == "alter" ? 1 : 0));
    }
}
#endif
