#include "millrace/feed/line_arbiter.hpp"

#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/support/catch.hpp"

using namespace millrace;

namespace {

// Messages are one byte each: the low byte of their own number, so that a run shows what it carries.
struct Recorder {
    std::vector<SequenceNumber> delivered;
    std::vector<SequenceRange> given_up;
    int new_sessions = 0;

    void on_run(const MessageRun& run) {
        for (std::uint32_t i = 0; i < run.count; ++i) {
            const SequenceNumber sequence = run.first + i;
            const std::size_t at = std::size_t{run.skip + i} * 3 + 2;
            REQUIRE(at < run.blocks.size());
            REQUIRE(run.blocks[at] == static_cast<std::uint8_t>(sequence));
            delivered.push_back(sequence);
        }
    }
    void on_given_up(SequenceRange missing) { given_up.push_back(missing); }
    void on_new_session() { ++new_sessions; }
    int contradictions = 0;
    void on_contradiction() { ++contradictions; }
};

class Feed {
  public:
    explicit Feed(SessionConfig config = small()) : arbiter(config) {}

    static SessionConfig small() {
        SessionConfig config;
        config.reorder_window_packets = 4;
        config.reorder_window_ns = 1000;
        config.datagram_bytes_max = 300;
        config.quality.doubt_outliers = true;
        return config;
    }

    void packet(LineId line, SequenceNumber first, std::uint32_t count, Timestamp at = 0, char session = 'S',
                FrameKind kind = FrameKind::data) {
        std::vector<std::uint8_t> blocks;
        for (std::uint32_t i = 0; i < count; ++i) {
            blocks.insert(blocks.end(), {0, 1, static_cast<std::uint8_t>(first + i)});
        }
        SessionKey key{};
        key.text[0] = session;
        decoded += count;
        arbiter.on_frame(line, at, Frame{kind, key, first, count, 0, blocks}, sink);
        check_balance();
    }
    void heartbeat(LineId line, SequenceNumber next, Timestamp at = 0) {
        packet(line, next, 0, at, 'S', FrameKind::heartbeat);
    }
    void time(Timestamp now) {
        arbiter.on_time(now, sink);
        check_balance();
    }
    void finish() {
        arbiter.finish(sink);
        check_balance();
    }
    void check_balance() const {
        REQUIRE(decoded == sink.delivered.size() + arbiter.messages_duplicate() + arbiter.messages_held() +
                               arbiter.messages_stray());
    }
    [[nodiscard]] std::uint64_t count(LineId line, LineCounter counter) const { return arbiter.line(line)[counter]; }

    LineArbiter arbiter;
    Recorder sink;
    std::uint64_t decoded = 0;
};

std::vector<SequenceNumber> numbers(SequenceNumber first, SequenceNumber last) {
    std::vector<SequenceNumber> out;
    for (SequenceNumber i = first; i <= last; ++i) out.push_back(i);
    return out;
}

}  // namespace

TEST_CASE("LineArbiter: the second copy of a packet is dropped") {
    Feed feed;
    feed.packet(0, 1, 3);
    feed.packet(1, 1, 3);
    feed.packet(1, 4, 2);
    feed.packet(0, 4, 2);
    CHECK(feed.sink.delivered == numbers(1, 5));
    CHECK(feed.count(0, LineCounter::duplicate) == 2);
    CHECK(feed.count(1, LineCounter::duplicate) == 3);
    CHECK(feed.count(0, LineCounter::first) == 3);
    CHECK(feed.count(1, LineCounter::first) == 2);
    CHECK(feed.count(0, LineCounter::lost) == 0);
}

TEST_CASE("LineArbiter: lines that cut their packets differently still make one stream") {
    Feed feed;
    feed.packet(0, 1, 2);
    feed.packet(1, 1, 5);
    feed.packet(0, 3, 2);
    feed.packet(0, 5, 3);
    feed.packet(1, 6, 3);
    CHECK(feed.sink.delivered == numbers(1, 8));
    CHECK(feed.count(1, LineCounter::duplicate) == 4);
}

