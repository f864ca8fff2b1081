// The `millrace` command.
#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <sstream>
#include <string>

#include "command.hpp"
#include "console.hpp"
#include "exit_codes.hpp"

namespace millrace::tools {

std::string exit_code_help() {
    std::string text;
    for (const ExitCodeInfo& info : kExitCodes) {
        text += fmt::format("  {:2}  {}\n", static_cast<int>(info.code), info.meaning);
    }
    return text;
}

namespace {

constexpr const char* kDescription =
    "Millrace takes an exchange's market data off the wire and keeps every symbol's order book.\n"
    "A book is exact at a stated sequence number, or says that it is not.";

std::string footer() {
    return "Examples:\n"
           "  millrace live examples/nasdaq_two_lines.toml --record today.pcapng\n"
           "  millrace replay today.pcapng --json\n"
           "  millrace dump today.pcapng | head\n"
           "  millrace convert today.pcapng -o today.mbo.dbn.zst\n"
           "  millrace sim --help\n\n"
           "Exit codes:\n" +
           exit_code_help() +
           "\nResults go to stdout, everything else to stderr. Ctrl-C ends with the report.";
}

int fail(ExitCode code, const char* message) {
    tell("{}", message);
    return static_cast<int>(code);
}

int print(const std::string& text, int code) {
    try {
        write_result(text);
        return code;
    } catch (const Error& error) {
        return fail(error.code(), error.what());
    }
}

int run_command(int argc, char** argv) {
    CLI::App app(kDescription, "millrace");
    app.require_subcommand(1);
    app.fallthrough(false);
    Run run;
    add_live(app, run);
    add_replay(app, run);
    add_convert(app, run);
    add_dump(app, run);
    add_check(app, run);
    add_sim(app, run);
    add_qualify(app, run);
    add_doctor(app, run);
    add_version(app, run);
    app.footer(footer());  // after the subcommands, which would inherit it
    try {
        const auto meant = [&](const CLI::App* command) { return command->check_name(argv[1]); };
        if (argc > 1 && argv[1][0] != '-' && app.get_subcommands(meant).empty()) {
            throw Error(ExitCode::usage, fmt::format("no command is called {} (see millrace --help)", argv[1]));
        }
        app.parse(argc, argv);
        return static_cast<int>(run());
    } catch (const CLI::Success& help) {
        std::ostringstream text;
        const int code = app.exit(help, text, text);
        return print(text.str(), code);
    } catch (const CLI::ParseError& error) {
        std::string command = "millrace";
        for (const CLI::App* chosen : app.get_subcommands()) command += " " + chosen->get_name();
        return fail(ExitCode::usage, fmt::format("{} (see {} --help)", error.what(), command).c_str());
    } catch (const Error& error) {
        return fail(error.code(), error.what());
    } catch (const std::bad_alloc&) {
        return fail(ExitCode::memory, "out of memory; lower the limits, or free some");
    } catch (const std::exception& error) {
        return fail(ExitCode::failure, error.what());
    }
}

}  // namespace
}  // namespace millrace::tools

int main(int argc, char** argv) {
    millrace::tools::prepare_console();
    return millrace::tools::run_command(argc, argv);
}
