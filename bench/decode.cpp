// Decoding every message, every field read as by a handler that asks for all of them, beside walking the
// framing alone: message by message, and a window of messages at a time, sorted by kind, as books look ahead. A worse
// figure means that fields cost more than the bytes they lie in.
#include <array>
#include <tuple>
#include <type_traits>

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

// Messages by kind, so that no branch depends on which one comes next; the order within a kind stays. Who needs the
// order of all keeps each message's number beside it.
template <class Messages>
class Sorted;
template <class... M>
class Sorted<std::tuple<M...>> {
  public:
    void add(std::span<const std::uint8_t> message) {
        const std::size_t kind = kKinds[message[0]];
        messages_[kind][counts_[kind]++] = message;
    }
    void sum_into(std::uint64_t& sum) {
        std::size_t kind = 0;
        (sum_kind<M>(kind++, sum), ...);
        counts_ = {};
    }

  private:
    // Of types that the protocol has not there is one more.
    static constexpr auto kKinds = [] {
        std::array<std::uint8_t, 256> kinds{};
        kinds.fill(sizeof...(M));
        std::uint8_t kind = 0;
        ((kinds[static_cast<unsigned char>(M::kType)] = kind++), ...);
        return kinds;
    }();
    template <class One>
    void sum_kind(std::size_t kind, std::uint64_t& sum) const {
        for (const auto message : std::span(messages_[kind]).first(counts_[kind])) {
            if (message.size() >= sizeof(One)) [[likely]] sum += sum_fields<One>(message);
        }
    }

    std::array<std::array<MessageBytes, 512>, sizeof...(M) + 1> messages_;
    std::array<std::uint32_t, sizeof...(M) + 1> counts_{};
};

[[gnu::noinline]] std::uint64_t measured_sorted(const SimulatedDay& day) {
    constexpr std::uint32_t kWindow = 256;  // and what the packet that fills it holds beyond
    static Sorted<venues::itch50::Messages> sorted;
    std::uint64_t sum = 0;
    std::uint32_t waiting = 0;
    day.for_each_packet([&](std::span<const std::uint8_t> packet) {
        const Frame frame = MoldUdp64::parse(packet);
        MoldUdp64::Walker walker(frame.blocks);
        for (std::uint32_t i = 0; i < frame.count; ++i) sorted.add(walker.next());
        waiting += frame.count;
        if (waiting < kWindow) return;
        sorted.sum_into(sum);
        waiting = 0;
    });
    sorted.sum_into(sum);
    return sum;
}

// Callgrind is switched on by names with "measured", of which no other function's may be made.
void decode(benchmark::State& state, std::uint64_t (*all)(const SimulatedDay&)) {
    const SimulatedDay& day = SimulatedDay::get();
    for (auto _ : state) {
        const Stopwatch watch;
        const std::uint64_t sum = all(day);
        report(state, watch.ns() / static_cast<double>(day.messages()));
        if (sum != day.sum_of_fields()) state.SkipWithError("a field was decoded wrong");
    }
}

void decode_in_order(benchmark::State& state) { decode(state, measured_decode); }
void decode_sorted(benchmark::State& state) { decode(state, measured_sorted); }

const Registered kDecode{
    {"decode: every field of every message", "ns/message", 2, decode_in_order, walk_framing, 0, true, 9}};
const Registered kSorted{
    {"decode: every field, a window sorted by kind", "ns/message", 2, decode_sorted, walk_framing, 0, true, 9}};

}  // namespace
