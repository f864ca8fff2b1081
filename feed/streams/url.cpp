#include "millrace/feed/streams/url.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "millrace/core/error.hpp"

namespace millrace::streams {

namespace {

std::string decoded(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        unsigned code = 0;
        const char* at = text.data() + i + 1;
        if (text[i] == '%' && i + 2 < text.size() &&
            std::from_chars(at, at + 2, code, 16).ptr == at + 2) {
            out.push_back(static_cast<char>(code));
            i += 2;
        } else {
            out.push_back(text[i]);
        }
    }
    return out;
}

template <class T>
bool parse_number(std::string_view text, T& number) {
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
    return problem == std::errc{} && end == text.data() + text.size();
}

}  // namespace

bool looks_like_url(std::string_view text) { return text.find("://") != std::string_view::npos; }

Url parse_url(std::string_view text) {
    Url url;
    const std::size_t scheme = text.find("://");
    if (scheme == std::string_view::npos || scheme == 0) {
        throw Error(ExitCode::usage,
                    fmt::format("{}: no URL; write it as kafka://host:port/topic", text));
    }
    url.scheme = text.substr(0, scheme);
    text.remove_prefix(scheme + 3);
    const std::size_t query = text.find('?');
    std::string_view options = query == std::string_view::npos ? "" : text.substr(query + 1);
    text = text.substr(0, query);
    if (text.find('@') != std::string_view::npos) {
        throw Error(ExitCode::usage, fmt::format("{}://: a user or password does not belong into "
                                                 "a URL, where others see it; give it "
                                                 "by environment (docs/streams.md)",
                                                 url.scheme));
    }
    const std::size_t slash = text.find('/');
    url.hosts = text.substr(0, slash);
    if (slash != std::string_view::npos) url.path = decoded(text.substr(slash + 1));
    while (!options.empty()) {
        const std::size_t end = options.find('&');
        const std::string_view pair = options.substr(0, end);
        options = end == std::string_view::npos ? "" : options.substr(end + 1);
        const std::size_t equals = pair.find('=');
        if (equals == std::string_view::npos) {
            throw Error(ExitCode::usage,
                        fmt::format("{}: option {} has no value", url.text(), pair));
        }
        url.options[decoded(pair.substr(0, equals))] = decoded(pair.substr(equals + 1));
    }
    return url;
}

std::string Url::take(const std::string& key, const std::string& otherwise) {
    const auto found = options.find(key);
    if (found == options.end()) return otherwise;
    std::string value = found->second;
    options.erase(found);
    return value;
}

std::uint64_t Url::take_number(const std::string& key, std::uint64_t otherwise,
                               std::uint64_t most) {
    const std::string value = take(key, "");
    if (value.empty()) return otherwise;
    std::uint64_t number = 0;
    if (!parse_number(value, number) || number > most) {
        throw Error(ExitCode::usage,
                    fmt::format("{}: {} is a whole number of at most {}", text(), key, most));
    }
    return number;
}

std::string Url::text() const {
    return fmt::format("{}://{}{}{}", scheme, hosts, path.empty() ? "" : "/", path);
}

std::vector<HostPort> all_hosts(const Url& url, int default_port) {
    std::vector<HostPort> hosts;
    for (std::size_t begin = 0; begin <= url.hosts.size();) {
        const std::size_t comma = std::min(url.hosts.find(',', begin), url.hosts.size());
        const std::string_view text = std::string_view(url.hosts).substr(begin, comma - begin);
        HostPort& out = hosts.emplace_back(HostPort{std::string(text), default_port});
        const std::size_t colon = text.rfind(':');
        if (colon != std::string_view::npos) {
            out.host = text.substr(0, colon);
            if (!parse_number(text.substr(colon + 1), out.port)) out.port = 0;
        }
        if (out.host.empty() || out.port <= 0 || out.port > 65'535) {
            throw Error(ExitCode::usage,
                        fmt::format("{}: \"{}\" is no host and port; write it as host:port, with a port of 1 to 65535",
                                    url.text(), text));
        }
        begin = comma + 1;
    }
    return hosts;
}

HostPort first_host(const Url& url, int default_port) { return all_hosts(url, default_port).front(); }

}  // namespace millrace::streams
