#include "console.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>

#include "millrace/core/error.hpp"

namespace millrace::tools {

void tell_line(std::string_view line) {
    const std::string text = fmt::format("millrace: {}\n", line);
    static_cast<void>(std::fwrite(text.data(), 1, text.size(), stderr));
}

void write_result(std::string_view text) {
    if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0) return;
    const int problem = errno;
    if (problem == EPIPE) {
        static_cast<void>(std::signal(SIGPIPE, SIG_DFL));
        static_cast<void>(std::raise(SIGPIPE));
    }
    throw_errno(ExitCode::file, "standard output", problem, "make room, or read all that is written");
}

void prepare_console() {
    static_cast<void>(std::signal(SIGPIPE, SIG_IGN));
    // Opened for reading only: what is written there fails, and is not taken for written.
    int fd = open("/dev/null", O_RDONLY);
    while (fd >= 0 && fd <= STDERR_FILENO) fd = open("/dev/null", O_RDONLY);
    if (fd >= 0) close(fd);
}

}  // namespace millrace::tools
