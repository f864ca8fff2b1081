// What every subcommand is made of: flags on a CLI11 app, and what to run when it is chosen.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

#include "millrace/core/error.hpp"

namespace millrace::tools {

using Run = std::function<ExitCode()>;

// Each adds one subcommand to `app`, whose choice sets `run`. One file a subcommand.
void add_live(CLI::App& app, Run& run);
void add_replay(CLI::App& app, Run& run);
void add_convert(CLI::App& app, Run& run);
void add_dump(CLI::App& app, Run& run);
void add_check(CLI::App& app, Run& run);
void add_sim(CLI::App& app, Run& run);
void add_qualify(CLI::App& app, Run& run);
void add_doctor(CLI::App& app, Run& run);
void add_version(CLI::App& app, Run& run);

// --sink and --schema, for those that have sinks.
struct SinkOptions;
void add_sink_options(CLI::App& command, SinkOptions& options);

}  // namespace millrace::tools
