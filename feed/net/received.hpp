// What receivers share: the datagram they hand over, the buffers it lies in, and what they count.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <cstring>
#include <ctime>
#include <span>

#include "millrace/core/packet_arena.hpp"
#include "millrace/core/types.hpp"
#include "millrace/feed/counters.hpp"

namespace millrace::net {

inline constexpr int kUdpGro = 104;  // UDP_GRO of <linux/udp.h> (Linux 5.0), which <netinet/udp.h> may not have

// Front of every receive buffer, where the kernel puts control messages; the payload follows it. One
// cache line boundary, so that the payload is aligned.
inline constexpr std::uint32_t kBufferHead = 128;

// A received datagram in an arena buffer, or several of one size. Whoever gets it gives the buffer back to its
// receiver.
struct Received {
    Timestamp received_at = 0;  // by the kernel, ns since the epoch
    std::uint32_t buffer = 0;
    std::uint16_t length = 0;   // of the payload
    LineId line = 0;
    bool several = false;       // datagrams, one behind the other: segment_bytes() each, but for the last
};
static_assert(sizeof(Received) == 16, "descriptors travel through rings");

[[nodiscard]] inline std::span<const std::uint8_t> payload(const PacketArena& arena, const Received& received) {
    return {arena[received.buffer] + kBufferHead, received.length};
}

// Where several datagrams are in a buffer, its head ends with how long each of them is: the receiver notes it there
// once it has read the control messages.
inline void note_segment(std::uint8_t* buffer, std::uint16_t bytes) {
    std::memcpy(buffer + kBufferHead - sizeof(bytes), &bytes, sizeof(bytes));
}
[[nodiscard]] inline std::uint16_t segment_bytes(const PacketArena& arena, const Received& received) {
    std::uint16_t bytes = 0;
    std::memcpy(&bytes, arena[received.buffer] + kBufferHead - sizeof(bytes), sizeof(bytes));
    return bytes;
}
// How many datagrams of `segment` bytes these are; 0 stands for one of any length.
[[nodiscard]] inline std::uint32_t datagrams_in(std::size_t length, std::uint16_t segment) {
    return segment == 0 ? 1 : static_cast<std::uint32_t>((length + segment - 1) / segment);
}

// By line, on the receiving side. Written by the receiver's thread only.
enum class ReceiveCounter : std::uint8_t {
    received, bytes, truncated, queue_full, handed_over, kernel_drops, no_buffers, socket_errors, restarts,
    reconnects, refused, failed, buffers, grants, retired, buffers_cap, fragments, bad_frames, vlan_frames
};
inline constexpr std::array<CounterInfo, 19> kReceiveCounters{{
    {"received", "packets", "datagrams taken from the kernel"},
    {"bytes", "bytes", "payload of these"},
    {"truncated", "packets", "datagrams longer than a receive buffer, dropped"},
    {"queue_full", "packets", "datagrams dropped because the queue to the decoder was full"},
    {"handed_over", "packets", "datagrams put into the queue to the decoder, or decoded at once"},
    {"kernel_drops", "packets", "datagrams the kernel dropped because the socket buffer was full"},
    {"no_buffers", "times", "reception paused because all receive buffers were in use"},
    {"socket_errors", "times", "the socket reported an error; reception went on"},
    {"restarts", "times", "the line was opened anew: its interface had changed, or its receiver had failed"},
    {"reconnects", "times", "a TCP server that had been lost was there again, and accepted the login"},
    {"refused", "times", "a TCP server refused the login"},
    {"failed", "times", "a TCP server could not be reached, was silent, hung up, or no longer had the session"},
    {"buffers", "buffers", "receive buffers there are at this moment"},
    {"grants", "times", "receive buffers were added to: one for each chunk of memory"},
    {"retired", "times", "receive buffers were taken back, since they had long not been needed"},
    {"buffers_cap", "times", "more receive buffers were wanted than receive.buffers_max, or the host, allows"},
    {"fragments", "packets", "af_packet: IP fragments to a group of the line, which are not put together"},
    {"bad_frames", "packets", "af_packet: packets to a group of the line with lengths or a checksum that cannot be"},
    {"vlan_frames", "packets", "af_packet: packets of a VLAN, which are its own interface's"},
}};
using ReceiveCounters = CounterBlock<ReceiveCounter, kReceiveCounters.size()>;

// Reads the control messages of one receive: its time, how many the socket has dropped so far, and how long each
// datagram is where there are several.
struct ControlMessages {
    Timestamp received_at = 0;
    std::uint32_t drops = 0;
    bool has_drops = false;
    std::uint16_t segment = 0;  // 0: there is one

    [[nodiscard]] static ControlMessages of(msghdr& message) {
        ControlMessages control;
        for (cmsghdr* at = CMSG_FIRSTHDR(&message); at != nullptr; at = CMSG_NXTHDR(&message, at)) control.read(*at);
        return control;
    }
    void read(const cmsghdr& message) {
        if (message.cmsg_level == IPPROTO_UDP && message.cmsg_type == kUdpGro) {
            int bytes = 0;
            std::memcpy(&bytes, CMSG_DATA(&message), sizeof(bytes));
            segment = static_cast<std::uint16_t>(bytes);
        }
        if (message.cmsg_level != SOL_SOCKET) return;
        if (message.cmsg_type == SCM_TIMESTAMPNS) {
            timespec time{};
            std::memcpy(&time, CMSG_DATA(&message), sizeof(time));
            received_at = Timestamp{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
        } else if (message.cmsg_type == SO_RXQ_OVFL) {
            std::memcpy(&drops, CMSG_DATA(&message), sizeof(drops));
            has_drops = true;
        }
    }
};

// One socket of a line, and what it last said of its drops.
struct ReceivingSocket {
    int fd = -1;
    LineId line = 0;
    std::uint32_t drops_seen = 0;
};

// The kernel's drop count is cumulative, by socket.
inline void note_drops(ReceivingSocket& socket, const ControlMessages& control, ReceiveCounters& counters) {
    if (!control.has_drops) return;
    counters[ReceiveCounter::kernel_drops] += control.drops - socket.drops_seen;
    socket.drops_seen = control.drops;
}

// What one receive of a socket brought: counted, ...
[[nodiscard]] inline std::size_t note_received(ReceivingSocket& socket, const ControlMessages& control,
                                               std::size_t length, bool cut, ReceiveCounters& counters) {
    note_drops(socket, control, counters);
    const std::size_t datagrams = datagrams_in(length, control.segment);
    counters[ReceiveCounter::received] += datagrams;
    counters[ReceiveCounter::bytes] += length;
    if (cut) counters[ReceiveCounter::truncated] += datagrams;
    return datagrams;
}
// ... and as it is handed over.
[[nodiscard]] inline Received describe(const PacketArena& arena, std::uint32_t buffer, LineId line,
                                       const ControlMessages& control, std::size_t length, std::size_t datagrams) {
    if (datagrams > 1) note_segment(arena[buffer], control.segment);
    return {control.received_at, buffer, static_cast<std::uint16_t>(length), line, datagrams > 1};
}

}  // namespace millrace::net
