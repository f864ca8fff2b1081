// Addresses as people write them: 239.1.1.1:5000 or [ff02::1]:5000.
#pragma once

#include <cstdint>
#include <string>

#include "millrace/replay/link_layer.hpp"

namespace millrace::tools {

// Throws Error(usage).
[[nodiscard]] replay::Endpoint parse_endpoint(const std::string& text);

// From a numeric address that was checked before.
[[nodiscard]] replay::Endpoint endpoint_of(const std::string& address, std::uint16_t port);

}  // namespace millrace::tools
