// The exit codes of the command in words, for --help and docs/exit-codes.md.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "millrace/core/error.hpp"

namespace millrace::tools {

struct ExitCodeInfo {
    ExitCode code;
    std::string_view meaning;
};

inline constexpr std::array<ExitCodeInfo, 12> kExitCodes{{
    {ExitCode::ok, "the work was done and its result is good"},
    {ExitCode::failure,
     "the work was done and its result is bad: digests differ, a balance is not zero"},
    {ExitCode::usage, "an unknown flag or venue, or a missing argument"},
    {ExitCode::config, "a config file that cannot be read or does not make sense"},
    {ExitCode::file, "an input or output file that is missing, unreadable, or on a full disk"},
    {ExitCode::format, "an input file that is no capture, or is damaged beyond use"},
    {ExitCode::interface, "a network interface that does not exist, or a group it cannot join"},
    {ExitCode::privilege, "the kernel refused: locked memory, priority, raw sockets, io_uring"},
    {ExitCode::backend, "the backend that require_backend names is not to be had"},
    {ExitCode::cpu, "a CPU that does not exist, is busy, or that this process may not use"},
    {ExitCode::memory, "the memory asked for is not to be had"},
    {ExitCode::resource, "a port or address that something else uses, or a server that is not there or refuses"},
}};

// One line a code: "  3  a config file that ...".
[[nodiscard]] std::string exit_code_help();

}  // namespace millrace::tools
