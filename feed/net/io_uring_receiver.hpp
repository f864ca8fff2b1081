// Receives with io_uring: multishot receives over a ring of preallocated buffers.
//
// A poll asks each socket that is not armed for what it holds now (MSG_DONTWAIT), in the call that it makes anyway:
// nobody has to be woken for a datagram. One that had none the last time is asked for a single datagram, since a
// multishot looks for another one before it shows the first. Before it sleeps, and where there are many sockets, which
// cost a look each, the receives stay armed until something ends them: a datagram of no bytes, an ICMP error, a lack
// of buffers.
//
// The ring defers its work to the one thread that polls it (DEFER_TASKRUN, SINGLE_ISSUER; Linux 6.1) or,
// on 6.0, merely does not interrupt it (COOP_TASKRUN).
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

    // Throws Error(backend).
    void start();

    // Hands what has arrived to `sink(const Received&)`; returns how many datagrams were taken.
    template <class Sink>
    std::size_t poll(Sink&& sink) {
        if (io_uring_cq_ready(&ring_) == 0) look();
        std::size_t taken = 0;
        unsigned head = 0;
        unsigned seen = 0;
        io_uring_cqe* cqe = nullptr;
        io_uring_for_each_cqe(&ring_, head, cqe) {
            ++seen;
            taken += complete(*cqe, sink);
        }
        io_uring_cq_advance(&ring_, seen);
        return taken;
    }

    // Sleeps until something arrives, for a millisecond at most.
    void wait();
    void release(std::uint32_t buffer) {
        ++available_;
        if (asks() && spare_.size() < sockets_.size()) return spare_.push_back(buffer);
        io_uring_buf_ring_add(buffers_, arena_[buffer], arena_.buffer_bytes(), static_cast<unsigned short>(buffer),
                              static_cast<int>(arena_.buffers() - 1), 0);
        io_uring_buf_ring_advance(buffers_, 1);
    }
    [[nodiscard]] std::uint32_t free_buffers() const { return available_; }
    // Takes out the spare buffers from `limit` on; returns how many these were. What the kernel has it gives back by
    // using it, the oldest first, but a spare one would lie there while receives stay armed.
    std::uint32_t withdraw(std::uint32_t limit, std::uint32_t) {
        const auto out = static_cast<std::uint32_t>(
            std::erase_if(spare_, [limit](std::uint32_t buffer) { return buffer >= limit; }));
        available_ -= out;
        return out;
    }
    [[nodiscard]] ReceiveCounters& counters(LineId line) { return counters_[line]; }

  private:
    static constexpr unsigned kGroup = 0;
    static constexpr std::size_t kAskedMax = 4;  // more sockets than that stay armed
    static constexpr std::uint64_t kSingle = std::uint64_t{1} << 63;  // in a completion's data, beside the socket's index

    // What a socket was asked for last.
    struct Asked {
        void lay_out(std::uint32_t into, const PacketArena& arena);

        bool armed = false;        // it has not answered yet, or will again
        bool had_some = false;     // datagrams
        std::uint32_t buffer = 0;  // of a single receive
        iovec part{};
        msghdr message{};
    };

    template <class Sink>
    std::size_t complete(const io_uring_cqe& cqe, Sink& sink) {
        const std::uint64_t data = io_uring_cqe_get_data64(&cqe);
        const auto index = static_cast<std::size_t>(data & ~kSingle);
        if ((cqe.flags & IORING_CQE_F_MORE) == 0) asked_[index].armed = false;
        const bool single = (data & kSingle) != 0;
        const bool filled = single || (cqe.flags & IORING_CQE_F_BUFFER) != 0;
        const std::uint32_t buffer = single ? asked_[index].buffer : cqe.flags >> IORING_CQE_BUFFER_SHIFT;
        if (filled) --available_;
        if (filled && cqe.res >= 0) {
            asked_[index].had_some = true;
            return single ? take_single(index, cqe.res, sink) : take_one_of_many(index, cqe.res, buffer, sink);
        }
        if (filled) release(buffer);  // single, or of a kernel before 6.10
        ReceiveCounters& counters = counters_[sockets_[index].line];
        if (cqe.res == -ENOBUFS) ++counters[ReceiveCounter::no_buffers];
        else if (cqe.res != -EAGAIN) ++counters[ReceiveCounter::socket_errors];
        return 0;
    }

    template <class Sink>
    std::size_t take_single(std::size_t index, int size, Sink& sink) {
        Asked& asked = asked_[index];
        return take(index, ControlMessages::of(asked.message), asked.message.msg_flags, static_cast<std::size_t>(size),
                    asked.buffer, sink);
    }

    template <class Sink>
    std::size_t take_one_of_many(std::size_t index, int size, std::uint32_t buffer, Sink& sink) {
        io_uring_recvmsg_out* out = io_uring_recvmsg_validate(arena_[buffer], size, &shape_);
        if (out == nullptr) {
            ++counters_[sockets_[index].line][ReceiveCounter::socket_errors];
            release(buffer);
            return 0;
        }
        ControlMessages control;
        for (cmsghdr* at = io_uring_recvmsg_cmsg_firsthdr(out, &shape_); at != nullptr;
             at = io_uring_recvmsg_cmsg_nexthdr(out, &shape_, at)) {
            control.read(*at);
        }
        return take(index, control, static_cast<int>(out->flags), io_uring_recvmsg_payload_length(out, size, &shape_),
                    buffer, sink);
    }

    template <class Sink>
    std::size_t take(std::size_t index, const ControlMessages& control, int flags, std::size_t length,
                     std::uint32_t buffer, Sink& sink) {
        ReceivingSocket& socket = sockets_[index];
        const bool cut = (flags & MSG_TRUNC) != 0;
        const std::size_t datagrams = note_received(socket, control, length, cut, counters_[socket.line]);
        if (cut) release(buffer);
        else sink(describe(arena_, buffer, socket.line, control, length, datagrams));
        return datagrams;
    }

    void register_files();
    [[nodiscard]] bool asks() const { return sockets_.size() <= kAskedMax; }
    // Asks the sockets that are not armed, and lets the kernel tell of those that are.
    void look();
    enum class Armed : std::uint8_t { now, on };  // for what is there; for what is to come
    void arm(std::size_t index, Armed how);
    void arm_all(Armed how);
    void note_submitted(int result);

    const PacketArena& arena_;
    std::vector<ReceivingSocket> sockets_;
    std::vector<ReceiveCounters> counters_;
    std::vector<Asked> asked_;           // by socket
    std::vector<std::uint32_t> spare_;   // buffers for single receives, one a socket at most
    std::uint32_t available_ = 0;  // buffers in the kernel's hands, or spare
    msghdr shape_{};               // how a buffer is divided: no name, control messages, payload
    io_uring ring_{};
    io_uring_buf_ring* buffers_ = nullptr;
    std::size_t buffers_bytes_ = 0;
};

// Why this process cannot receive with io_uring into so many buffers, a power of two; empty when it can. Tries it:
// the kernel counts the rings as locked memory.
[[nodiscard]] std::string io_uring_refusal(std::uint32_t buffers = 2);

}  // namespace millrace::net
