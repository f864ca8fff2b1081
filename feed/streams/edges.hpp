// The edges of this build, by the scheme of a URL.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "millrace/feed/streams/sink.hpp"
#include "millrace/feed/streams/source.hpp"
#include "millrace/feed/streams/url.hpp"

namespace millrace::streams {

struct EdgeComponent {
    std::string_view scheme;
    std::string_view title;
    bool built;
    std::string_view library;  // what it was or would be built with
};

// All that there are, also those that this build lacks.
[[nodiscard]] std::span<const EdgeComponent> edge_components();

// An edge, and the settings of the frame that its URL gives: payload, policy, batch, linger_ms,
// backlog_mb. Throws Error(usage), before anything is connected or made; then what open() throws.
[[nodiscard]] std::unique_ptr<Edge> make_edge(Url url, SinkConfig& config);
// Likewise a source.
// `given_up` is asked while a server is waited for, which ends when it says true.
[[nodiscard]] std::unique_ptr<Source> make_source(Url url, std::function<bool()> given_up = {});

}  // namespace millrace::streams
