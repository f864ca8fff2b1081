// What a sink gives to its edge.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "millrace/core/types.hpp"
#include "millrace/feed/streams/envelope.hpp"

namespace millrace::streams {

struct Batch {
    std::uint64_t id = 0;
    Envelope envelope{};
    Symbol symbol;  // empty where the stream is of the whole feed
    std::string_view event;  // the schema of its records, or "mixed"
    std::size_t stream = 0;  // of the sink's streams
    bool books_only = false;  // MBP records and nothing else: newer ones say all that these say
    bool done = false;   // acknowledged or refused
    bool again = false;  // was given to the edge before, and may have arrived
    std::uint64_t sealed_ms = 0;  // by the system's clock, never less than of the batch before
    std::vector<std::uint8_t> payload;
};

}  // namespace millrace::streams
