// Between its first packet and its last no hot thread allocates: not the session over a day of 20 million
// messages, not while it makes records for a sink, and not the threads of a live feed.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <vector>

#include "live_feed.hpp"
#include "millrace/feed/session.hpp"
#include "millrace/feed/streams/edges.hpp"
#include "millrace/feed/venues/nasdaq_itch50/venue.hpp"
#include "millrace/replay/simulator/exchange.hpp"
#include "millrace/replay/simulator/publisher.hpp"
#include "tests/hot_path/allocation_counter.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/multicast.hpp"
#include "tests/support/network.hpp"
#include "tests/support/temp_file.hpp"

using namespace millrace;
using namespace millrace::test;
using Venue = venues::NasdaqItch50;

namespace {

// Allocates once, when it is told the millionth book update.
struct Forgetful : NullHandler {
    std::uint64_t updates = 0;
    std::unique_ptr<int> planted;
    void on_book(const OrderBook&, const BookUpdate&) {
        if (++updates == 1'000'000) planted = std::make_unique<int>(1);
    }
};

replay::ExchangeConfig day(std::uint64_t messages, double loss, bool never_on_all) {
    replay::ExchangeConfig config;
    config.market.messages = messages;
    config.market.peak_orders = static_cast<std::uint32_t>(messages * 3 / 40);
    config.market.symbols = messages > 5'000'000 ? 8'000 : 800;
    config.lines = {{.loss = loss, .duplicate = 0.001, .reorder = 0.001},
                    {.loss = loss, .duplicate = 0.001, .reorder = 0.001}};
    config.repacketise = true;
    config.never_on_all = never_on_all;
    return config;
}

SessionConfig session_config() {
    SessionConfig config;
    config.limits = {8'192, 2'000'000, 1'000'000};
    config.datagram_bytes_max = 2'048;
    return config;
}

struct Outcome {
    std::uint64_t delivered = 0;
    std::uint64_t gaps = 0;
    std::uint64_t given_up = 0;
    std::uint64_t allocations = 0;
};

// Both lines of a simulated day through a session. Counts while a packet is being handled, from the first on.
template <class Handler>
Outcome run_day(const replay::ExchangeConfig& config, Handler& handler) {
    const auto session = std::make_unique<Session<Venue, Handler>>(session_config(), handler);
    reset_allocations();
    replay::Exchange exchange(config, [&](const replay::SimulatedPacket& packet) {
        const Packet received{packet.line, packet.time, packet.bytes};
        count_allocations(true);
        session->on_packet(received);
        count_allocations(false);
    });
    while (exchange.step()) {
    }
    count_allocations(true);
    session->finish();
    count_allocations(false);
    REQUIRE(balance(session->messages()) == 0);
    const GapLog& gaps = session->arbiter().gaps();
    return {session->messages()[MessageCounter::delivered], gaps.total(), gaps.ended(GapEnd::given_up), allocations()};
}

}  // namespace

TEST_CASE("hot path: a session allocates nothing over a day of 20 million messages", "[no-sanitizer]") {
    NullHandler handler;
    const Outcome outcome = run_day(day(20'000'000, 0.001, true), handler);
    CHECK(outcome.delivered >= 20'000'000);
    CHECK(outcome.gaps > 100);
    CHECK(outcome.given_up == 0);
    CHECK(outcome.allocations == 0);
}

TEST_CASE("hot path: a session allocates nothing when both lines lose the same messages", "[no-sanitizer]") {
    NullHandler handler;
    const Outcome outcome = run_day(day(1'000'000, 0.03, false), handler);
    CHECK(outcome.given_up > 10);
    CHECK(outcome.allocations == 0);
}

TEST_CASE("hot path: the counter finds a single allocation among a million calls", "[no-sanitizer]") {
    Forgetful handler;
    const Outcome outcome = run_day(day(1'200'000, 0, true), handler);
    CHECK(handler.updates > 1'000'000);
    CHECK(outcome.allocations == 1);
}

TEST_CASE("hot path: a session allocates nothing while it makes records for sinks", "[no-sanitizer]") {
    const std::uint32_t instruments = session_config().limits.books;
    const dbn::MakerConfig maker =
        tools::maker_config("nasdaq-itch50", {dbn::Schema::mbo, dbn::Schema::mbp_1}, instruments);
    // The gateway is well; where the others should be, nobody is.
    std::vector<std::string> urls;
    for (const streams::EdgeComponent& edge : streams::edge_components()) {
        const bool broker = edge.scheme == "redis" || edge.scheme == "kafka" || edge.scheme == "amqp";
        if (!edge.built || (!broker && edge.scheme != "tcp")) continue;
        const std::string path = broker ? "/md" : "";
        urls.push_back(std::string(edge.scheme) + "://127.0.0.1:" + std::to_string(free_port()) + path +
                       "?policy=drop_oldest");
    }
    tools::Sinks sinks({urls, {}}, "f", maker, nullptr);
    tools::LiveHandler handler(instruments);
    handler.send_to(sinks, maker);
    count_this_thread_alone(true);
    const Outcome outcome = run_day(day(1'000'000, 0.001, true), handler);
    count_this_thread_alone(false);
    sinks.stop();
    CHECK(outcome.delivered >= 1'000'000);
    CHECK(outcome.allocations == 0);
    CHECK(sinks.made() > 1'000'000);
    for (const tools::SinkSummary& summary : sinks.summaries()) CHECK(summary.balance == 0);
}

namespace {

FeedConfig live_config(Backend backend, ReceiveMode mode, const SomeGroups& groups) {
    FeedConfig config;
    config.name = "f";
    config.venue = "nasdaq-itch50";
    config.lines = {{"A", {groups.group(0)}, "lo", {}, {}, {}}, {"B", {groups.group(1)}, "lo", {}, {}, {}}};
    config.receive.backend = backend;
    config.receive.mode = mode;
    config.receive.idle = Idle::wait;
    config.session = session_config();
    config.session.limits = {1'024, 200'000, 100'000};
    return config;
}

// Sends a short day from a process of its own; returns its id.
pid_t start_exchange(const SomeGroups& groups) {
    const pid_t child = fork();
    if (child != 0) return child;
    replay::ExchangeConfig config = day(400'000, 0.01, true);
    config.market.messages_per_second = 200'000;
    std::vector<Endpoint> to;
    for (const int line : {0, 1}) to.push_back(endpoint_of(groups.group(line).address, groups.group(line).port));
    replay::Publisher publisher(to, "lo", 1);
    const auto keep_on = [] { return true; };
    replay::Exchange exchange(config, [&](const replay::SimulatedPacket& packet) {
        static_cast<void>(publisher.send(packet, keep_on));
    });
    while (exchange.step()) {
    }
    static_cast<void>(publisher.flush(keep_on));
    _exit(0);
}

void check_live(Backend backend, ReceiveMode mode) {
    CAPTURE(name(backend), name(mode));
    if ((backend == Backend::io_uring && !net::io_uring_refusal().empty()) ||
        (backend == Backend::af_packet && !net::af_packet_refusal().empty())) {
        WARN("skipped: this host refuses " << name(backend));
        return;
    }
    exempt_this_thread();
    const SomeGroups groups;
    const TempFile recording("hot-path.pcapng");
    tools::LiveVenueFeed<Venue> feed(live_config(backend, mode, groups), recording.path());
    feed.start();
    reset_allocations();
    count_allocations(true);
    const pid_t exchange = start_exchange(groups);
    waitpid(exchange, nullptr, 0);
    CHECK(eventually([&] {
        static_cast<void>(feed.turn_page());
        usleep(1000);
        return feed.ended();
    }));
    count_allocations(false);
    feed.stop();
    CHECK(feed.summary().messages > 100'000);
    CHECK(allocations() == 0);
}

}  // namespace

TEST_CASE("hot path: no thread of a live feed that records allocates while it receives", "[no-sanitizer]") {
    check_live(Backend::recvmmsg, ReceiveMode::threads);
    check_live(Backend::recvmmsg, ReceiveMode::run_to_completion);
    check_live(Backend::io_uring, ReceiveMode::threads);
    check_live(Backend::io_uring, ReceiveMode::run_to_completion);
    check_live(Backend::af_packet, ReceiveMode::threads);
}
