// The last value of a batch, for whoever joins late: in a key of its own, or in a compacted topic.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace millrace::streams {

// Of a batch's payload that has records: a complete DBN stream of the last one; or its last line.
[[nodiscard]] std::string last_record(std::span<const std::uint8_t> payload);

}  // namespace millrace::streams
