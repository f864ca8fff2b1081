// One pinned thread that receives a line and passes descriptors to the decoder through a ring.
#pragma once

#include <atomic>
#include <exception>
#include <span>
#include <string>
#include <thread>

#include "millrace/core/error.hpp"
#include "millrace/core/published.hpp"
#include "millrace/core/spsc_ring.hpp"
#include "millrace/feed/net/receiver.hpp"

namespace millrace::net {

class ReceiverThread {
  public:
    // Opens the line and starts the thread; returns once it receives. Throws Error.
    ReceiverThread(const LineConfig& line, LineId id, std::size_t line_count, const ReceiveConfig& config,
                   Backend backend, int cpu, Idle idle);
    ~ReceiverThread() { stop(); }
    ReceiverThread(const ReceiverThread&) = delete;
    ReceiverThread& operator=(const ReceiverThread&) = delete;

    // ---- the decoder's side ----

    // At most `most` datagrams, oldest first; each goes back by release().
    [[nodiscard]] std::size_t take(Received* datagrams, std::size_t most) { return out_.pop(datagrams, most); }
    void release(std::uint32_t buffer) {
        // Holds every buffer there is, so that it is never full.
        const bool pushed = back_.push(buffer);
        MILLRACE_ASSERT(pushed);
        static_cast<void>(pushed);
    }
    [[nodiscard]] std::span<const std::uint8_t> bytes(const Received& received) const {
        return receiver_.bytes(received);
    }
    // No datagram received by the kernel before this moment is still to come (ns since the epoch).
    // acquire: pairs with the store in run(); what was pushed before it can be popped.
    [[nodiscard]] Timestamp idle_at() const { return idle_at_.load(std::memory_order_acquire); }
    [[nodiscard]] std::size_t occupancy() const { return out_.size(); }
    [[nodiscard]] std::size_t capacity() const { return out_.capacity(); }

    // ---- any thread ----

    [[nodiscard]] ReceiveCounters counters() const { return published_.read(); }
    [[nodiscard]] std::size_t socket_buffer_bytes() const { return receiver_.socket_buffer_bytes(); }
    // Ends the thread within milliseconds. What it has handed over can still be taken.
    void stop();

  private:
    void run();
    void idle();

    LineId line_;
    Idle idle_;
    Receiver receiver_;            // the thread's, but for the arena's bytes
    SpscRing<Received> out_;       // thread -> decoder
    SpscRing<std::uint32_t> back_; // decoder -> thread: buffers to use again
    Published<ReceiveCounters> published_;
    alignas(kCacheLine) std::atomic<Timestamp> idle_at_{0};  // thread writes, decoder reads
    std::atomic<bool> stop_{false};                          // stop() writes, thread reads
    std::atomic<int> state_{0};                              // thread writes: 1 receiving, 2 failed
    std::exception_ptr problem_;                             // thread writes before state_ becomes 2
    std::thread thread_;
};

}  // namespace millrace::net
