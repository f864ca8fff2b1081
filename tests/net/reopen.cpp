// Lines that have to be opened anew while a feed runs: noticed, counted, and received again.
#include <sched.h>

#include <cstdlib>
#include <thread>

#include "millrace/feed/feed.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/itch_packets.hpp"
#include "tests/support/multicast.hpp"

using namespace millrace;
using namespace millrace::test;
using net::ReceiveCounter;
using Feed = FeedHandler<venues::NasdaqItch50, NullHandler>;

namespace {

FeedConfig config_of(const SomeGroups& groups, const char* interface, ReceiveMode mode) {
    FeedConfig config;
    config.name = "f";
    config.venue = venues::NasdaqItch50::kId;
    config.lines = {{"A", {groups.group(0)}, interface, {}, {}, {}}};
    config.receive.mode = mode;
    config.receive.idle = Idle::wait;
    config.receive.buffers = 64;
    config.receive.huge_pages = false;
    config.session.limits = {8, 1000, 1000};
    config.session.quality.quiet_ns = 20'000'000;
    return config;
}

std::uint64_t restarts(const Feed& feed) { return feed.stats().lines[0].received[ReceiveCounter::restarts]; }

// Sends and polls until the message after the last one delivered has come.
bool receives_more(Feed& feed, const SomeGroups& groups, const char* interface) {
    const LoopbackSender sender(interface);
    const SequenceNumber next = feed.session().arbiter().next_expected();
    return eventually([&] {
        sender.send(groups.group(0), packet(next, {add(1, next, 'B', 100, "A", 1000)}));
        feed.poll();
        feed.idle();
        return feed.session().arbiter().next_expected() > next;
    });
}

bool ip(const std::string& arguments) { return std::system(("ip " + arguments + " 2>/dev/null").c_str()) == 0; }

bool make_interface() {
    return ip("link add mill0 type veth peer name mill1") && ip("addr add 10.77.0.1/24 dev mill0") &&
           ip("link set mill1 up") && ip("link set mill0 up");
}

template <class Done>
bool idle_until(Feed& feed, Done&& done) {
    return eventually([&] {
        feed.poll();
        feed.idle();
        return done();
    });
}

// On a thread in a network namespace of its own. Empty, or what went wrong.
std::string lose_an_interface(ReceiveMode mode) {
    if (unshare(CLONE_NEWNET) != 0 || !make_interface()) return "skipped";
    const SomeGroups groups;
    NullHandler handler;
    Feed feed(config_of(groups, "mill0", mode), handler);
    feed.start();
    if (!receives_more(feed, groups, "mill0")) return "nothing received";
    if (!ip("link del mill0")) return "not removed";
    if (!idle_until(feed, [&] { return feed.session().silent(0); })) return "silence not noticed";
    if (!make_interface()) return "not made again";
    if (!idle_until(feed, [&] { return restarts(feed) == 1; })) return "not opened anew";
    if (!receives_more(feed, groups, "mill0")) return "nothing received after";
    feed.stop();
    return feed.stats().balance() == 0 ? "" : "balance";
}

// The same.
std::string lose_the_carrier_twice(ReceiveMode mode) {
    if (unshare(CLONE_NEWNET) != 0 || !make_interface()) return "skipped";
    const SomeGroups groups;
    NullHandler handler;
    Feed feed(config_of(groups, "mill0", mode), handler);
    feed.start();
    for (std::uint64_t times = 1; times <= 2; ++times) {
        // Longer than there is between two looks, so that one finds the line heard again.
        const auto heard = std::chrono::steady_clock::now() + std::chrono::milliseconds(400);
        while (std::chrono::steady_clock::now() < heard) {
            if (!receives_more(feed, groups, "mill0")) return "nothing received";
        }
        if (!ip("link set mill1 down")) return "not down";
        if (!idle_until(feed, [&] { return feed.stats().lines[0].link_downs == times; })) return "not counted";
        if (!ip("link set mill1 up")) return "not up";
    }
    if (!receives_more(feed, groups, "mill0")) return "nothing received after";
    feed.stop();
    if (restarts(feed) != 0 || feed.stats().lines[0].link_downs != 2) return "counted otherwise";
    return feed.stats().balance() == 0 ? "" : "balance";
}

void check_in_a_namespace(std::string (*lose)(ReceiveMode)) {
    const ReceiveMode mode = GENERATE(ReceiveMode::threads, ReceiveMode::run_to_completion);
    CAPTURE(name(mode));
    std::string problem;
    std::thread([&] { problem = lose(mode); }).join();
    if (problem == "skipped") {
        WARN("skipped: no network namespaces here");
        return;
    }
    CHECK(problem == "");
}

}  // namespace

TEST_CASE("FeedHandler: a line that is opened anew goes on, with its counters") {
    const ReceiveMode mode = GENERATE(ReceiveMode::threads, ReceiveMode::run_to_completion);
    CAPTURE(name(mode));
    const SomeGroups groups;
    NullHandler handler;
    Feed feed(config_of(groups, "lo", mode), handler);
    feed.start();
    REQUIRE(receives_more(feed, groups, "lo"));
    const std::uint64_t before = feed.stats().lines[0].received[ReceiveCounter::received];
    for (std::uint64_t round = 1; round <= 3; ++round) {
        feed.reopen(0);
        REQUIRE(eventually([&] {
            feed.poll();
            feed.idle();
            return restarts(feed) == round;
        }));
        CHECK(feed.stats().balance() == 0);
        REQUIRE(receives_more(feed, groups, "lo"));
    }
    feed.stop();
    CHECK(feed.stats().balance() == 0);
    CHECK(feed.stats().lines[0].received[ReceiveCounter::received] >= before + 3);
    CHECK(feed.stats().messages[MessageCounter::delivered] == 4);
}

TEST_CASE("FeedHandler: an interface that is removed and made again is joined again", "[no-sanitizer]") {
    check_in_a_namespace(lose_an_interface);
}

TEST_CASE("FeedHandler: a link that goes down is counted each time, and its line is received again", "[no-sanitizer]") {
    check_in_a_namespace(lose_the_carrier_twice);
}
