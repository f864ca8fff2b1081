// What the reader of a report must not overlook, in lines on stderr, and whether the run is a good one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/core/error.hpp"
#include "summary.hpp"

namespace millrace::tools {

// A line for each of these that there was: several sessions, messages lost in any of them, packets this host dropped,
// strays, contradictions, books that are not live, what of a stream is not there or not whole, and each sink that
// left records out without being asked to. The numbers of a stream count only where some of it reads as the venue.
// `where` is the file or the feed.
[[nodiscard]] std::vector<std::string> remarks_on(const FeedSummary& feed, const std::string& where);
void tell_remarks(const FeedSummary& feed, const std::string& where);

// Of a file that is cut off or damaged; what stands before that was `done`.
void tell_damage(const std::string& file, const std::string& damage, std::string_view done);

// What came, by whether it reads as a venue.
struct Readable {
    std::uint64_t messages = 0;
    std::uint64_t bad_messages = 0;  // malformed, or of unknown types
    std::uint64_t heartbeats = 0;    // packets without messages, and nothing else in them
    std::uint64_t bad_packets = 0;   // malformed, or with bytes that belong to no message
};
// Something came, and none of it reads as the venue. Heartbeats alone excuse a packet of something else, but no
// message: several protocols share a framing.
[[nodiscard]] bool reads_as_nothing(const Readable& what);
[[nodiscard]] bool reads_as_nothing(const FeedSummary& feed);
// Of captures: tells where nothing came, or none of it reads as the feed's venue. Failure then.
[[nodiscard]] ExitCode judge_contents(const FeedSummary& feed, const std::string& file);
void tell_empty(const std::string& file);

// Tells of each symbol that was asked for and is not there. Failure when none of them is.
[[nodiscard]] ExitCode judge_symbols(const std::vector<std::string>& asked, const FeedSummary& feed);

}  // namespace millrace::tools
