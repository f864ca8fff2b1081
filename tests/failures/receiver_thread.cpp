// A receiver thread that really fails, for want of memory: noticed, counted, and replaced by another one.
#include "millrace/feed/feed.hpp"
#include "millrace/replay/simulator/servers.hpp"
#include "tests/failures/inject.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/itch_packets.hpp"
#include "tests/support/multicast.hpp"

using namespace millrace;
using namespace millrace::test;
using Feed = FeedHandler<venues::NasdaqItch50, NullHandler>;

namespace {

constexpr const char* kSession = "SESSION001";
constexpr std::uint64_t kNever = 1'000'000'000;

Message message_of(SequenceNumber n) {
    return n == 1 ? directory(1, "A") : add(1, n, 'B', 100, "A", static_cast<std::uint32_t>(1000 + n));
}

// Line T by SoupBinTCP, which takes memory while it runs, and line A by multicast.
FeedConfig config_of(const SomeGroups& groups, const GroupConfig& server, Backend backend) {
    FeedConfig config;
    config.name = "f";
    config.venue = venues::NasdaqItch50::kId;
    config.lines = {{"T", {}, {}, server, {}, {}}, {"A", {groups.group(0)}, "lo", {}, {}, {}}};
    config.receive.backend = backend;
    config.receive.mode = ReceiveMode::threads;
    config.receive.idle = Idle::yield;
    config.receive.buffers = 64;
    config.receive.huge_pages = false;
    config.session.limits = {8, 1000, 1000};
    config.session.reorder_window_ns = 20'000'000'000;  // all of it comes, sooner or later
    return config;
}

}  // namespace

TEST_CASE("failures: a receiver thread that fails is noticed, counted, and another one goes on", "[no-sanitizer]") {
    const Backend backend = GENERATE(Backend::recvmmsg, Backend::io_uring);
    if (backend == Backend::io_uring && !net::io_uring_refusal().empty()) {
        WARN("skipped: this host refuses io_uring");
        return;
    }
    CAPTURE(name(backend));
    const SomeGroups groups;
    replay::ServersConfig servers_config;
    servers_config.session = kSession;
    servers_config.soup = GroupConfig{"127.0.0.1", groups.group(0).port};
    replay::SimulatedServers servers(servers_config);
    NullHandler handler;
    Feed feed(config_of(groups, *servers_config.soup, backend), handler);

    SequenceNumber sent = 0;
    const auto brings = [&](SequenceNumber to) {
        while (sent < to) servers.append(message_of(++sent));
        return eventually([&] {
            feed.poll();
            feed.idle();
            return feed.session().arbiter().next_expected() == to + 1;
        });
    };
    const auto restarts = [&](std::size_t line) {
        return feed.stats().lines[line].received[net::ReceiveCounter::restarts];
    };
    arm(Failing::allocation, kNever);
    feed.start();
    static_cast<void>(disarm());
    REQUIRE(brings(20));
    CHECK(restarts(0) == 0);

    arm_threads(Failing::allocation, 1);
    REQUIRE(brings(40));
    CHECK(disarm());
    CHECK(restarts(0) == 1);
    CHECK(restarts(1) == 0);
    const LoopbackSender sender;
    REQUIRE(eventually([&] {
        sender.send(groups.group(0), packet(41, {message_of(41)}, kSession));
        feed.poll();
        return feed.session().arbiter().next_expected() == 42;
    }));
    const OrderBook* book = feed.book("A");
    REQUIRE(book != nullptr);
    CHECK(book->quality() == Quality::live);
    CHECK(book->order_count() == 40);
    feed.stop();
    CHECK(feed.stats().balance() == 0);
}
