#include "millrace/feed/net/receiver_thread.hpp"

#include <sched.h>

#include "millrace/core/clock.hpp"

namespace millrace::net {

ReceiverThread::ReceiverThread(const LineConfig& line, LineId id, std::size_t line_count, const ReceiveConfig& config,
                               Backend backend, int cpu, Idle idle, const ElasticTiming& timing)
    : config_(line), line_(id), line_count_(line_count), receive_config_(config), backend_(backend), cpu_(cpu),
      idle_(idle), timing_(timing),
      receiver_(std::make_unique<Receiver>(std::vector{line}, id, line_count, config, backend, timing)),
      queue_(config.queue, receiver_->buffers()) {
    start();
}

void ReceiverThread::start() {
    socket_buffer_bytes_ = receiver_->socket_buffer_bytes();
    stop_.store(false, std::memory_order_relaxed);
    failed_.store(false, std::memory_order_relaxed);
    state_.store(0);
    thread_ = start_thread("millrace-rx-" + config_.name, cpu_, [this] { run(); });
    state_.wait(0);
    if (state_.load() == 2) {
        thread_.join();
        std::rethrow_exception(problem_);
    }
}

bool ReceiverThread::restart() noexcept {
    try {
        reopen();
        return true;
    } catch (...) {
        return false;
    }
}

void ReceiverThread::reopen() {
    std::uint32_t buffer = 0;
    while (queue_.take_back(buffer)) {
    }
    ReceiveCounters counters = queue_.counters();
    ++counters[ReceiveCounter::restarts];
    auto opened =
        std::make_unique<Receiver>(std::vector{config_}, line_, line_count_, receive_config_, backend_, timing_);
    counters[ReceiveCounter::buffers] = opened->counters(line_)[ReceiveCounter::buffers];
    opened->counters(line_) = counters;
    {
        const std::lock_guard lock(replacing_);
        receiver_ = std::move(opened);
    }
    queue_.publish(counters);  // no thread runs that would
    start();
}

void ReceiverThread::look_after_buffers(Timestamp now) {
    const std::lock_guard lock(replacing_);
    receiver_->look_after_buffers(now, queue_.counters()[ReceiveCounter::received]);
}

void ReceiverThread::stop() {
    stop_.store(true, std::memory_order_relaxed);
    if (thread_.joinable()) thread_.join();
}

void ReceiverThread::run() {
    try {
        receiver_->start();
    } catch (...) {
        problem_ = std::current_exception();
        // release: pairs with the load in start(); problem_ is visible before the state.
        state_.store(2, std::memory_order_release);
        state_.notify_one();
        return;
    }
    state_.store(1, std::memory_order_release);
    state_.notify_one();
    try {
        receive();
    } catch (const std::exception&) {
        // A line by SoupBinTCP takes memory while it runs.
        failed_.store(true, std::memory_order_relaxed);
    }
    queue_.publish(receiver_->counters(line_));
}

void ReceiverThread::receive() {
    Receiver& receiver = *receiver_;
    ReceiveCounters& counters = receiver.counters(line_);
    const auto hand_over = [&](const Received& received) {
        if (!queue_.offer(received, receiver.datagrams(received), counters)) receiver.release(received.buffer);
    };
    std::uint64_t failures = 0;  // of a TCP line, as published
    Timestamp before = 0;  // when the last poll that found nothing began; 0 after one that found something
    while (!stop_.load(std::memory_order_relaxed)) {
        std::uint32_t buffer = 0;
        while (queue_.take_back(buffer)) receiver.release(buffer);
        if (before != 0) before = SystemClock::now();
        if (receiver.poll(hand_over) > 0) {
            queue_.publish(counters);
            before = 0;
            continue;
        }
        if (counters[ReceiveCounter::refused] + counters[ReceiveCounter::failed] != failures) {
            failures = counters[ReceiveCounter::refused] + counters[ReceiveCounter::failed];
            queue_.publish(counters);
        }
        // release: pairs with idle_at(); everything received before `before` is in the ring already.
        if (before != 0) idle_at_.store(before, std::memory_order_release);
        before = 1;
        idle();
    }
}

void ReceiverThread::idle() {
    switch (idle_) {
        case Idle::pause: cpu_pause(); break;
        case Idle::yield: sched_yield(); break;
        case Idle::wait: receiver_->wait(); break;
        case Idle::automatic:
        case Idle::spin: break;
    }
}

}  // namespace millrace::net
