// IEX-TP 1: numbered messages in segments, whose stream is counted in bytes as well.
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string_view>

#include "millrace/core/wire.hpp"
#include "millrace/feed/framing/frame.hpp"

namespace millrace {

// Header of every segment, by datagram or within a gap fill by TCP.
struct IexTpHeader {
    static constexpr std::uint8_t kVersion = 1;

    wire::u8 version;
    wire::Reserved<1> reserved;
    wire::u16le message_protocol_id;
    wire::u32le channel_id;
    wire::u32le session_id;
    wire::u16le payload_length;  // bytes behind this header
    wire::u16le message_count;
    wire::i64le stream_offset;   // of the payload in the stream; without messages, of what is to come
    wire::i64le first_message_sequence_number;  // from 1; without messages, the next to come
    wire::Timestamp64le send_time;              // ns since the Unix epoch, UTC

    static constexpr char kType = 0;
    static constexpr std::string_view kName = "outbound_segment";
    static constexpr auto fields() {
        using M = IexTpHeader;
        return std::tuple(wire::field("version", &M::version, 0), wire::field("reserved", &M::reserved, 1),
                          wire::field("message_protocol_id", &M::message_protocol_id, 2),
                          wire::field("channel_id", &M::channel_id, 4),
                          wire::field("session_id", &M::session_id, 8),
                          wire::field("payload_length", &M::payload_length, 12),
                          wire::field("message_count", &M::message_count, 14),
                          wire::field("stream_offset", &M::stream_offset, 16),
                          wire::field("first_message_sequence_number", &M::first_message_sequence_number, 24),
                          wire::field("send_time", &M::send_time, 32));
    }
};
static_assert(wire::layout_matches_spec<IexTpHeader>() && sizeof(IexTpHeader) == 40);

// Segments that carry one of the given message protocols; all others are malformed to it. So is one whose first
// message cannot lie at its stream offset: both count from the beginning of the session.
template <std::uint16_t... Protocols>
struct IexTp {
    using Walker = BlockWalker<wire::ByteOrder::little>;
    static constexpr bool kNamesProtocol = true;  // so that a message may be longer than this version knows

    // Reads a segment. Within its payload every byte belongs to a message; what is behind that is `excess`.
    [[nodiscard]] static Frame parse(std::span<const std::uint8_t> packet) {
        if (packet.size() < sizeof(IexTpHeader)) return {};
        const auto& header = wire::view<IexTpHeader>(packet);
        const std::uint16_t protocol = header.message_protocol_id.value();
        const std::size_t payload = header.payload_length.value();
        const std::int64_t first = header.first_message_sequence_number.value();
        const std::int64_t offset = header.stream_offset.value();
        if (header.version.value() != IexTpHeader::kVersion || ((protocol != Protocols) && ...) ||
            packet.size() - sizeof(IexTpHeader) < payload || first < 1 || offset < 0 ||
            !can_take(static_cast<std::uint64_t>(first - 1), static_cast<std::uint64_t>(offset))) {
            return {};
        }
        Frame frame;
        // Protocol, channel and session, which lie side by side, name a stream together.
        std::memcpy(frame.session.text.data(), &header.message_protocol_id, kSessionBytes);
        frame.first_sequence = static_cast<SequenceNumber>(first);
        frame.count = header.message_count.value();
        frame.blocks = packet.subspan(sizeof(IexTpHeader), payload);
        frame.excess = static_cast<std::uint32_t>(packet.size() - sizeof(IexTpHeader) - payload);
        frame.sent_at = header.send_time.value();
        frame.stream_offset = static_cast<std::uint64_t>(offset);
        if (!fills(frame.blocks, frame.count)) return {};
        frame.kind = frame.count == 0 ? FrameKind::heartbeat : FrameKind::data;
        return frame;
    }

    // Of a segment that is not malformed: its header.
    [[nodiscard]] static const IexTpHeader& header(std::span<const std::uint8_t> packet) {
        return wire::view<IexTpHeader>(packet);
    }

  private:
    static constexpr std::size_t kSessionBytes = 10;

    [[nodiscard]] static bool fills(std::span<const std::uint8_t> blocks, std::uint32_t count) {
        Walker walker(blocks);
        return walker.pass(count) && walker.rest().empty();
    }
};

// Writes segments into a buffer of the caller's, which is the limit of a segment and must hold at least the
// header; nothing allocates. Counts sequence numbers and bytes on from segment to segment.
class IexTpPacketBuilder {
  public:
    struct Stream {
        std::uint16_t protocol = 0;
        std::uint32_t channel = 1;
        std::uint32_t session = 1;
    };

    IexTpPacketBuilder(std::span<std::uint8_t> buffer, const Stream& stream) : buffer_(buffer) {
        MILLRACE_VERIFY(buffer.size() >= sizeof(IexTpHeader));
        header_.version.set(IexTpHeader::kVersion);
        header_.message_protocol_id.set(stream.protocol);
        header_.channel_id.set(stream.channel);
        header_.session_id.set(stream.session);
        begin(1, 0);
    }

    // Starts a segment whose first message is number `sequence` and lies at byte `offset` of the stream.
    void begin(SequenceNumber sequence, std::uint64_t offset) {
        sequence_ = sequence;
        offset_ = offset;
        count_ = 0;
        used_ = sizeof(IexTpHeader);
    }
    // Starts the segment that follows the present one.
    void begin_next() { begin(sequence_ + count_, offset_ + used_ - sizeof(IexTpHeader)); }

    // False, and nothing changed, when the message does not fit.
    [[nodiscard]] bool append(std::span<const std::uint8_t> message) {
        constexpr std::size_t kMax = std::numeric_limits<std::uint16_t>::max();
        if (message.size() > kMax || count_ == kMax || buffer_.size() - used_ < message.size() + 2 ||
            used_ - sizeof(IexTpHeader) + message.size() + 2 > kMax) {
            return false;
        }
        wire::u16le length{};
        length.set(message.size());
        std::memcpy(&buffer_[used_], &length, sizeof(length));
        if (!message.empty()) std::memcpy(&buffer_[used_ + 2], message.data(), message.size());
        used_ += 2 + message.size();
        ++count_;
        return true;
    }
    [[nodiscard]] std::uint16_t count() const { return count_; }
    [[nodiscard]] SequenceNumber sequence() const { return sequence_; }

    // The segment so far; without messages it is a heartbeat. Valid until the next call of begin.
    [[nodiscard]] std::span<const std::uint8_t> finish(Timestamp sent_at) {
        header_.payload_length.set(used_ - sizeof(IexTpHeader));
        header_.message_count.set(count_);
        header_.stream_offset.set(static_cast<std::int64_t>(offset_));
        header_.first_message_sequence_number.set(static_cast<std::int64_t>(sequence_));
        header_.send_time.set(sent_at);
        std::memcpy(buffer_.data(), &header_, sizeof(header_));
        return buffer_.first(used_);
    }

  private:
    std::span<std::uint8_t> buffer_;
    IexTpHeader header_{};
    SequenceNumber sequence_ = 1;
    std::uint64_t offset_ = 0;
    std::uint16_t count_ = 0;
    std::size_t used_ = 0;
};

}  // namespace millrace
