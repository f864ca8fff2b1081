// IEX: what decoding every field costs a message, and what books do, beside walking IEX-TP framing alone. A worse
// figure means that fields cost more than the bytes they lie in, or that looking symbols up, or the levels and queues
// behind them, became dearer than the bytes are.
#include <cstdlib>
#include <memory>
#include <vector>

#include "bench/claims.hpp"
#include "bench/sum_fields.hpp"
#include "millrace/feed/session.hpp"
#include "millrace/feed/venues/iex/venue.hpp"
#include "millrace/replay/simulator/exchange.hpp"

namespace {

using namespace millrace;
using namespace millrace::bench;

// A simulated day of one venue, its packets side by side in memory.
template <class Venue>
class Day {
  public:
    static const Day& get() {
        static const Day day;
        return day;
    }
    template <class Take>
    void for_each_packet(Take&& take) const {
        std::size_t at = 0;
        for (const std::size_t end : ends_) {
            take(std::span(bytes_).subspan(at, end - at));
            at = end;
        }
    }
    [[nodiscard]] std::uint64_t messages() const { return messages_; }
    // Of all fields of all messages, read by the tables of fields and not by the structs.
    [[nodiscard]] std::uint64_t sum_of_fields() const { return sum_of_fields_; }

  private:
    Day() {
        replay::ExchangeConfig config;
        config.venue = Venue::kId;
        config.market.symbols = 4'000;
        const char* wanted = std::getenv("MILLRACE_BENCH_MESSAGES");  // of trading
        config.market.messages = wanted == nullptr ? 2'000'000 : std::strtoull(wanted, nullptr, 10);
        config.market.peak_orders = 150'000;
        config.lines.resize(1);
        replay::Exchange exchange(
            config,
            [&](const replay::SimulatedPacket& packet) {
                bytes_.insert(bytes_.end(), packet.bytes.begin(), packet.bytes.end());
                ends_.push_back(bytes_.size());
            },
            [&](replay::Exchange::Message message) { sum_of_fields_ += sum_by_table(message); });
        while (exchange.step()) {
        }
        messages_ = exchange.next_sequence() - 1;
    }

    [[nodiscard]] static std::uint64_t sum_by_table(std::span<const std::uint8_t> message) {
        std::uint64_t sum = 0;
        for (const wire::FieldLayout& field : Venue::layout(message)->fields) {
            if (field.kind == wire::FieldKind::reserved) continue;
            std::uint64_t number = 0;  // IEX is little-endian, as is text read as a number
            for (std::size_t i = 0; i < std::min<std::size_t>(field.size, sizeof(number)); ++i) {
                number |= std::uint64_t{message[field.offset + i]} << (8 * i);
            }
            sum += number;
        }
        return sum;
    }

    std::vector<std::uint8_t> bytes_;
    std::vector<std::size_t> ends_;
    std::uint64_t messages_ = 0;
    std::uint64_t sum_of_fields_ = 0;
};

// Not inlined, so that callgrind can be told to count here and nowhere else.
template <class Venue>
[[gnu::noinline]] std::uint64_t measured_framing(const Day<Venue>& day, std::uint64_t& messages) {
    std::uint64_t types = 0;
    day.for_each_packet([&](std::span<const std::uint8_t> packet) {
        const Frame frame = Venue::Framing::parse(packet);
        typename Venue::Framing::Walker walker(frame.blocks);
        for (std::uint32_t i = 0; i < frame.count; ++i) types += walker.next()[0];
        messages += frame.count;
    });
    return types;
}

template <class Venue>
void walk_framing(benchmark::State& state) {
    const auto& day = Day<Venue>::get();
    for (auto _ : state) {
        std::uint64_t messages = 0;
        const Stopwatch watch;
        std::uint64_t types = measured_framing<Venue>(day, messages);
        report(state, watch.ns() / static_cast<double>(day.messages()));
        benchmark::DoNotOptimize(types);
        if (messages != day.messages()) state.SkipWithError("messages are missing");
    }
}

// As a handler would write its switch, for any venue: the types in the order of their list.
template <class... M>
void sum_message(std::span<const std::uint8_t> bytes, std::uint64_t& sum, std::type_identity<std::tuple<M...>>) {
    static_cast<void>((sum_if<M>(bytes, sum) || ...));
}

template <class Venue>
[[gnu::noinline]] std::uint64_t measured_decode(const Day<Venue>& day) {
    std::uint64_t sum = 0;
    day.for_each_packet([&](std::span<const std::uint8_t> packet) {
        const Frame frame = Venue::Framing::parse(packet);
        typename Venue::Framing::Walker walker(frame.blocks);
        for (std::uint32_t i = 0; i < frame.count; ++i) {
            sum_message(walker.next(), sum, std::type_identity<typename Venue::Messages>{});
        }
    });
    return sum;
}

template <class Venue>
void decode(benchmark::State& state) {
    const auto& day = Day<Venue>::get();
    for (auto _ : state) {
        const Stopwatch watch;
        const std::uint64_t sum = measured_decode<Venue>(day);
        report(state, watch.ns() / static_cast<double>(day.messages()));
        if (sum != day.sum_of_fields()) state.SkipWithError("a field was decoded wrong");
    }
}

template <class Venue>
[[gnu::noinline]] void measured_books(Session<Venue, NullHandler>& session, const Day<Venue>& day) {
    day.for_each_packet([&](std::span<const std::uint8_t> packet) { session.on_packet({0, 1, packet}); });
}

template <class Venue>
void books(benchmark::State& state) {
    const auto& day = Day<Venue>::get();
    for (auto _ : state) {
        SessionConfig config;
        config.lines = 1;
        config.limits = {4'096, 400'000, 400'000};
        NullHandler nobody;
        const auto session = std::make_unique<Session<Venue, NullHandler>>(config, nobody);
        const Stopwatch watch;
        measured_books(*session, day);
        report(state, watch.ns() / static_cast<double>(day.messages()));
        const bool all = session->messages()[MessageCounter::delivered] == day.messages();
        if (!all) state.SkipWithError("not all was delivered");
        if (session->quality() != Quality::live) state.SkipWithError("a book is not exact");
    }
}

template <class Venue>
Claim claim(std::string name, double goal) {
    return {std::move(name), "ns a message", goal, books<Venue>, walk_framing<Venue>};
}
template <class Venue>
Claim decode_claim(std::string name) {
    return {std::move(name), "ns a message", 4, decode<Venue>, walk_framing<Venue>};
}

// Goals with room above what was measured (docs/measurements.md).
const Registered kTopsDecoded{decode_claim<venues::IexTops>("iex-tops: decode beside framing")};
const Registered kDeepDecoded{decode_claim<venues::IexDeep>("iex-deep: decode beside framing")};
const Registered kDeepPlusDecoded{decode_claim<venues::IexDeepPlus>("iex-deepplus: decode beside framing")};
const Registered kTops{claim<venues::IexTops>("iex-tops: books beside framing", 40)};
const Registered kDeep{claim<venues::IexDeep>("iex-deep: books beside framing", 40)};
const Registered kDeepPlus{claim<venues::IexDeepPlus>("iex-deepplus: books beside framing", 60)};

}  // namespace
