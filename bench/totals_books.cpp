// Totals by price alone, a choice made when the program is compiled (kBookDetail), beside the plain reference
// design, which keeps no more. A worse figure means that leaving queues and digest out buys too little.
#include "bench/book_runs.hpp"

namespace {

using namespace millrace;
using namespace millrace::bench;

struct TotalsHandler : CountingHandler {
    static constexpr BookDetail kBookDetail = BookDetail::totals;
};
using TotalsBooks = Session<venues::NasdaqItch50, TotalsHandler>;

template <HugePages Pages>
void ours(benchmark::State& state) {
    run_books<TotalsBooks, TotalsHandler>(state, SimulatedDay::get(), {Pages, true});
}
template <HugePages Pages>
void reference(benchmark::State& state) {
    run_reference(state, SimulatedDay::get(), {Pages, true});
}

const Registered kHuge{{"books: totals only, huge pages", "ns/message", 0.4, ours<HugePages::best>,
                        reference<HugePages::best>, 0, true}};
const Registered kSmall{{"books: totals only, 4 KiB pages", "ns/message", 0.4, ours<HugePages::off>,
                         reference<HugePages::off>}};

}  // namespace
