// Redis Streams against the real server: complete, refused duplicates, a server that is cut off,
// killed, full, or a replica, and consumers that die.
#ifdef MILLRACE_HAS_REDIS
#include "tests/support/catch.hpp"
#include "tests/support/killed_readers.hpp"
#include "tests/support/python.hpp"
#include "tests/support/redis_server.hpp"
#include "tests/support/sink_test.hpp"
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
    CHECK(totals.duplicates == 0);
    CHECK(totals.damaged == 0);
}

}  // namespace

TEST_CASE("redis: a replay's stream gives the books of the capture", "[redis][server]") {
    const RedisServer server;
    const TempFile capture("redis.pcapng");
    REQUIRE(run_command({"sim", "--capture", capture.path(), "--seconds", "2", "--seed", "5"})
                .code == 0);
    const auto digest_of = [](const Outcome& outcome) {
        INFO(outcome.out << outcome.err);
        REQUIRE(outcome.code == 0);
        const std::size_t at = outcome.out.find("\"digest\":\"") + 10;
        return outcome.out.substr(at, 32);
    };
    const Outcome sent = run_command({"replay", capture.path(), "--json", "--sink",
                                      server.url("md") + "?batch=64"});
    const std::string digest = digest_of(sent);
    CHECK(sent.out.find("\"unsent\":0,\"balance\":0") != std::string::npos);
    const Outcome read = run_command({"replay", server.url("md"), "--json"});
    CHECK(digest_of(read) == digest);
    CHECK(read.out.find("\"missing\":0,\"duplicates\":0,\"damaged\":0") != std::string::npos);
    CHECK(run_command({"replay", server.url("md"), capture.path()}).code == 2);
    // A second run into the same key begins anew, and is not applied on top of the first.
    std::this_thread::sleep_for(std::chrono::seconds(1));  // epochs count seconds
    static_cast<void>(
        digest_of(run_command({"replay", capture.path(), "--json", "--sink", server.url("md")})));
    const Outcome twice = run_command({"replay", server.url("md"), "--json"});
    CHECK(digest_of(twice) == digest);
    CHECK(twice.out.find("\"restarts\":20") != std::string::npos);
}

