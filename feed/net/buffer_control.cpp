#include "millrace/feed/net/buffer_control.hpp"

#include <chrono>

#include "millrace/core/clock.hpp"
#include "millrace/core/cpu.hpp"

namespace millrace::net {

BufferControl::BufferControl(const std::vector<std::unique_ptr<ReceiverThread>>& lines, Nanoseconds look_every)
    : lines_(lines), thread_(start_thread("millrace-buffer", kNotPinned, [this, look_every] { run(look_every); })) {}

BufferControl::~BufferControl() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    woken_.notify_one();
    thread_.join();
}

void BufferControl::run(Nanoseconds look_every) {
    std::unique_lock lock(mutex_);
    while (!woken_.wait_for(lock, std::chrono::nanoseconds(look_every), [this] { return stop_; })) {
        for (const auto& line : lines_) line->look_after_buffers(MonotonicClock::now());
    }
}

}  // namespace millrace::net
