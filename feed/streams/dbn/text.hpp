// DBN records as text: a JSON object or a CSV row, by the records' own field tables.
//
// Prices are decimal numbers without trailing zeroes, times are RFC 3339 in UTC with nanoseconds,
// and a value that DBN marks as not given is null in JSON and empty in CSV.
#pragma once

#include <fmt/format.h>

#include <string_view>

#include "millrace/core/wire.hpp"
#include "millrace/feed/streams/dbn/codec.hpp"

namespace millrace::dbn {

// Times as numbers (nanoseconds since 1970) instead of text.
enum class TimeText : std::uint8_t { rfc3339, nanoseconds };

// One object without its end of line. `symbol` is left out where it is empty. A record without a
// layout, or shorter than it, is written as its rtype and its bytes in hex.
void append_json(fmt::memory_buffer& out, RecordView record, std::string_view symbol,
                 TimeText times = TimeText::rfc3339);

// The names of a row's columns: those of the record without `length`, then "symbol".
void append_csv_header(fmt::memory_buffer& out, const wire::MessageLayout& layout);
// A row without its end of line. `record` holds at least `layout.size` bytes.
void append_csv(fmt::memory_buffer& out, const wire::MessageLayout& layout, RecordView record,
                std::string_view symbol, TimeText times = TimeText::rfc3339);

// "2020-12-28T13:00:00.006136329Z".
void append_time(fmt::memory_buffer& out, std::uint64_t nanoseconds);

}  // namespace millrace::dbn
