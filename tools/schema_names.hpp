// Schemas as users write them.
#pragma once

#include <string>
#include <vector>

#include "millrace/feed/streams/dbn/record_maker.hpp"

namespace millrace::tools {

// Throws Error(usage) for a name that is no schema's.
[[nodiscard]] dbn::SchemaSet schema_set(const std::vector<std::string>& names);
// Throws Error(usage) when one of them cannot be made of a feed.
void check_made(dbn::SchemaSet schemas);

}  // namespace millrace::tools
