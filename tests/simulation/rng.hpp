// Chance of the simulation's own: the same numbers on every compiler, and none of the production code's.
#pragma once

#include <cstdint>

namespace millrace::sim {

// splitmix64 (Steele, Lea and Flood, 2014).
class Rng {
  public:
    // Each purpose draws from a stream of its own, so that switching one fault off leaves the others as
    // they were: that is what makes a failing seed shrink.
    Rng(std::uint64_t seed, std::uint64_t purpose) : state_(scramble(seed) ^ scramble(~purpose)) {}

    std::uint64_t next() { return scramble(state_ += 0x9e3779b97f4a7c15ULL); }
    // Below `bound`, which is at least 1 and small: the bias does not matter here.
    std::uint64_t below(std::uint64_t bound) { return next() % bound; }
    // From `low` to `high`, both included.
    std::uint64_t between(std::uint64_t low, std::uint64_t high) { return low + below(high - low + 1); }
    bool per_mille(std::uint64_t chance) { return below(1000) < chance; }

    static std::uint64_t scramble(std::uint64_t word) {
        word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9ULL;
        word = (word ^ (word >> 27)) * 0x94d049bb133111ebULL;
        return word ^ (word >> 31);
    }

  private:
    std::uint64_t state_;
};

}  // namespace millrace::sim
