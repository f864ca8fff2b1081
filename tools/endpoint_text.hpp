// Addresses as people write them: 239.1.1.1:5000 or [ff02::1]:5000.
#pragma once

#include <cstdint>
#include <string>

#include "millrace/feed/net/link_layer.hpp"

namespace millrace::tools {

// Throws Error(usage).
[[nodiscard]] Endpoint parse_endpoint(const std::string& text);

}  // namespace millrace::tools
