// What one message costs, in three stages on the same packets: walking the framing, decoding every field,
// and keeping every book; beside the plain reference design. A worse number means that a core can follow
// a smaller burst. Each run checks its own result against the market's truth, so wrong but fast fails.
#include <memory>

#include <benchmark/benchmark.h>

#include "bench/reference_book.hpp"
#include "bench/simulated_day.hpp"
#include "millrace/feed/session.hpp"
#include "millrace/feed/venues/nasdaq_itch50/venue.hpp"

namespace {

using namespace millrace;
using bench::ReferenceBook;
using bench::SimulatedDay;
using venues::NasdaqItch50;

void report(benchmark::State& state, std::uint64_t messages) {
    const auto total = static_cast<double>(messages) * static_cast<double>(state.iterations());
    state.counters["ns_per_message"] =
        benchmark::Counter(total / 1e9, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
    state.counters["messages_per_second"] = benchmark::Counter(total, benchmark::Counter::kIsRate);
}

void walk_framing(benchmark::State& state) {
    const SimulatedDay& day = SimulatedDay::get();
    for (auto _ : state) {
        std::uint64_t messages = 0;
        std::uint64_t types = 0;
        day.for_each_packet([&](std::span<const std::uint8_t> packet) {
            const Frame frame = MoldUdp64::parse(packet);
            MoldUdp64::Walker walker(frame.blocks);
            for (std::uint32_t i = 0; i < frame.count; ++i) types += walker.next()[0];
            messages += frame.count;
        });
        benchmark::DoNotOptimize(types);
        if (messages != day.messages()) state.SkipWithError("messages are missing");
    }
    report(state, day.messages());
}

// Reads every field of a message, as a handler that asks for all of them would.
template <class M>
[[nodiscard]] std::uint64_t sum_fields(std::span<const std::uint8_t> bytes) {
    const M& m = wire::view<M>(bytes);
    return std::apply(
        [&](const auto&... fields) {
            const auto number = [](const auto& field) {
                using T = std::remove_cvref_t<decltype(field)>;
                if constexpr (T::kKind == wire::FieldKind::reserved) return std::uint64_t{0};
                else if constexpr (requires { field.value().size(); }) {
                    std::uint64_t text = 0;
                    std::memcpy(&text, field.raw.data(), std::min(sizeof(text), field.raw.size()));
                    return text;
                } else return static_cast<std::uint64_t>(field.value());
            };
            return (number(m.*fields.member) + ...);
        },
        M::fields());
}

template <class... M>
[[nodiscard]] std::uint64_t sum_message(std::span<const std::uint8_t> bytes, std::type_identity<std::tuple<M...>>) {
    std::uint64_t sum = 0;
    static_cast<void>(((static_cast<char>(bytes[0]) == M::kType && bytes.size() >= sizeof(M)
                            ? (sum = sum_fields<M>(bytes), true)
                            : false) ||
                       ...));
    return sum;
}

void decode(benchmark::State& state) {
    const SimulatedDay& day = SimulatedDay::get();
    for (auto _ : state) {
        std::uint64_t sum = 0;
        day.for_each_packet([&](std::span<const std::uint8_t> packet) {
            const Frame frame = MoldUdp64::parse(packet);
            MoldUdp64::Walker walker(frame.blocks);
            for (std::uint32_t i = 0; i < frame.count; ++i) {
                sum += sum_message(walker.next(), std::type_identity<venues::itch50::Messages>{});
            }
        });
        benchmark::DoNotOptimize(sum);
        if (sum == 0) state.SkipWithError("nothing was decoded");
    }
    report(state, day.messages());
}

struct CountingHandler : NullHandler {
    std::uint64_t updates = 0;
    void on_book(const OrderBook&, const BookUpdate&) { ++updates; }
};

[[nodiscard]] bool equal(const Level& level, const replay::Market::Best& best) {
    return value(level.price) == static_cast<std::int64_t>(best.price) && level.quantity == best.shares &&
           level.orders == best.orders;
}

void full_books(benchmark::State& state) {
    const SimulatedDay& day = SimulatedDay::get(state.range(0) != 0);
    SessionConfig config;
    config.lines = 1;
    config.limits.orders = day.shape().live_orders_peak + 100'000;
    for (auto _ : state) {
        state.PauseTiming();
        CountingHandler handler;
        auto session = std::make_unique<Session<NasdaqItch50, CountingHandler>>(config, handler);
        state.ResumeTiming();
        day.for_each_packet([&](std::span<const std::uint8_t> packet) { session->on_packet({0, 0, packet}); });
        session->finish();
        state.PauseTiming();
        for (std::uint32_t symbol = 0; symbol < day.symbols(); ++symbol) {
            const Top top = session->books()[symbol].top();
            if (!equal(top.bid, day.final_best(symbol, true)) || !equal(top.ask, day.final_best(symbol, false))) {
                state.SkipWithError("a best price is wrong");
                break;
            }
        }
        if (balance(session->messages()) != 0 || handler.updates == 0) state.SkipWithError("the ledger is open");
        session.reset();
        state.ResumeTiming();
    }
    report(state, day.messages());
}

void reference_books(benchmark::State& state) {
    const SimulatedDay& day = SimulatedDay::get();
    for (auto _ : state) {
        state.PauseTiming();
        auto books = std::make_unique<ReferenceBook>(day.reference_max(), 1'000'000, true);
        state.ResumeTiming();
        day.for_each_packet([&](std::span<const std::uint8_t> packet) {
            const Frame frame = MoldUdp64::parse(packet);
            MoldUdp64::Walker walker(frame.blocks);
            for (std::uint32_t i = 0; i < frame.count; ++i) books->apply(walker.next());
        });
        state.PauseTiming();
        for (std::uint32_t symbol = 0; symbol < day.symbols(); ++symbol) {
            const auto locate = static_cast<std::uint16_t>(symbol + 1);
            const auto& bid = day.final_best(symbol, true);
            const auto& ask = day.final_best(symbol, false);
            if (books->best(locate, false) != ReferenceBook::Best{bid.price, bid.shares, bid.orders} ||
                books->best(locate, true) != ReferenceBook::Best{ask.price, ask.shares, ask.orders}) {
                state.SkipWithError("a best price is wrong");
                break;
            }
        }
        books.reset();
        state.ResumeTiming();
    }
    report(state, day.messages());
}

BENCHMARK(walk_framing)->Unit(benchmark::kMillisecond);
BENCHMARK(decode)->Unit(benchmark::kMillisecond);
BENCHMARK(reference_books)->Unit(benchmark::kMillisecond)->Iterations(1);
BENCHMARK(full_books)->ArgName("sparse")->Arg(0)->Unit(benchmark::kMillisecond)->Iterations(1);

}  // namespace

int main(int argc, char** argv) {
    benchmark::Initialize(&argc, argv);
    benchmark::AddCustomContext("stream", SimulatedDay::get().describe());
    benchmark::RunSpecifiedBenchmarks();
}
