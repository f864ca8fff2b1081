// How IEX is asked for what was missed, and how its answers are read: against bytes written by hand from the
// specifications' tables, and against answers that are cut, damaged or foreign.
#include <string>
#include <vector>

#include "millrace/feed/venues/iex/messages.hpp"
#include "millrace/feed/venues/iex/recovery.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/hex.hpp"

namespace {

using namespace millrace;
using test::from_hex;
namespace iex = venues::iex;
using Bytes = std::vector<std::uint8_t>;
using State = SnapshotClient::State;

// DEEP, channel 1, session 0x42870000: as in the specification's example of a request.
constexpr const char* kStream = "0480 01000000 00008742";

SessionKey session() {
    const Bytes bytes = from_hex(kStream);
    SessionKey key;
    std::copy(bytes.begin(), bytes.end(), key.text.begin());
    return key;
}

std::string le(std::uint64_t value, int bytes) {
    std::string out;
    for (int i = 0; i < bytes; ++i) {
        constexpr const char* kDigits = "0123456789abcdef";
        out += kDigits[value >> (8 * i + 4) & 15];
        out += kDigits[value >> (8 * i) & 15];
    }
    return out;
}

// An IEX-TP header of a segment with these blocks.
std::string segment(const std::string& stream, std::uint64_t first, std::uint64_t offset, unsigned count,
                    const std::string& blocks) {
    return "0100" + stream + le(from_hex(blocks).size(), 2) + le(count, 2) + le(offset, 8) + le(first, 8) + le(7, 8) +
           blocks;
}
std::string block(const std::string& message) { return le(from_hex(message).size(), 2) + message; }

// Level and order by hand: symbol A.
std::string level(std::uint32_t size, std::uint64_t price) {
    return "3801" + le(1'000, 8) + "4120202020202020" + le(size, 4) + le(price, 8);
}
std::string order(std::uint64_t id, std::uint64_t time) {
    return "6138" + le(time, 8) + "4120202020202020" + le(id, 8) + le(100, 4) + le(10'000, 8);
}

// ---- SNAP, by hand ----

std::string data(const std::string& message, const char* stream = kStream) {
    const std::string body = segment(stream, 99, 0, 1, block(message));
    return le(from_hex(body).size() + 1, 2) + "64" + body;
}
std::string nested(const std::string& message) { return data(block(message)); }
std::string end_at(std::uint64_t sequence) { return "0900 78" + le(sequence, 8); }
std::string answer(const std::string& messages, std::uint64_t sequence) {
    return "0900 73" + le(11 + from_hex(messages).size() + 11, 8) + messages + end_at(sequence);
}

struct Snapshot final : SnapshotSink {
    void on_snapshot_message(std::span<const std::uint8_t> m) override { messages.emplace_back(m.begin(), m.end()); }
    void on_snapshot_end(SequenceNumber number) override { next = number; }

    std::vector<Bytes> messages;
    SequenceNumber next = 0;
};

iex::SnapClient connected_client() {
    RecoveryRequest request;
    request.kind = RecoveryRequest::Kind::snapshot;
    request.first = 12'341;
    request.session = session();
    SnapshotLogin login;
    login.token = "TOKEN";
    iex::SnapClient client(request, login);
    client.on_connecting(0);
    client.on_connected(0);
    return client;
}
State feed(iex::SnapClient& client, const Bytes& bytes, Snapshot& snapshot) {
    client.on_bytes(bytes, 0, snapshot);
    client.hand_over(65'536, snapshot);
    return client.state();
}

}  // namespace

TEST_CASE("IEX gap fill: a request is the specification's, with the range that is missing") {
    RecoveryRequest request;
    request.first = 12'340;
    request.count = 11;
    request.session = session();
    Bytes out;
    iex::Recovery().write_request(request, out);
    CHECK(out == from_hex("01 01 0480 01000000 00008742 01000000 3430000000000000 3e30000000000000"));
}

TEST_CASE("IEX gap fill: a stream of segments is cut apart wherever TCP cut it, and long ones are split") {
    std::string blocks;
    for (std::uint32_t i = 0; i < 20; ++i) blocks += block(level(i + 1, 100));
    const Bytes stream = from_hex(segment(kStream, 5, 1'000, 20, blocks) + segment(kStream, 25, 1'640, 0, "") +
                                  segment(kStream, 25, 1'640, 1, block(level(21, 100))));
    constexpr std::size_t kRoom = 150;
    for (const std::size_t piece : {std::size_t{1}, std::size_t{39}, std::size_t{100}, stream.size()}) {
        iex::SegmentCutter cutter;
        SequenceNumber next = 5;
        std::uint64_t offset = 1'000;
        const auto put = [&](std::span<const std::uint8_t> packet) {
            REQUIRE(packet.size() <= kRoom);
            const Frame frame = IexTp<0x8004>::parse(packet);
            REQUIRE(frame.kind != FrameKind::malformed);
            CHECK(frame.first_sequence == next);
            CHECK(frame.stream_offset == offset);
            BlockWalker<wire::ByteOrder::little> walker(frame.blocks);
            for (std::uint32_t i = 0; i < frame.count; ++i) {
                CHECK(wire::view<iex::PriceLevelBuyUpdate>(walker.next()).size.value() == next - 4);
                ++next;
            }
            offset += frame.blocks.size();
        };
        for (std::size_t at = 0; at < stream.size(); at += piece) {
            REQUIRE(cutter.on_bytes(std::span(stream).subspan(at, std::min(piece, stream.size() - at)), kRoom, put));
        }
        CHECK(next == 26);
    }
}

TEST_CASE("IEX gap fill: what are no segments is refused") {
    const auto refused = [](const std::string& text, std::size_t room) {
        return !iex::SegmentCutter().on_bytes(from_hex(text), room, [](auto) {});
    };
    CHECK(refused("02" + segment(kStream, 1, 0, 0, "").substr(2), 1'400));                        // another version
    CHECK(refused(segment(kStream, 1, 0, 1, block(level(1, 1))), 60));                            // a block too long
    CHECK(refused(segment(kStream, 1, 0, 9, block(level(1, 1)) + block(level(2, 1))), 80));       // fewer than told
    CHECK(refused(segment(kStream, 1, 0, 1, block(level(1, 1)) + block(level(2, 1))), 80));       // more than told
}

TEST_CASE("SNAP: the request names token, channel, session and the message it has to reach") {
    auto client = connected_client();
    const auto out = client.output();
    std::string token = "544f4b454e";
    for (int i = 0; i < 35; ++i) token += "20";
    CHECK(Bytes(out.begin(), out.end()) == from_hex("3900 72" + token + "01000000 00008742" + le(12'340, 8)));
}

TEST_CASE("SNAP: messages are handed over as they come, behind one length or two, and then the number") {
    const Bytes stream = from_hex(answer(data(level(1, 100)) + nested(level(2, 200)), 12'350));
    for (const std::size_t piece : {std::size_t{1}, std::size_t{50}, stream.size()}) {
        auto client = connected_client();
        Snapshot snapshot;
        for (std::size_t at = 0; at < stream.size(); at += piece) {
            REQUIRE(client.state() == State::going);
            client.on_bytes(std::span(stream).subspan(at, std::min(piece, stream.size() - at)), 0, snapshot);
        }
        CHECK(snapshot.messages == std::vector<Bytes>{from_hex(level(1, 100)), from_hex(level(2, 200))});
        client.on_closed();  // a server may hang up when it has said all
        CHECK(client.state() == State::going);
        client.hand_over(0, snapshot);
        CHECK(client.state() == State::done);
        CHECK(snapshot.next == 12'351);
    }
}

TEST_CASE("SNAP: orders are handed over in the order of their times, as many at once as there is room for") {
    auto client = connected_client();
    Snapshot snapshot;
    client.on_bytes(from_hex(answer(data(order(1, 300)) + data(order(2, 100)) + data(order(3, 200)) +
                                        data(order(4, 200)) + data(level(1, 1)), 7)), 0, snapshot);
    CHECK(snapshot.messages.size() == 1);  // the orders wait
    std::vector<std::uint64_t> ids;
    for (int i = 0; client.state() == State::going; ++i) {
        REQUIRE(i < 4);
        client.hand_over(85, snapshot);
        CHECK(snapshot.messages.size() <= 3 + 2 * static_cast<std::size_t>(i));
    }
    for (std::size_t i = 1; i < snapshot.messages.size(); ++i) {
        ids.push_back(wire::view<iex::AddOrder>(snapshot.messages[i]).order_id.value());
    }
    CHECK(ids == std::vector<std::uint64_t>{2, 3, 4, 1});
    CHECK(snapshot.next == 8);
}

TEST_CASE("SNAP: why a server refuses is told") {
    using P = ServerProblem;
    for (const auto& [code, problem] :
         {std::pair{"41", P::token}, std::pair{"43", P::session}, std::pair{"53", P::session},
          std::pair{"52", P::not_yet}, std::pair{"55", P::cut}}) {
        auto client = connected_client();
        Snapshot snapshot;
        CHECK(feed(client, from_hex("0200 65 " + std::string(code)), snapshot) == State::failed);
        CHECK(client.problem() == problem);
    }
    auto client = connected_client();
    Snapshot snapshot;
    CHECK(feed(client, from_hex("0200 71 41"), snapshot) == State::failed);
    CHECK(client.problem() == P::nonsense);
}

TEST_CASE("SNAP: an answer that is refused, foreign, cut off or not what it promised has failed") {
    const std::string one = data(level(1, 100));
    for (const std::string& bad : {
             std::string("0200 65 41"),                                       // an error
             one,                                                             // no start
             "0900 73" + le(22 + from_hex(one).size() + 1, 8) + one + end_at(1),  // more promised
             "0900 73" + le(22 + from_hex(one).size() - 1, 8) + one + end_at(1),  // less promised
             "0900 73" + le(21, 8),                                           // nothing can be as short
             "0900 73" + le(iex::SnapClient::kBytesMax + 1, 8),               // nor as long
             answer(data(level(1, 100), "0480 01000000 01008742"), 1),        // another session
             answer(data(level(1, 100), "0480 02000000 00008742"), 1),        // another channel
             answer("0900 64" + le(0, 8), 1),                                 // data too short for a header
             answer("0100 71", 1),                                            // a type that SNAP has not
             std::string("0000"),                                             // a message without a type
         }) {
        auto client = connected_client();
        Snapshot snapshot;
        INFO(bad);
        Bytes bytes = from_hex(bad);
        bytes.resize(std::max(bytes.size(), sizeof(SnapHead)));
        CHECK(feed(client, bytes, snapshot) == State::failed);
        CHECK(snapshot.next == 0);
    }
    const Bytes whole = from_hex(answer(one + data(order(1, 5)), 12'350));
    for (std::size_t size = 0; size < whole.size(); ++size) {
        auto client = connected_client();
        Snapshot snapshot;
        CHECK(feed(client, Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)), snapshot) ==
              State::going);
        client.on_closed();
        CHECK(client.state() == State::failed);
        CHECK(snapshot.next == 0);
    }
}
