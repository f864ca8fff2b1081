#include "millrace/core/error.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace millrace {

void throw_errno(ExitCode code, std::string_view what, int error_number, std::string_view try_this) {
    std::string message(what);
    message += ": ";
    message += std::strerror(error_number);
    if (!try_this.empty()) {
        message += "; ";
        message += try_this;
    }
    throw Error(code, message);
}

void detail::check_failed(const char* expression, const char* file, int line) {
    std::fprintf(stderr, "millrace: internal error: %s does not hold at %s:%d\n", expression, file, line);
    std::abort();
}

}  // namespace millrace
