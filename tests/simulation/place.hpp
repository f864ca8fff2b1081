// Bytes on their way, and where a packet of them stands.
#pragma once

#include <cstdint>
#include <vector>

namespace millrace::sim {

using Bytes = std::vector<std::uint8_t>;

struct Place {
    std::uint32_t session = 0;
    std::uint64_t first = 0;   // number of its first message
    std::uint64_t offset = 0;  // bytes of all messages before it and of their lengths
    std::int64_t time = 0;     // when it is sent
};

}  // namespace millrace::sim
