#include "millrace/feed/net/af_packet_receiver.hpp"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <set>

#include <fmt/format.h>

#include "millrace/core/error.hpp"

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23  // Linux 4.20
#endif

namespace millrace::net {

namespace {

using Bytes = std::span<const std::uint8_t>;
using Program = std::vector<sock_filter>;

constexpr std::string_view kTry = "run with CAP_NET_RAW, or choose another receive.backend";
constexpr std::uint32_t kEverything = 0x40000;  // what a filter returns to pass a packet whole

std::uint32_t big32(Bytes bytes) {
    return std::uint32_t{bytes[0]} << 24 | std::uint32_t{bytes[1]} << 16 | std::uint32_t{bytes[2]} << 8 | bytes[3];
}
std::uint32_t big16(Bytes bytes, std::size_t at) { return std::uint32_t{bytes[at]} << 8 | bytes[at + 1]; }

void put(Program& program, int code, std::uint32_t k, std::uint8_t if_true = 0, std::uint8_t if_false = 0) {
    program.push_back({static_cast<std::uint16_t>(code), if_true, if_false, k});
}
// Goes on behind this when what was loaded is one of `values`, and otherwise drops the packet.
void put_one_of(Program& program, const std::set<std::uint32_t>& values) {
    std::size_t left = values.size();
    for (const std::uint32_t value : values) {
        // Two instructions a value, since a conditional jump reaches 255 of them only.
        --left;
        put(program, BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1);
        put(program, BPF_JMP | BPF_JA, static_cast<std::uint32_t>(2 * left + 1));
    }
    put(program, BPF_RET | BPF_K, 0);
}

// Lets pass what may be for the line, so that the ring is not filled by anything else: IPv4 UDP to its addresses and
// ports, fragments to its addresses, and all of IPv6 where it has such groups. inspect() decides.
Program filter_of(const PacketLine& line) {
    std::set<std::uint32_t> addresses;
    std::set<std::uint32_t> ports;
    bool v6 = false;
    for (const Endpoint& group : line.groups) {
        v6 = v6 || group.is_v6;
        if (group.is_v6) continue;
        addresses.insert(big32(group.address));
        ports.insert(group.port);
    }
    Program program;
    put(program, BPF_LD | BPF_H | BPF_ABS, static_cast<std::uint32_t>(SKF_AD_OFF + SKF_AD_PROTOCOL));
    put(program, BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IPV6, 0, 1);
    put(program, BPF_RET | BPF_K, v6 ? kEverything : 0);
    put(program, BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 1, 0);
    put(program, BPF_RET | BPF_K, 0);
    put(program, BPF_LD | BPF_B | BPF_ABS, 9);  // protocol
    put_one_of(program, {IPPROTO_UDP});
    put(program, BPF_LD | BPF_W | BPF_ABS, 16);  // destination
    put_one_of(program, addresses);
    put(program, BPF_LD | BPF_H | BPF_ABS, 6);  // place of a fragment
    put(program, BPF_JMP | BPF_JSET | BPF_K, 0x1fff, 0, 1);
    put(program, BPF_RET | BPF_K, kEverything);
    put(program, BPF_LDX | BPF_B | BPF_MSH, 0);  // length of the header
    put(program, BPF_LD | BPF_H | BPF_IND, 2);   // port
    put_one_of(program, ports);
    put(program, BPF_RET | BPF_K, kEverything);
    return program;
}

void attach(const Socket& socket, Program program) {
    const sock_fprog all{static_cast<unsigned short>(program.size()), program.data()};
    if (setsockopt(socket.fd(), SOL_SOCKET, SO_ATTACH_FILTER, &all, sizeof(all)) != 0) {
        throw_errno(ExitCode::backend, "packet filter", errno, "list fewer groups, or choose another receive.backend");
    }
}

Socket open_packet_socket() {
    // Of no protocol: nothing arrives before it is bound. SOCK_DGRAM: frames begin with the IP header.
    Socket socket(::socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (socket.fd() < 0) {
        throw_errno(errno == EPERM ? ExitCode::privilege : ExitCode::backend, "packet socket", errno, kTry);
    }
    const int version = TPACKET_V2;
    if (setsockopt(socket.fd(), SOL_PACKET, PACKET_VERSION, &version, sizeof(version)) != 0) {
        throw_errno(ExitCode::backend, "packet ring", errno, kTry);
    }
    return socket;
}

// RFC 1071: zero over bytes that hold their own checksum.
[[nodiscard]] bool sums_up(Bytes bytes, std::uint64_t sum = 0) {
    std::size_t i = 0;
    for (; i + 1 < bytes.size(); i += 2) sum += big16(bytes, i);
    if (i < bytes.size()) sum += std::uint64_t{bytes[i]} << 8;
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
    return sum == 0xffff;
}

// Whether the lengths and checksums are such that a UDP socket would have shown the datagram.
[[nodiscard]] bool is_sound(Bytes packet, bool checked, const UdpDatagram& datagram) {
    const bool v6 = datagram.destination.is_v6;
    const std::uint32_t length = v6 ? big16(packet, 4) : big16(packet, 2);  // of IPv6 without its header
    if (length == 0 || length + (v6 ? 40U : 0U) > packet.size()) return false;
    if (!v6 && !sums_up(packet.first(std::size_t{packet[0]} % 16 * 4))) return false;
    const Bytes udp(datagram.payload.data() - 8, datagram.payload.size() + 8);
    if (big16(udp, 4) == 0) return false;
    if (checked) return true;
    if (big16(udp, 6) == 0) return !v6;  // IPv4 may go without
    const std::size_t address_bytes = v6 ? 16 : 4;
    std::uint64_t pseudo = IPPROTO_UDP + udp.size();
    for (std::size_t i = 0; i < address_bytes; i += 2) {
        pseudo += big16(datagram.source.address, i) + big16(datagram.destination.address, i);
    }
    return sums_up(udp, pseudo);
}

[[nodiscard]] bool is_to_address(const PacketLine& line, const Endpoint& to) {
    return std::any_of(line.groups.begin(), line.groups.end(), [&](const Endpoint& group) {
        return group.is_v6 == to.is_v6 && group.address == to.address;
    });
}

}  // namespace

void silence(const Socket& socket) {
    Program program;
    put(program, BPF_RET | BPF_K, 0);
    attach(socket, program);
}

PacketVerdict inspect(const PacketLine& line, Bytes packet, bool checked, UdpDatagram& datagram) {
    constexpr std::uint32_t kRawIp = 101;  // LINKTYPE_RAW
    switch (find_udp(kRawIp, packet, datagram)) {
        case FrameContent::other: return PacketVerdict::foreign;
        case FrameContent::malformed: return PacketVerdict::malformed;
        case FrameContent::fragment:
            return is_to_address(line, datagram.destination) ? PacketVerdict::fragment : PacketVerdict::foreign;
        case FrameContent::udp: break;
    }
    const auto& groups = line.groups;
    if (std::find(groups.begin(), groups.end(), datagram.destination) == groups.end()) return PacketVerdict::foreign;
    return datagram.truncated || !is_sound(packet, checked, datagram) ? PacketVerdict::malformed
                                                                      : PacketVerdict::datagram;
}

PacketRing::PacketRing(const PacketLine& line, std::uint32_t frames, std::uint32_t datagram_bytes)
    // Besides the datagram: the kernel's header, and IP's and UDP's at their longest.
    : line_(line), frame_bytes_(std::bit_ceil(datagram_bytes + 192)), socket_(open_packet_socket()) {
    set_up(frames);
}

void PacketRing::set_up(std::uint32_t frames) {
    constexpr std::uint32_t kPage = 4096;
    const std::string what = "packet ring on " + line_.interface.name;
    const int on = 1;
    if (setsockopt(socket_.fd(), SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) != 0) {
        throw_errno(ExitCode::backend, what, errno, kTry);
    }
    attach(socket_, filter_of(line_));
    tpacket_req request{};
    request.tp_frame_size = frame_bytes_;
    request.tp_block_size = std::max(kPage, frame_bytes_);
    frames_ = std::max(frames, request.tp_block_size / frame_bytes_);
    request.tp_frame_nr = frames_;
    request.tp_block_nr = frames_ / (request.tp_block_size / frame_bytes_);
    constexpr std::string_view kLess = "lower receive.buffers";
    if (setsockopt(socket_.fd(), SOL_PACKET, PACKET_RX_RING, &request, sizeof(request)) != 0) {
        throw_errno(ExitCode::memory, what, errno, kLess);
    }
    void* memory = mmap(nullptr, std::size_t{frames_} * frame_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                        socket_.fd(), 0);
    if (memory == MAP_FAILED) throw_errno(ExitCode::memory, what, errno, kLess);
    base_ = static_cast<std::uint8_t*>(memory);
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);  // before IP gets it, and that only once
    address.sll_ifindex = static_cast<int>(line_.interface.index);
    if (bind(socket_.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
        const int problem = errno;
        munmap(base_, std::size_t{frames_} * frame_bytes_);
        throw_errno(ExitCode::interface, what, problem, "check that the interface is up");
    }
}

PacketRing::~PacketRing() { munmap(base_, std::size_t{frames_} * frame_bytes_); }

std::uint32_t PacketRing::take_drops() {
    tpacket_stats stats{};
    socklen_t size = sizeof(stats);
    // Asking sets the kernel's counts back.
    return getsockopt(socket_.fd(), SOL_PACKET, PACKET_STATISTICS, &stats, &size) == 0 ? stats.tp_drops : 0;
}

AfPacketReceiver::AfPacketReceiver(const std::vector<PacketLine>& lines, const ReceiveConfig& config,
                                   std::size_t line_count)
    : datagram_bytes_(config.buffer_bytes), counters_(line_count) {
    for (const PacketLine& line : lines) {
        rings_.push_back(std::make_unique<PacketRing>(line, std::bit_ceil(config.buffers), config.buffer_bytes));
        frames_ = rings_.back()->frames();
        polled_.push_back({rings_.back()->fd(), POLLIN, 0});
        counters_[line.line][ReceiveCounter::buffers] = frames_;
    }
    out_.resize(buffers());
    payloads_.resize(buffers());
}

AfPacketReceiver::Taken AfPacketReceiver::take(const PacketRing& ring, std::uint32_t buffer, std::uint32_t status,
                                               ReceiveCounters& counters, Received& received) {
    const std::uint32_t index = buffer % frames_;
    const tpacket2_hdr& header = ring.header(index);
    const std::uint8_t* frame = ring.frame(index);
    constexpr std::size_t kSenderAt =
        (sizeof(tpacket2_hdr) + TPACKET_ALIGNMENT - 1) / TPACKET_ALIGNMENT * TPACKET_ALIGNMENT;
    const auto* from = reinterpret_cast<const sockaddr_ll*>(frame + kSenderAt);
    if (from->sll_pkttype == PACKET_OUTGOING || from->sll_pkttype == PACKET_OTHERHOST) return Taken::nothing;
    // Of a VLAN it belongs to an interface of that VLAN's own; number 0 is a priority and no VLAN.
    if ((status & TP_STATUS_VLAN_VALID) != 0 && (header.tp_vlan_tci & 0x0fff) != 0) {
        ++counters[ReceiveCounter::vlan_frames];
        return Taken::nothing;
    }
    const Bytes packet(frame + header.tp_net, header.tp_snaplen);
    const bool cut = header.tp_len > header.tp_snaplen;
    UdpDatagram datagram;
    // By the kernel, or by nobody since it never was on a wire; and of a part there is no telling.
    const bool checked = cut || (status & (TP_STATUS_CSUM_VALID | TP_STATUS_CSUMNOTREADY)) != 0;
    PacketVerdict verdict = inspect(ring.line(), packet, checked, datagram);
    // Sound as far as it goes, and longer than a frame.
    if (verdict == PacketVerdict::malformed && cut && datagram.truncated) verdict = PacketVerdict::datagram;
    switch (verdict) {
        case PacketVerdict::foreign: return Taken::nothing;
        case PacketVerdict::fragment: ++counters[ReceiveCounter::fragments]; return Taken::nothing;
        case PacketVerdict::malformed: ++counters[ReceiveCounter::bad_frames]; return Taken::nothing;
        case PacketVerdict::datagram: break;
    }
    ++counters[ReceiveCounter::received];
    counters[ReceiveCounter::bytes] += datagram.payload.size();
    if (cut || datagram.payload.size() > datagram_bytes_) {
        ++counters[ReceiveCounter::truncated];
        return Taken::dropped;
    }
    payloads_[buffer] = datagram.payload.data();
    received = {Timestamp{header.tp_sec} * 1'000'000'000 + header.tp_nsec, buffer,
                static_cast<std::uint16_t>(datagram.payload.size()), ring.line().line, 0};
    return Taken::datagram;
}

std::string af_packet_refusal() {
    try {
        static_cast<void>(open_packet_socket());
        return {};
    } catch (const Error& error) {
        return error.what();
    }
}

}  // namespace millrace::net
