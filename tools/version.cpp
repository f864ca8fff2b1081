// millrace version: what this build is and what it speaks.
#include <fmt/format.h>

#include <cstdio>

#include "command.hpp"
#include "console.hpp"
#include "millrace/feed/streams/edges.hpp"
#include "millrace/feed/venues/venue_list.hpp"

namespace millrace::tools {

namespace {

ExitCode print_version() {
    std::string text = fmt::format("millrace {}\ncompiler {}\nvenues\n", MILLRACE_VERSION, __VERSION__);
    venues::for_each_venue(
        [&]<class Venue>() { text += fmt::format("  {:<18} {}\n", Venue::kId, Venue::kTitle); });
    text += "streams\n";
    for (const streams::EdgeComponent& edge : streams::edge_components()) {
        text += fmt::format("  {:<18} {}{}\n", edge.scheme, edge.title,
                            edge.built ? "" : fmt::format(" (not in this build: needs {})", edge.library));
    }
    write_result(text);
    return ExitCode::ok;
}

}  // namespace

void add_version(CLI::App& app, Run& run) {
    app.add_subcommand("version", "Print the version, the compiler and the venues")
        ->callback([&run] { run = print_version; });
    app.set_version_flag("--version", "millrace " MILLRACE_VERSION);
}

}  // namespace millrace::tools
