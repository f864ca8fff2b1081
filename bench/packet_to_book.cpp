// From when a packet was due to the end of its last callback, in process, beside the plain reference design that is
// given the same packets at the same times: Poisson times at a fifth of what Millrace does flat out, or one packet
// after each pause of 10 ms. A worse ratio means that a packet by itself, without others to share its cache misses
// with, takes longer.
//
// Both have seen the first half of the simulated day before, and must end with the same best prices. stderr has the
// percentiles of each run, the rate, and what it is of flat out.
#include <fmt/format.h>

#include <array>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "bench/book_runs.hpp"
#include "millrace/core/clock.hpp"
#include "millrace/core/cpu.hpp"
#include "millrace/feed/framing/moldudp64.hpp"
#include "tools/qualify/open_loop.hpp"

namespace millrace::bench {
namespace {

constexpr double kLoad = 0.2;  // of flat out
constexpr std::uint64_t kPackets = 200'000;
constexpr std::uint64_t kPauses = 300;
constexpr Nanoseconds kPause = 10'000'000;

// A part of the day in packets of another size.
class Slice {
  public:
    // As many messages as make `packets` packets, from the middle of the day on.
    Slice(const SimulatedDay& day, std::uint32_t messages_a_packet, std::uint64_t packets) {
        std::uint64_t seen = 0;
        std::vector<std::uint8_t> buffer(2'048);
        std::optional<MoldUdp64PacketBuilder> builder;  // in the day's own session: another one would begin anew
        std::uint32_t filled = 0;
        day.for_each_packet([&](std::span<const std::uint8_t> packet) {
            if (!builder) builder.emplace(buffer, session_name(packet));
            const Frame frame = MoldUdp64::parse(packet);
            if (seen < day.messages() / 2) {
                seen += frame.count;
                before_.push_back(packet);
                return;
            }
            MoldUdp64::Walker walker(frame.blocks);
            for (std::uint32_t i = 0; i < frame.count && ends_.size() < packets; ++i, ++seen) {
                if (filled == 0) builder->begin(seen + 1);
                MILLRACE_VERIFY(builder->append(walker.next()));
                if (++filled == messages_a_packet) {
                    add(builder->finish());
                    filled = 0;
                }
            }
        });
    }
    // Packets of the day as they are, up to where the slice begins.
    [[nodiscard]] const std::vector<std::span<const std::uint8_t>>& before() const { return before_; }
    [[nodiscard]] std::uint64_t packets() const { return ends_.size(); }
    [[nodiscard]] std::span<const std::uint8_t> packet(std::uint64_t i) const {
        const std::size_t begin = i == 0 ? 0 : ends_[i - 1];
        return std::span(bytes_).subspan(begin, ends_[i] - begin);
    }

  private:
    static std::string_view session_name(std::span<const std::uint8_t> packet) {
        return {reinterpret_cast<const char*>(packet.data()), 10};
    }
    void add(std::span<const std::uint8_t> packet) {
        bytes_.insert(bytes_.end(), packet.begin(), packet.end());
        ends_.push_back(bytes_.size());
    }

    std::vector<std::span<const std::uint8_t>> before_;
    std::vector<std::uint8_t> bytes_;
    std::vector<std::size_t> ends_;
};

template <std::uint32_t kMessages>
const Slice& slice() {
    static const Slice slice(SimulatedDay::get(), kMessages, kPackets);
    return slice;
}

// What the two sides are asked, so that they can be driven by the same code.
class Millrace {
  public:
    explicit Millrace(const SimulatedDay& day) : session_(std::make_unique<FullBooks>(config_for(day), handler_)) {}
    void take(std::span<const std::uint8_t> packet) { session_->on_packet({0, 0, packet}); }
    [[nodiscard]] std::uint64_t best(std::uint32_t symbol) const {
        const Top top = session_->books()[symbol].top();
        return static_cast<std::uint64_t>(value(top.bid.price)) * 31 + top.bid.quantity + top.bid.orders +
               static_cast<std::uint64_t>(value(top.ask.price)) * 37 + top.ask.quantity + top.ask.orders;
    }

  private:
    CountingHandler handler_;
    std::unique_ptr<FullBooks> session_;
};
class Reference {
  public:
    explicit Reference(const SimulatedDay& day) : books_(day.reference_max(), 1'000'000, {}) {}
    void take(std::span<const std::uint8_t> packet) {
        const Frame frame = MoldUdp64::parse(packet);
        MoldUdp64::Walker walker(frame.blocks);
        for (std::uint32_t i = 0; i < frame.count; ++i) books_.apply(walker.next());
    }
    [[nodiscard]] std::uint64_t best(std::uint32_t symbol) const {
        const auto bid = books_.best(static_cast<std::uint16_t>(symbol + 1), false);
        const auto ask = books_.best(static_cast<std::uint16_t>(symbol + 1), true);
        return std::uint64_t{bid.price} * 31 + bid.shares + bid.orders + std::uint64_t{ask.price} * 37 + ask.shares +
               ask.orders;
    }

