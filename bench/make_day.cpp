// Run by the build: makes a simulated day and writes it where the benchmarks look for it.
#include <cstdlib>
#include <cstring>

#include "bench/simulated_day.hpp"

int main(int argc, char** argv) {
    using millrace::bench::SimulatedDay;
    if (argc != 3) return 2;
    SimulatedDay::make(SimulatedDay::kMessages, std::strcmp(argv[2], "sparse") == 0).save(argv[1]);
}
