#pragma once

#include <cstdint>
#include <span>

// Runs one packet of a made-up morning through a session; the best bid times the best ask, or 0.
std::int64_t best_prices_of(std::span<const std::uint8_t> packet);
