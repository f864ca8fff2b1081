// Receives with recvmmsg(2): works everywhere, and within a tenth of io_uring's cost.
#pragma once

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <vector>

#include "millrace/feed/net/received.hpp"

namespace millrace::net {

// Used by one thread at a time, from start() on.
class RecvmmsgReceiver {
  public:
    static constexpr unsigned kBatch = 32;

    RecvmmsgReceiver(const PacketArena& arena, std::vector<ReceivingSocket> sockets, std::size_t lines)
        : arena_(arena), sockets_(std::move(sockets)), asked_(sockets_.size(), 1), counters_(lines) {
        free_.resize(arena.buffers());  // touched here, and not when the buffers become more
        free_.clear();
        for (std::uint32_t i = arena.usable(); i > 0; --i) free_.push_back(i - 1);
        for (const ReceivingSocket& socket : sockets_) polled_.push_back({socket.fd, POLLIN, 0});
    }

    void start() {}

    // Hands what has arrived to `sink(const Received&)`; returns how many datagrams were taken.
    template <class Sink>
    std::size_t poll(Sink&& sink) {
        std::size_t taken = 0;
        for (std::size_t i = 0; i < sockets_.size(); ++i) taken += poll_socket(sockets_[i], asked_[i], sink);
        return taken;
    }

    // Sleeps until something arrives, for a millisecond at most.
    void wait() { ::poll(polled_.data(), polled_.size(), 1); }
    void release(std::uint32_t buffer) { free_.push_back(buffer); }
    [[nodiscard]] std::uint32_t free_buffers() const { return static_cast<std::uint32_t>(free_.size()) + prepared_; }
    // Looks at `most` of the free buffers and at those that come next, and takes out those from `limit` on, as far as
    // there are others in their place; returns how many these were.
    std::uint32_t withdraw(std::uint32_t limit, std::uint32_t most) {
        std::uint32_t out = 0;
        for (unsigned slot = 0; slot < prepared_ && !free_.empty() && free_.back() < limit; ++slot) {
            if (buffers_[slot] < limit) continue;
            prepare(slot);
            ++out;
        }
        for (std::uint32_t i = 0; i < most && !free_.empty(); ++i) {
            if (looked_at_ >= free_.size()) looked_at_ = 0;
            if (free_[looked_at_] < limit) {
                ++looked_at_;
                continue;
            }
            free_[looked_at_] = free_.back();
            free_.pop_back();
            ++out;
        }
        return out;
    }
    [[nodiscard]] ReceiveCounters& counters(LineId line) { return counters_[line]; }

  private:
    // Asks for `asked` datagrams: one after a poll that found none, since a call that could bring more looks for
    // another one before it returns; and twice as many whenever it brings all of them.
    template <class Sink>
    std::size_t poll_socket(ReceivingSocket& socket, unsigned& asked, Sink& sink) {
        ReceiveCounters& counters = counters_[socket.line];
        while (prepared_ < kBatch && !free_.empty()) prepare(prepared_++);
        if (prepared_ == 0) {
            ++counters[ReceiveCounter::no_buffers];
            return 0;
        }
        const unsigned most = std::min(asked, prepared_);
        const int n = recvmmsg(socket.fd, messages_.data(), most, MSG_DONTWAIT, nullptr);
        if (n < 0) {
            asked = 1;
            if (errno != EAGAIN && errno != EINTR) ++counters[ReceiveCounter::socket_errors];
            return 0;
        }
        const auto filled = static_cast<unsigned>(n);
        if (filled == most) asked = std::min(2 * most, kBatch);
        std::size_t taken = 0;
        for (unsigned i = 0; i < filled; ++i) taken += take(socket, counters, messages_[i], buffers_[i], sink);
        refill(filled);
        return taken;
    }

    void prepare(unsigned slot) {
        lay_out(slot, free_.back());
        free_.pop_back();
    }
    void lay_out(unsigned slot, std::uint32_t buffer) {
        std::uint8_t* at = arena_[buffer];
        buffers_[slot] = buffer;
        parts_[slot] = {at + kBufferHead, arena_.buffer_bytes() - kBufferHead};
        messages_[slot].msg_hdr = {nullptr, 0, &parts_[slot], 1, at, kBufferHead, 0};
    }
    // The first `used` slots need other buffers; those without one are filled from the back.
    void refill(unsigned used) {
        while (used > 0) {
            --used;
            if (!free_.empty()) {
                prepare(used);
                continue;
            }
            --prepared_;
            if (used != prepared_) lay_out(used, buffers_[prepared_]);
        }
    }

    template <class Sink>
    std::size_t take(ReceivingSocket& socket, ReceiveCounters& counters, mmsghdr& message, std::uint32_t buffer,
                     Sink& sink) {
        const auto control = ControlMessages::of(message.msg_hdr);
        const bool cut = (message.msg_hdr.msg_flags & MSG_TRUNC) != 0;
        const std::size_t datagrams = note_received(socket, control, message.msg_len, cut, counters);
        if (cut) release(buffer);
        else sink(describe(arena_, buffer, socket.line, control, message.msg_len, datagrams));
        return datagrams;
    }

    const PacketArena& arena_;
    std::vector<ReceivingSocket> sockets_;
    std::vector<unsigned> asked_;  // of each
    std::vector<ReceiveCounters> counters_;
    std::vector<std::uint32_t> free_;  // the one used last is taken first: it may still be in the cache
    std::size_t looked_at_ = 0;        // withdraw() goes round
    std::vector<pollfd> polled_;
    // What the next call fills: the first so many slots, laid out when they were last used and not at every poll.
    unsigned prepared_ = 0;
    std::array<std::uint32_t, kBatch> buffers_{};
    std::array<mmsghdr, kBatch> messages_{};
    std::array<iovec, kBatch> parts_{};
};

}  // namespace millrace::net
