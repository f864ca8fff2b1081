// A bounded ring between exactly one producing and one consuming thread.
#pragma once

#include <cstddef>
#include <type_traits>

#include <boost/lockfree/spsc_queue.hpp>

namespace millrace {

// Capacity is fixed, and its memory touched, at construction. push on one thread, pop on one other.
template <class T>
class SpscRing {
    static_assert(std::is_trivially_copyable_v<T>);

  public:
    explicit SpscRing(std::size_t capacity) : queue_(capacity), capacity_(capacity) {
        // Goes once around, so that no page of the ring is touched first by a hot thread.
        for (std::size_t i = 0; i < capacity; ++i) queue_.push(T{});
        queue_.reset();
    }

    // Producer. Whether the next push will find room.
    [[nodiscard]] bool has_room() const { return queue_.write_available() != 0; }
    // Producer. False when the ring is full.
    [[nodiscard]] bool push(const T& item) { return queue_.push(item); }
    // Consumer. False when the ring is empty.
    [[nodiscard]] bool pop(T& item) { return queue_.pop(item); }
    // Consumer. Pops at most `most` items; returns how many.
    [[nodiscard]] std::size_t pop(T* items, std::size_t most) { return queue_.pop(items, most); }
    // Consumer. How many items can be popped at least.
    [[nodiscard]] std::size_t size() const { return queue_.read_available(); }
    [[nodiscard]] std::size_t capacity() const { return capacity_; }

  private:
    boost::lockfree::spsc_queue<T> queue_;
    std::size_t capacity_;
};

}  // namespace millrace
