#include "millrace/feed/streams/bars.hpp"

#include "millrace/core/error.hpp"
#include "tests/support/catch.hpp"

using namespace millrace;
using streams::Bar;
using streams::BarBuilder;

namespace {

constexpr Nanoseconds kMinute = Nanoseconds{60} * 1'000'000'000;

dbn::Trade trade(std::uint32_t instrument, std::uint64_t at, std::uint32_t sequence,
                 std::int64_t price, std::uint32_t size) {
    auto out = dbn::make<dbn::Trade>(dbn::Rtype::mbp_0);
    out.instrument_id.set(instrument);
    out.ts_event.set(at);
    out.sequence.set(sequence);
    out.price.set(price);
    out.size.set(size);
    return out;
}

}  // namespace

TEST_CASE("BarBuilder: open and close go by sequence and record, in whatever order trades come") {
    BarBuilder builder(kMinute);
    const auto start = static_cast<std::uint64_t>(kMinute) * 7;
    builder.add(trade(1, start + 50, 20, 105, 10), 2);
    builder.add(trade(1, start + 40, 20, 95, 10), 3);  // the same message, a later record
    builder.add(trade(1, start + 10, 10, 100, 1), 1);
    builder.add(trade(1, start + kMinute - 1, 5, 99, 3), 9);
    const auto bars = builder.bars();
    REQUIRE(bars.size() == 1);
    // 105*10 + 95*10 + 100 + 99*3 = 2397 over 24
    CHECK(bars[0] == Bar{start, 1, 4, 99, 105, 95, 95, 24, 99});
}

TEST_CASE("BarBuilder: a minute is UTC's, and each instrument has its own") {
    BarBuilder builder(kMinute);
    const auto start = static_cast<std::uint64_t>(kMinute);
    builder.add(trade(2, start, 3, 10, 1), 0);
    builder.add(trade(1, start, 2, 20, 1), 1);
    builder.add(trade(1, start - 1, 1, 30, 1), 2);
    const auto bars = builder.bars();
    REQUIRE(bars.size() == 3);
    CHECK(bars[0] == Bar{0, 1, 1, 30, 30, 30, 30, 1, 30});
    CHECK(bars[1] == Bar{start, 1, 1, 20, 20, 20, 20, 1, 20});
    CHECK(bars[2] == Bar{start, 2, 1, 10, 10, 10, 10, 1, 10});
}

TEST_CASE(
    "BarBuilder: the average is rounded down, below zero too, and does not overflow 64 bits") {
    BarBuilder builder(kMinute);
    builder.add(trade(1, 0, 1, -10, 1), 0);
    builder.add(trade(1, 1, 2, -11, 1), 1);
    builder.add(trade(2, 0, 1, 9'000'000'000'000'000'000, 4'000'000'000), 0);
    builder.add(trade(2, 0, 2, 9'000'000'000'000'000'001, 4'000'000'000), 1);
    const auto bars = builder.bars();
    REQUIRE(bars.size() == 2);
    CHECK(bars[0].vwap == -11);
    CHECK(bars[1].vwap == 9'000'000'000'000'000'000);
    CHECK(bars[1].volume == 8'000'000'000);
}

TEST_CASE("BarBuilder: trades without price, size or time are counted and left out") {
    BarBuilder builder(kMinute);
    builder.add(trade(1, 0, 1, dbn::kUndefPrice, 1), 0);
    builder.add(trade(1, 0, 1, 5, 0), 0);
    builder.add(trade(1, dbn::kUndefTimestamp, 1, 5, 1), 0);
    CHECK(builder.bars().empty());
    CHECK(builder.passed_over() == 3);
}

TEST_CASE("BarBuilder: an interval divides a day") {
    CHECK_THROWS_AS(BarBuilder(0), Error);
    CHECK_THROWS_AS(BarBuilder(7 * kMinute), Error);
    CHECK_NOTHROW(BarBuilder(5 * kMinute));
}
