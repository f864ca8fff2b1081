// MoldUDP64 1.00: numbered messages in datagrams.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "millrace/core/wire.hpp"
#include "millrace/feed/framing/frame.hpp"

namespace millrace {

// "Downstream Packet": header of every packet from the exchange.
struct MoldUdp64Header {
    static constexpr std::uint16_t kEndOfSession = 0xffff;

    wire::Alpha<10> session;
    wire::u64be sequence_number;  // of the first message; without messages, the next to come
    wire::u16be message_count;    // 0 heartbeat, 0xffff end of session

    static constexpr char kType = 0;
    static constexpr std::string_view kName = "downstream_packet";
    static constexpr auto fields() {
        using M = MoldUdp64Header;
        return std::tuple(wire::field("session", &M::session, 0),
                          wire::field("sequence_number", &M::sequence_number, 10),
                          wire::field("message_count", &M::message_count, 18));
    }
};
static_assert(wire::layout_matches_spec<MoldUdp64Header>() && sizeof(MoldUdp64Header) == 20);

// "Request Packet": asks a re-request server for `message_count` messages from `sequence_number` on.
using MoldUdp64Request = MoldUdp64Header;

struct MoldUdp64 {
    using Walker = BlockWalker<wire::ByteOrder::big>;
    static constexpr std::size_t kHeaderBytes = sizeof(MoldUdp64Header);

    // Reads a datagram. Of a frame of data the first messages go to `messages`, as many as it takes.
    [[nodiscard]] static Frame parse(std::span<const std::uint8_t> packet, std::span<MessageBytes> messages = {}) {
        Frame frame;
        if (packet.size() < sizeof(MoldUdp64Header)) return frame;
        const auto& header = wire::view<MoldUdp64Header>(packet);
        // By whole words, as it will be compared.
        std::array<std::uint64_t, 2> session{};
        std::uint16_t last = 0;
        std::memcpy(&session[0], &header.session.raw[0], 8);
        std::memcpy(&last, &header.session.raw[8], 2);
        session[1] = last;
        frame.session = std::bit_cast<SessionKey>(session);
        frame.first_sequence = header.sequence_number.value();
        const std::uint16_t count = header.message_count.value();
        const bool ends = count == MoldUdp64Header::kEndOfSession;
        frame.count = ends ? 0 : count;
        const auto payload = packet.subspan(sizeof(MoldUdp64Header));
        Walker walker(payload);
        if (!walker.pass(frame.count, messages)) return frame;
        frame.kind = ends ? FrameKind::end_of_session : count == 0 ? FrameKind::heartbeat : FrameKind::data;
        frame.excess = static_cast<std::uint32_t>(walker.rest().size());
        frame.blocks = payload.first(payload.size() - frame.excess);
        return frame;
    }
};

// Writes packets into a buffer of the caller's; nothing allocates. The buffer's size is the limit of a
// packet (1,400 bytes of messages fit every path in practice) and must hold at least the header.
class MoldUdp64PacketBuilder {
  public:
    MoldUdp64PacketBuilder(std::span<std::uint8_t> buffer, std::string_view session) : buffer_(buffer) {
        MILLRACE_VERIFY(buffer.size() >= sizeof(MoldUdp64Header));
        header_.session.set(session);
        begin(1);
    }

    // Starts a packet whose first message is number `sequence`.
    void begin(SequenceNumber sequence) {
        header_.sequence_number.set(sequence);
        count_ = 0;
        used_ = sizeof(MoldUdp64Header);
    }

    // False, and nothing changed, when the message does not fit.
    [[nodiscard]] bool append(std::span<const std::uint8_t> message) {
        if (message.size() > 0xffff || count_ == MoldUdp64Header::kEndOfSession - 1 ||
            buffer_.size() - used_ < message.size() + 2) {
            return false;
        }
        wire::u16be length{};
        length.set(message.size());
        std::memcpy(&buffer_[used_], &length, sizeof(length));
        if (!message.empty()) std::memcpy(&buffer_[used_ + 2], message.data(), message.size());
        used_ += 2 + message.size();
        ++count_;
        return true;
    }
    [[nodiscard]] std::uint16_t count() const { return count_; }

    // The packet so far; without messages it is a heartbeat. Valid until the next call of begin.
    [[nodiscard]] std::span<const std::uint8_t> finish() { return seal(count_, used_); }

    // "No more messages": `next` is the sequence number that will not come.
    [[nodiscard]] std::span<const std::uint8_t> end_of_session(SequenceNumber next) {
        begin(next);
        return seal(MoldUdp64Header::kEndOfSession, used_);
    }

  private:
    [[nodiscard]] std::span<const std::uint8_t> seal(std::uint16_t count, std::size_t size) {
        header_.message_count.set(count);
        std::memcpy(buffer_.data(), &header_, sizeof(header_));
        return buffer_.first(size);
    }

    std::span<std::uint8_t> buffer_;
    MoldUdp64Header header_{};
    std::uint16_t count_ = 0;
    std::size_t used_ = 0;
};

}  // namespace millrace
