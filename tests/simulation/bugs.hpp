// The bugs that can be planted, and the search for a seed that catches one.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "millrace/core/planted.hpp"
#include "tests/simulation/outcome.hpp"

namespace millrace::sim {

struct BugInfo {
    Bug bug;
    std::string_view name;
    std::string_view meaning;
    std::string_view venue = "nasdaq-itch50";  // of whose feed the simulation can catch it
};
[[nodiscard]] std::span<const BugInfo> bugs();
// Null when there is no such bug.
[[nodiscard]] const BugInfo* find_bug(std::string_view name);

// The first of `seeds` seeds from `from` on that notices the bug; what it noticed goes to `violation`. `keep_on` is
// asked before each of them.
[[nodiscard]] std::optional<std::uint64_t> catch_bug(
    const BugInfo& info, std::uint64_t from, std::uint64_t seeds, std::string* violation = nullptr,
    const std::function<bool()>& keep_on = [] { return true; });

}  // namespace millrace::sim
