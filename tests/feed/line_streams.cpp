// Streams that begin anew under one session id, and byte offsets, as the arbiter treats them.
#include <vector>

#include "millrace/feed/line_arbiter.hpp"
#include "tests/support/catch.hpp"

using namespace millrace;

namespace {

struct Recorder {
    std::vector<SequenceNumber> delivered;  // 0 where a stream began
    std::vector<SequenceRange> given_up;
    int contradictions = 0;

    void on_run(const MessageRun& run) {
        for (std::uint32_t i = 0; i < run.count; ++i) delivered.push_back(run.first + i);
    }
    void on_given_up(SequenceRange missing) { given_up.push_back(missing); }
    void on_new_session() { delivered.push_back(0); }
    void on_contradiction() { ++contradictions; }
};

// Two lines whose messages are 10 bytes each, so that byte offset and sequence number agree.
class Feed {
  public:
    explicit Feed(bool doubts = false) : arbiter_([doubts] {
        SessionConfig config;
        config.quality.doubt_outliers = doubts;
        config.reorder_window_packets = 4;
        config.reorder_window_ns = 1000;
        return config;
    }()) {}

    void packet(LineId line, SequenceNumber first, std::uint32_t count, Timestamp sent_at) {
        packet_at(line, first, count, sent_at, 10 * (first - 1));
    }
    void packet_at(LineId line, SequenceNumber first, std::uint32_t count, Timestamp sent_at, std::uint64_t offset) {
        std::vector<std::uint8_t> blocks;
        for (std::uint32_t i = 0; i < count; ++i) blocks.insert(blocks.end(), {8, 0, 0, 0, 0, 0, 0, 0, 0, 0});
        const FrameKind kind = count == 0 ? FrameKind::heartbeat : FrameKind::data;
        arbiter_.on_frame(line, ++now_, Frame{kind, {}, first, count, 0, blocks, sent_at, offset}, sink);
    }

    [[nodiscard]] const LineArbiter& arbiter() const { return arbiter_; }
    Recorder sink;

  private:
    LineArbiter arbiter_;
    Timestamp now_ = 0;
};

using Sequence = std::vector<SequenceNumber>;

}  // namespace

TEST_CASE("LineArbiter: lower numbers sent later on one line begin a new stream under the same session") {
    Feed feed;
    feed.packet(0, 1, 3, 100);
    feed.packet(0, 1, 0, 200);  // the heartbeat of a sender that started over
    feed.packet(0, 1, 2, 300);
    CHECK(feed.sink.delivered == Sequence{1, 2, 3, 0, 1, 2});
    CHECK(feed.arbiter().restarts() == 1);
    CHECK(feed.sink.given_up.empty());
    CHECK(feed.sink.contradictions == 0);
}

TEST_CASE("LineArbiter: a new stream is seen as such when its beginning was lost") {
    Feed feed;
    feed.packet(0, 1, 9, 100);
    feed.packet(1, 1, 9, 101);
    feed.packet(0, 4, 2, 200);
    CHECK(feed.arbiter().restarts() == 1);
    CHECK(feed.arbiter().gap_open());
    feed.packet(1, 1, 3, 190);  // the other line has it, sent a little earlier
    CHECK(feed.sink.delivered == Sequence{1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4, 5});
}

TEST_CASE("LineArbiter: one packet alone does not begin a stream in its middle, another one has to say the same") {
    Feed feed(true);
    feed.packet(0, 1, 90, 100);
    feed.packet(0, 17, 1, 110);  // 91 once
    feed.packet(0, 92, 1, 120);
    feed.packet(0, 33, 1, 130);  // 93 once
    CHECK(feed.arbiter().restarts() == 0);
    CHECK(feed.arbiter().messages_stray() == 2);
    feed.packet(0, 34, 1, 140);
    CHECK(feed.arbiter().restarts() == 1);
    CHECK(feed.arbiter().missing() == SequenceRange{1, 32});
    feed.packet(0, 1, 32, 150);
    CHECK(feed.arbiter().restarts() == 2);
}

