// Batches from a broker through the books: what replay does with a URL in place of a file.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "millrace/feed/session_config.hpp"
#include "summary.hpp"

namespace millrace::tools {

struct SourceReplay {
    std::string url;
    SessionConfig session;
    std::string books;  // a file for all books' best prices at the end, or empty
};

// Called now and then; false ends the reading.
using KeepOn = std::function<bool(std::uint64_t records)>;

// Reads until the source's end, or until `keep_on` says no. What is missing from the streams makes
// the books `recovering`, what comes twice is passed over. Throws Error(usage, resource).
[[nodiscard]] FeedSummary replay_source(const SourceReplay& options, const KeepOn& keep_on);

}  // namespace millrace::tools
