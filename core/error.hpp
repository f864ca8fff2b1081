// How Millrace fails. Hot path: status values and counters, never an exception. Set-up: `Error`, which
// says what, where, and what to try, and carries the exit code the command ends with.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace millrace {

// Exit codes of the `millrace` command (documented in its --help and in docs/exit-codes.md).
enum class ExitCode : int {
    ok = 0,
    failure = 1,        // the work was done and its result is bad (digest differs, balance not zero)
    usage = 2,          // unknown flag, unknown venue, missing argument
    config = 3,         // a config file that cannot be read or does not make sense
    file = 4,           // an input or output file: missing, unreadable, disk full
    format = 5,         // an input file that is no capture, or is damaged beyond use
    interface = 6,      // a network interface that does not exist, or a group it cannot join
    privilege = 7,      // the kernel refused: memlock, real-time priority, raw sockets, io_uring
    backend = 8,        // require_backend could not be honoured
    cpu = 9,            // a CPU that does not exist or that this process may not use
    memory = 10,        // the memory the config asks for is not to be had
    resource = 11,      // a port, address or other resource in use
};

// Thrown from constructors and set-up functions only. `what()` is one line: what, where, what to try.
class Error : public std::runtime_error {
  public:
    Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
    [[nodiscard]] ExitCode code() const { return code_; }

  private:
    ExitCode code_;
};

// `Error` from a system call: "<what>: <strerror(error_number)>; <try_this>".
[[noreturn]] void throw_errno(ExitCode code, std::string_view what, int error_number,
                              std::string_view try_this);

namespace detail {
[[noreturn]] void check_failed(const char* expression, const char* file, int line);
}

}  // namespace millrace

// MILLRACE_VERIFY holds in every build and guards cold paths; MILLRACE_ASSERT holds in debug and test
// builds and may stand on the hot path. Bytes from a network or a file never reach either unchecked.
#define MILLRACE_VERIFY(condition) \
    ((condition) ? static_cast<void>(0) : ::millrace::detail::check_failed(#condition, __FILE__, __LINE__))
#ifdef MILLRACE_ASSERTIONS
#define MILLRACE_ASSERT(condition) MILLRACE_VERIFY(condition)
#else
#define MILLRACE_ASSERT(condition) static_cast<void>(0)
#endif
