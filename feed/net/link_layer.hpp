// From a captured frame to the UDP payload in it: Ethernet with VLAN tags, Linux cooked, raw IP, loopback;
// IPv4 and IPv6.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "millrace/core/types.hpp"

namespace millrace {

struct Endpoint {
    std::array<std::uint8_t, 16> address{};  // IPv4 in the first four bytes
    bool is_v6 = false;
    std::uint16_t port = 0;

    // 239.1.1.1:5000 or [ff02::1]:5000
    [[nodiscard]] std::string text() const;
    friend auto operator<=>(const Endpoint&, const Endpoint&) = default;
};

// `address` is one in numbers, as a config that was read holds it.
[[nodiscard]] Endpoint endpoint_of(const std::string& address, std::uint16_t port);

// Of `fragment` the addresses are told, and no ports.
enum class FrameContent : std::uint8_t { udp, other, fragment, malformed };

struct UdpDatagram {
    Endpoint source;
    Endpoint destination;
    std::span<const std::uint8_t> payload;
    bool truncated = false;  // the frame holds less of the payload than was on the wire
};

// `link_type` is the capture's (LINKTYPE_ in the pcap documentation). Never reads outside `frame`.
[[nodiscard]] FrameContent find_udp(std::uint32_t link_type, std::span<const std::uint8_t> frame,
                                    UdpDatagram& datagram);

}  // namespace millrace
