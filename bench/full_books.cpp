// Keeping every book order by order, with queue order, digest and callbacks, beside the plain reference
// design on the same pages: huge ones and 4 KiB ones, all touched before the clock starts, or none.
// A worse figure means that a core follows a smaller burst.
#include "bench/book_runs.hpp"

namespace {

using namespace millrace;
using namespace millrace::bench;

constexpr double kGoal = 0.5;

template <HugePages Pages, bool Prefault>
void ours(benchmark::State& state) {
    run_books<FullBooks, CountingHandler>(state, SimulatedDay::get(), {Pages, Prefault});
}
template <HugePages Pages, bool Prefault>
void reference(benchmark::State& state) {
    run_reference(state, SimulatedDay::get(), {Pages, Prefault});
}

template <HugePages Pages, bool Prefault>
Claim claim(const char* name, bool quick) {
    return {name, "ns/message", kGoal, ours<Pages, Prefault>, reference<Pages, Prefault>, 0, quick};
}

// References spread over 64 bits beside dense ones: neither may they collapse nor cost much more.
void sparse(benchmark::State& state) { run_books<FullBooks, CountingHandler>(state, SimulatedDay::get(true), {}); }
const Registered kSparse{{"books: full, sparse references beside dense", "ns/message", 1.3, sparse,
                          ours<HugePages::best, true>}};

const Registered kHuge{claim<HugePages::best, true>("books: full, huge pages", true)};
const Registered kSmall{claim<HugePages::off, true>("books: full, 4 KiB pages", false)};
const Registered kHugeUntouched{claim<HugePages::best, false>("books: full, huge pages, not pre-faulted", false)};
const Registered kSmallUntouched{claim<HugePages::off, false>("books: full, 4 KiB pages, not pre-faulted", false)};

}  // namespace