TEST_CASE("LineArbiter: heartbeats of one line, sent one after the other, bear out a stream that has begun anew") {
    Feed feed(true);
    feed.packet(0, 1, 20, 100);
    feed.packet(0, 9, 0, 200);
    feed.packet(0, 9, 0, 200);
    CHECK(feed.arbiter().restarts() == 0);
    feed.packet(0, 9, 0, 300);
    CHECK(feed.arbiter().restarts() == 1);
    CHECK(feed.arbiter().missing() == SequenceRange{1, 8});
}

TEST_CASE("LineArbiter: late and second copies of a line do not begin a stream") {
    Feed feed;
    feed.packet(0, 1, 2, 100);
    feed.packet(0, 5, 2, 300);
    feed.packet(0, 3, 2, 200);  // overtaken on the way
    feed.packet(0, 5, 2, 300);  // doubled on the way
    feed.packet(1, 1, 4, 900);  // a line whose sender is far behind
    CHECK(feed.sink.delivered == Sequence{1, 2, 3, 4, 5, 6});
    CHECK(feed.arbiter().restarts() == 0);
}

TEST_CASE("LineArbiter: what the other line still brings of the old stream is dropped") {
    Feed feed;
    feed.packet(0, 1, 4, 100);
    feed.packet(1, 1, 2, 101);
    feed.packet(0, 1, 0, 200);
    feed.packet(1, 3, 2, 150);
    feed.packet(1, 5, 1, 160);  // the first line never brought it; the stream is over all the same
    feed.packet(0, 1, 1, 210);
    feed.packet(1, 1, 0, 199);  // the other sender's heartbeat, a moment before the first one's
    feed.packet(1, 1, 2, 211);
    feed.packet(0, 2, 1, 212);
    CHECK(feed.sink.delivered == Sequence{1, 2, 3, 4, 0, 1, 2});
    CHECK(feed.arbiter().restarts() == 1);
    CHECK(feed.sink.given_up.empty());
    CHECK(feed.arbiter().line(1)[LineCounter::first] == 1);
}

TEST_CASE("LineArbiter: what a line itself still brings of the old stream is dropped") {
    Feed feed;
    feed.packet(0, 1, 4, 100);
    feed.packet(0, 6, 1, 120);
    feed.packet(0, 1, 2, 200);
    feed.packet(0, 5, 1, 110);
    feed.packet(0, 3, 1, 210);
    CHECK(feed.sink.delivered == Sequence{1, 2, 3, 4, 6, 0, 1, 2, 3});
    CHECK_FALSE(feed.arbiter().gap_open());
}

TEST_CASE("LineArbiter: a line that was silent in the old stream joins the new one") {
    Feed feed;
    feed.packet(0, 1, 4, 100);
    feed.packet(0, 1, 0, 200);
    feed.packet(1, 1, 2, 210);
    feed.packet(1, 3, 2, 220);
    feed.packet(0, 1, 4, 230);
    CHECK(feed.sink.delivered == Sequence{1, 2, 3, 4, 0, 1, 2, 3, 4});
    CHECK(feed.arbiter().restarts() == 1);
}

TEST_CASE("LineArbiter: what was missing of the old stream is given up before the new one begins") {
    Feed feed;
    feed.packet(0, 1, 1, 100);
    feed.packet(0, 3, 1, 110);
    feed.packet(0, 1, 1, 200);
    CHECK(feed.sink.delivered == Sequence{1, 3, 0, 1});
    REQUIRE(feed.sink.given_up == std::vector<SequenceRange>{{2, 2}});
    CHECK(feed.arbiter().gaps().ended(GapEnd::session_end) == 1);
}

TEST_CASE("LineArbiter: a byte offset that does not go on where the numbers do is a contradiction") {
    Feed feed;
    feed.packet(0, 1, 3, 100);
    feed.packet_at(0, 4, 1, 110, 31);
    CHECK(feed.sink.contradictions == 1);
    feed.packet_at(0, 5, 1, 120, 41);  // goes on from there
    CHECK(feed.sink.contradictions == 1);
    feed.packet_at(0, 6, 0, 130, 50);  // a heartbeat is checked as well
    CHECK(feed.sink.contradictions == 2);
}

