#include "disposal.hpp"

#include <unistd.h>

#include <atomic>
#include <cstdint>

#include "millrace/core/cpu.hpp"
#include "millrace/core/error.hpp"

namespace millrace::python {

namespace {

// Of the process: threads outlive what they were started for, and a fork leaves them behind.
struct Disposals {
    std::atomic<int> process{getpid()};
    std::atomic<std::uint32_t> running{0};
    std::atomic<bool> finished{false};

    void leave() {
        running.fetch_sub(1, std::memory_order_release);  // pairs with finish_disposals()
        running.notify_all();
    }
};

Disposals& disposals() {
    static Disposals all;
    return all;
}

}  // namespace

void dispose(std::function<void()> work) {
    Disposals& all = disposals();
    if (all.process.exchange(getpid(), std::memory_order_relaxed) != getpid()) all.running = 0;
    if (all.finished.load(std::memory_order_relaxed)) return work();
    all.running.fetch_add(1, std::memory_order_relaxed);
    try {
        start_thread("millrace-free", kNotPinned, [&all, work] {
            work();
            all.leave();
        }).detach();
    } catch (const Error&) {
        work();
        all.leave();
    }
}

void finish_disposals() {
    Disposals& all = disposals();
    all.finished.store(true, std::memory_order_relaxed);
    if (all.process.load(std::memory_order_relaxed) != getpid()) return;
    // acquire: pairs with leave(); what was let go of is gone.
    while (const std::uint32_t running = all.running.load(std::memory_order_acquire)) {
        all.running.wait(running, std::memory_order_acquire);
    }
}

}  // namespace millrace::python
