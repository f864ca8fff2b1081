#include "millrace/feed/net/link_layer.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "millrace/core/error.hpp"

namespace millrace {

namespace {

using Bytes = std::span<const std::uint8_t>;

// Link types of the pcap documentation.
constexpr std::uint32_t kNull = 0;
constexpr std::uint32_t kEthernet = 1;
constexpr std::uint32_t kRawOpenBsd = 12;
constexpr std::uint32_t kRawOther = 14;
constexpr std::uint32_t kRaw = 101;
constexpr std::uint32_t kLoop = 108;
constexpr std::uint32_t kLinuxCooked = 113;
constexpr std::uint32_t kIpv4 = 228;
constexpr std::uint32_t kIpv6 = 229;
constexpr std::uint32_t kLinuxCooked2 = 276;

constexpr std::uint16_t kEtherIpv4 = 0x0800;
constexpr std::uint16_t kEtherIpv6 = 0x86dd;
constexpr std::uint8_t kUdp = 17;

std::uint16_t be16(Bytes bytes, std::size_t at) {
    return static_cast<std::uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

bool is_vlan(std::uint16_t ether_type) {
    return ether_type == 0x8100 || ether_type == 0x88a8 || ether_type == 0x9100 || ether_type == 0x9200;
}

FrameContent from_udp(Bytes packet, bool cut, UdpDatagram& datagram) {
    if (packet.size() < 8) return FrameContent::malformed;
    const std::uint16_t length = be16(packet, 4);
    // A length of zero stands for one that does not fit 16 bits; the packet says how long it is.
    if (length != 0 && length < 8) return FrameContent::malformed;
    if (length > packet.size() && !cut) return FrameContent::malformed;
    datagram.source.port = be16(packet, 0);
    datagram.destination.port = be16(packet, 2);
    datagram.truncated = length > packet.size();
    const std::size_t end = length == 0 ? packet.size() : std::min<std::size_t>(length, packet.size());
    datagram.payload = packet.subspan(8, end - 8);
    return FrameContent::udp;
}

FrameContent from_ipv4(Bytes packet, UdpDatagram& datagram) {
    if (packet.size() < 20) return FrameContent::malformed;
    const std::size_t header = std::size_t{packet[0]} % 16 * 4;
    const std::uint16_t total = be16(packet, 2);
    if (header < 20 || packet.size() < header) return FrameContent::malformed;
    if (packet[9] != kUdp) return FrameContent::other;
    datagram.source = {};
    datagram.destination = {};
    std::memcpy(datagram.source.address.data(), &packet[12], 4);
    std::memcpy(datagram.destination.address.data(), &packet[16], 4);
    if ((be16(packet, 6) & 0x3fff) != 0) return FrameContent::fragment;  // more fragments, or not the first
    // Total length cuts the padding of short Ethernet frames; zero is left by segmentation offload.
    if (total != 0 && total < header) return FrameContent::malformed;
    const bool cut = total > packet.size();
    const std::size_t end = total == 0 || cut ? packet.size() : total;
    return from_udp(packet.subspan(header, end - header), cut, datagram);
}

FrameContent from_ipv6(Bytes packet, UdpDatagram& datagram) {
    if (packet.size() < 40) return FrameContent::malformed;
    const std::size_t length = be16(packet, 4);
    const bool cut = length > packet.size() - 40;
    const std::size_t end = length == 0 || cut ? packet.size() : 40 + length;
    datagram.source = {.is_v6 = true};
    datagram.destination = {.is_v6 = true};
    std::memcpy(datagram.source.address.data(), &packet[8], 16);
    std::memcpy(datagram.destination.address.data(), &packet[24], 16);
    std::uint8_t next = packet[6];
    std::size_t at = 40;
    // Hop-by-hop, routing and destination options; each header says how long it is.
    while (next == 0 || next == 43 || next == 60) {
        if (end < at + 8) return FrameContent::malformed;
        next = packet[at];
        at += 8 + std::size_t{packet[at + 1]} * 8;
    }
    if (next == 44) return FrameContent::fragment;
    if (next != kUdp) return FrameContent::other;
    if (at > end) return FrameContent::malformed;
    return from_udp(packet.subspan(at, end - at), cut, datagram);
}

FrameContent from_ip(Bytes packet, UdpDatagram& datagram) {
    if (packet.empty()) return FrameContent::malformed;
    switch (packet[0] >> 4) {
        case 4: return from_ipv4(packet, datagram);
        case 6: return from_ipv6(packet, datagram);
        default: return FrameContent::other;
    }
}

// `at` is where the EtherType stands; tags and the packet follow it.
FrameContent from_ether_type(Bytes frame, std::size_t at, std::size_t packet_at, UdpDatagram& datagram) {
    if (frame.size() < packet_at) return FrameContent::malformed;
    std::uint16_t ether_type = be16(frame, at);
    while (is_vlan(ether_type)) {
        if (frame.size() < packet_at + 4) return FrameContent::malformed;
        ether_type = be16(frame, packet_at + 2);
        packet_at += 4;
    }
    if (ether_type == kEtherIpv4 || ether_type == kEtherIpv6) return from_ip(frame.subspan(packet_at), datagram);
    return FrameContent::other;
}

}  // namespace

std::string Endpoint::text() const {
    char host[INET6_ADDRSTRLEN] = {};
    inet_ntop(is_v6 ? AF_INET6 : AF_INET, address.data(), host, sizeof(host));
    return is_v6 ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

Endpoint endpoint_of(const std::string& address, std::uint16_t port) {
    Endpoint endpoint;
    endpoint.is_v6 = address.find(':') != std::string::npos;
    MILLRACE_VERIFY(inet_pton(endpoint.is_v6 ? AF_INET6 : AF_INET, address.c_str(), endpoint.address.data()) == 1);
    endpoint.port = port;
    return endpoint;
}

FrameContent find_udp(std::uint32_t link_type, std::span<const std::uint8_t> frame, UdpDatagram& datagram) {
    switch (link_type) {
        case kEthernet: return from_ether_type(frame, 12, 14, datagram);
        case kLinuxCooked: return from_ether_type(frame, 14, 16, datagram);
        case kLinuxCooked2: return from_ether_type(frame, 0, 20, datagram);
        case kNull:
        case kLoop: return frame.size() < 4 ? FrameContent::malformed : from_ip(frame.subspan(4), datagram);
        case kRaw:
        case kRawOpenBsd:
        case kRawOther:
        case kIpv4:
        case kIpv6: return from_ip(frame, datagram);
        default: return FrameContent::other;
    }
}

}  // namespace millrace
