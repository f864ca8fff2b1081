// The only source of chance: a small generator that gives the same numbers on every compiler and host.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace millrace {

// xoshiro256** (Blackman and Vigna, 2018), seeded by splitmix64.
class Random {
  public:
    explicit Random(std::uint64_t seed) {
        for (std::uint64_t& word : state_) word = mix(seed += 0x9e3779b97f4a7c15ULL);
    }

    [[nodiscard]] std::uint64_t next() {
        const std::uint64_t result = rotate(state_[1] * 5, 7) * 9;
        const std::uint64_t t = state_[1] << 17;
        state_[2] ^= state_[0];
        state_[3] ^= state_[1];
        state_[1] ^= state_[2];
        state_[0] ^= state_[3];
        state_[2] ^= t;
        state_[3] = rotate(state_[3], 45);
        return result;
    }

    // Below `bound`, which is at least 1.
    [[nodiscard]] std::uint64_t below(std::uint64_t bound) {
        __extension__ using Wide = unsigned __int128;
        return static_cast<std::uint64_t>(static_cast<Wide>(next()) * bound >> 64);
    }
    // From 0 up to, not including, 1.
    [[nodiscard]] double unit() { return static_cast<double>(next() >> 11) * 0x1p-53; }
    [[nodiscard]] bool chance(double probability) { return unit() < probability; }
    // Exponential with this mean.
    [[nodiscard]] double exponential(double mean) { return -mean * std::log1p(-unit()); }
    // 0, 1, 2, ... with this mean.
    [[nodiscard]] std::uint64_t geometric(double mean) {
        return static_cast<std::uint64_t>(std::log1p(-unit()) / std::log(mean / (mean + 1)));
    }

    // Bijection of 64-bit words with well-spread output (the finaliser of splitmix64).
    [[nodiscard]] static std::uint64_t mix(std::uint64_t word) {
        word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9ULL;
        word = (word ^ (word >> 27)) * 0x94d049bb133111ebULL;
        return word ^ (word >> 31);
    }

  private:
    [[nodiscard]] static std::uint64_t rotate(std::uint64_t word, int bits) {
        return word << bits | word >> (64 - bits);
    }
    std::uint64_t state_[4];
};

// 0, 1, 2, ... below `count`, number i with weight 1 / (i + 1)^exponent.
class Zipf {
  public:
    Zipf(std::size_t count, double exponent) {
        double sum = 0;
        for (std::size_t i = 0; i < count; ++i) cumulative_.push_back(sum += std::pow(static_cast<double>(i + 1), -exponent));
        for (double& share : cumulative_) share /= sum;
    }
    [[nodiscard]] std::size_t sample(Random& random) const {
        const auto at = std::upper_bound(cumulative_.begin(), cumulative_.end(), random.unit());
        return std::min<std::size_t>(static_cast<std::size_t>(at - cumulative_.begin()), cumulative_.size() - 1);
    }

  private:
    std::vector<double> cumulative_;
};

}  // namespace millrace
