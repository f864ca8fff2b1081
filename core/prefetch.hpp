// Brings a cache line on its way before it is needed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "millrace/core/types.hpp"

namespace millrace {

// The empty asm is there because g++ takes a function that does nothing but prefetch for one without effect, and
// leaves its calls out.
[[gnu::always_inline]] inline void prefetch(const void* line) {
    __builtin_prefetch(line);
    asm volatile("");
}

inline void prefetch_all(std::span<const std::uint8_t> bytes) {
    for (std::size_t at = 0; at < bytes.size(); at += kCacheLine) prefetch(&bytes[at]);
}

}  // namespace millrace
