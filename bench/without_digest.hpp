// The same books compiled once more without their digest (without_digest.cpp), to see what it costs.
#pragma once

#include <cstdint>
#include <span>

namespace without_digest {

struct Packets {
    const std::uint8_t* bytes;             // of all packets, one after the other
    std::span<const std::uint32_t> sizes;  // of each
    std::uint32_t orders_max;
};
struct Result {
    double ns = 0;              // from the first packet to the last
    std::uint64_t updates = 0;  // that the handler was told of
    bool balances = false;
};
// `now` reads the clock that counts, in ns.
[[nodiscard]] Result run(const Packets& packets, double (*now)());

}  // namespace without_digest
