// One message in words, from its declared layout: a line for people, or a JSON object for programs.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <span>

#include "millrace/core/types.hpp"
#include "millrace/core/wire.hpp"

namespace millrace::tools {

// Where a message stands. What a file does not tell is left out.
struct MessagePlace {
    std::optional<std::uint64_t> frame;
    std::optional<Timestamp> time;
    SequenceNumber sequence = 0;
    std::optional<std::uint32_t> channel = {};  // of the stream, and its session; IEX-TP alone
    std::uint32_t session = 0;
};

// `message` holds at least `layout.size` bytes. Appends a line without its end.
void dump_text(fmt::memory_buffer& out, const MessagePlace& place, const wire::MessageLayout& layout,
               std::span<const std::uint8_t> message);
void dump_json(fmt::memory_buffer& out, const MessagePlace& place, const wire::MessageLayout& layout,
               std::span<const std::uint8_t> message);

// A message without a layout, or too short for it: `what` is "unknown" or "malformed", the bytes in hex.
void dump_text(fmt::memory_buffer& out, const MessagePlace& place, std::string_view what,
               std::span<const std::uint8_t> message);
void dump_json(fmt::memory_buffer& out, const MessagePlace& place, std::string_view what,
               std::span<const std::uint8_t> message);

}  // namespace millrace::tools
