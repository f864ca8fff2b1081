// What wakes a producer thread that has nothing to do until somebody else acts.
#pragma once

#include <atomic>
#include <cstdint>

namespace millrace::python {

// Whoever waits reads the bell, looks whether there is something to do, and only then waits for
// the next ring: a ring in between is not missed.
class Bell {
  public:
    [[nodiscard]] std::uint32_t heard() const { return rings_.load(std::memory_order_acquire); }
    void wait(std::uint32_t heard) const { rings_.wait(heard, std::memory_order_acquire); }
    // release: what was done before the ring is seen by whoever heard it.
    void ring() {
        rings_.fetch_add(1, std::memory_order_release);
        rings_.notify_all();
    }

  private:
    std::atomic<std::uint32_t> rings_{0};
};

}  // namespace millrace::python
