#include "millrace/feed/framing/moldudp64.hpp"

#include <array>
#include <string>
#include <vector>

#include "tests/support/catch.hpp"

using namespace millrace;
using Bytes = std::vector<std::uint8_t>;

namespace {

Bytes packet(std::uint16_t count, const Bytes& blocks) {
    Bytes out{'0', '0', '0', '0', '1', '0', '0', '5', '9', 'B', 0, 0, 0, 0, 0, 0xe1, 0x2f, 0x59,
              static_cast<std::uint8_t>(count >> 8), static_cast<std::uint8_t>(count)};
    out.insert(out.end(), blocks.begin(), blocks.end());
    return out;
}

}  // namespace

TEST_CASE("MoldUDP64: a data packet holds as many messages as it says") {
    const Bytes bytes = packet(3, {0, 1, 'x', 0, 0, 0, 2, 'y', 'z'});
    const Frame frame = MoldUdp64::parse(bytes);
    REQUIRE(frame.kind == FrameKind::data);
    CHECK(std::string(frame.session.text.data()) == "000010059B");
    CHECK(frame.first_sequence == 14'757'721);
    REQUIRE(frame.count == 3);
    MoldUdp64::Walker walker(frame.blocks);
    CHECK(walker.next().size() == 1);
    CHECK(walker.next().empty());
    CHECK(walker.next()[1] == 'z');
    CHECK(walker.rest().empty());
}

TEST_CASE("MoldUDP64: a heartbeat and the end of a session carry the next number and no messages") {
    const Frame heartbeat = MoldUdp64::parse(packet(0, {}));
    CHECK(heartbeat.kind == FrameKind::heartbeat);
    CHECK(heartbeat.count == 0);
    CHECK(heartbeat.first_sequence == 14'757'721);
    const Frame end = MoldUdp64::parse(packet(0xffff, {}));
    CHECK(end.kind == FrameKind::end_of_session);
    CHECK(end.count == 0);
}

TEST_CASE("MoldUDP64: a packet cut at any length is malformed and never read beyond") {
    const Bytes whole = packet(2, {0, 3, 1, 2, 3, 0, 1, 4});
    for (std::size_t length = 0; length < whole.size(); ++length) {
        const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
        CAPTURE(length);
        CHECK(MoldUdp64::parse(cut).kind == FrameKind::malformed);
    }
    CHECK(MoldUdp64::parse(whole).kind == FrameKind::data);
    CHECK(MoldUdp64::parse(packet(3, {0, 3, 1, 2, 3, 0, 1, 4})).kind == FrameKind::malformed);
    CHECK(MoldUdp64::parse(packet(1, {0xff, 0xff, 1})).kind == FrameKind::malformed);
}

TEST_CASE("MoldUDP64: messages are listed while there is room, and all of them checked") {
    const Bytes bytes = packet(3, {0, 1, 'x', 0, 0, 0, 2, 'y', 'z'});
    std::array<MessageBytes, 4> listed;
    REQUIRE(MoldUdp64::parse(bytes, listed).kind == FrameKind::data);
    CHECK(listed[0].data() == &bytes[22]);
    CHECK(listed[0].size() == 1);
    CHECK(listed[1].empty());
    CHECK(listed[2].data() == &bytes[27]);
    CHECK(listed[2].size() == 2);
    CHECK(listed[3].data() == nullptr);

    std::array<MessageBytes, 1> one;
    CHECK(MoldUdp64::parse(bytes, one).kind == FrameKind::data);
    CHECK(one[0].data() == &bytes[22]);
    const Bytes cut(bytes.begin(), bytes.end() - 1);
    CHECK(MoldUdp64::parse(cut, one).kind == FrameKind::malformed);
}

TEST_CASE("MoldUDP64: bytes behind the last message are told, and of no message") {
    const Bytes bytes = packet(1, {0, 1, 'x', 9, 9});
    const Frame frame = MoldUdp64::parse(bytes);
    CHECK(frame.kind == FrameKind::data);
    CHECK(frame.excess == 2);
    CHECK(frame.blocks.size() == 3);
    CHECK(MoldUdp64::parse(packet(1, {0, 1, 'x'})).excess == 0);
    // Neither a heartbeat nor the end of a session has messages.
    for (const std::uint16_t count : {std::uint16_t{0}, MoldUdp64Header::kEndOfSession}) {
        const Bytes longer = packet(count, {0, 1, 'x', 9});
        CHECK(MoldUdp64::parse(longer).count == 0);
        CHECK(MoldUdp64::parse(longer).excess == 4);
        CHECK(MoldUdp64::parse(longer).blocks.empty());
        CHECK(MoldUdp64::parse(packet(count, {})).excess == 0);
    }
}

TEST_CASE("MoldUDP64: the builder writes what the reader reads, and refuses what does not fit") {
    Bytes buffer(40);
    MoldUdp64PacketBuilder builder(buffer, "SESSION");
    builder.begin(77);
    CHECK(builder.append(Bytes{1, 2, 3}));
    CHECK(builder.append(Bytes{}));
    CHECK_FALSE(builder.append(Bytes(12)));
    CHECK(builder.append(Bytes(11)));
    const auto written = builder.finish();
    CHECK(written.size() == 40);
    const Frame frame = MoldUdp64::parse(written);
    CHECK(frame.first_sequence == 77);
    CHECK(frame.count == 3);
    const Frame end = MoldUdp64::parse(builder.end_of_session(80));
    CHECK(end.kind == FrameKind::end_of_session);
    CHECK(end.first_sequence == 80);
}
