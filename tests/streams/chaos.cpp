// What networks and servers do to an edge, to each in turn: a server that stands still for ten
// seconds, is killed and comes back, is full, or is slow; a connection that is cut within a frame, or
// that garbles one. The feed goes on, memory keeps its cap, the ledger closes, and the consumer's checker
// finds exactly what the sender says. Slow, hence under --long.
#include <functional>
#include <random>

#include "tests/support/broker_servers.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/sink_test.hpp"
#include "tests/support/tcp_proxy.hpp"

using namespace millrace;
using namespace millrace::streams;
using namespace millrace::test;

namespace {

constexpr std::size_t kCap = std::size_t{2} << 20;
// What the cap leaves out: one turn of the sink's thread, and the batches that were open.
constexpr std::size_t kOver = std::size_t{2} << 20;

// A server under test, all of whose traffic goes through the proxy.
struct Target {
    std::function<void(int)> signal;
    std::function<void()> kill_it;
    std::function<void()> start;
    std::function<void()> fill;   // from now on there is no room for anything,
    std::function<void()> empty;  // and now there is again
    std::function<std::string(const std::string& options)> sink;  // a place of its own each call
    std::function<std::string()> source;                         // of the last such place
    TcpProxy* proxy = nullptr;
};

SinkConfig config_of(const std::string& policy) {
    SinkConfig config;
    config.backlog_bytes = kCap;
    config.stop_within = 120'000'000'000;
    config.batch_records = policy == "spill" ? 50 : 200;
    return config;
}

// Sends for so long; the feed must keep its pace whatever the edge does.
void feed_for(TestSink& sink, std::chrono::milliseconds time) {
    const auto begin = std::chrono::steady_clock::now();
    const auto rounds = time.count() / 5;
    for (int i = 0; i < rounds; ++i) {
        sink.send(200);
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    CHECK(std::chrono::steady_clock::now() - begin < time * 3);
}

// Ends the sink and compares its ledger with what a consumer finds.
void settle(TestSink& sink, const Target& target, bool lossless) {
    sink->stop();
    const SinkStats stats = sink->stats();
    INFO("made " << stats.made << " acknowledged " << stats.acknowledged << " ring_full "
                 << stats.ring_full << " dropped " << stats.dropped << " spilled " << stats.spilled
                 << " resent " << stats.resent << " problem " << sink->problem());
    CHECK(stats.balance() == 0);
    CHECK(stats.unsent == 0);
    CHECK(stats.backlog_bytes_max < kCap + kOver);
    if (lossless) CHECK(stats.dropped == 0);
    const CheckedTotals totals = read_all(target.source());
    INFO("records " << totals.records << " missing " << totals.missing << " left_out "
                    << totals.left_out << " late " << totals.late);
    CHECK(totals.damaged == 0);
    CHECK(totals.records == stats.acknowledged);
    CHECK(totals.missing == stats.dropped + stats.ring_full);
    CHECK(totals.lost() == 0);
}

void is_paused(const Target& target, const std::string& policy) {
    INFO("paused, " << policy);
    TestSink sink(target.sink("policy=" + policy), config_of(policy));
    feed_for(sink, std::chrono::seconds(1));
    target.signal(SIGSTOP);
    feed_for(sink, std::chrono::seconds(10));
    target.signal(SIGCONT);
    feed_for(sink, std::chrono::seconds(1));
    settle(sink, target, policy == "spill");
}

void is_killed(const Target& target, const std::string& policy) {
    INFO("killed, " << policy);
    TestSink sink(target.sink("policy=" + policy), config_of(policy));
    feed_for(sink, std::chrono::seconds(2));
    target.kill_it();
    feed_for(sink, std::chrono::seconds(2));
    target.start();
    feed_for(sink, std::chrono::seconds(1));
    settle(sink, target, policy == "spill");
}

void is_full(const Target& target, const std::string& policy) {
    INFO("full, " << policy);
    TestSink sink(target.sink("policy=" + policy), config_of(policy));
    feed_for(sink, std::chrono::seconds(1));
    target.fill();
    feed_for(sink, std::chrono::seconds(5));
    CHECK(sink->stats().state != EdgeState::live);
    target.empty();
    feed_for(sink, std::chrono::seconds(1));
    settle(sink, target, policy == "spill");
}

void is_slow(const Target& target) {
    INFO("slow");
    TestSink sink(target.sink("policy=drop_oldest"), config_of("drop_oldest"));
    feed_for(sink, std::chrono::seconds(1));
    target.proxy->slow_down(64);  // of about 2 kB a millisecond
    feed_for(sink, std::chrono::seconds(5));
    target.proxy->slow_down(0);
    settle(sink, target, false);
}

void is_cut(const Target& target) {
    INFO("cut");
    TestSink sink(target.sink("policy=spill"), config_of("spill"));
    std::mt19937 random(17);
    for (int cut = 0; cut < 20; ++cut) {
        target.proxy->cut_after(random() % 200'000);
        feed_for(sink, std::chrono::milliseconds(300));
    }
    settle(sink, target, true);
}

std::uint64_t records_in_or_none(std::span<const std::uint8_t> payload) {
    try {
        return records_in(payload);
    } catch (const Error&) {
        return 0;
    }
}

// One bit of what goes to the server. Either it is noticed there and sent again, or the consumer
// finds the batch damaged: never is it taken for good.
void is_garbled(const Target& target) {
    std::mt19937 random(18);
    for (int i = 0; i < 10; ++i) {
        INFO("garbled " << i);
        TestSink sink(target.sink("policy=spill"), config_of("spill"));
        feed_for(sink, std::chrono::milliseconds(100));
        target.proxy->corrupt_after(random() % 20'000);
        feed_for(sink, std::chrono::milliseconds(300));
        sink->stop();
        const SinkStats stats = sink->stats();
        CHECK(stats.balance() == 0);
        CHECK(stats.unsent == 0);
        StreamChecker checker;
        const auto source = make_source(parse_url(target.source()));
        Received received;
        std::uint64_t without = 0;  // whose envelope is garbled beyond use
        for (Source::Next next{}; (next = source->next(100, received)) != Source::Next::end;) {
            REQUIRE(next != Source::Next::failed);
            if (next != Source::Next::batch) continue;
            if (!received.has_envelope) ++without;
            else checker.on_batch(received.envelope, received.payload, records_in_or_none(received.payload));
        }
        source->close();
        const CheckedTotals& totals = checker.totals();
        CHECK(totals.records <= stats.acknowledged);
        const bool whole = totals.records == stats.acknowledged && totals.lost() == 0;
        const bool told = totals.damaged + without != 0 || totals.lost() != 0 || checker.streams() > 2;
        CHECK((whole || told));
    }
}

void endures_all(const Target& target) {
    is_paused(target, "spill");
    is_paused(target, "drop_oldest");
    is_killed(target, "spill");
    is_killed(target, "drop_oldest");
    is_full(target, "spill");
    is_full(target, "drop_oldest");
    is_slow(target);
    is_cut(target);
    is_garbled(target);
}

}  // namespace

#ifdef MILLRACE_HAS_REDIS
TEST_CASE("chaos: redis", "[.long][chaos][redis][server]") {
    RedisServer server(true);
    TcpProxy proxy(static_cast<std::uint16_t>(std::stoi(server.port())));
    int place = 0;
    Target target;
    target.signal = [&](int number) { server.signal(number); };
    target.kill_it = [&] { server.kill_it(); };
    target.start = [&] { server.start(); };
    target.fill = [&] { REQUIRE(server.ask("CONFIG SET maxmemory 1") == "+OK\r\n"); };
    target.empty = [&] { REQUIRE(server.ask("CONFIG SET maxmemory 0") == "+OK\r\n"); };
    target.sink = [&](const std::string& options) {
        return "redis://127.0.0.1:" + std::to_string(proxy.port()) + "/md" + std::to_string(++place) +
               "?timeout_ms=2000&maxlen=0&" + options;
    };
    target.source = [&] { return server.url("md" + std::to_string(place)); };
    target.proxy = &proxy;
    endures_all(target);
}
#endif

#ifdef MILLRACE_HAS_KAFKA
TEST_CASE("chaos: kafka", "[.long][chaos][kafka][server][no-sanitizer]") {
    TcpProxy proxy(0);
    KafkaServer server(proxy.port());  // clients are told to come through the proxy
    proxy.lead_to(static_cast<std::uint16_t>(std::stoi(server.port())));
    int place = 0;
    Target target;
    target.signal = [&](int number) { server.signal(number); };
    target.kill_it = [&] { server.kill_it(); };
    target.start = [&] { server.start(); };
    // As on a full disk, at which the server ends; somebody then makes room and starts it again.
    target.fill = [&] { server.limit_files(4'096); };
    target.empty = [&] {
        server.kill_it();
        server.start();
    };
    target.sink = [&](const std::string& options) {
        return "kafka://127.0.0.1:" + std::to_string(proxy.port()) + "/md" + std::to_string(++place) + "?" + options;
    };
    target.source = [&] { return "kafka://127.0.0.1:" + std::to_string(proxy.port()) + "/md" + std::to_string(place); };
    target.proxy = &proxy;
    endures_all(target);
}
#endif

#ifdef MILLRACE_HAS_RABBITMQ
TEST_CASE("chaos: rabbitmq", "[.long][chaos][rabbitmq][server][no-sanitizer]") {
    RabbitServer server;
    TcpProxy proxy(static_cast<std::uint16_t>(std::stoi(server.port())));
    int place = 0;
    Target target;
    target.signal = [&](int number) { server.signal(number); };
    target.kill_it = [&] { server.kill_it(); };
    target.start = [&] { server.start(); };
    // Its alarm of memory, at which it takes nothing from those who publish.
    target.fill = [&] { server.control({"set_vm_memory_high_watermark", "0"}); };
    target.empty = [&] { server.control({"set_vm_memory_high_watermark", "0.4"}); };
    target.sink = [&](const std::string& options) {
        const std::string name = "md" + std::to_string(++place);
        return "amqp://127.0.0.1:" + std::to_string(proxy.port()) + "/x." + name + "?queue=" + name +
               "&timeout_ms=2000&" + options;
    };
    target.source = [&] { return server.url("md" + std::to_string(place)); };
    target.proxy = &proxy;
    endures_all(target);
}
#endif
