// Programs of others that tests run: Python with packages in the build's own virtual environment.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/command.hpp"

namespace millrace::test {

// Runs a program to its end. `tag` keeps the output of several apart.
inline Outcome run_program(const std::vector<std::string>& argv,
                           const std::string& tag = "program") {
    const TempFile out(tag + ".out");
    const TempFile err(tag + ".err");
    std::string line;
    for (const std::string& word : argv) line += "'" + word + "' ";
    line += ">'" + out.path().string() + "' 2>'" + err.path().string() + "'";
    const int status = std::system(line.c_str());
    const auto text = [](const TempFile& file) {
        std::ostringstream all;
        all << std::ifstream(file.path()).rdbuf();
        return all.str();
    };
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), text(out), text(err)};
}

// $MILLRACE_VENV or build/venv, if its Python can import `module`; else empty.
inline std::string venv_python(const std::string& module) {
    const char* named = std::getenv("MILLRACE_VENV");
    const std::filesystem::path venv =
        named != nullptr ? std::filesystem::path(named)
                         : std::filesystem::path(MILLRACE_SOURCE_DIR) / "build/venv";
    const std::string python = (venv / "bin/python").string();
    if (!std::filesystem::exists(python)) return {};
    return run_program({python, "-c", "import " + module}).code == 0 ? python : std::string{};
}

}  // namespace millrace::test
