#include "venue_choice.hpp"

#include <fmt/format.h>

#include <filesystem>

#include "console.hpp"
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
    std::string chosen;
    for (const std::string& file : files) {
        std::error_code problem;
        if (std::filesystem::exists(file, problem) && !std::filesystem::is_regular_file(file, problem) &&
            !std::filesystem::is_directory(file, problem)) {
            throw Error(ExitCode::usage,
                        fmt::format("{}: is no file that can be read twice; name its venue with --venue", file));
        }
        const std::string found(replay::detect_venue(file));
        if (found.empty() || found == chosen) continue;
        if (!chosen.empty()) {
            throw Error(ExitCode::usage, fmt::format("{}: looks like {}, and files before it like {}; one venue at a "
                                                     "time, or name it with --venue",
                                                     file, found, chosen));
        }
        tell("{}: taken for {}", file, found);
        chosen = found;
    }
    if (!chosen.empty()) return chosen;
    throw Error(ExitCode::usage,
                fmt::format("{}: its bytes tell of no venue; name one with --venue ({})",
                            files.front(), venue_ids()));
}

}  // namespace millrace::tools
