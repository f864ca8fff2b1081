// What passing a packet from the receiving thread to the decoder costs: from just before it is offered to when the
// decoder has its bytes, with counters published and buffers given back, beside a bare ring that carries the time
// alone. Fed from memory, since sender, receiver and decoder would be three spinning threads. A worse ratio means more
// cache lines that travel between the two cores.
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

// Calls `offer(due)` every two microseconds on one CPU, and `take()`, which returns how many it took, on another.
template <class Offer, class Take>
void run(benchmark::State& state, const Histogram& latency, const std::string& what, Offer&& offer, Take&& take) {
    const std::vector<int> cpus = available_cpus();
    const bool pin = cpus.size() > 1;
    std::thread decoder = start_thread("decoder", pin ? cpus.back() : kNotPinned, [&] {
        for (std::uint64_t taken = 0; taken < kPackets;) taken += take();
    });
    std::thread receiver = start_thread("receiver", pin ? cpus.front() : kNotPinned, [&] {
        Timestamp due = MonotonicClock::now();
        for (std::uint64_t i = 0; i < kPackets; ++i, due += kEvery) {
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
        run(
            state, latency, "two threads",
            [&](Timestamp now) {
                std::uint32_t buffer = 0;
                while (queue.take_back(buffer)) free.push_back(buffer);
                if (free.empty()) return false;
                buffer = free.back();
                std::memcpy(arena[buffer] + net::kBufferHead, &now, sizeof(now));
                if (!queue.offer({now, buffer, sizeof(now), 0, false}, 1, counters)) return false;
                free.pop_back();
                return true;
            },
            [&] {
                const std::size_t taken = queue.take(batch.data(), batch.size());
                for (std::size_t i = 0; i < taken; ++i) {
                    Timestamp sent = 0;
                    std::memcpy(&sent, net::payload(arena, batch[i]).data(), sizeof(sent));
                    latency.record(MonotonicClock::now() - sent);
                    queue.release(batch[i].buffer);
                }
                return taken;
            });
    }
}

void bare_ring(benchmark::State& state) {
    for (auto _ : state) {
        SpscRing<Timestamp> ring(kBuffers);
        Histogram latency;
        run(
            state, latency, "bare ring", [&](Timestamp now) { return ring.push(now); },
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
