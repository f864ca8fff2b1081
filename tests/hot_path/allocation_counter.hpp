// Counts every heap allocation of this binary: allocation_counter.cpp takes the place of malloc and its kin.
#pragma once

#include <cstdint>

namespace millrace::test {

// From now on, or no longer, allocations of every thread are counted.
void count_allocations(bool on);
// From now on this thread's alone are counted, or every thread's again.
void count_this_thread_alone(bool alone);
// This thread's are never counted.
void exempt_this_thread();
// Since the last reset.
[[nodiscard]] std::uint64_t allocations();
void reset_allocations();

}  // namespace millrace::test
