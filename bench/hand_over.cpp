// What passing a packet from the receiving thread to the decoder costs: from just before it is offered, its bytes in
// their buffer as the kernel leaves them, to when the decoder has read these, with counters published and buffers given
// back, beside a bare ring that carries the time alone. Fed from memory, since sender, receiver and decoder would be
// three spinning threads. A worse ratio means more cache lines that travel between the two cores.
#include <atomic>
#include <thread>

#include <fmt/format.h>

#include "bench/claims.hpp"
#include "millrace/core/clock.hpp"
#include "millrace/core/cpu.hpp"
#include "millrace/core/histogram.hpp"
#include "millrace/feed/net/hand_over.hpp"

namespace millrace::bench {
namespace {

constexpr std::uint64_t kPackets = 200'000;
constexpr Nanoseconds kEvery = 2'000;
constexpr std::uint32_t kBuffers = 4'096;

// Calls `receive(i)` and, when it is due, `offer(now)` every two microseconds on one CPU, and `take()`, which returns how
// many it took, on another.
template <class Receive, class Offer, class Take>
void run(benchmark::State& state, const Histogram& latency, const std::string& what, Receive&& receive, Offer&& offer,
         Take&& take) {
    const std::vector<int> cpus = available_cpus();
    const bool pin = cpus.size() > 1;
    std::thread decoder = start_thread("decoder", pin ? cpus.back() : kNotPinned, [&] {
        for (std::uint64_t taken = 0; taken < kPackets;) taken += take();
    });
    std::thread receiver = start_thread("receiver", pin ? cpus.front() : kNotPinned, [&] {
        Timestamp due = MonotonicClock::now();
        for (std::uint64_t i = 0; i < kPackets; ++i, due += kEvery) {
            receive(i);
            while (MonotonicClock::now() < due) {
            }
            while (!offer(MonotonicClock::now())) {
            }
        }
    });
    receiver.join();
    decoder.join();
    if (latency.total() != kPackets) return state.SkipWithError("not every packet was handed over");
    fmt::print(stderr, "    {}: p50 {} p99 {} p99.9 {} max {} ns of {}\n", what, latency.percentile(50),
               latency.percentile(99), latency.percentile(99.9), latency.max(), latency.total());
    report(state, static_cast<double>(latency.percentile(50)));
}

void hand_over(benchmark::State& state) {
    for (auto _ : state) {
        const PacketArena arena(kBuffers, 2'176, HugePages::best);
        net::HandOver queue(kBuffers, kBuffers);
        net::ReceiveCounters counters;
        std::vector<std::uint32_t> free(kBuffers);
        for (std::uint32_t i = 0; i < kBuffers; ++i) free[i] = i;
        Histogram latency;
        std::array<net::Received, 32> batch;
        std::uint64_t expected = 0;
        bool right = true;
        run(
            state, latency, "two threads",
            [&](std::uint64_t i) {
                do {
                    std::uint32_t buffer = 0;
                    while (queue.take_back(buffer)) free.push_back(buffer);
                } while (free.empty());
                std::memcpy(arena[free.back()] + net::kBufferHead, &i, sizeof(i));
            },
            [&](Timestamp now) {
                if (!queue.offer({now, free.back(), sizeof(std::uint64_t), 0, false}, 1, counters)) return false;
                free.pop_back();
                return true;
            },
            [&] {
                const std::size_t taken = queue.take(batch.data(), batch.size());
                for (std::size_t i = 0; i < taken; ++i) {
                    std::uint64_t number = 0;
                    std::memcpy(&number, net::payload(arena, batch[i]).data(), sizeof(number));
                    right = right && number == expected++;
                    latency.record(MonotonicClock::now() - batch[i].received_at);
                    queue.release(batch[i].buffer);
                }
                return taken;
            });
        if (!right) state.SkipWithError("a packet has other bytes than were put there");
    }
}

void bare_ring(benchmark::State& state) {
    for (auto _ : state) {
        SpscRing<Timestamp> ring(kBuffers);
        Histogram latency;
        run(
            state, latency, "bare ring", [](std::uint64_t) {}, [&](Timestamp now) { return ring.push(now); },
            [&]() -> std::size_t {
                Timestamp sent = 0;
                if (!ring.pop(sent)) return 0;
                latency.record(MonotonicClock::now() - sent);
                return 1;
            });
    }
}

std::string one_cpu() { return available_cpus().size() > 1 ? "" : "two CPUs are needed"; }

const Registered kHandOver{{"hand-over between threads", "ns p50", 1.5, hand_over, bare_ring, 0, true, 9, one_cpu}};

}  // namespace
}  // namespace millrace::bench
