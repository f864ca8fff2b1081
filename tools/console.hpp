// What the command says: results on stdout, everything else on stderr.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

namespace millrace::tools {

// One line on stderr, behind "millrace: ". Where stderr cannot be written it is lost, and nothing else is.
void tell_line(std::string_view line);
template <class... Args>
void tell(fmt::format_string<Args...> text, Args&&... args) {
    tell_line(fmt::format(text, std::forward<Args>(args)...));
}

// On stdout, and out of our hands. Throws Error(file) when it cannot be written whole; when nobody reads it any
// more, the process ends as by SIGPIPE.
void write_result(std::string_view text);

// Before anything else is opened: descriptors 0 to 2 are taken, so that no file of ours can come to be one of
// them, and a reader that goes away is an error instead of a signal.
void prepare_console();

}  // namespace millrace::tools