TEST_CASE("LineArbiter: a packet that comes too early waits for the other line") {
    Feed feed;
    feed.packet(0, 1, 1);
    feed.packet(1, 1, 1);
    feed.packet(1, 1, 1);
    feed.packet(0, 3, 2);
    CHECK(feed.sink.delivered == numbers(1, 1));
    CHECK(feed.arbiter.messages_held() == 2);
    feed.packet(1, 2, 1);
    CHECK(feed.sink.delivered == numbers(1, 4));
    REQUIRE(feed.arbiter.gaps().total() == 1);
    CHECK(feed.arbiter.gaps()[0].missing == SequenceRange{2, 2});
    CHECK(feed.arbiter.gaps()[0].ended == GapEnd::other_line);
    CHECK(feed.arbiter.gaps()[0].filled_by == 1);
    CHECK(feed.count(0, LineCounter::lost) == 1);
    CHECK(feed.count(1, LineCounter::lost) == 0);
    CHECK(feed.sink.given_up.empty());
}

TEST_CASE("LineArbiter: a packet that was only late is not lost on its line") {
    Feed feed;
    feed.packet(0, 1, 1);
    feed.packet(0, 4, 1);
    feed.packet(0, 2, 2);
    CHECK(feed.sink.delivered == numbers(1, 4));
    CHECK(feed.count(0, LineCounter::lost) == 0);
    CHECK(feed.arbiter.gaps()[0].ended == GapEnd::same_line);
}

TEST_CASE("LineArbiter: a missing message is given up when its time is over") {
    Feed feed;
    feed.packet(0, 1, 1, 100);
    feed.packet(0, 3, 1, 200);
    feed.time(1200);
    CHECK(feed.sink.given_up.empty());
    feed.time(1201);
    CHECK(feed.sink.given_up == std::vector<SequenceRange>{{2, 2}});
    CHECK(feed.sink.delivered == std::vector<SequenceNumber>{1, 3});
    feed.packet(1, 2, 1, 1300);
    CHECK(feed.sink.delivered == std::vector<SequenceNumber>{1, 3});
    CHECK(feed.arbiter.gaps()[0].ended == GapEnd::given_up);
}

TEST_CASE("LineArbiter: time that goes back on one line does not end the wait") {
    Feed feed;
    feed.packet(0, 1, 1, 5000);
    feed.packet(1, 3, 1, 4000);
    feed.packet(1, 4, 1, 4500);
    CHECK(feed.sink.given_up.empty());
    feed.packet(0, 2, 1, 5900);
    CHECK(feed.sink.delivered == numbers(1, 4));
}

TEST_CASE("LineArbiter: when the window is full the oldest missing range is given up") {
    Feed feed;
    feed.packet(0, 1, 1);
    for (SequenceNumber first : {3U, 5U, 7U, 9U}) feed.packet(0, first, 1);
    CHECK(feed.sink.delivered == numbers(1, 1));
    feed.packet(0, 11, 1);
    CHECK(feed.sink.given_up == std::vector<SequenceRange>{{2, 2}});
    CHECK(feed.sink.delivered == std::vector<SequenceNumber>{1, 3});
    feed.packet(1, 4, 5);
    CHECK(feed.sink.delivered == std::vector<SequenceNumber>{1, 3, 4, 5, 6, 7, 8, 9});
    feed.finish();
    CHECK(feed.sink.given_up == std::vector<SequenceRange>{{2, 2}, {10, 10}});
    CHECK(feed.sink.delivered.back() == 11);
}

TEST_CASE("LineArbiter: a packet too long to hold is delivered after what it cannot wait for is given up") {
    Feed feed;
    feed.packet(0, 1, 1);
    feed.packet(0, 5, 150);
    CHECK(feed.sink.given_up == std::vector<SequenceRange>{{2, 4}});
    CHECK(feed.sink.delivered.back() == 154);
}

TEST_CASE("LineArbiter: what is missing when nothing more comes stays open, and is the end of no session") {
    Feed feed;
    feed.packet(0, 1, 1);
    feed.packet(0, 3, 1);
    feed.finish();
    CHECK(feed.sink.given_up == std::vector<SequenceRange>{{2, 2}});
    CHECK(feed.arbiter.gaps()[0].ended == GapEnd::open);
    CHECK(feed.arbiter.gaps().ended(GapEnd::session_end) == 0);
}

TEST_CASE("LineArbiter: a heartbeat reveals what was lost at the tail") {
    Feed feed;
    feed.packet(0, 1, 2, 100);
    feed.heartbeat(0, 5, 200);
    CHECK(feed.arbiter.gap_open());
    CHECK(feed.arbiter.gaps()[0].missing == SequenceRange{3, 4});
    feed.packet(1, 3, 2, 300);
    CHECK_FALSE(feed.arbiter.gap_open());
    CHECK(feed.sink.delivered == numbers(1, 4));
    CHECK(feed.count(0, LineCounter::lost) == 2);
}