  private:
    ReferenceBook books_;
};

template <class Books>
std::unique_ptr<Books> warm(const Slice& slice) {
    auto books = std::make_unique<Books>(SimulatedDay::get());
    for (const auto& packet : slice.before()) books->take(packet);
    return books;
}

// Packets a second of Millrace, flat out over the slice.
template <std::uint32_t kMessages>
double flat_out() {
    static const double rate = [] {
        const auto books = warm<Millrace>(slice<kMessages>());
        const Stopwatch watch;
        for (std::uint64_t i = 0; i < slice<kMessages>().packets(); ++i) books->take(slice<kMessages>().packet(i));
        return static_cast<double>(slice<kMessages>().packets()) * 1e9 / watch.ns();
    }();
    return rate;
}

// The best prices of every symbol, to be compared.
template <class Books>
[[nodiscard]] std::vector<std::uint64_t> best_prices(const Books& books) {
    std::vector<std::uint64_t> best;
    for (std::uint32_t symbol = 0; symbol < SimulatedDay::get().symbols(); ++symbol) best.push_back(books.best(symbol));
    return best;
}

// Both sides' books after so many packets of the slice are the same, whichever came first.
template <std::uint32_t kMessages, bool kPausing>
[[nodiscard]] bool as_the_other(std::vector<std::uint64_t> here) {
    static const std::vector<std::uint64_t> first = here;
    return here == first;
}

void conclude(benchmark::State& state, const std::string& what, const Histogram& latency) {
    const auto at = [&](double percent) { return static_cast<double>(latency.percentile(percent)); };
    fmt::print(stderr, "    {}: p50 {:.0f} p99 {:.0f} p99.9 {:.0f} max {} ns of {}\n", what, at(50), at(99), at(99.9),
               latency.max(), latency.total());
    report(state, "p50", at(50));
    report(state, "p99", at(99));
}

template <class Books, std::uint32_t kMessages>
void under_load(benchmark::State& state) {
    for (auto _ : state) {
        const Slice& packets = slice<kMessages>();
        const double rate = kLoad * flat_out<kMessages>();
        const auto books = warm<Books>(packets);
        MonotonicClock clock;
        tools::OpenLoopResult result;
        tools::run_open_loop(clock, [&](std::uint64_t i) { books->take(packets.packet(i)); },
                             {rate, packets.packets(), 1, {}}, result);
        conclude(state, fmt::format("{} messages a packet, {:.0f} packets/s due, {:.0f} done", kMessages, rate,
                                    result.achieved), result.latency);
        if (!as_the_other<kMessages, false>(best_prices(*books))) state.SkipWithError("not the same best prices as the other side");
    }
}

template <class Books, std::uint32_t kMessages>
void after_pauses(benchmark::State& state) {
    for (auto _ : state) {
        const Slice& packets = slice<kMessages>();
        const auto books = warm<Books>(packets);
        Histogram latency;
        for (std::uint64_t i = 0; i < kPauses; ++i) {
            const Timestamp due = MonotonicClock::now() + kPause;
            while (MonotonicClock::now() < due) {
            }
            books->take(packets.packet(i));
            latency.record(MonotonicClock::now() - due);
        }
        conclude(state, fmt::format("{} messages a packet, after pauses", kMessages), latency);
        if (!as_the_other<kMessages, true>(best_prices(*books))) state.SkipWithError("not the same best prices as the other side");
    }
}

template <std::uint32_t kMessages>
Claim load_claim(const char* name, bool quick) {
    return {name, "ns", 0.7, under_load<Millrace, kMessages>, under_load<Reference, kMessages>, 0, quick, 5, nullptr,
            {"p50", "p99"}};
}
template <std::uint32_t kMessages>
Claim pause_claim(const char* name) {
    return {name, "ns", 1, after_pauses<Millrace, kMessages>, after_pauses<Reference, kMessages>, 0, false, 3, nullptr,
            {"p50", "p99"}};
}

const Registered kOne{load_claim<1>("packet to book: 1 message", true)};
const Registered kEight{load_claim<8>("packet to book: 8 messages", false)};
const Registered kOneAfterPause{pause_claim<1>("packet to book: 1 message after 10 ms")};
const Registered kEightAfterPause{pause_claim<8>("packet to book: 8 messages after 10 ms")};

}  // namespace
}  // namespace millrace::bench
