// What books take of the host's memory, session and all, beside the 128 bytes that a live order may cost. A worse
// figure means that a feed needs a larger machine, or loses orders to its limits.
#include "bench/book_runs.hpp"

namespace {

using namespace millrace;
using namespace millrace::bench;

void bytes_a_live_order(benchmark::State& state) {
    const SimulatedDay& day = SimulatedDay::get();
    for (auto _ : state) {
        const double before = resident_bytes();
        CountingHandler handler;
        const auto session = std::make_unique<FullBooks>(config_for(day), handler);
        measured(*session, day);
        report(state, (resident_bytes() - before) / static_cast<double>(day.live_orders_peak()));
        if (const char* fault = fault_of(*session, day)) state.SkipWithError(fault);
        if (before == 0) state.SkipWithError("the kernel does not tell what memory is resident");
    }
}

const Registered kMemory{
    {"books: memory a live order at the peak", "bytes", 1, bytes_a_live_order, nullptr, 128, false, 1}};

}  // namespace
