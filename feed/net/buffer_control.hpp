// The thread that looks after the receive buffers of a feed's lines, so that no hot thread has to.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "millrace/feed/net/receiver_thread.hpp"

namespace millrace::net {

class BufferControl {
  public:
    // `lines` are borrowed and outlive this. Throws Error(resource).
    BufferControl(const std::vector<std::unique_ptr<ReceiverThread>>& lines, Nanoseconds look_every);
    ~BufferControl();
    BufferControl(const BufferControl&) = delete;
    BufferControl& operator=(const BufferControl&) = delete;

  private:
    void run(Nanoseconds look_every);

    const std::vector<std::unique_ptr<ReceiverThread>>& lines_;
    std::mutex mutex_;
    std::condition_variable woken_;
    bool stop_ = false;  // under mutex_
    std::thread thread_;
};

}  // namespace millrace::net
