#include "millrace/feed/streams/edges.hpp"

#include <fmt/format.h>

#include <array>

#include "millrace/core/error.hpp"

namespace millrace::streams {

namespace {

constexpr std::array<EdgeComponent, 2> kComponents{{
    {"dbn", "DBN files, out and in", true, ""},
    {"csv", "CSV files, out and in", true, ""},
}};

constexpr std::uint64_t kBatchMost = 1 << 20;
constexpr std::uint64_t kLingerMost = 60'000;   // ms
constexpr std::uint64_t kBacklogMost = 1 << 20;  // MiB

[[noreturn]] void refuse(const Url& url) {
    for (const EdgeComponent& component : kComponents) {
        if (component.scheme != url.scheme || component.built) continue;
        throw Error(ExitCode::usage,
                    fmt::format("{}: this build has no {}; install {} and build again", url.text(),
                                component.scheme, component.library));
    }
    throw Error(ExitCode::usage,
                fmt::format("{}: no such way in or out; millrace version lists them", url.text()));
}

void take_frame_options(Url& url, SinkConfig& config) {
    const std::string payload = url.take("payload", "dbn");
    if (payload == "dbn") config.payload = Payload::dbn;
    else if (payload == "json") config.payload = Payload::json;
    else if (payload == "csv") config.payload = Payload::csv;
    else throw Error(ExitCode::usage, fmt::format("{}: payload is dbn, json or csv", url.text()));
    const std::string policy = url.take("policy", "");
    if (policy == "block") config.when_full = WhenFull::block;
    else if (policy == "drop_oldest") config.when_full = WhenFull::drop_oldest;
    else if (policy == "conflate") config.when_full = WhenFull::conflate;
    else if (!policy.empty()) {
        throw Error(ExitCode::usage,
                    fmt::format("{}: policy is block, drop_oldest or conflate", url.text()));
    }
    config.batch_records = static_cast<std::uint32_t>(
        url.take_number("batch", config.batch_records, kBatchMost));
    config.linger =
        static_cast<Nanoseconds>(url.take_number("linger_ms", 5, kLingerMost)) * 1'000'000;
    config.backlog_bytes =
        url.take_number("backlog_mb", config.backlog_bytes >> 20, kBacklogMost) << 20;
    config.feed = url.take("feed", config.feed);
    if (config.batch_records == 0)
        throw Error(ExitCode::usage, fmt::format("{}: batch is at least 1", url.text()));
}

}  // namespace

std::span<const EdgeComponent> edge_components() { return kComponents; }

std::unique_ptr<Edge> make_edge(Url url, SinkConfig& config) {
    take_frame_options(url, config);
    refuse(url);
}

std::unique_ptr<Source> make_source(Url url) { refuse(url); }

}  // namespace millrace::streams
