// What IEX's recovery servers are asked, and the frames of their answers: gap fill (IEX-TP, "Gap Fill") and
// snapshots (DEEP SNAP, DEEP+ SNAP). Little-endian as IEX-TP itself.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

#include "millrace/core/wire.hpp"
#include "millrace/feed/framing/frame.hpp"
#include "millrace/feed/framing/iex_tp.hpp"

namespace millrace {

// These are no messages of a feed and need no tables of fields; the sizes are proved below each.
template <class T>
concept WireStruct = std::is_trivially_copyable_v<T> && alignof(T) == 1;
template <WireStruct T>
[[nodiscard]] const T& overlay(std::span<const std::uint8_t> bytes) {
    MILLRACE_ASSERT(bytes.size() >= sizeof(T));
    return *reinterpret_cast<const T*>(bytes.data());
}
template <WireStruct T>
[[nodiscard]] std::span<const std::uint8_t> raw_bytes(const T& value) {
    return {reinterpret_cast<const std::uint8_t*>(&value), sizeof(T)};
}
template <WireStruct T>
void append_raw(std::vector<std::uint8_t>& out, const T& value) {
    const auto bytes = raw_bytes(value);
    out.insert(out.end(), bytes.begin(), bytes.end());
}

// Which stream of messages is meant: what IexTpHeader says of it, and IexTp::parse keeps as the session's key.
struct IexTpStream {
    wire::u16le message_protocol_id;
    wire::u32le channel_id;
    wire::u32le session_id;

    [[nodiscard]] static IexTpStream of(const SessionKey& key) {
        IexTpStream stream{};
        std::memcpy(&stream, key.text.data(), sizeof(stream));
        return stream;
    }
    [[nodiscard]] static IexTpStream of(const IexTpHeader& header) {
        return {header.message_protocol_id, header.channel_id, header.session_id};
    }
    friend bool operator==(const IexTpStream& a, const IexTpStream& b) { return std::memcmp(&a, &b, sizeof(a)) == 0; }
};
static_assert(sizeof(IexTpStream) == 10);

// Ranges of this many follow, each an IexTpRange. By UDP a request without any is answered by an empty segment.
struct IexTpRequest {
    static constexpr std::uint8_t kSequenced = 1;  // ranges are of sequence numbers
    static constexpr std::uint32_t kMessagesMax = 1'000;  // by UDP

    wire::u8 version;
    wire::u8 request_type;
    IexTpStream stream;
    wire::u32le range_count;
};
static_assert(sizeof(IexTpRequest) == 16);

struct IexTpRange {
    wire::i64le first;
    wire::i64le last;  // inclusive
};
static_assert(sizeof(IexTpRange) == 16);

// ---- SNAP: each message is a 16-bit length that excludes itself, a type, and what follows here ----

struct SnapHead {
    wire::u16le length;
    wire::Code type;
};
static_assert(sizeof(SnapHead) == 3);

struct SnapRequest : SnapHead {
    static constexpr char kType = 'r';
    wire::Alpha<40> token;
    wire::u32le channel_id;
    wire::u32le session_id;
    wire::u64le minimum_sequence;  // 0: the latest
};
static_assert(sizeof(SnapRequest) == 59);

struct SnapError : SnapHead {
    static constexpr char kType = 'e';
    static constexpr char kBadToken = 'A', kNoSuchChannel = 'C', kNotYet = 'R', kNoSuchSession = 'S', kUnknown = 'U';
    wire::Code code;
};
static_assert(sizeof(SnapError) == 4);

struct SnapStart : SnapHead {
    static constexpr char kType = 's';
    wire::u64le bytes;  // of the whole answer, from this message to the end's
};
struct SnapEnd : SnapHead {
    static constexpr char kType = 'x';
    wire::u64le sequence;  // the last message that is in the snapshot
};
static_assert(sizeof(SnapStart) == 11 && sizeof(SnapEnd) == 11);

// One block with one message follows.
struct SnapData : SnapHead {
    static constexpr char kType = 'd';
    IexTpHeader header;
};
static_assert(sizeof(SnapData) == 43);

// Gives a SNAP message its length and type.
template <class Message>
[[nodiscard]] Message snap_message(std::size_t bytes = sizeof(Message)) {
    Message m{};
    m.length.set(bytes - sizeof(wire::u16le));
    m.type.set(Message::kType);
    return m;
}

}  // namespace millrace
