#include "file_choice.hpp"

#include <fmt/format.h>

#include <filesystem>

#include "millrace/core/error.hpp"

namespace millrace::tools {

namespace {

// Devices and pipes take any number of writers.
bool same_file(const std::string& one, const std::string& other) {
    namespace fs = std::filesystem;
    std::error_code problem;
    if (fs::exists(one, problem) && !fs::is_regular_file(one, problem)) return false;
    if (fs::equivalent(one, other, problem)) return true;
    return fs::weakly_canonical(one, problem) == fs::weakly_canonical(other, problem);
}

}  // namespace

void check_apart(std::vector<std::string> read, const std::vector<std::string>& written) {
    for (const std::string& file : written) {
        if (file.empty()) continue;
        for (const std::string& other : read) {
            if (other.empty() || !same_file(file, other)) continue;
            throw Error(ExitCode::usage,
                        fmt::format("{}: is read or written by this command already; choose another name", file));
        }
        read.push_back(file);
    }
}

void check_unused(const std::string& file) {
    namespace fs = std::filesystem;
    std::error_code problem;
    if (!fs::is_regular_file(file, problem) || fs::file_size(file, problem) == 0) return;
    throw Error(ExitCode::file,
                fmt::format("{}: is there already, and a recording overwrites nothing; move it away, or name "
                            "another file",
                            file));
}

}  // namespace millrace::tools
