// Bursts of twenty times the sustained rate, fed from memory: packets of a simulated day are due at 5 % of the rate
// that the session was just measured to take flat out, and for 10 ms in every 100 at all of it. One thread offers
// them to the queue of the two-thread shape when they are due, another decodes them into books. The figure is packets
// offered for each that was handled, so that 1 is no loss; how late they were, from when they were due, stands on
// stderr beside a control whose decoder does no work. A worse figure means that the queue no longer takes what a
// burst leaves over.
#include <atomic>
#include <thread>

#include <fmt/format.h>

#include "bench/book_runs.hpp"
#include "millrace/core/clock.hpp"
#include "millrace/core/cpu.hpp"
#include "millrace/core/histogram.hpp"
#include "millrace/feed/net/hand_over.hpp"
#include "millrace/feed/net/receive_config.hpp"

namespace millrace::bench {
namespace {

constexpr std::uint64_t kMessages = 400'000;  // of trading; a tenth more names symbols
constexpr Nanoseconds kPeriod = 100'000'000;
constexpr Nanoseconds kBurst = 10'000'000;
constexpr double kSustained = 0.05;  // of what the session takes
constexpr Nanoseconds kLasts = 2'000'000'000;
constexpr std::size_t kAtOnce = 32;  // of a feed's decoder

struct Packets {
    SimulatedDay day = SimulatedDay::make(kMessages, false, 500);
    std::vector<std::span<const std::uint8_t>> all;
    Packets() {
        day.for_each_packet([&](std::span<const std::uint8_t> packet) { all.push_back(packet); });
    }
    static const Packets& get() {
        static const Packets packets;
        return packets;
    }
};

// Nanoseconds a packet, flat out.
double measure_capacity(const Packets& packets) {
    CountingHandler handler;
    const auto session = std::make_unique<FullBooks>(config_for(packets.day), handler);
    const Stopwatch watch;
    measured(*session, packets.day);
    return watch.ns() / static_cast<double>(packets.all.size());
}

struct Outcome {
    std::uint64_t offered = 0;
    std::uint64_t handled = 0;
    Histogram latency;
};

// Offers packet after packet when it is due; `handle(packets)`, by number in place of a buffer, runs on the decoding
// thread.
template <class Handle>
Outcome run(std::size_t packets, double ns_a_packet, Handle&& handle) {
    const std::vector<int> cpus = available_cpus();
    const bool pin = cpus.size() > 1;
    net::HandOver queue(ReceiveConfig{}.queue, ReceiveConfig{}.queue);
    Outcome out;
    std::atomic<bool> over{false};  // the feeding thread writes, the decoding one reads
    std::thread decoder = start_thread("decoder", pin ? cpus.back() : kNotPinned, [&] {
        std::array<net::Received, kAtOnce> batch;
        for (bool last = false; !last;) {
            const bool all_offered = over.load(std::memory_order_acquire);
            const std::size_t n = queue.take(batch.data(), batch.size());
            last = n == 0 && all_offered;
            if (n == 0) continue;
            handle(std::span<const net::Received>(batch.data(), n));
            const Timestamp done = MonotonicClock::now();
            for (std::size_t i = 0; i < n; ++i) out.latency.record(done - batch[i].received_at);
            out.handled += n;
        }
    });
    std::thread feeder = start_thread("feeder", pin ? cpus.front() : kNotPinned, [&] {
        net::ReceiveCounters counters;
        const Timestamp begin = MonotonicClock::now();
        auto due = static_cast<double>(begin);
        for (std::uint32_t i = 0; i < packets && due < static_cast<double>(begin + kLasts); ++i, ++out.offered) {
            while (static_cast<double>(MonotonicClock::now()) < due) {
            }
            static_cast<void>(queue.offer({static_cast<Timestamp>(due), i, 0, 0, false}, 1, counters));
            const bool burst = (static_cast<Timestamp>(due) - begin) % kPeriod < kBurst;
            due += burst ? ns_a_packet : ns_a_packet / kSustained;
        }
        over.store(true, std::memory_order_release);  // pairs with the load above: all was offered before
    });
    feeder.join();
    decoder.join();
    return out;
}

void tell(const std::string& what, const Outcome& out) {
    const auto us = [&](double percent) { return static_cast<double>(out.latency.percentile(percent)) / 1e3; };
    fmt::print(stderr,
               "    {}: {} of {} packets; p50 {:.1f} p99 {:.1f} p99.9 {:.1f} max {:.1f} us from when they were due\n", what,
               out.handled, out.offered, us(50), us(99), us(99.9), static_cast<double>(out.latency.max()) / 1e3);
}

void bursts(benchmark::State& state) {
    for (auto _ : state) {
        const Packets& packets = Packets::get();
        const double ns_a_packet = measure_capacity(packets);
        CountingHandler handler;
        const auto session = std::make_unique<FullBooks>(config_for(packets.day), handler);
        const Outcome out = run(packets.all.size(), ns_a_packet, [&](std::span<const net::Received> batch) {
            std::array<Packet, kAtOnce> together;
            for (std::size_t i = 0; i < batch.size(); ++i) together[i] = {0, 0, packets.all[batch[i].buffer]};
            session->on_packets({together.data(), batch.size()});
        });
        tell(fmt::format("books, bursts at {:.0f} packets/s", 1e9 / ns_a_packet), out);
        tell("control", run(packets.all.size(), ns_a_packet, [](std::span<const net::Received>) {}));
        const auto decoded = session->arbiter().line(0)[LineCounter::arbitrated];
        if (decoded != out.handled || balance(session->messages()) != 0) state.SkipWithError("packets went astray");
        else report(state, static_cast<double>(out.offered) / static_cast<double>(out.handled));
    }
}

std::string one_cpu() { return available_cpus().size() > 1 ? "" : "two CPUs are needed"; }

const Registered kBursts{
    {"bursts of 20x for 10 ms", "offered a packet handled", 1, bursts, nullptr, 1, false, 3, one_cpu}};

}  // namespace
}  // namespace millrace::bench
