// Where an edge leads: "kafka://host:port,host:port/topic?key=value&key=value".
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::streams {

struct Url {
    std::string scheme;
    std::string hosts;  // "host:port", or several behind commas
    std::string path;   // without the slash before it
    std::map<std::string, std::string> options;

    // The option, or `otherwise`; marks it as understood by taking it out.
    [[nodiscard]] std::string take(const std::string& key, const std::string& otherwise);
    // The same as a number of at most `most`. Throws Error(usage).
    [[nodiscard]] std::uint64_t take_number(const std::string& key, std::uint64_t otherwise,
                                            std::uint64_t most);
    // Without the options, for messages: they may hold secrets.
    [[nodiscard]] std::string text() const;
};

[[nodiscard]] bool looks_like_url(std::string_view text);
// %XX is decoded in the options. Throws Error(usage), also for a user or password in the URL,
// which other users of the machine could see: those come by environment.
[[nodiscard]] Url parse_url(std::string_view text);

struct HostPort {
    std::string host;
    int port = 0;
};
// `hosts`, of which there is at least one. Throws Error(usage).
[[nodiscard]] std::vector<HostPort> all_hosts(const Url& url, int default_port);
// The first of them. Throws Error(usage).
[[nodiscard]] HostPort first_host(const Url& url, int default_port);

}  // namespace millrace::streams
