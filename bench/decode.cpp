// Decoding every message, every field read as by a handler that asks for all of them, beside walking the
// framing alone. A worse figure means that fields cost more than the bytes they lie in.
#include "bench/claims.hpp"
#include "bench/simulated_day.hpp"
#include "bench/sum_fields.hpp"
#include "millrace/feed/framing/moldudp64.hpp"
#include "millrace/feed/venues/nasdaq_itch50/messages.hpp"

namespace {

using namespace millrace;
using namespace millrace::bench;

[[gnu::noinline]] std::uint64_t measured_framing(const SimulatedDay& day, std::uint64_t& messages) {
    std::uint64_t types = 0;
    day.for_each_packet([&](std::span<const std::uint8_t> packet) {
        const Frame frame = MoldUdp64::parse(packet);
        MoldUdp64::Walker walker(frame.blocks);
        for (std::uint32_t i = 0; i < frame.count; ++i) types += walker.next()[0];
        messages += frame.count;
    });
    return types;
}

void walk_framing(benchmark::State& state) {
    const SimulatedDay& day = SimulatedDay::get();
    for (auto _ : state) {
        std::uint64_t messages = 0;
        const Stopwatch watch;
        std::uint64_t types = measured_framing(day, messages);
        report(state, watch.ns() / static_cast<double>(day.messages()));
        benchmark::DoNotOptimize(types);
        if (messages != day.messages()) state.SkipWithError("messages are missing");
    }
}

// The frequent types are asked for first, as a handler would write its switch.
template <class... M>
void sum_message(std::span<const std::uint8_t> bytes, std::uint64_t& sum, std::type_identity<std::tuple<M...>>) {
    using namespace venues::itch50;
    static_cast<void>(sum_if<AddOrder>(bytes, sum) || sum_if<OrderDelete>(bytes, sum) ||
                      sum_if<OrderExecuted>(bytes, sum) || sum_if<OrderReplace>(bytes, sum) ||
                      (sum_if<M>(bytes, sum) || ...));
}

[[gnu::noinline]] std::uint64_t measured_decode(const SimulatedDay& day) {
    std::uint64_t sum = 0;
    day.for_each_packet([&](std::span<const std::uint8_t> packet) {
        const Frame frame = MoldUdp64::parse(packet);
        MoldUdp64::Walker walker(frame.blocks);
        for (std::uint32_t i = 0; i < frame.count; ++i) {
            sum_message(walker.next(), sum, std::type_identity<venues::itch50::Messages>{});
        }
    });
    return sum;
}

void decode(benchmark::State& state) {
    const SimulatedDay& day = SimulatedDay::get();
    for (auto _ : state) {
        const Stopwatch watch;
        const std::uint64_t sum = measured_decode(day);
        report(state, watch.ns() / static_cast<double>(day.messages()));
        if (sum != day.sum_of_fields()) state.SkipWithError("a field was decoded wrong");
    }
}

const Registered kDecode{{"decode: every field of every message", "ns/message", 2, decode, walk_framing, 0, true, 9}};

}  // namespace