TEST_CASE("LineArbiter: byte offsets of early, overlapping and late packets are no contradiction") {
    Feed feed;
    feed.packet(0, 1, 2, 100);
    feed.packet(0, 5, 2, 110);
    feed.packet(1, 1, 4, 111);
    feed.packet(1, 5, 4, 112);
    feed.packet(0, 7, 2, 113);
    feed.packet(0, 9, 0, 114);
    CHECK(feed.sink.delivered == Sequence{1, 2, 3, 4, 5, 6, 7, 8});
    CHECK(feed.sink.contradictions == 0);
    Feed late;  // joins in mid-stream
    late.packet(0, 50, 2, 100);
    late.packet(0, 52, 5, 2000);
    late.packet(0, 57, 5, 2100);
    CHECK(late.sink.contradictions == 0);
}

TEST_CASE("LineArbiter: a held packet's byte offset is checked when its turn comes") {
    Feed feed;
    feed.packet(0, 1, 2, 100);
    feed.packet_at(0, 4, 2, 110, 99);
    CHECK(feed.sink.contradictions == 0);
    feed.packet(0, 3, 1, 105);
    CHECK(feed.sink.contradictions == 1);
}

TEST_CASE("LineArbiter: a number that its byte offset contradicts is not believed") {
    Feed feed(true);
    feed.packet(0, 1, 40, 100);
    SECTION("too high") {
        feed.packet_at(0, 41 ^ 16, 2, 110, 400);
    }
    SECTION("too low") {
        feed.packet_at(0, 41 ^ 8, 2, 110, 400);
    }
    CHECK(feed.arbiter().messages_stray() == 2);
    CHECK_FALSE(feed.arbiter().gap_open());
    feed.packet(0, 43, 2, 120);
    feed.packet(0, 45, 2, 130);
    CHECK(feed.arbiter().missing() == SequenceRange{41, 42});  // what it held
    feed.packet(1, 41, 2, 110);
    CHECK(feed.sink.delivered.back() == 46);
    CHECK(feed.arbiter().restarts() == 0);
    CHECK(feed.sink.given_up.empty());
    CHECK(feed.sink.contradictions == 0);
}

TEST_CASE("LineArbiter: nor is one behind a gap, nor that of a heartbeat") {
    Feed feed(true);
    feed.packet(0, 1, 40, 100);
    feed.packet_at(0, 41 ^ 4, 0, 110, 400);
    CHECK_FALSE(feed.arbiter().gap_open());
    feed.packet(0, 61, 2, 120);                // 41 to 60 are late
    feed.packet_at(0, 63 ^ 64, 2, 130, 620);   // 63, as number 127; 220 bytes behind what was delivered
    feed.packet_at(0, 65 ^ 128, 2, 140, 640);  // nor do two that are damaged bear each other out
    CHECK(feed.arbiter().messages_stray() == 4);
    feed.packet(0, 41, 20, 119);
    feed.packet(0, 67, 0, 150);
    CHECK(feed.sink.delivered.back() == 62);
    CHECK(feed.arbiter().missing() == SequenceRange{63, 66});
    CHECK(feed.arbiter().restarts() == 0);
}

TEST_CASE("LineArbiter: two packets that agree are believed, and what came before them is not") {
    Feed feed(true);
    feed.packet_at(0, 53 + 128, 2, 100, 520);  // before anything else was known
    feed.packet(0, 55, 2, 110);
    CHECK(feed.arbiter().messages_stray() == 2);
    feed.packet(0, 57, 2, 120);
    CHECK(feed.arbiter().messages_stray() == 0);
    CHECK(feed.arbiter().restarts() == 1);
    CHECK(feed.arbiter().missing() == SequenceRange{1, 54});
}

TEST_CASE("LineArbiter: one damaged time of sending does not hide a stream that begins anew") {
    Feed feed;
    feed.packet(0, 1, 1, 100);
    feed.packet(0, 2, 1, Timestamp{1} << 62);
    feed.packet(0, 3, 1, 120);
    feed.packet(0, 1, 1, 200);
    CHECK(feed.sink.delivered == Sequence{1, 2, 3, 0, 1});
    constexpr Timestamp kLater = 3'600'000'000'000;  // two packets that say so are believed
    Feed paused;
    paused.packet(0, 1, 1, 100);
    paused.packet(0, 2, 1, kLater);
    paused.packet(0, 4, 1, kLater + 20);
    paused.packet(0, 3, 1, kLater + 10);  // overtaken on the way
    CHECK(paused.sink.delivered == Sequence{1, 2, 3, 4});
    CHECK(paused.arbiter().restarts() == 0);
}
