#include "millrace/core/random.hpp"

#include <cmath>
#include <set>

#include "tests/support/catch.hpp"

using namespace millrace;

TEST_CASE("Random: the fixed-point logarithm follows the true one") {
    for (const std::uint64_t n :
         {1ULL, 2ULL, 3ULL, 10ULL, 255ULL, 1'000'003ULL, (1ULL << 63) + 12345, ~0ULL}) {
        const double fixed = static_cast<double>(detail::log2_fixed(n)) * 0x1p-32;
        CHECK(fixed == Approx(std::log2(static_cast<double>(n))).margin(4e-6));
    }
    CHECK(detail::log2_fixed(1) == 0);
    CHECK(detail::log2_fixed(1ULL << 40) == 40ULL << 32);
}

TEST_CASE("Random: numbers below a bound are spread evenly") {
    Random random(1);
    std::uint64_t counts[7] = {};
    for (int i = 0; i < 70'000; ++i) ++counts[random.below(7)];
    for (const std::uint64_t count : counts)
        CHECK(static_cast<double>(count) == Approx(10'000).epsilon(0.05));
    CHECK(random.below(1) == 0);
}

TEST_CASE("Random: exponential and geometric numbers have their mean and their tail") {
    Random random(2);
    const Geometric geometric(5);
    double exponential_sum = 0;
    double geometric_sum = 0;
    int zeroes = 0;
    int beyond_mean = 0;
    constexpr int kDraws = 200'000;
    for (int i = 0; i < kDraws; ++i) {
        const double e = random.exponential(3);
        REQUIRE(e >= 0);
        exponential_sum += e;
        beyond_mean += e > 3 ? 1 : 0;
        const std::uint64_t g = geometric.sample(random);
        geometric_sum += static_cast<double>(g);
        zeroes += g == 0 ? 1 : 0;
    }
    CHECK(exponential_sum / kDraws == Approx(3).epsilon(0.02));
    CHECK(beyond_mean / double{kDraws} == Approx(std::exp(-1)).epsilon(0.02));
    CHECK(geometric_sum / kDraws == Approx(5).epsilon(0.02));
    CHECK(zeroes / double{kDraws} == Approx(1.0 / 6).epsilon(0.03));
    CHECK(Geometric(0).sample(random) == 0);
}

TEST_CASE("Random: Zipf weights fall with the rank") {
    Random random(3);
    const Zipf zipf(10, 1);
    std::uint64_t counts[10] = {};
    constexpr int kDraws = 300'000;
    for (int i = 0; i < kDraws; ++i) ++counts[zipf.sample(random)];
    double sum = 0;
    for (int i = 1; i <= 10; ++i) sum += 1.0 / i;
    for (int i = 0; i < 10; ++i) {
        CHECK(static_cast<double>(counts[i]) / kDraws ==
              Approx(1.0 / (i + 1) / sum).epsilon(0.04));
    }
    CHECK(Zipf(1, 0.6).sample(random) == 0);
    const Zipf flat(4, 0);
    std::set<std::size_t> seen;
    for (int i = 0; i < 200; ++i) seen.insert(flat.sample(random));
    CHECK(seen == std::set<std::size_t>{0, 1, 2, 3});
}

TEST_CASE("Random: mix maps no two words to one and keeps only zero in its place") {
    std::set<std::uint64_t> images;
    for (std::uint64_t word = 0; word < 100'000; ++word) images.insert(Random::mix(word));
    CHECK(images.size() == 100'000);
    CHECK(Random::mix(0) == 0);
}
