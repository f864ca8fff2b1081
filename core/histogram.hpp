// Counts of durations in nanoseconds, with a relative error below 1/32, in fixed memory.
//
// Values share a bucket when their first six significant bits agree (the log-linear layout of HDR
// histograms). Recording is a few instructions and never allocates.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "millrace/core/types.hpp"

namespace millrace {

class Histogram {
  public:
    static constexpr unsigned kSubBits = 5;
    static constexpr std::size_t kBuckets = (64 - kSubBits + 1) * (std::size_t{1} << kSubBits);

    // Negative durations (clocks that disagree) are counted apart and not recorded.
    void record(Nanoseconds duration) {
        if (duration < 0) {
            ++negative_;
            return;
        }
        const auto ns = static_cast<std::uint64_t>(duration);
        ++counts_[bucket(ns)];
        ++total_;
        if (ns > max_) max_ = ns;
        if (ns < min_) min_ = ns;
    }

    [[nodiscard]] std::uint64_t total() const { return total_; }
    [[nodiscard]] std::uint64_t negative() const { return negative_; }
    [[nodiscard]] std::uint64_t max() const { return max_; }
    [[nodiscard]] std::uint64_t min() const { return total_ == 0 ? 0 : min_; }

    // The smallest recorded duration (rounded up to its bucket) that at least `percent` of all are within.
    [[nodiscard]] std::uint64_t percentile(double percent) const {
        const double wanted = static_cast<double>(total_) * percent / 100.0;
        std::uint64_t seen = 0;
        for (std::size_t i = 0; i < kBuckets; ++i) {
            seen += counts_[i];
            if (seen > 0 && static_cast<double>(seen) >= wanted) return upper(i) < max_ ? upper(i) : max_;
        }
        return max_;
    }

    // Every bucket that has something, ascending: `use(largest value of the bucket, how many)`.
    template <class Use>
    void for_each_bucket(Use&& use) const {
        for (std::size_t i = 0; i < kBuckets; ++i) {
            if (counts_[i] != 0) use(upper(i), counts_[i]);
        }
    }

    void merge(const Histogram& other) {
        for (std::size_t i = 0; i < kBuckets; ++i) counts_[i] += other.counts_[i];
        total_ += other.total_;
        negative_ += other.negative_;
        if (other.max_ > max_) max_ = other.max_;
        if (other.min_ < min_) min_ = other.min_;
    }

  private:
    [[nodiscard]] static std::size_t bucket(std::uint64_t ns) {
        constexpr std::uint64_t kLinear = std::uint64_t{1} << kSubBits;
        if (ns < kLinear) return static_cast<std::size_t>(ns);
        const unsigned shift = static_cast<unsigned>(std::bit_width(ns)) - kSubBits - 1;
        return (std::size_t{shift} << kSubBits) + static_cast<std::size_t>(ns >> shift);
    }
    // Largest value of a bucket.
    [[nodiscard]] static std::uint64_t upper(std::size_t i) {
        constexpr std::size_t kLinear = std::size_t{1} << kSubBits;
        if (i < 2 * kLinear) return i;
        const std::size_t shift = (i >> kSubBits) - 1;
        return ((((i & (kLinear - 1)) | kLinear) + 1) << shift) - 1;
    }

    std::array<std::uint64_t, kBuckets> counts_{};
    std::uint64_t total_ = 0;
    std::uint64_t negative_ = 0;
    std::uint64_t max_ = 0;
    std::uint64_t min_ = ~std::uint64_t{0};
};

}  // namespace millrace
