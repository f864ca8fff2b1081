// System-call filters for tests.
#pragma once

#include <seccomp.h>

#include <cstdint>
#include <initializer_list>

namespace millrace::test {

enum class FilterScope { this_thread, all_threads };

// From now on any system call but these kills the process with SIGSYS. False when the kernel refuses.
[[nodiscard]] inline bool allow_only(std::initializer_list<int> calls, FilterScope scope) {
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    bool good = filter != nullptr;
    if (scope == FilterScope::all_threads) good = good && seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1) == 0;
    for (const int call : calls) good = good && seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0) == 0;
    // Not released: that would be a call of its own (munmap).
    return good && seccomp_load(filter) == 0;
}

// From now on this call fails with `error_number`, here and in what is executed.
[[nodiscard]] inline bool refuse(int call, int error_number) {
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    const bool good =
        filter != nullptr &&
        seccomp_rule_add(filter, SCMP_ACT_ERRNO(static_cast<std::uint32_t>(error_number)), call, 0) == 0 &&
        seccomp_load(filter) == 0;
    seccomp_release(filter);
    return good;
}

}  // namespace millrace::test
