#include "millrace/replay/simulator/venue_servers.hpp"

#include <fmt/format.h>

#include "millrace/core/error.hpp"
#include "millrace/replay/simulator/iex_servers.hpp"
#include "millrace/replay/simulator/iex_wire.hpp"
#include "millrace/replay/simulator/nasdaq_servers.hpp"

namespace millrace::replay {

std::unique_ptr<VenueServers> make_servers(const VenueServersConfig& config) {
    if (config.venue.starts_with("nasdaq-")) return std::make_unique<NasdaqServers>(config);
    if (const auto feed = iex_feed(config.venue)) return std::make_unique<IexServers>(*feed, config);
    throw Error(ExitCode::usage, fmt::format("simulated exchange: {} has no servers; give one of the nasdaq- or iex- "
                                             "venues",
                                             config.venue));
}

}  // namespace millrace::replay
