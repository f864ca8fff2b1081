// Makes the Nth system call, completion or allocation of the code under test fail.
//
// Calls are counted on the thread that arms and on the threads started from it while it is armed, so that a
// test's own servers stay unharmed. The functions of libc and liburing that the project calls are defined in
// this program anew (inject.cpp), and go on to the real ones.
#pragma once

#include <cstddef>
#include <cstdint>

namespace millrace::test {

enum class Failing : std::uint8_t { call, completion, allocation };

// From now on the `nth` event of this kind fails, counted from 1.
void arm(Failing what, std::uint64_t nth);
// The same on the threads alone that were started from here while this was armed.
void arm_threads(Failing what, std::uint64_t nth);
// No event fails any more. Whether one has.
bool disarm();

// What the process holds at this moment.
struct Holdings {
    std::int64_t allocations = 0;   // by operator new
    std::int64_t mapped_bytes = 0;  // by mmap
    std::int64_t descriptors = 0;
};
[[nodiscard]] Holdings holdings();

}  // namespace millrace::test
