// One datagram as it came off a line or out of a capture.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "millrace/core/types.hpp"

namespace millrace {

struct Packet {
    LineId line = 0;
    // When the kernel (or the capture) received it, ns since the Unix epoch; 0 where unknown.
    Timestamp received_at = 0;
    // The UDP payload. Valid only during the call it is passed to.
    std::span<const std::uint8_t> bytes;
};

// What a recording calls the line of messages that were asked for again; no line of a config is called so.
inline constexpr std::string_view kRecoveryLineName = "recovery";

}  // namespace millrace
