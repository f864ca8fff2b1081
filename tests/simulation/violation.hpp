// How the simulation says that a promise was broken.
#pragma once

#include <stdexcept>
#include <utility>

#include <fmt/format.h>

namespace millrace::sim {

// A broken promise. Thrown out of a callback; the simulation of the seed ends there.
struct Violation : std::runtime_error {
    using std::runtime_error::runtime_error;
};

template <class... Args>
[[noreturn]] void violate(fmt::format_string<Args...> text, Args&&... args) {
    throw Violation(fmt::format(text, std::forward<Args>(args)...));
}

}  // namespace millrace::sim
