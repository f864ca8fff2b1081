// The only source of chance: a small generator that gives the same numbers on every compiler and
// host. Libraries' distributions and logarithms differ, so what is drawn here rests on integer
// arithmetic, and on single operations on doubles, which IEEE 754 rounds one way.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace millrace {

namespace detail {

__extension__ using Wide = unsigned __int128;

// Fixed point with 32 fractional bits.
inline constexpr unsigned kFraction = 32;
inline constexpr unsigned kLogSteps = 256;

// log2 of 1 + i / kLogSteps: a bit of the logarithm is whether the square reaches 2.
inline constexpr auto kLog2 = [] {
    std::array<std::uint64_t, kLogSteps + 1> table{};
    for (unsigned i = 0; i < kLogSteps; ++i) {
        std::uint64_t x = (1ULL << 63) / kLogSteps * (kLogSteps + i);
        for (unsigned bit = kFraction; bit-- > 0;) {
            const Wide square = Wide{x} * x >> 63;
            const bool reached = (square >> 64) != 0;
            x = static_cast<std::uint64_t>(reached ? square >> 1 : square);
            table[i] |= std::uint64_t{reached} << bit;
        }
    }
    table[kLogSteps] = 1ULL << kFraction;
    return table;
}();

// log2 of a whole number of at least 1, in fixed point; within 3 millionths.
[[nodiscard]] constexpr std::uint64_t log2_fixed(std::uint64_t number) {
    const auto exponent = static_cast<unsigned>(63 - std::countl_zero(number));
    // The bits behind the leading 1.
    const std::uint64_t fraction = number << (63 - exponent) << 1;
    const std::size_t step = fraction >> 56;
    const std::uint64_t between = (fraction >> 24) & 0xffffffff;
    const std::uint64_t slope = kLog2[step + 1] - kLog2[step];
    return (std::uint64_t{exponent} << kFraction) + kLog2[step] + (slope * between >> 32);
}

}  // namespace detail

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
        return static_cast<std::uint64_t>(detail::Wide{next()} * bound >> 64);
    }
    // From 0 up to, not including, 1.
    [[nodiscard]] double unit() { return static_cast<double>(next() >> 11) * 0x1p-53; }
    [[nodiscard]] bool chance(double probability) { return unit() < probability; }
    // Exponential with this mean.
    [[nodiscard]] double exponential(double mean) {
        constexpr double kNaturalOfFixed = 0.693147180559945309417 * 0x1p-32;
        return static_cast<double>(surprise()) * kNaturalOfFixed * mean;
    }
    // 0, 1, 2, ... with this mean. Where the mean stays, `Geometric` is faster.
    [[nodiscard]] std::uint64_t geometric(double mean);

    // -log2 of a number drawn from 0 to 1, in fixed point.
    [[nodiscard]] std::uint64_t surprise() {
        return (std::uint64_t{64} << detail::kFraction) - detail::log2_fixed(next() | 1);
    }

    // Bijection of 64-bit words with well-spread output (the finaliser of splitmix64); 0 stays 0.
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

// 0, 1, 2, ..., each less likely than the one before by the same factor.
class Geometric {
  public:
    // A mean of less than a millionth counts as 0, one of more than 200 million as that.
    explicit Geometric(double mean) {
        if (mean < 1e-6) return;
        const double factor = (mean < 2e8 ? mean : 2e8) + 1;
        const double inverse = factor / (factor - 1);  // how much likelier than the next, above 1
        step_ = detail::log2_fixed(static_cast<std::uint64_t>(inverse * 0x1p40)) -
                (std::uint64_t{40} << detail::kFraction);
    }
    [[nodiscard]] std::uint64_t sample(Random& random) const {
        return step_ == 0 ? 0 : random.surprise() / step_;
    }

  private:
    std::uint64_t step_ = 0;
};

inline std::uint64_t Random::geometric(double mean) { return Geometric(mean).sample(*this); }

// 0, 1, 2, ... below `count`, number i with weight 1 / (i + 1)^exponent. Walker's alias method:
// each slot is shared by at most two numbers, so that a draw costs one look-up.
class Zipf {
  public:
    Zipf(std::size_t count, double exponent) : slots_(count) {
        std::vector<std::uint64_t> rest(count);  // weight not yet given to a slot, times count
        for (std::size_t i = 0; i < count; ++i) total_ += rest[i] = weight(i + 1, exponent);
        for (std::uint64_t& share : rest) share *= count;
        std::vector<std::uint32_t> small;
        std::vector<std::uint32_t> large;
        for (std::size_t i = 0; i < count; ++i) {
            (rest[i] < total_ ? small : large).push_back(static_cast<std::uint32_t>(i));
        }
        while (!small.empty()) {
            const std::uint32_t lesser = small.back();
            small.pop_back();
            const std::uint32_t donor = large.empty() ? lesser : large.back();
            slots_[lesser] = {rest[lesser], donor};
            if (donor == lesser) continue;
            rest[donor] -= total_ - rest[lesser];
            if (rest[donor] >= total_) continue;
            large.pop_back();
            small.push_back(donor);
        }
        for (const std::uint32_t whole : large) slots_[whole] = {total_, whole};
    }

    [[nodiscard]] std::size_t sample(Random& random) const {
        const std::size_t i = random.below(slots_.size());
        return random.below(total_) < slots_[i].own ? i : slots_[i].other;
    }

  private:
    struct Slot {
        std::uint64_t own = 0;  // of total_, what falls to the slot's own number
        std::uint32_t other = 0;
    };

    // rank^-exponent, where 2^32 stands for 1, and never 0: found as the largest number whose
    // logarithm is not above the one wanted.
    [[nodiscard]] static std::uint64_t weight(std::uint64_t rank, double exponent) {
        const auto log = static_cast<double>(detail::log2_fixed(rank));
        const auto fall = static_cast<std::uint64_t>(exponent * log);
        constexpr std::uint64_t kOne = std::uint64_t{32} << detail::kFraction;
        const std::uint64_t wanted = fall < kOne ? kOne - fall : 0;
        std::uint64_t low = 1;
        std::uint64_t high = (1ULL << 32) + 1;
        while (high - low > 1) {
            const std::uint64_t middle = low + (high - low) / 2;
            (detail::log2_fixed(middle) <= wanted ? low : high) = middle;
        }
        return low;
    }

    std::vector<Slot> slots_;
    std::uint64_t total_ = 0;
};

}  // namespace millrace
