// One pinned thread that receives a line and passes descriptors to the decoder through a ring.
#pragma once

#include <atomic>
#include <exception>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>

#include "millrace/feed/net/hand_over.hpp"
#include "millrace/feed/net/receiver.hpp"

namespace millrace::net {

class ReceiverThread {
  public:
    // Opens the line and starts the thread; returns once it receives. Throws Error.
    ReceiverThread(const LineConfig& line, LineId id, std::size_t line_count, const ReceiveConfig& config,
                   Backend backend, int cpu, Idle idle, const ElasticTiming& timing = {});
    ~ReceiverThread() { stop(); }
    ReceiverThread(const ReceiverThread&) = delete;
    ReceiverThread& operator=(const ReceiverThread&) = delete;

    // ---- the decoder's side ----

    // At most `most` receives, oldest first; the buffer of each goes back by release().
    [[nodiscard]] std::size_t take(Received* datagrams, std::size_t most) { return queue_.take(datagrams, most); }
    void release(std::uint32_t buffer) { queue_.release(buffer); }
    [[nodiscard]] std::span<const std::uint8_t> bytes(const Received& received) const {
        return receiver_->bytes(received);
    }
    // Calls `use(bytes)` for each datagram that was received together.
    template <class Use>
    void for_each_datagram(const Received& received, Use&& use) const {
        receiver_->for_each_datagram(received, use);
    }
    // No datagram received by the kernel before this moment is still to come (ns since the epoch).
    // acquire: pairs with the store in run(); what was pushed before it can be popped.
    [[nodiscard]] Timestamp idle_at() const { return idle_at_.load(std::memory_order_acquire); }
    [[nodiscard]] std::size_t occupancy() const { return queue_.occupancy(); }
    [[nodiscard]] std::size_t capacity() const { return queue_.capacity(); }

    // ---- any thread ----

    [[nodiscard]] ReceiveCounters counters() const { return queue_.counters(); }
    [[nodiscard]] std::size_t socket_buffer_bytes() const { return socket_buffer_bytes_; }
    // Ends the thread within milliseconds. What it has handed over can still be taken.
    void stop();
    // The thread met an error that it could not go on from; restart() makes it good.
    [[nodiscard]] bool failed() const { return failed_.load(std::memory_order_relaxed); }

    // A control thread, every few milliseconds: more or fewer receive buffers, as the line wants. Takes page faults.
    void look_after_buffers(Timestamp now);

    // On the decoder's thread, with the queue empty and every buffer released, after stop(): opens the line
    // anew and starts another thread; counters go on. False when that cannot be, and may then be tried again.
    [[nodiscard]] bool restart() noexcept;

  private:
    void reopen();
    void start();
    void run();
    void receive();
    void idle();

    LineConfig config_;
    LineId line_;
    std::size_t line_count_;
    ReceiveConfig receive_config_;
    Backend backend_;
    int cpu_;
    Idle idle_;
    ElasticTiming timing_;
    std::size_t socket_buffer_bytes_ = 0;
    std::mutex replacing_;                // of receiver_: reopen() and look_after_buffers(), which are no hot path
    std::unique_ptr<Receiver> receiver_;  // the thread's, but for the arena's bytes and for how many there are
    HandOver queue_;  // between the thread and the decoder
    alignas(kCacheLine) std::atomic<Timestamp> idle_at_{0};  // thread writes, decoder reads
    std::atomic<bool> stop_{false};                          // stop() writes, thread reads
    std::atomic<bool> failed_{false};                        // thread writes, decoder reads
    std::atomic<int> state_{0};                              // thread writes: 1 receiving, 2 failed
    std::exception_ptr problem_;                             // thread writes before state_ becomes 2
    std::thread thread_;
};

}  // namespace millrace::net
