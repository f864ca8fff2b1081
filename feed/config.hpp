// The config file of a live process: which feeds on which lines, and what each may use. One file,
// TOML.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/feed/net/receive_config.hpp"
#include "millrace/feed/session_config.hpp"

namespace millrace {

// Where the feed's records go (docs/streams.md).
struct SinksConfig {
    std::vector<std::string> urls;
    std::vector<std::string> schemas{"mbo"};
};

struct FeedConfig {
    FeedConfig() { session.quality = QualityConfig::live(); }

    std::string name;
    std::string venue;  // an id of the venue list
    std::vector<LineConfig> lines;
    ReceiveConfig receive;
    ThreadsConfig threads;
    RecoveryServers recovery;
    SinksConfig sinks;
    SessionConfig session;  // its lines and datagram size follow from the above
};

struct Config {
    std::vector<FeedConfig> feeds;
};

// Throws Error(config) that names file, line and key, and says what is allowed.
[[nodiscard]] Config load_config(const std::filesystem::path& path);
// The same from text; `title` stands for the file in messages.
[[nodiscard]] Config parse_config(std::string_view text, const std::string& title);

// The config's feed of this venue. Throws Error(config) when there is not exactly one.
[[nodiscard]] const FeedConfig& only_feed_of(const Config& config, std::string_view venue);

// Every key with type, default, range and meaning, as Markdown.
[[nodiscard]] std::string config_help();

}  // namespace millrace
