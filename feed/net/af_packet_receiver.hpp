// Receives from packet sockets (AF_PACKET), whose frames lie in a ring that is shared with the kernel: a poll looks at
// memory and makes no system call, and the network stack behind the interface is passed by. For who may open one
// (CAP_NET_RAW).
//
// The frames are the receive buffers. A ring cannot grow, so that its number of frames is what the config starts with.
// What a UDP socket does is done here: only whole datagrams to the line's own groups pass, with sound lengths and
// checksums. Fragments are not put together; they are counted.
#pragma once

#include <linux/if_packet.h>
#include <poll.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "millrace/feed/net/link_layer.hpp"
#include "millrace/feed/net/receive_config.hpp"
#include "millrace/feed/net/received.hpp"
#include "millrace/feed/net/socket.hpp"

namespace millrace::net {

// What of an interface is a line.
struct PacketLine {
    LineId line = 0;
    Interface interface;
    std::vector<Endpoint> groups;
};

// One packet socket and its ring, in the kernel's version 2: a frame is shown as soon as it is written, where version 3
// waits for a block to fill or for a timer.
class PacketRing {
  public:
    // At least `frames` of them, each for a datagram of `datagram_bytes`. Throws Error(privilege, memory, backend).
    PacketRing(const PacketLine& line, std::uint32_t frames, std::uint32_t datagram_bytes);
    ~PacketRing();
    PacketRing(const PacketRing&) = delete;
    PacketRing& operator=(const PacketRing&) = delete;

    [[nodiscard]] std::uint32_t frames() const { return frames_; }
    [[nodiscard]] int fd() const { return socket_.fd(); }
    [[nodiscard]] const PacketLine& line() const { return line_; }

    [[nodiscard]] std::uint8_t* frame(std::uint32_t index) const { return base_ + std::size_t{index} * frame_bytes_; }
    [[nodiscard]] const tpacket2_hdr& header(std::uint32_t index) const {
        return *reinterpret_cast<const tpacket2_hdr*>(frame(index));
    }
    // acquire: pairs with the kernel's store of the status; the frame is written before it.
    [[nodiscard]] std::uint32_t status(std::uint32_t index) const {
        return std::atomic_ref(status_word(index)).load(std::memory_order_acquire);
    }
    // release: pairs with the kernel's look at the status; whatever was read of the frame was read before it.
    void give_back(std::uint32_t index) {
        std::atomic_ref(status_word(index)).store(TP_STATUS_KERNEL, std::memory_order_release);
    }
    // Frames that found the ring full since the last time it was asked. A system call.
    [[nodiscard]] std::uint32_t take_drops();

    std::uint32_t next = 0;  // frame that the kernel fills next

  private:
    [[nodiscard]] std::uint32_t& status_word(std::uint32_t index) const {
        return reinterpret_cast<tpacket2_hdr*>(frame(index))->tp_status;
    }
    void set_up(std::uint32_t frames);

    PacketLine line_;
    std::uint32_t frame_bytes_;
    std::uint32_t frames_ = 0;
    Socket socket_;
    std::uint8_t* base_ = nullptr;
};

// What the kernel's own stack would make of an IP packet that came to `line`.
enum class PacketVerdict : std::uint8_t { datagram, foreign, fragment, malformed };
// `checked`: the checksum of UDP is known to be right. Never reads outside `packet`.
[[nodiscard]] PacketVerdict inspect(const PacketLine& line, std::span<const std::uint8_t> packet, bool checked,
                                    UdpDatagram& datagram);

// Made on any thread; used by the one that calls start() from then on.
class AfPacketReceiver {
  public:
    AfPacketReceiver(const std::vector<PacketLine>& lines, const ReceiveConfig& config, std::size_t line_count);

    void start() {}

    // Hands what has arrived to `sink(const Received&)`; returns how many datagrams were taken.
    template <class Sink>
    std::size_t poll(Sink&& sink) {
        std::size_t taken = 0;
        for (std::uint32_t r = 0; r < rings_.size(); ++r) taken += poll_ring(r, sink);
        return taken;
    }

    // Sleeps until something arrives, for a millisecond at most.
    void wait() { ::poll(polled_.data(), polled_.size(), 1); }
    void release(std::uint32_t buffer) {
        out_[buffer] = false;
        rings_[buffer / frames_]->give_back(buffer % frames_);
    }
    [[nodiscard]] ReceiveCounters& counters(LineId line) { return counters_[line]; }
    [[nodiscard]] std::uint32_t buffers() const { return frames_ * static_cast<std::uint32_t>(rings_.size()); }
    // Of a datagram that was handed over, on whichever thread has it.
    [[nodiscard]] std::span<const std::uint8_t> bytes(const Received& received) const {
        return {payloads_[received.buffer], received.length};
    }

  private:
    static constexpr std::uint32_t kBatch = 32;

    template <class Sink>
    std::size_t poll_ring(std::uint32_t r, Sink& sink) {
        PacketRing& ring = *rings_[r];
        ReceiveCounters& counters = counters_[ring.line().line];
        std::size_t taken = 0;
        bool losing = false;
        for (std::uint32_t i = 0; i < kBatch; ++i) {
            const std::uint32_t status = ring.status(ring.next);
            if ((status & TP_STATUS_USER) == 0) break;
            const std::uint32_t buffer = r * frames_ + ring.next;
            if (out_[buffer]) {  // once around, and still not given back
                ++counters[ReceiveCounter::no_buffers];
                break;
            }
            if ((status & TP_STATUS_LOSING) != 0 && !losing) {
                losing = true;
                counters[ReceiveCounter::kernel_drops] += ring.take_drops();
            }
            ring.next = (ring.next + 1) % frames_;
            out_[buffer] = true;
            Received received;
            const Taken what = take(ring, buffer, status, counters, received);
            if (what == Taken::datagram) sink(received);
            else release(buffer);
            if (what != Taken::nothing) ++taken;
        }
        return taken;
    }

    enum class Taken : std::uint8_t { nothing, dropped, datagram };
    Taken take(const PacketRing& ring, std::uint32_t buffer, std::uint32_t status, ReceiveCounters& counters,
               Received& received);

    std::uint32_t frames_ = 1;  // of a ring; buffers are numbered through
    std::uint32_t datagram_bytes_;
    std::vector<std::unique_ptr<PacketRing>> rings_;
    std::vector<ReceiveCounters> counters_;
    std::vector<std::uint8_t> out_;  // by buffer: it is with whoever it was handed to
    // By buffer. The receiving thread writes one before it hands the buffer over, who has that reads it.
    std::vector<const std::uint8_t*> payloads_;
    std::vector<pollfd> polled_;
};

// Why this process cannot open packet sockets; empty when it can. Tries it.
[[nodiscard]] std::string af_packet_refusal();

// The sockets that join a line's groups for it get no datagrams of their own.
void silence(const Socket& socket);

}  // namespace millrace::net
