// What books take of the host's memory, session and all, beside the 128 bytes that a live order may cost. A worse
// figure means that a feed needs a larger machine, or loses orders to its limits.
#include "bench/book_runs.hpp"

namespace {

using namespace millrace;
using namespace millrace::bench;

// A day's own limits: what it has at its peak and some to spare. The others are what a config begins with.
constexpr std::uint32_t kLevels = 350'000;

template <bool kOwnLimits>
void bytes_a_live_order(benchmark::State& state) {
    const SimulatedDay& day = SimulatedDay::get();
    for (auto _ : state) {
        SessionConfig config = config_for(day);
        if (kOwnLimits) {
            config.limits.orders = day.live_orders_peak() / 50 * 51 + 1'000;
            config.limits.levels = kLevels;
            config.limits.books = day.symbols();
        }
        const double before = resident_bytes();
        CountingHandler handler;
        const auto session = std::make_unique<FullBooks>(config, handler);
        measured(*session, day);
        report(state, (resident_bytes() - before) / static_cast<double>(day.live_orders_peak()));
        if (const char* fault = fault_of(*session, day)) state.SkipWithError(fault);
        if (before == 0) state.SkipWithError("the kernel does not tell what memory is resident");
    }
}

const Registered kMemory{
    {"books: memory a live order, limits of the day", "bytes", 1, bytes_a_live_order<true>, nullptr, 128, false, 1}};
const Registered kDefault{
    {"books: memory a live order, default limits", "bytes", 1, bytes_a_live_order<false>, nullptr, 128, false, 1}};

}  // namespace
