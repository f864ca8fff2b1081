// What it costs to be able to say that books are right: the digest that follows every change, and the comparison of
// each message's second copy with the first. Worse figures mean that certainty became dearer.
#include "bench/book_runs.hpp"
#include "bench/without_digest.hpp"

namespace {

using namespace millrace;
using namespace millrace::bench;

std::uint64_t updates_with_digest = 0;  // of the run before, which the one without has to equal

void with_digest(benchmark::State& state) {
    const SimulatedDay& day = SimulatedDay::get();
    for (auto _ : state) {
        CountingHandler handler;
        const auto session = std::make_unique<FullBooks>(config_for(day), handler);
        const Stopwatch watch;
        measured(*session, day);
        report(state, watch.ns() / static_cast<double>(day.messages()));
        updates_with_digest = handler.updates;
        if (const char* fault = fault_of(*session, day)) state.SkipWithError(fault);
        if (session->digest() == Digest{}) state.SkipWithError("no digest was kept");
    }
}

void no_digest(benchmark::State& state) {
    const SimulatedDay& day = SimulatedDay::get();
    for (auto _ : state) {
        const std::uint32_t orders = config_for(day).limits.orders;
        const auto result = without_digest::run({day.bytes(), day.packet_sizes(), orders}, Stopwatch::now);
        report(state, result.ns / static_cast<double>(day.messages()));
        const bool same = updates_with_digest == 0 || result.updates == updates_with_digest;
        if (!same || !result.balances) state.SkipWithError("not the same updates as with a digest");
    }
}

// Both lines bring every packet, the second one right behind the first.
template <std::uint32_t Compared>
void two_lines(benchmark::State& state) {
    const SimulatedDay& day = SimulatedDay::get();
    for (auto _ : state) {
        CountingHandler handler;
        SessionConfig config = config_for(day);
        config.lines = 2;
        config.quality.compare_messages = Compared;
        const auto session = std::make_unique<FullBooks>(config, handler);
        const Stopwatch watch;
        day.for_each_packet([&](std::span<const std::uint8_t> packet) {
            session->on_packet({0, 0, packet});
            session->on_packet({1, 0, packet});
        });
        session->finish();
        report(state, watch.ns() / static_cast<double>(day.messages()));
        if (const char* fault = fault_of(*session, day)) state.SkipWithError(fault);
        if (session->messages()[MessageCounter::duplicate] != day.messages()) state.SkipWithError("copies are missing");
    }
}

constexpr std::uint32_t kCompared = 32'768;  // of a live feed

const Registered kDigest{{"books: digest, beside books without", "ns/message", 1.1, with_digest, no_digest}};
const Registered kCopies{{"two lines: copies compared, beside not", "ns/message", 1.1, two_lines<kCompared>,
                          two_lines<0>}};

}  // namespace
