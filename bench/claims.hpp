// What a claim is: one figure of ours beside a baseline that is measured in turns with it, and a goal for
// their ratio. Each file of this folder makes one claim, or one claim on several kinds of pages.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <benchmark/benchmark.h>

namespace millrace::bench {

// One side of a claim: runs once, checks its own result (state.SkipWithError when it is wrong) and says
// what it measured with report(), each figure of the claim once.
using Side = void (*)(benchmark::State&);

struct Claim {
    std::string name;
    std::string unit;
    double goal = 1;          // for the ratio of ours to the baseline
    Side ours = nullptr;
    Side baseline = nullptr;  // null: the baseline is the constant below
    double constant = 0;
    bool quick = false;       // part of --quick
    int pairs = 5;            // A B A B ...
    // Why this host cannot run it; empty when it can.
    std::string (*missing)() = nullptr;
    // What one run measures: each is a row "name, figure". With the one figure "" the row is called as the claim.
    std::vector<std::string> figures{""};
};

// A figure, in the claim's unit.
inline void report(benchmark::State& state, const std::string& figure, double value) { state.counters[figure] = value; }
inline void report(benchmark::State& state, double value) { report(state, "", value); }

// Adds a claim before main() runs: `const Registered kMine{{...}};` at namespace scope.
struct Registered {
    explicit Registered(Claim claim);
};

// CPU time of the calling thread: other processes share the cores, and what they use is not ours.
class Stopwatch {
  public:
    Stopwatch() : begin_(now()) {}
    [[nodiscard]] double ns() const { return now() - begin_; }
    [[nodiscard]] static double now();

  private:
    double begin_;
};

}  // namespace millrace::bench
