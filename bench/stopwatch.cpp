#include <ctime>

#include "bench/claims.hpp"

namespace millrace::bench {

double Stopwatch::now() {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
}

}  // namespace millrace::bench
