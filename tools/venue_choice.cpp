#include "venue_choice.hpp"

#include <fmt/format.h>

#include <cstdio>

#include "millrace/core/error.hpp"
#include "millrace/feed/venues/venue_list.hpp"
#include "millrace/replay/detect.hpp"

namespace millrace::tools {

std::string venue_ids() {
    std::string ids;
    venues::for_each_venue([&]<class Venue>() {
        if (!ids.empty()) ids += ", ";
        ids += Venue::kId;
    });
    return ids;
}

std::string choose_venue(const std::string& named, const std::vector<std::string>& files) {
    if (!named.empty()) {
        if (venues::with_venue(named, []<class Venue>() {})) return named;
        throw Error(ExitCode::usage,
                    fmt::format("no venue is called {}; there are {}", named, venue_ids()));
    }
    for (const std::string& file : files) {
        const std::string_view found = replay::detect_venue(file);
        if (found.empty()) continue;
        fmt::print(stderr, "millrace: {}: taken for {}\n", file, found);
        return std::string(found);
    }
    throw Error(ExitCode::usage,
                fmt::format("{}: its bytes tell of no venue; name one with --venue ({})",
                            files.front(), venue_ids()));
}

}  // namespace millrace::tools
