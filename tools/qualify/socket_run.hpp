// The path with a socket in front of it: a thread of ours multicasts over loopback at Poisson times, and a feed on
// the measured core takes what arrives. Needs a second core for the sender.
#pragma once

#include <atomic>
#include <exception>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>

#include <fmt/format.h>

#include "millrace/core/clock.hpp"
#include "millrace/core/cpu.hpp"
#include "millrace/feed/feed.hpp"
#include "millrace/replay/simulator/publisher.hpp"
#include "qualify/report.hpp"
#include "qualify/workload.hpp"

namespace millrace::tools {

struct SocketPlan {
    double packets_per_second = 10'000;
    std::uint64_t warm_up = 20'000;  // packets, sent five times as fast
    std::uint64_t packets = 20'000;  // measured
    int sender_cpu = kNotPinned;
};

namespace detail {

// Times packets by the last callback of each: `record` once it is armed.
struct SocketHandler : NullHandler {
    Histogram* latency = nullptr;  // null while warming up
    void on_book(const OrderBook&, const BookUpdate& update) {
        if (update.last_in_packet && latency != nullptr) latency->record(SystemClock::now() - update.received_at);
    }
};

// Of a network that nothing else here is likely to use.
[[nodiscard]] inline GroupConfig some_group() {
    std::random_device random;
    return {fmt::format("239.255.{}.{}", random() % 254 + 1, random() % 254 + 1),
            static_cast<std::uint16_t>(20'000 + random() % 10'000)};
}

inline void send_all(const Workload& load, const SocketPlan& plan, const GroupConfig& group,
                     const std::atomic<bool>& over, std::atomic<std::uint64_t>& sent) {
    Endpoint to;
    std::sscanf(group.address.c_str(), "%hhu.%hhu.%hhu.%hhu", &to.address[0], &to.address[1], &to.address[2],
                &to.address[3]);
    to.port = group.port;
    replay::Publisher publisher({to}, "lo", 1);
    const replay::Publisher::KeepOn keep_on = [&] { return !over.load(std::memory_order_relaxed); };
    PoissonTimes warm_up(5 * plan.packets_per_second, 1);
    PoissonTimes measured(plan.packets_per_second, 2);
    Nanoseconds begin = 0;
    replay::SimulatedPacket packet;
    for (std::uint64_t i = 0; i < plan.warm_up + plan.packets; ++i) {
        packet.time = i < plan.warm_up ? begin = warm_up.next() : begin + measured.next();
        const auto bytes = load.packet(i).bytes;
        packet.bytes.assign(bytes.begin(), bytes.end());
        if (!publisher.send(packet, keep_on)) return;
        sent.store(i + 1, std::memory_order_release);  // pairs with the receiver's look
    }
    static_cast<void>(publisher.flush(keep_on));
}

}  // namespace detail

// On the calling thread, which should be pinned. Throws Error where the feed cannot be had.
template <class Venue>
[[nodiscard]] SocketRun run_socket(const Workload& load, const SocketPlan& plan) {
    FeedConfig config;
    config.name = "qualify";
    LineConfig line;
    line.name = "A";
    line.groups = {detail::some_group()};
    line.interface = "lo";
    config.lines = {line};
    config.receive.mode = ReceiveMode::run_to_completion;
    config.receive.idle = Idle::spin;
    config.session = load.session();
    SocketRun run;
    run.packets_per_second = plan.packets_per_second;
    detail::SocketHandler handler;
    FeedHandler<Venue, detail::SocketHandler> feed(config, handler);
    feed.start();
    std::atomic<bool> over{false};           // this thread writes, the sender reads
    std::atomic<std::uint64_t> sent{0};      // the sender writes, this thread reads
    std::atomic<bool> finished{false};       // likewise
    std::exception_ptr problem;              // the sender writes before it ends, this thread reads behind that
    std::thread sender = start_thread("sender", plan.sender_cpu, [&] {
        try {
            detail::send_all(load, plan, line.groups.front(), over, sent);
        } catch (...) {
            problem = std::current_exception();
        }
        finished.store(true, std::memory_order_release);  // pairs with the acquire below
    });
    constexpr Nanoseconds kPatience = 200'000'000;  // after the last packet that was sent
    std::uint64_t received = 0;
    Timestamp quiet_since = MonotonicClock::now();
    while (received < plan.warm_up + plan.packets) {
        const std::size_t taken = feed.poll();
        received += taken;
        if (handler.latency == nullptr && received >= plan.warm_up) handler.latency = &run.latency;
        if (taken != 0 || !finished.load(std::memory_order_acquire)) quiet_since = MonotonicClock::now();
        else if (MonotonicClock::now() - quiet_since > kPatience) break;
    }
    over.store(true, std::memory_order_relaxed);
    sender.join();
    if (problem) std::rethrow_exception(problem);
    run.sent = sent.load(std::memory_order_relaxed);
    run.lost = run.sent - received;
    return run;
}

}  // namespace millrace::tools
