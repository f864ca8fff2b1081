// A MoldUDP64 request server without its socket: a request in, at most one reply out.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "millrace/feed/framing/moldudp64.hpp"
#include "millrace/replay/simulator/message_store.hpp"

namespace millrace::replay {

class RetransmitServer {
  public:
    RetransmitServer(std::string session, std::size_t packet_bytes_max)
        : session_(std::move(session)), buffer_(packet_bytes_max) {}

    // As many whole messages as fit one packet, from the one asked for on. Empty, which means silence, for
    // what is no request of this session or asks for what there is not.
    [[nodiscard]] std::span<const std::uint8_t> reply(std::span<const std::uint8_t> bytes,
                                                      const MessageStore& store) {
        if (bytes.size() < sizeof(MoldUdp64Request)) return {};
        const auto& request = wire::view<MoldUdp64Request>(bytes);
        const SequenceNumber first = request.sequence_number.value();
        if (request.session.value() != session_ || !store.holds(first)) return {};
        MoldUdp64PacketBuilder builder(buffer_, session_);
        builder.begin(first);
        const std::uint64_t count = std::min<std::uint64_t>(request.message_count.value(), store.next() - first);
        for (std::uint64_t i = 0; i < count && builder.append(store[first + i]); ++i) {
        }
        return builder.count() == 0 ? std::span<const std::uint8_t>{} : builder.finish();
    }

  private:
    std::string session_;
    std::vector<std::uint8_t> buffer_;
};

}  // namespace millrace::replay
