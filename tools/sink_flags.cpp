#include "command.hpp"
#include "sinks.hpp"

namespace millrace::tools {

void add_sink_options(CLI::App& command, SinkOptions& options) {
    command.add_option("--sink", options.urls,
                       "send the feed's records there; may be repeated (docs/streams.md)");
    command
        .add_option("--schema", options.schemas,
                    "what sinks get: mbo, trades, tbbo, mbp-1, mbp-10, status, imbalance, "
                    "definition, statistics")
        ->delimiter(',')
        ->capture_default_str();
}

}  // namespace millrace::tools
