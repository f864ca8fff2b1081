#include "verdict.hpp"

#include "tests/support/catch.hpp"

using namespace millrace;
using namespace millrace::tools;

TEST_CASE("remarks: a run of which nothing needs to be said says nothing") {
    FeedSummary feed;
    feed.sessions = 1;
    feed.quality = {{"live", 5}, {"recovering", 0}, {"stale", 0}, {"suspect", 0}};
    CHECK(remarks_on(feed, "x").empty());
}

TEST_CASE("remarks: sessions, strays, faults and books that are not live have a line each") {
    FeedSummary feed;
    feed.sessions = 1;
    feed.restarts = 11;
    feed.message_counters[MessageCounter::stray] = 3;
    feed.faults[FaultCounter::crossed] = 2;
    feed.quality = {{"live", 5}, {"recovering", 1}, {"stale", 0}, {"suspect", 2}};
    const std::vector<std::string> lines = remarks_on(feed, "day.pcap");
    REQUIRE(lines.size() == 4);
    for (const std::string& line : lines) CHECK(line.find("day.pcap: ") == 0);
    CHECK(lines[0].find("1 session, begun anew 11 times") != std::string::npos);
    CHECK(lines[1].find("3 messages passed over (stray)") != std::string::npos);
    CHECK(lines[2].find("2 crossed") != std::string::npos);
    CHECK(lines[3].find("not all of 8 books are live: 1 recovering, 2 suspect") != std::string::npos);
}

TEST_CASE("verdict: a feed that reads as nothing is one of which something came and nothing was delivered") {
    FeedSummary feed;
    CHECK_FALSE(reads_as_nothing(feed));
    feed.lines.emplace_back().counters[LineCounter::malformed] = 4;
    CHECK(reads_as_nothing(feed));
    feed.message_counters[MessageCounter::delivered] = 1;
    CHECK_FALSE(reads_as_nothing(feed));
}

TEST_CASE("verdict: heartbeats are something to read, but not those that hold more, and no excuse for messages") {
    FeedSummary feed;
    LineCounters& line = feed.lines.emplace_back().counters;
    line[LineCounter::heartbeats] = 60;
    CHECK_FALSE(reads_as_nothing(feed));
    line[LineCounter::malformed] = 1;  // something else that came there
    CHECK_FALSE(reads_as_nothing(feed));
    line[LineCounter::excess] = 59;
    CHECK_FALSE(reads_as_nothing(feed));
    line[LineCounter::excess] = 60;
    CHECK(reads_as_nothing(feed));
    line[LineCounter::malformed] = 0;
    CHECK(reads_as_nothing(feed));
    line[LineCounter::excess] = 0;
    feed.message_counters[MessageCounter::unknown] = 1;
    CHECK(reads_as_nothing(feed));
}

TEST_CASE("remarks: bytes that belong to no message are said") {
    FeedSummary feed;
    feed.lines.resize(2);
    feed.lines[0].counters[LineCounter::excess_bytes] = 5;
    feed.lines[1].counters[LineCounter::excess_bytes] = 2;
    feed.message_counters[MessageCounter::delivered] = 1;
    const std::vector<std::string> lines = remarks_on(feed, "day.pcap");
    REQUIRE(lines.size() == 1);
    CHECK(lines[0].find("day.pcap: 7 bytes behind the last message of a packet (docs/json.md") == 0);
}

TEST_CASE("remarks: what was lost in an earlier session is said though all books are live") {
    FeedSummary feed;
    feed.sessions = 2;
    feed.gaps = {{{5, 9}, GapEnd::other_line},
                 {{41, 52}, GapEnd::given_up},
                 {{60, 60}, GapEnd::session_end},
                 {{70, 79}, GapEnd::retransmitted}};
    feed.lines.resize(2);
    feed.lines[1].counters[LineCounter::malformed] = 1;
    feed.message_counters[MessageCounter::delivered] = 900;
    feed.quality = {{"live", 5}};
    const std::vector<std::string> lines = remarks_on(feed, "day.pcap");
    REQUIRE(lines.size() == 2);
    CHECK(lines[0].find("2 sessions, begun anew 0 times") != std::string::npos);
    feed.message_counters[MessageCounter::delivered] = 0;  // none of it was read: these are no numbers of the venue
    CHECK(remarks_on(feed, "day.pcap").empty());
    CHECK(lines[1].find("day.pcap: 13 messages never came to the books, 1 malformed packets; 2 gaps, the first of 41 "
                        "to 52") == 0);
}

TEST_CASE("remarks: what this host dropped is said though nothing was lost by it") {
    FeedSummary feed;
    feed.quality = {{"live", 5}};
    feed.lines.resize(2);
    feed.lines[0].kernel = 25'000;
    feed.lines[1].kernel = 337;
    feed.lines[1].queue_full = 2;
    const std::vector<std::string> lines = remarks_on(feed, "f");
    REQUIRE(lines.size() == 2);
    CHECK(lines[0].find("f: the kernel dropped 25337 packets at a full socket buffer; raise receive.socket_buf") == 0);
    CHECK(lines[1].find("f: 2 packets found the queue to the decoder full; raise receive.queue") == 0);
}

TEST_CASE("remarks: packets that were cut are said, with who cut them") {
    FeedSummary feed;
    feed.lines.resize(2);
    feed.lines[0].truncated = 3;
    std::vector<std::string> lines = remarks_on(feed, "day.pcap");
    REQUIRE(lines.size() == 1);
    CHECK(lines[0].find("day.pcap: 3 packets were cut when they were captured, and left out; capture whole") == 0);
    for (LineSummary& line : feed.lines) line.receiver = {{"received", 9}};
    feed.lines[1].truncated = 4;
    lines = remarks_on(feed, "f");
    REQUIRE(lines.size() == 1);
    CHECK(lines[0].find("f: 7 packets were longer than a receive buffer, and dropped; raise receive.buffer") == 0);
}

TEST_CASE("remarks: what of a stream is not there or not whole is said") {
    FeedSummary feed;
    feed.quality = {{"live", 5}};
    SourceSummary& source = feed.source.emplace();
    source.counters = {{"batches", 7}, {"missing", 5}, {"damaged", 0}, {"unreadable", 2}};
    source.bad = 7;
    REQUIRE(remarks_on(feed, "x").size() == 1);
    CHECK(remarks_on(feed, "x").front().find("x: not all of it came whole: 5 missing, 2 unreadable (") == 0);
    source.bad = 0;
    CHECK(remarks_on(feed, "x").empty());
}

TEST_CASE("remarks: a sink that did not hand all over is named, with why") {
    FeedSummary feed;
    feed.sessions = 1;
    feed.quality = {{"live", 5}};
    SinkSummary sink;
    sink.name = "kafka://host/md";
    sink.problem = "kafka://host/md: shard a has another writer now";
    sink.ledger = {{"made", 9}, {"acknowledged", 4}, {"ring_full", 0}, {"dropped", 3}, {"conflated", 0}, {"unsent", 2}};
    feed.sinks = {sink};
    REQUIRE(remarks_on(feed, "x").size() == 1);
    CHECK(remarks_on(feed, "x").front() == "kafka://host/md: records that did not arrive: 3 dropped, 2 unsent; "
                                           "shard a has another writer now");
    feed.sinks[0].ledger = {{"made", 9}, {"acknowledged", 4}, {"conflated", 5}};
    CHECK(remarks_on(feed, "x").empty());
}
