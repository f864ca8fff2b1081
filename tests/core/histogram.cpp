#include "millrace/core/histogram.hpp"

#include <algorithm>
#include <random>
#include <vector>

#include "tests/support/catch.hpp"

using millrace::Histogram;

TEST_CASE("Histogram: percentiles are within 1/32 above those of the sorted values") {
    std::mt19937_64 random(7);
    Histogram histogram;
    std::vector<std::uint64_t> values;
    for (int i = 0; i < 100'000; ++i) {
        const std::uint64_t value = random() >> (random() % 60 + 2);
        values.push_back(value);
        histogram.record(static_cast<millrace::Nanoseconds>(value));
    }
    std::sort(values.begin(), values.end());
    for (const double percent : {1.0, 25.0, 50.0, 90.0, 99.0, 99.9}) {
        const auto exact = values[static_cast<std::size_t>(percent / 100.0 * 100'000.0) - 1];
        const auto found = histogram.percentile(percent);
        CHECK(found >= exact);
        CHECK(static_cast<double>(found) <= static_cast<double>(exact) * (1.0 + 1.0 / 32) + 1);
    }
    CHECK(histogram.percentile(100) == values.back());
    CHECK(histogram.min() == values.front());
}

TEST_CASE("Histogram: the largest duration has a bucket and negative ones are counted apart") {
    Histogram histogram;
    histogram.record(std::numeric_limits<millrace::Nanoseconds>::max());
    histogram.record(-1);
    CHECK(histogram.total() == 1);
    CHECK(histogram.negative() == 1);
    CHECK(histogram.percentile(50) == static_cast<std::uint64_t>(std::numeric_limits<millrace::Nanoseconds>::max()));
}
