#include "millrace/feed/framing/iex_tp.hpp"

#include <vector>

#include "tests/support/catch.hpp"
#include "tests/support/hex.hpp"

using namespace millrace;
using test::from_hex;
using Bytes = std::vector<std::uint8_t>;
using Deep = IexTp<0x8004>;

namespace {

// Sent by IEX on 26 January 2021: a heartbeat before the first message, and a price level update of symbol V.
const char* const kHeartbeat = "01 00 0480 01000000 0000dd48 0000 0000 0000000000000000 0100000000000000 af326a0223e05d16";
const char* const kUpdate =
    "01 00 0480 01000000 0000dd48 2000 0100 918eab0000000000 5e6b050000000000 6d1c16353ae25d16"
    "1e00 38 01 be7f13353ae25d16 5620202020202020 be000000 b4f01e0000000000";

}  // namespace

TEST_CASE("IEX-TP: a real heartbeat tells what comes next and when it was sent") {
    const Frame frame = Deep::parse(from_hex(kHeartbeat));
    REQUIRE(frame.kind == FrameKind::heartbeat);
    CHECK(frame.count == 0);
    CHECK(frame.first_sequence == 1);
    CHECK(frame.stream_offset == 0);
    CHECK(frame.sent_at == 1'611'690'682'637'497'007);  // 2021-01-26 19:51:22.637497007 UTC
}

TEST_CASE("IEX-TP: a real segment has its message, its sequence number and its place in bytes") {
    const Bytes bytes = from_hex(kUpdate);
    const Frame frame = Deep::parse(bytes);
    REQUIRE(frame.kind == FrameKind::data);
    CHECK(frame.first_sequence == 355'166);
    CHECK(frame.stream_offset == 11'243'153);
    CHECK(frame.session == Deep::parse(from_hex(kHeartbeat)).session);
    REQUIRE(frame.count == 1);
    Deep::Walker walker(frame.blocks);
    CHECK(walker.next().size() == 30);
    CHECK(walker.rest().empty());
}

TEST_CASE("IEX-TP: a segment cut at any length, or one that says other than it holds, is malformed") {
    const Bytes whole = from_hex(kUpdate);
    for (std::size_t length = 0; length < whole.size(); ++length) {
        CAPTURE(length);
        CHECK(Deep::parse(std::span(whole).first(length)).kind == FrameKind::malformed);
    }
    const auto with = [&](std::size_t at, std::uint8_t byte) {
        Bytes other = whole;
        other[at] = byte;
        return Deep::parse(other).kind;
    };
    CHECK(with(0, 2) == FrameKind::malformed);      // version
    CHECK(with(2, 3) == FrameKind::malformed);      // another protocol
    CHECK(with(12, 0x1f) == FrameKind::malformed);  // payload shorter than its messages
    CHECK(with(14, 0) == FrameKind::malformed);     // bytes but no messages
    CHECK(with(14, 2) == FrameKind::malformed);     // more messages than bytes
    CHECK(with(40, 0x1d) == FrameKind::malformed);  // a byte between message and end
    CHECK(with(23, 0x80) == FrameKind::malformed);  // offset below zero
    CHECK(with(31, 0x80) == FrameKind::malformed);  // sequence number below one
}

TEST_CASE("IEX-TP: a segment whose number cannot lie at its byte offset is malformed") {
    const auto with = [](const char* hex, std::size_t at, std::uint8_t byte) {
        Bytes other = from_hex(hex);
        other[at] = byte;
        return Deep::parse(other).kind;
    };
    // A message takes 2 to 65,537 bytes of the stream.
    CHECK(with(kUpdate, 27, 0x01) == FrameKind::malformed);  // 17,132,382 messages in 11,243,153 bytes
    CHECK(with(kUpdate, 26, 0x55) == FrameKind::data);       // 5,598,046 messages: 2.01 bytes each
    CHECK(with(kUpdate, 21, 0x80) == FrameKind::malformed);  // 355,165 messages in 140,737,499,598,481 bytes
    CHECK(with(kHeartbeat, 24, 2) == FrameKind::malformed);  // one message in no bytes
    CHECK(with(kHeartbeat, 16, 1) == FrameKind::malformed);  // no message in one byte
}

TEST_CASE("IEX-TP: bytes behind the payload are told, and of no message") {
    for (const std::string_view segment : {kUpdate, kHeartbeat}) {
        Bytes padded = from_hex(segment);
        const Frame whole = Deep::parse(padded);
        CHECK(whole.excess == 0);
        padded.resize(padded.size() + 6);
        const Frame frame = Deep::parse(padded);
        CHECK(frame.kind == whole.kind);
        CHECK(frame.excess == 6);
        CHECK(frame.blocks.size() == whole.blocks.size());
    }
}

TEST_CASE("IEX-TP: messages may be empty") {
    const Bytes empty = from_hex(
        "01 00 0480 01000000 0000dd48 0400 0200 0000000000000000 0100000000000000 0000000000000000 0000 0000");
    const Frame frame = Deep::parse(empty);
    CHECK(frame.kind == FrameKind::data);
    CHECK(frame.count == 2);
}

TEST_CASE("IEX-TP: the builder writes the real segment byte for byte and counts on from it") {
    const Bytes whole = from_hex(kUpdate);
    std::vector<std::uint8_t> buffer(256);
    IexTpPacketBuilder builder(buffer, {0x8004, 1, 0x48dd0000});
    builder.begin(355'166, 11'243'153);
    REQUIRE(builder.append(std::span(whole).subspan(42)));
    const auto written = builder.finish(1'611'692'981'295'127'661);  // 2021-01-26 20:29:41.295127661 UTC
    CHECK(Bytes(written.begin(), written.end()) == whole);
    builder.begin_next();
    const Frame heartbeat = Deep::parse(builder.finish(5));
    CHECK(heartbeat.first_sequence == 355'167);
    CHECK(heartbeat.stream_offset == 11'243'153 + 32);
}

TEST_CASE("IEX-TP: the builder refuses what does not fit, and leaves the segment as it was") {
    std::vector<std::uint8_t> buffer(sizeof(IexTpHeader) + 12);
    IexTpPacketBuilder builder(buffer, {0x8004, 1, 7});
    CHECK_FALSE(builder.append(Bytes(11)));
    CHECK(builder.append(Bytes(10)));
    CHECK_FALSE(builder.append(Bytes{}));
    CHECK(Deep::parse(builder.finish(1)).count == 1);
    std::vector<std::uint8_t> large(200'000);
    IexTpPacketBuilder full(large, {0x8004, 1, 7});
    CHECK(full.append(Bytes(65'000)));
    CHECK_FALSE(full.append(Bytes(600)));  // the payload's length has 16 bits
    CHECK(Deep::parse(full.finish(1)).kind == FrameKind::data);
}
