// Where the captures lie that nobody on this project wrote. Tests that need them skip, visibly, without.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <optional>

namespace millrace::test {

// $MILLRACE_CAPTURES, else shared/captures beside the checkout; nothing when neither is a folder.
inline std::optional<std::filesystem::path> captures_dir() {
    const char* from_environment = std::getenv("MILLRACE_CAPTURES");
    const std::filesystem::path dir = from_environment != nullptr
                                          ? std::filesystem::path(from_environment)
                                          : std::filesystem::path(MILLRACE_SOURCE_DIR) / "../shared/captures";
    if (!std::filesystem::is_directory(dir)) return std::nullopt;
    return std::filesystem::canonical(dir);
}

}  // namespace millrace::test
