// Receives with io_uring: one multishot receive a socket stays armed over a ring of preallocated buffers.
//
// The ring defers its work to the one thread that polls it (DEFER_TASKRUN, SINGLE_ISSUER; Linux 6.1) or,
// on 6.0, merely does not interrupt it (COOP_TASKRUN). Every completion that does not promise another one
// arms its socket again: a datagram of no bytes, an ICMP error or a lack of buffers ends a multishot.
#pragma once

#include <liburing.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>
#include <vector>

#include "millrace/feed/net/received.hpp"

namespace millrace::net {

// Made on any thread; used by the one that calls start() from then on.
class IoUringReceiver {
  public:
    // Throws Error(backend) when the kernel refuses; says what it refused.
    IoUringReceiver(const PacketArena& arena, std::vector<ReceivingSocket> sockets, std::size_t lines);
    ~IoUringReceiver();
    IoUringReceiver(const IoUringReceiver&) = delete;
    IoUringReceiver& operator=(const IoUringReceiver&) = delete;

    // Arms all sockets. Throws Error(backend).
    void start();

    // Hands what has arrived to `sink(const Received&)`; returns how many datagrams were taken.
    template <class Sink>
    std::size_t poll(Sink&& sink) {
        if (io_uring_cq_ready(&ring_) == 0) io_uring_get_events(&ring_);
        std::size_t taken = 0;
        unsigned head = 0;
        unsigned seen = 0;
        io_uring_cqe* cqe = nullptr;
        io_uring_for_each_cqe(&ring_, head, cqe) {
            ++seen;
            taken += complete(*cqe, sink);
        }
        io_uring_cq_advance(&ring_, seen);
        if (to_arm_ != 0 || unsubmitted_) arm_again();
        return taken;
    }

    // Sleeps until something arrives, for a millisecond at most.
    void wait();
    void release(std::uint32_t buffer) {
        io_uring_buf_ring_add(buffers_, arena_[buffer], arena_.buffer_bytes(), static_cast<unsigned short>(buffer),
                              static_cast<int>(arena_.buffers() - 1), 0);
        io_uring_buf_ring_advance(buffers_, 1);
        ++available_;
    }
    [[nodiscard]] std::uint32_t free_buffers() const { return available_; }
    // What the kernel has it gives back by using it, the oldest first.
    std::uint32_t withdraw(std::uint32_t, std::uint32_t) { return 0; }
    [[nodiscard]] ReceiveCounters& counters(LineId line) { return counters_[line]; }

  private:
    static constexpr unsigned kGroup = 0;

    template <class Sink>
    std::size_t complete(const io_uring_cqe& cqe, Sink& sink) {
        const auto index = static_cast<std::size_t>(io_uring_cqe_get_data64(&cqe));
        ReceivingSocket& socket = sockets_[index];
        ReceiveCounters& counters = counters_[socket.line];
        if ((cqe.flags & IORING_CQE_F_MORE) == 0) {
            armed_[index] = false;
            ++to_arm_;
        }
        if ((cqe.flags & IORING_CQE_F_BUFFER) == 0) {
            ++counters[cqe.res == -ENOBUFS ? ReceiveCounter::no_buffers : ReceiveCounter::socket_errors];
            return 0;
        }
        const std::uint32_t buffer = cqe.flags >> IORING_CQE_BUFFER_SHIFT;
        --available_;
        io_uring_recvmsg_out* out = io_uring_recvmsg_validate(arena_[buffer], cqe.res, &shape_);
        if (out == nullptr) {
            ++counters[ReceiveCounter::socket_errors];
            release(buffer);
            return 0;
        }
        return take(socket, counters, cqe.res, *out, buffer, sink);
    }

    template <class Sink>
    std::size_t take(ReceivingSocket& socket, ReceiveCounters& counters, int size, io_uring_recvmsg_out& out,
                     std::uint32_t buffer, Sink& sink) {
        ControlMessages control;
        for (cmsghdr* at = io_uring_recvmsg_cmsg_firsthdr(&out, &shape_); at != nullptr;
             at = io_uring_recvmsg_cmsg_nexthdr(&out, &shape_, at)) {
            control.read(*at);
        }
        note_drops(socket, control, counters);
        const auto length = io_uring_recvmsg_payload_length(&out, size, &shape_);
        const std::size_t datagrams = datagrams_in(length, control.segment);
        counters[ReceiveCounter::received] += datagrams;
        counters[ReceiveCounter::bytes] += length;
        if ((out.flags & MSG_TRUNC) != 0) {
            counters[ReceiveCounter::truncated] += datagrams;
            release(buffer);
            return datagrams;
        }
        if (datagrams > 1) note_segment(arena_[buffer], control.segment);
        sink(Received{control.received_at, buffer, static_cast<std::uint16_t>(length), socket.line, datagrams > 1});
        return datagrams;
    }

    void arm(std::size_t index);
    void arm_again();

    const PacketArena& arena_;
    std::vector<ReceivingSocket> sockets_;
    std::vector<ReceiveCounters> counters_;
    std::vector<bool> armed_;
    std::size_t to_arm_ = 0;
    bool unsubmitted_ = false;     // the kernel did not take what was armed
    std::uint32_t available_ = 0;  // buffers in the kernel's hands
    msghdr shape_{};               // how a buffer is divided: no name, control messages, payload
    io_uring ring_{};
    io_uring_buf_ring* buffers_ = nullptr;
    std::size_t buffers_bytes_ = 0;
};

// Why this process cannot receive with io_uring into so many buffers, a power of two; empty when it can. Tries it:
// the kernel counts the rings as locked memory.
[[nodiscard]] std::string io_uring_refusal(std::uint32_t buffers = 2);

}  // namespace millrace::net
