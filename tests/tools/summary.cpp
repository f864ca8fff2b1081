#include "summary.hpp"

#include <nlohmann/json.hpp>

#include "millrace/feed/venues/nasdaq_itch50/venue.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/itch_packets.hpp"

using namespace millrace;
using namespace millrace::tools;

namespace {

FeedSummary some_feed() {
    FeedSummary feed;
    feed.name = "f";
    feed.venue = "v";
    LineSummary& line = feed.lines.emplace_back();
    line.name = "A";
    line.received = 10;
    line.truncated = 1;
    line.queue_full = 2;
    line.in_flight = 1;
    line.kernel = 50;
    line.counters[LineCounter::arbitrated] = 5;
    line.counters[LineCounter::malformed] = 1;
    line.counters[LineCounter::excess] = 3;
    line.counters[LineCounter::excess_bytes] = 70;
    feed.message_counters[MessageCounter::decoded] = 20;
    feed.message_counters[MessageCounter::delivered] = 20;
    feed.messages = 20;
    return feed;
}

}  // namespace

TEST_CASE(
    "FeedSummary: the balance is zero when both ledgers close, whatever the kernel dropped") {
    CHECK(some_feed().balance() == 0);
}

TEST_CASE("FeedSummary: what is missing in either ledger stands in the balance") {
    FeedSummary packets = some_feed();
    ++packets.lines[0].received;
    CHECK(packets.balance() == 1);
    FeedSummary messages = some_feed();
    messages.message_counters[MessageCounter::delivered] -= 3;
    CHECK(messages.balance() == 3);
    messages.message_counters[MessageCounter::held] = 3;
    CHECK(messages.balance() == 0);
}

TEST_CASE("RunSummary: keys of a feed stand at the top level when it is the only one") {
    RunSummary one;
    one.feeds.push_back(some_feed());
    one.seconds = 2;
    const auto json = nlohmann::json::parse(one.json());
    CHECK(json["venue"] == "v");
    CHECK(json["drops"]["kernel"] == 50);
    CHECK(json["drops"]["excess_bytes"] == 70);
    CHECK(json["lines"][0]["excess"] == 3);
    CHECK(json["lines"][0]["excess_bytes"] == 70);
    CHECK(json["messages_per_second"] == 10.0);
    CHECK_FALSE(json.contains("latency_ns"));

    RunSummary two = one;
    two.feeds.push_back(some_feed());
    const auto both = nlohmann::json::parse(two.json());
    CHECK_FALSE(both.contains("venue"));
    CHECK(both["feeds"].size() == 2);
    CHECK(both["messages_per_second"] == 20.0);
}

TEST_CASE("RunSummary: latency stands by percentile, with its number of samples") {
    Histogram latency;
    for (Nanoseconds ns = 1; ns <= 1'000; ++ns) latency.record(ns);
    latency.record(-5);
    RunSummary run;
    run.feeds.push_back(some_feed());
    run.feeds[0].latency = summarise(latency);
    const auto json = nlohmann::json::parse(run.json())["latency_ns"];
    CHECK(json["samples"] == 1'000);
    CHECK(json["negative"] == 1);
    CHECK(json["min"] == 1);
    CHECK(json["max"] == 1'000);
    CHECK(json["p50"].get<double>() == Approx(500).epsilon(0.04));
    CHECK(json["p99.9"].get<double>() == Approx(1'000).epsilon(0.04));
}

TEST_CASE("FeedSummary: JSON says what each line brought first, alone, by how much, lost, and when it was silent") {
    using namespace millrace::test;
    constexpr Nanoseconds kMs = 1'000'000;
    SessionConfig config;
    config.limits = {8, 1'000, 1'000};
    config.reorder_window_ns = kMs;
    config.quality = QualityConfig::live();
    config.quality.quiet_ns = 10 * kMs;
    NullHandler handler;
    Session<venues::NasdaqItch50, NullHandler> session(config, handler);
    const auto send = [&](LineId line, Timestamp at, const std::vector<std::uint8_t>& bytes) {
        session.on_packet({line, at, bytes});
    };
    const auto order = [](std::uint64_t id) { return add(1, id, 'B', 10, "A", 100); };
    static_cast<void>(session.next_request(0));
    send(0, 100, packet(1, {directory(1, "A")}));  // A is ahead by 400 ns
    send(1, 500, packet(1, {directory(1, "A")}));
    send(1, 1'000, packet(2, {order(1)}));  // B by 200 ns
    send(0, 1'200, packet(2, {order(1)}));
    send(0, 2'000, packet(3, {order(2)}));  // A by 1,000 ns
    send(1, 3'000, packet(3, {order(2)}));
    send(1, 4'000, packet(4, {order(3)}));  // A skips this one ...
    send(0, 5'000, packet(5, {order(4)}));  // ... and is then alone: B has fallen silent
    static_cast<void>(session.next_request(1 * kMs));
    send(0, 9 * kMs, packet(6, {order(5)}));
    static_cast<void>(session.next_request(9 * kMs));
    static_cast<void>(session.next_request(12 * kMs));

    LineSummary a, b;
    a.name = "A";
    b.name = "B";
    RunSummary run;
    run.feeds.push_back(summarise("f", session, {a, b}));
    const auto lines = nlohmann::json::parse(run.json())["lines"];
    CHECK(lines[0]["first"] == 4);
    CHECK(lines[1]["first"] == 2);
    CHECK(lines[0]["ahead_ns_mean"] == 700);
    CHECK(lines[0]["ahead_ns_max"] == 1'000);
    CHECK(lines[1]["ahead_ns_mean"] == 200);
    CHECK(lines[1]["ahead_ns_max"] == 200);
    CHECK(lines[0]["lost"] == 1);
    CHECK(lines[1]["lost"] == 0);
    CHECK(lines[0]["only"] == 0);
    CHECK(lines[1]["only"] == 1);
    CHECK(lines[0]["silences"] == 0);
    CHECK(lines[1]["silences"] == 1);
}