TEST_CASE("LineArbiter: who joins late gives up the beginning and no line has lost it") {
    Feed feed;
    feed.packet(0, 1000, 2, 100);
    feed.packet(1, 1000, 2, 100);
    feed.packet(0, 1002, 2, 2000);
    CHECK(feed.sink.given_up == std::vector<SequenceRange>{{1, 999}});
    CHECK(feed.sink.delivered == numbers(1000, 1003));
    CHECK(feed.count(0, LineCounter::lost) == 0);
    CHECK(feed.count(1, LineCounter::lost) == 0);
}

TEST_CASE("LineArbiter: a new session starts at one, and stragglers of the old one are dropped") {
    Feed feed;
    feed.packet(0, 1, 3);
    feed.packet(0, 1, 2, 0, 'T');
    CHECK(feed.sink.new_sessions == 0);
    feed.packet(1, 1, 3, 0, 'S');
    feed.packet(1, 1, 4, 0, 'T');
    CHECK(feed.sink.new_sessions == 1);
    feed.packet(1, 2, 2, 0, 'S');
    CHECK(feed.sink.delivered == std::vector<SequenceNumber>{1, 2, 3, 1, 2, 3, 4});
    CHECK(feed.count(1, LineCounter::duplicate) == 7);
    CHECK(feed.arbiter.messages_stray() == 0);
}

TEST_CASE("LineArbiter: the end of a session that was announced needs no second word for the next one") {
    Feed feed;
    feed.packet(0, 1, 3);
    feed.packet(0, 4, 0, 0, 'S', FrameKind::end_of_session);
    feed.packet(0, 1, 2, 0, 'T');
    CHECK(feed.sink.delivered == std::vector<SequenceNumber>{1, 2, 3, 1, 2});
}

TEST_CASE("LineArbiter: an end of session is believed as long as no message says otherwise") {
    const auto end = [](Feed& feed, SequenceNumber next, LineId line = 0) {
        feed.packet(line, next, 0, 0, 'S', FrameKind::end_of_session);
    };
    Feed feed;
    feed.packet(0, 1, 3);
    end(feed, 1);
    CHECK_FALSE(feed.arbiter.ended());
    end(feed, 4);
    CHECK(feed.arbiter.ended());
    feed.packet(1, 1, 3);
    feed.heartbeat(1, 4);
    CHECK(feed.arbiter.ended());
    feed.packet(1, 4, 1);
    CHECK_FALSE(feed.arbiter.ended());
    end(feed, 5);
    CHECK(feed.arbiter.ended());
    // One that has not ended bears out no other session.
    feed.packet(1, 5, 1);
    feed.packet(0, 1, 1, 0, 'T');
    CHECK(feed.arbiter.messages_stray() == 1);

    SessionConfig config = Feed::small();
    config.recovery.retransmit_servers = 1;
    Feed asks(config);
    asks.packet(0, 1, 3);
    end(asks, 4, static_cast<LineId>(config.lines));
    CHECK_FALSE(asks.arbiter.ended());
}

