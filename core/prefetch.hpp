// Brings a cache line on its way before it is needed.
#pragma once

namespace millrace {

// The empty asm is there because g++ takes a function that does nothing but prefetch for one without effect, and
// leaves its calls out.
[[gnu::always_inline]] inline void prefetch(const void* line) {
    __builtin_prefetch(line);
    asm volatile("");
}

}  // namespace millrace
