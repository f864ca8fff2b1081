#include "summary.hpp"

#include <nlohmann/json.hpp>

#include "tests/support/catch.hpp"

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
