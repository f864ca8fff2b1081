// A whole day through our books and through the reference design, timed and checked.
#pragma once

#include <array>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>

#include "bench/claims.hpp"
#include "bench/reference_book.hpp"
#include "bench/simulated_day.hpp"
#include "millrace/feed/session.hpp"
#include "millrace/feed/venues/nasdaq_itch50/venue.hpp"

namespace millrace::bench {

struct CountingHandler : NullHandler {
    std::uint64_t updates = 0;
    void on_book(const OrderBook&, const BookUpdate&) { ++updates; }
};

using FullBooks = Session<venues::NasdaqItch50, CountingHandler>;

[[nodiscard]] inline SessionConfig config_for(const SimulatedDay& day, const MemoryWish& wish = {}) {
    SessionConfig config;
    config.lines = 1;
    config.limits.orders = std::max(config.limits.orders, day.live_orders_peak() + 100'000);
    config.limits.memory = wish;
    return config;
}

// Every best price as the market itself has it at the end of the day, and nothing unaccounted for.
template <class Books>
[[nodiscard]] const char* fault_of(const Books& session, const SimulatedDay& day) {
    for (std::uint32_t symbol = 0; symbol < day.symbols(); ++symbol) {
        const Top top = session.books()[symbol].top();
        const auto equal = [](const Level& level, const replay::Market::Best& best) {
            return value(level.price) == static_cast<std::int64_t>(best.price) && level.quantity == best.shares &&
                   level.orders == best.orders;
        };
        if (!equal(top.bid, day.final_best(symbol, true)) || !equal(top.ask, day.final_best(symbol, false))) {
            return "a best price is wrong";
        }
    }
    return balance(session.messages()) == 0 ? nullptr : "the ledger does not balance";
}

// What the kernel has given to this process and not taken back, reserved huge pages too; 0 where it does not tell.
[[nodiscard]] inline double resident_bytes() {
    std::ifstream file("/proc/self/status");
    double kib_of_all = 0;
    for (std::string line; std::getline(file, line);) {
        double kib = 0;
        const bool counts = std::sscanf(line.c_str(), "VmRSS: %lf kB", &kib) == 1 ||
                            std::sscanf(line.c_str(), "HugetlbPages: %lf kB", &kib) == 1;
        if (counts) kib_of_all += kib;
    }
    return kib_of_all * 1024;
}

// Packets that wait together, as a burst or a capture brings them.
inline constexpr std::size_t kBatch = 64;

// Not inlined, so that callgrind can be told to count here and nowhere else.
template <class Books>
[[gnu::noinline]] void measured(Books& session, const SimulatedDay& day) {
    std::array<Packet, kBatch> batch;
    std::size_t n = 0;
    day.for_each_packet([&](std::span<const std::uint8_t> packet) {
        batch[n++] = {0, 0, packet};
        if (n < kBatch) return;
        session.on_packets(batch);
        n = 0;
    });
    session.on_packets(std::span(batch.data(), n));
    session.finish();
}
[[gnu::noinline]] inline void measured(ReferenceBook& books, const SimulatedDay& day) {
    day.for_each_packet([&](std::span<const std::uint8_t> packet) {
        const Frame frame = MoldUdp64::parse(packet);
        MoldUdp64::Walker walker(frame.blocks);
        for (std::uint32_t i = 0; i < frame.count; ++i) books.apply(walker.next());
    });
}

template <class Books, class Handler>
void run_books(benchmark::State& state, const SimulatedDay& day, const MemoryWish& wish) {
    for (auto _ : state) {
        Handler handler;
        const auto session = std::make_unique<Books>(config_for(day, wish), handler);
        const Stopwatch watch;
        measured(*session, day);
        report(state, watch.ns() / static_cast<double>(day.messages()));
        if (const char* fault = fault_of(*session, day)) state.SkipWithError(fault);
        if (handler.updates == 0) state.SkipWithError("no callback was made");
    }
}

inline void run_reference(benchmark::State& state, const SimulatedDay& day, const MemoryWish& wish) {
    for (auto _ : state) {
        const auto books = std::make_unique<ReferenceBook>(day.reference_max(), 1'000'000, wish);
        const Stopwatch watch;
        measured(*books, day);
        report(state, watch.ns() / static_cast<double>(day.messages()));
        for (std::uint32_t symbol = 0; symbol < day.symbols(); ++symbol) {
            const auto locate = static_cast<std::uint16_t>(symbol + 1);
            for (const bool bid : {true, false}) {
                const auto& best = day.final_best(symbol, bid);
                if (books->best(locate, !bid) != ReferenceBook::Best{best.price, best.shares, best.orders}) {
                    state.SkipWithError("a best price is wrong");
                }
            }
        }
    }
}

}  // namespace millrace::bench