TEST_CASE("LineArbiter: what a server sends of another session, or of what nobody knows of, is stray") {
    SessionConfig config = Feed::small();
    config.recovery.retransmit_servers = 1;
    Feed feed(config);
    const auto server = static_cast<LineId>(config.lines);
    feed.packet(0, 1, 3);
    feed.packet(server, 1, 2, 0, 'T');
    feed.packet(server, 100'000, 3);
    CHECK(feed.arbiter.messages_stray() == 5);
    feed.packet(server, 1, 2);
    CHECK(feed.arbiter.messages_stray() == 5);
    CHECK(feed.arbiter.messages_duplicate() == 2);
}

TEST_CASE("LineArbiter: what is known to be missing behind a gap that was filled is a gap of its own") {
    Feed feed;
    feed.packet(0, 1, 3);
    feed.heartbeat(0, 5);
    feed.heartbeat(0, 11);
    feed.packet(1, 4, 3);
    CHECK(feed.arbiter.missing() == SequenceRange{7, 10});
    CHECK(feed.arbiter.gap_open());
    feed.packet(0, 1, 1, 0, 'T');
    feed.packet(0, 2, 1, 0, 'T');
    CHECK(feed.arbiter.messages_lost() == 4);
}

TEST_CASE("LineArbiter: what came of the next session before the end of this one is delivered all the same") {
    Feed feed;
    feed.packet(0, 1, 3);
    feed.packet(1, 1, 2, 0, 'T');
    feed.packet(0, 4, 0, 0, 'S', FrameKind::end_of_session);
    feed.packet(1, 3, 2, 0, 'T');
    CHECK(feed.sink.delivered == std::vector<SequenceNumber>{1, 2, 3, 1, 2, 3, 4});
    CHECK(feed.arbiter.messages_stray() == 0);
}

TEST_CASE("LineArbiter: one packet whose session is damaged, wherever it comes, is all that is lost") {
    for (SequenceNumber damaged = 1; damaged <= 20; ++damaged) {
        CAPTURE(damaged);
        Feed feed;
        for (SequenceNumber n = 1; n <= 20; ++n) {
            feed.packet(0, n, 1, static_cast<Timestamp>(10'000 * n), n == damaged ? 'X' : 'S');
        }
        feed.finish();
        std::vector<SequenceNumber> expected = numbers(1, 20);
        // The first packet of all is believed, and so is delivered for what it says.
        if (damaged != 1) std::erase(expected, damaged);
        CHECK(feed.sink.delivered == expected);
        CHECK(feed.arbiter.messages_stray() == (damaged == 1 ? 0U : 1U));
        CHECK(feed.arbiter.session().text[0] == 'S');
    }
}

TEST_CASE("LineArbiter: a damaged copy of the first packet does not begin a session") {
    Feed feed;
    feed.packet(0, 1, 1);
    feed.packet(1, 1, 1, 0, 'X');
    for (SequenceNumber n = 2; n <= 20; ++n) feed.packet(static_cast<LineId>(n % 2), n, 1);
    CHECK(feed.sink.delivered == numbers(1, 20));
    CHECK(feed.sink.new_sessions == 0);
    CHECK(feed.count(1, LineCounter::stray) == 1);
}

TEST_CASE("LineArbiter: the first messages of a session are kept for it, whatever came between") {
    Feed feed;
    feed.packet(0, 1, 3);
    feed.packet(0, 1, 0, 0, 'T', FrameKind::heartbeat);
    feed.packet(1, 1, 4);  // the other line still has something new of the old session
    feed.packet(0, 1, 2, 0, 'T');
    feed.packet(0, 3, 1, 0, 'T');
    CHECK(feed.sink.delivered == std::vector<SequenceNumber>{1, 2, 3, 4, 1, 2, 3});
    CHECK(feed.arbiter.messages_stray() == 0);
}

TEST_CASE("LineArbiter: of two packets that begin a session alike the longer one is kept for it") {
    for (const bool longer_first : {false, true}) {
        CAPTURE(longer_first);
        Feed feed;
        feed.packet(0, 1, 3);
        feed.packet(0, 1, longer_first ? 3 : 1, 0, 'T');
        feed.packet(1, 1, 4);  // the other line still has something new of the old session
        feed.packet(1, 1, longer_first ? 1 : 3, 0, 'T');
        feed.packet(0, 4, 1, 0, 'T');
        CHECK(feed.sink.delivered == std::vector<SequenceNumber>{1, 2, 3, 4, 1, 2, 3, 4});
        CHECK(feed.sink.given_up.empty());
        CHECK(feed.arbiter.messages_stray() == 1);  // the shorter one
    }
}

TEST_CASE("LineArbiter: a session is not left for another one while it goes on") {
    Feed feed;
    for (SequenceNumber n = 1; n <= 20; ++n) {
        feed.packet(0, n, 1);
        feed.packet(static_cast<LineId>(n % 2), n, 1, 0, 'X');
    }
    CHECK(feed.sink.delivered == numbers(1, 20));
    CHECK(feed.arbiter.messages_stray() == 20);
    CHECK(feed.arbiter.messages_duplicate() == 0);
}

TEST_CASE("LineArbiter: a session that was left by mistake is believed again after a second") {
    constexpr Timestamp kTenth = 100'000'000;
    Feed feed;
    feed.packet(0, 1, 5, kTenth);
    feed.packet(0, 40, 1, kTenth, 'X');
    feed.packet(0, 41, 1, kTenth, 'X');
    CHECK(feed.sink.new_sessions == 1);
    for (SequenceNumber n = 6; n <= 30; ++n) feed.packet(0, n, 1, kTenth * static_cast<Timestamp>(n));
    feed.finish();
    CHECK(feed.sink.new_sessions == 2);
    CHECK(feed.sink.delivered.back() == 30);
    CHECK(feed.arbiter.messages_stray() <= 10);
}

TEST_CASE("LineArbiter: one packet whose number is damaged costs no more than the doubt is wide") {
    Feed feed;
    for (SequenceNumber n = 1; n <= 200; ++n) {
        feed.packet(0, n == 100 ? n + (1U << 15) : n, 1, static_cast<Timestamp>(1000 * n));
    }
    feed.finish();
    std::vector<SequenceNumber> expected = numbers(1, 200);
    std::erase(expected, 100);
    CHECK(feed.sink.delivered == expected);
    CHECK(feed.arbiter.messages_stray() == 1);
}

TEST_CASE("LineArbiter: one packet alone does not begin a session in its middle, another one has to say the same") {
    Feed feed;
    feed.packet(0, 1, 3);
    feed.packet(0, 4, 2, 0, 'X');
    feed.packet(0, 4, 2, 0, 'X');
    feed.packet(1, 4, 2);
    CHECK(feed.sink.new_sessions == 0);
    CHECK(feed.sink.delivered == numbers(1, 5));
    CHECK(feed.arbiter.messages_stray() == 4);
    feed.packet(0, 40, 2, 0, 'T');
    feed.packet(1, 42, 1, 0, 'T');
    CHECK(feed.sink.new_sessions == 1);
    CHECK(feed.arbiter.missing() == SequenceRange{1, 39});
    feed.finish();
    CHECK(feed.sink.delivered == std::vector<SequenceNumber>{1, 2, 3, 4, 5, 40, 41, 42});
}

TEST_CASE("LineArbiter: one packet alone does not put the stream far ahead") {
    Feed feed;
    feed.packet(0, 1, 3);
    feed.packet(0, 5'000'004, 1);
    feed.packet(0, 5'000'004, 1);
    CHECK_FALSE(feed.arbiter.gap_open());
    feed.packet(0, 4, 1);
    CHECK(feed.sink.delivered == numbers(1, 4));
    feed.packet(0, 9'000'000, 1);
    feed.packet(1, 9'000'000, 1);
    CHECK(feed.arbiter.gap_open());
}

TEST_CASE("LineArbiter: a packet that is all there is of a stream is delivered at the end") {
    Feed feed;
    feed.packet(0, 5'000'004, 2);
    CHECK(feed.sink.delivered.empty());
    feed.arbiter.finish(feed.sink);
    CHECK(feed.sink.delivered == numbers(5'000'004, 5'000'005));
    CHECK(feed.count(0, LineCounter::stray) == 0);
}

TEST_CASE("LineArbiter: a line that begins anew under the same session is followed after a second") {
    constexpr Timestamp kTenth = 100'000'000;
    Feed feed;
    feed.packet(0, 1, 50, kTenth);
    Timestamp now = 2 * kTenth;
    for (SequenceNumber n = 1; n <= 10; ++n, now += kTenth) feed.packet(0, n, 1, now);
    CHECK(feed.sink.new_sessions == 0);
    CHECK(feed.sink.delivered == numbers(1, 50));
    feed.packet(0, 11, 1, now);
    CHECK(feed.sink.new_sessions == 1);
    CHECK(feed.arbiter.restarts() == 1);
    CHECK(feed.arbiter.missing() == SequenceRange{1, 10});
}

TEST_CASE("LineArbiter: old packets that come late, between new ones, begin nothing") {
    constexpr Timestamp kSecond = 1'000'000'000;
    Feed feed;
    for (SequenceNumber n = 1; n <= 20; ++n) {
        feed.packet(0, n, 1, static_cast<Timestamp>(n) * kSecond);
        if (n > 2) feed.packet(0, n - 2, 1, static_cast<Timestamp>(n) * kSecond);
    }
    CHECK(feed.sink.new_sessions == 0);
    CHECK(feed.sink.delivered == numbers(1, 20));
}

TEST_CASE("LineArbiter: old packets that come late, while the host's clock is set, begin nothing") {
    constexpr Timestamp kHour = 3'600'000'000'000;
    Feed feed;
    feed.packet(0, 1, 50, 1000);
    for (SequenceNumber n = 4; n >= 1; --n) feed.packet(0, n, 1, 1001 + static_cast<Timestamp>(4 - n) * kHour);
    CHECK(feed.sink.new_sessions == 0);
    CHECK(feed.arbiter.next_expected() == 51);
}

TEST_CASE("LineArbiter: by how much a line is ahead is sampled") {
    Feed feed;
    for (SequenceNumber n = 1; n <= 10; ++n) {
        feed.packet(0, n, 1, static_cast<Timestamp>(n) * 1000);
        feed.packet(1, n, 1, static_cast<Timestamp>(n) * 1000 + static_cast<Timestamp>(n));
    }
    CHECK(feed.arbiter.lead(0).samples == 10);
    CHECK(feed.arbiter.lead(0).sum_ns == 55);
    CHECK(feed.arbiter.lead(0).max_ns == 10);
    CHECK(feed.arbiter.lead(1).samples == 0);
}

TEST_CASE("LineArbiter: what one line alone brought is counted when all others have passed it") {
    SessionConfig config = Feed::small();
    config.lines = 3;
    Feed feed(config);
    const auto only = [&](LineId line) { return feed.count(line, LineCounter::only); };
    feed.packet(0, 1, 4);
    feed.packet(1, 3, 2);
    CHECK(only(0) == 2);
    feed.packet(2, 2, 3);  // a third line, of which nothing was known
    CHECK(only(0) == 1);
    feed.packet(1, 1, 1);  // late, and no less seen
    CHECK(only(0) == 0);
    feed.packet(0, 7, 1);
    feed.packet(1, 7, 1);
    feed.packet(2, 5, 2);
    CHECK(only(2) == 2);
    CHECK(only(1) == 0);
}

TEST_CASE("LineArbiter: room for lines that there are not changes no count") {
    SessionConfig config = Feed::small();
    config.lines = 3;
    Feed feed(config);
    feed.packet(0, 1, 4);
    CHECK(feed.count(0, LineCounter::only) == 0);
    feed.packet(1, 3, 2);
    CHECK(feed.count(0, LineCounter::only) == 2);
    CHECK(feed.count(1, LineCounter::only) == 0);
}

TEST_CASE("LineArbiter: random loss, duplication and reordering lose only what no line brought") {
    const std::uint64_t seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    for (int round = 0; round < 300; ++round) {
        SessionConfig config = Feed::small();
        config.reorder_window_packets = 64;
        Feed feed(config);
        std::set<SequenceNumber> sent;
        std::set<SequenceNumber> by_line[2];
        struct Sent {
            std::uint64_t due;
            LineId line;
            SequenceNumber first;
            std::uint32_t count;
        };
        std::vector<Sent> packets;
        for (const LineId line : {LineId{0}, LineId{1}}) {
            for (SequenceNumber first = 1; first <= 200;) {
                const auto count = static_cast<std::uint32_t>(random() % 4 + 1);
                const std::uint64_t copies = random() % 10 == 0 ? 0 : random() % 10 == 0 ? 2 : 1;
                for (std::uint64_t i = 0; i < copies; ++i) {
                    packets.push_back({first + (random() % 5 == 0 ? random() % 20 : 0), line, first, count});
                }
                first += count;
            }
        }
        std::stable_sort(packets.begin(), packets.end(), [](const Sent& a, const Sent& b) { return a.due < b.due; });
        for (const Sent& p : packets) {
            feed.packet(p.line, p.first, p.count);
            for (std::uint32_t i = 0; i < p.count; ++i) sent.insert(p.first + i), by_line[p.line].insert(p.first + i);
        }
        feed.finish();
        CHECK(feed.sink.delivered == std::vector<SequenceNumber>(sent.begin(), sent.end()));
        CHECK(feed.arbiter.messages_held() == 0);
        std::uint64_t lost = 0;
        for (const SequenceRange& range : feed.sink.given_up) lost += range.size();
        CHECK(lost + sent.size() == *sent.rbegin());
        for (const LineId line : {LineId{0}, LineId{1}}) {
            const std::set<SequenceNumber>& other = by_line[1 - line];
            const auto passed = [&](SequenceNumber n) { return n < *other.rbegin() && other.count(n) == 0; };
            CHECK(feed.count(line, LineCounter::only) ==
                  static_cast<std::uint64_t>(std::count_if(by_line[line].begin(), by_line[line].end(), passed)));
        }
    }
}
