// What passes between a receiving thread and the decoder: descriptors one way, buffers the other, and what was counted.
#pragma once

#include <cstdint>

#include "millrace/core/error.hpp"
#include "millrace/core/published.hpp"
#include "millrace/core/spsc_ring.hpp"
#include "millrace/feed/net/received.hpp"

namespace millrace::net {

class HandOver {
  public:
    // `buffers`: how many may be out at once, so that giving one back always finds room.
    HandOver(std::size_t queue, std::size_t buffers) : out_(queue), back_(buffers) {}

    // ---- the receiving thread ----

    // So many datagrams in one buffer. False when the queue is full: the buffer stays with the caller.
    [[nodiscard]] bool offer(const Received& received, std::size_t datagrams, ReceiveCounters& counters) {
        if (!out_.has_room()) {
            counters[ReceiveCounter::queue_full] += datagrams;
            return false;
        }
        // Published first: as soon as it is in the queue the decoder may count it as arbitrated.
        counters[ReceiveCounter::handed_over] += datagrams;
        published_.publish(counters);
        static_cast<void>(out_.push(received));
        return true;
    }
    // The next buffer that came back; false when there is none.
    [[nodiscard]] bool take_back(std::uint32_t& buffer) { return back_.pop(buffer); }
    void publish(const ReceiveCounters& counters) { published_.publish(counters); }

    // ---- the decoder ----

    // At most `most` receives, oldest first; the buffer of each goes back by release().
    [[nodiscard]] std::size_t take(Received* datagrams, std::size_t most) { return out_.pop(datagrams, most); }
    void release(std::uint32_t buffer) {
        const bool pushed = back_.push(buffer);
        MILLRACE_ASSERT(pushed);
        static_cast<void>(pushed);
    }
    [[nodiscard]] std::size_t occupancy() const { return out_.size(); }
    [[nodiscard]] std::size_t capacity() const { return out_.capacity(); }

    // ---- any thread ----

    [[nodiscard]] ReceiveCounters counters() const { return published_.read(); }

  private:
    SpscRing<Received> out_;
    SpscRing<std::uint32_t> back_;
    Published<ReceiveCounters> published_;
};

}  // namespace millrace::net