TEST_CASE("redis: a stream for each symbol, and a cap on each", "[redis][server]") {
    const RedisServer server;
    TestSink sink(server.url("md:{symbol}?maxlen=100&policy=block&batch=1"));
    sink.send(10'000);
    sink->stop();
    CHECK(sink->stats().acknowledged == 10'000);
    for (const std::string symbol : {"AAAA", "BBBB"}) {
        const std::string length = server.ask("XLEN md:" + symbol);
        CHECK(std::stoi(length.substr(1)) >= 100);
        CHECK(std::stoi(length.substr(1)) < 1'000);
        CHECK(read_all(server.url("md:" + symbol)).missing > 4'000);
    }
}

TEST_CASE("redis: what is sent again after a cut connection is refused where it had arrived",
          "[redis][server]") {
    const RedisServer server;
    TestSink sink(server.url("md"), blocking());
    for (std::uint64_t cut = 1; cut <= 8; ++cut) {
        sink.send(2'000);
        REQUIRE(in_time([&] { return sink->stats().connects >= cut; }));
        server.ask("CLIENT KILL TYPE normal");
        REQUIRE(in_time([&] { return sink->stats().connects > cut; }));
    }
    sink->stop();
    CHECK(sink->stats().resent > 0);
    check_complete(sink, read_all(server.url("md")));
}

TEST_CASE("redis: a server that is killed and comes back has everything once", "[redis][server]") {
    RedisServer server(true);
    TestSink sink(server.url("md"), blocking());
    sink.send(5'000);
    REQUIRE(in_time([&] { return sink->stats().acknowledged > 500; }));
    server.kill_it();
    sink.send(1'000);
    REQUIRE(in_time([&] { return sink->stats().state == EdgeState::backoff; }));
    server.start();
    sink.send(5'000);
    sink->stop();
    check_complete(sink, read_all(server.url("md")));
}

TEST_CASE("redis: a full server, and one that has become a replica, are waited for",
          "[redis][server]") {
    const RedisServer server;
    TestSink sink(server.url("md"), blocking());
    sink.send(1'000);
    REQUIRE(in_time([&] { return sink->stats().acknowledged == sink.made(); }));
    const auto check = [&](const std::string& fault, const std::string& repair) {
        CHECK(server.ask(fault) == "+OK\r\n");
        sink.send(1'000);
        CHECK(in_time([&] { return sink->stats().state == EdgeState::backoff; }));
        CHECK(server.ask(repair) == "+OK\r\n");
        CHECK(in_time([&] { return sink->stats().acknowledged == sink.made(); }));
    };
    check("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0");
    check("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE");
    sink->stop();
    check_complete(sink, read_all(server.url("md")));
    CHECK(sink->problem().find("READONLY") != std::string::npos);
}

TEST_CASE("redis: a server that is loading what it had written is waited for", "[.long][redis][server]") {
    // Some 100 us for each command that it reads again.
    RedisServer server(true, {"--key-load-delay", "100"});
    SinkConfig config = blocking();
    config.batch_records = 1;
    TestSink sink(server.url("md"), config);
    sink.send(20'000);
    REQUIRE(in_time([&] { return sink->stats().acknowledged == sink.made(); }));
    server.kill_it();
    sink.send(10);
    server.start();
    REQUIRE(in_time([&] { return sink->stats().acknowledged == sink.made(); }));
    sink->stop();
    INFO(sink->problem());
    CHECK(sink->problem().find("LOADING") != std::string::npos);
    check_complete(sink, read_all(server.url("md")));
}

TEST_CASE("redis: while the server stands still the feed does not, and the loss is counted",
          "[redis][server]") {
    const RedisServer server;
    SinkConfig config;
    config.backlog_bytes = 1 << 20;
    TestSink sink(server.url("md?timeout_ms=500&policy=drop_oldest"), config);
    sink.send(1'000);
    REQUIRE(in_time([&] { return sink->stats().acknowledged == sink.made(); }));
    server.signal(SIGSTOP);
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < 200; ++i) {
        sink.send(500);
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(20));
    REQUIRE(in_time([&] { return sink->stats().state == EdgeState::backoff; }));
    server.signal(SIGCONT);
    // What was dropped last shows as a hole before something: before two records that find room in the ring.
    REQUIRE(in_time([&] {
        const SinkStats now = sink->stats();
        return now.acknowledged + now.dropped + now.ring_full == sink.made();
    }));
    sink.send(2);
    sink->stop();
    const SinkStats stats = sink->stats();
    CHECK(stats.balance() == 0);
    CHECK(stats.unsent == 0);
    CHECK(stats.dropped > 10'000);
    CHECK(stats.backlog_bytes_max < (1 << 20) + (1 << 20));
    const CheckedTotals totals = read_all(server.url("md"));
    CHECK(totals.records == stats.acknowledged);
    CHECK(totals.missing == stats.dropped + stats.ring_full);
    CHECK(totals.damaged == 0);
}

namespace {

// What a consumer was given and has not acknowledged, up to a hundred entries, comes again.
void check_killed_consumers(int lives, std::uint64_t records) {
    const RedisServer server;
    SinkConfig config = blocking();
    config.batch_records = 5;
    TestSink sink(server.url("md"), config);
    sink.send(records);
    sink->stop();
    const CheckedTotals totals = read_by_killing(server.url("md?group=g&consumer=c&claim_ms=0"), lives, 11, 250);
    CHECK(totals.records == sink.made());
    CHECK(totals.missing == 0);
    CHECK(totals.damaged == 0);
    CHECK(totals.duplicates > 0);
    CHECK(server.ask("XPENDING md g").rfind("*4\r\n:0\r\n", 0) == 0);
}

}  // namespace

TEST_CASE("redis: consumers of a group are killed and miss nothing", "[redis][server]") {
    check_killed_consumers(5, 10'000);
}

TEST_CASE("redis: a hundred consumers of a group are killed and miss nothing", "[.long][redis][server]") {
    check_killed_consumers(100, 150'000);
}

TEST_CASE("redis: what was read ahead and not committed comes again", "[redis][server]") {
    const RedisServer server;
    TestSink sink(server.url("md"), blocking());
    sink.send(2'000);
    sink->stop();
    check_commits_by_hand(server.url("md"), "group=g&consumer=c", sink->stats().batches);
}

TEST_CASE("redis: a stream that is not there is told of, or waited for", "[redis][server]") {
    const RedisServer server;
    for (const std::string command : {"replay", "check"}) {
        for (const std::string options : {"", "?group=g"}) {
            const Outcome outcome = run_command({command, server.url("no-such-key") + options});
            INFO(command << options << outcome.out << outcome.err);
            CHECK(outcome.code == 11);
            CHECK(outcome.err.find("no such key") != std::string::npos);
            CHECK(std::count(outcome.err.begin(), outcome.err.end(), '\n') == 1);
        }
    }
    CHECK(server.ask("EXISTS no-such-key") == ":0\r\n");
    const auto waits = make_source(parse_url(server.url("md?follow=1")));
    TestSink sink(server.url("md"), blocking());
    sink.send(1'000);
    sink->stop();
    StreamChecker checker;
    read_into(checker, *waits, sink->stats().batches);
    CHECK(checker.totals().records == 1'000);
}

TEST_CASE("redis: a stream that is written without pause ends where it was at the start", "[redis][server]") {
    const RedisServer server;
    TestSink sink(server.url("md"), blocking());
    constexpr std::uint64_t kMore = 100 * 20;  // a hundred entries come at once
    check_ends_while_written(sink, server.url("md"), kMore);
    check_ends_while_written(sink, server.url("md?group=g&consumer=c"), kMore);
    sink->stop();
}

TEST_CASE("redis: what a dead consumer had is claimed by another", "[redis][server]") {
    const RedisServer server;
    TestSink sink(server.url("md"), blocking());
    sink.send(10'000);
    sink->stop();
    StreamChecker seen;
    {
        const auto dead = make_source(parse_url(server.url("md?group=g&consumer=dead")));
        read_into(seen, *dead, 30);
    }
    StreamChecker checker;
    const auto heir = make_source(parse_url(server.url("md?group=g&consumer=heir&claim_ms=0")));
    read_into(checker, *heir);
    heir->close();
    CHECK(checker.totals().records == sink.made());
    CHECK(checker.totals().missing == 0);
}

TEST_CASE("redis: programs of redis-py read it as they are; a change to the stream is found",
          "[redis][server]") {
    const std::string python = venv_python("redis");
    if (python.empty()) {
        WARN("skipped: no Python with redis (./tools/test makes it)");
        return;
    }
    const RedisServer server;
    const auto consume = [&](const std::string& key, const std::string& how) {
        return run_program({python, kScripts + "redis_consumer.py", server.port(), key, how});
    };
    TestSink json(server.url("json?payload=json"), blocking());
    json.send(500);
    json->stop();
    const Outcome printed = consume("json", "print");
    INFO(printed.out << printed.err);
    CHECK(printed.code == 0);
    CHECK(std::count(printed.out.begin(), printed.out.end(), '\n') == 500);
    CHECK(printed.out.find("\"symbol\":\"AAAA\"") != std::string::npos);
    for (const std::string change : {"decode", "remove", "repeat", "alter"}) {
        INFO(change);
        TestSink sink(server.url(change), blocking());
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
        const bool good = change == "decode" || change == "repeat";
        CHECK((run_command({"replay", server.url(change)}).code == 0) == good);
    }
}

TEST_CASE("redis: last values have a key each, and payloads are published if so wished",
          "[redis][server]") {
    const RedisServer server;
    TcpClient listener(static_cast<std::uint16_t>(std::stoi(server.port())));
    listener.send("SUBSCRIBE ch:AAAA\r\n");
    REQUIRE(listener.receive().find("subscribe") != std::string::npos);
    TestSink sink(server.url("md?last=md:last:{event}:{symbol}&publish=ch:{symbol}"), blocking());
    sink.send(999);
    sink->stop();
    CHECK(sink->stats().acknowledged == 999);
    CHECK(sink.counter("others_failed") == 0);
    const std::string value = server.ask("GET md:last:mbo:BBBB");
    const std::string dbn = value.substr(value.find("\r\n") + 2);  // behind the length
    replay::DbnFileReader reader({reinterpret_cast<const std::uint8_t*>(dbn.data()), dbn.size() - 2}, "value");
    CHECK(reader.metadata().symbols == std::vector<std::string>{"BBBB"});
    dbn::RecordView record;
    REQUIRE(reader.next(record));
    CHECK(record.as<dbn::Mbo>()->sequence.value() == 999);
    CHECK_FALSE(reader.next(record));
    CHECK(listener.receive().find("message") != std::string::npos);
}

TEST_CASE("redis: a password comes by environment, and is not told", "[redis][server]") {
    const RedisServer server;
    server.ask("CONFIG SET requirepass hidden");
    TestSink without(server.url("md"));
    REQUIRE(in_time([&] { return without->stats().state == EdgeState::backoff; }));
    without->stop();
    CHECK(without->problem().find("NOAUTH") != std::string::npos);
    REQUIRE(setenv("MILLRACE_REDIS_PASSWORD", "hidden", 1) == 0);
    TestSink with(server.url("md"));
    with.send(10);
    with->stop();
    unsetenv("MILLRACE_REDIS_PASSWORD");
    CHECK(with->stats().acknowledged == 10);
    CHECK(with->problem().find("hidden") == std::string::npos);
}

TEST_CASE("redis: encrypted, to a server whose certificate is good for its name", "[redis][server]") {
    const RedisServer server;
    TlsProxy proxy;
    proxy.lead_to(server.port());
    for (const std::string name : {"localhost", "127.0.0.1"}) {
        INFO(name);
        const std::string url = "rediss://" + name + ":" + std::to_string(proxy.port()) + "/md:" + name;
        TestSink stranger(url);  // vouched for by nobody of the system's authorities
        REQUIRE(in_time([&] { return stranger->stats().state == EdgeState::backoff; }));
        stranger->stop();
        CHECK(stranger->problem().find("certificate") != std::string::npos);
        REQUIRE(setenv("MILLRACE_REDIS_CA", proxy.certificate().c_str(), 1) == 0);
        TestSink sink(url, blocking());
        sink.send(20'000);
        sink->stop();
        INFO(sink->problem());
        check_complete(sink, read_all(url));
        unsetenv("MILLRACE_REDIS_CA");
    }
    CHECK(run_command({"replay", "rediss://127.0.0.1:" + server.port() + "/md"}).code == 11);  // it speaks no TLS
}
#endif
