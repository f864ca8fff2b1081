// What values of flags may be, where CLI11's own checks let through what makes no sense (a NaN is in every range).
#pragma once

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <charconv>
#include <cstdint>
#include <string>
#include <system_error>
#include <vector>

#include "millrace/feed/session_config.hpp"

namespace millrace::tools {

// A finite number from `low` to `high`.
[[nodiscard]] inline CLI::Validator between(double low, double high) {
    return {[low, high](std::string& text) {
                double number = 0;
                const bool good = CLI::detail::lexical_cast(text, number) && number >= low && number <= high;
                return good ? std::string() : fmt::format("{} is not from {:g} to {:g}", text, low, high);
            },
            fmt::format("{:g} to {:g}", low, high)};
}
// A whole number of 64 bits that is not below `low`.
[[nodiscard]] inline CLI::Validator count(std::uint64_t low = 0) {
    return {[low](std::string& text) {
                std::uint64_t number = 0;
                const char* end = text.data() + text.size();
                const auto [last, problem] = std::from_chars(text.data(), end, number);
                if (problem == std::errc::result_out_of_range) return text + " does not fit 64 bits";
                const bool good = problem == std::errc{} && last == end && number >= low;
                return good ? std::string() : fmt::format("'{}' is no whole number from {} on", text, low);
            },
            fmt::format("{} or more", low)};
}
// Text of at most so many characters.
[[nodiscard]] inline CLI::Validator at_most(std::size_t characters) {
    return {[characters](std::string& text) {
                return text.size() <= characters ? std::string()
                                                 : fmt::format("'{}' is longer than {} characters", text, characters);
            },
            fmt::format("at most {} characters", characters)};
}
inline constexpr double kSecondsMax = 1e7;

// Room for books, as in [feed.limits] of a config.
inline void add_limits(CLI::App& command, BookLimits& limits) {
    command.add_option("--instruments", limits.books, "room for so many books")
        ->check(CLI::Range(1U, 65'535U))
        ->capture_default_str();
    command.add_option("--orders", limits.orders, "room for so many resting orders")
        ->check(CLI::Range(1U, 1U << 30))
        ->capture_default_str();
    command.add_option("--levels", limits.levels, "room for so many price levels")
        ->check(CLI::Range(1U, 1U << 28))
        ->capture_default_str();
}
// Symbols as a venue writes them.
inline CLI::Option* add_symbols(CLI::App& command, std::vector<std::string>& symbols, const std::string& text) {
    return command.add_option("--symbols", symbols, text)
        ->delimiter(',')
        ->check(CLI::Validator(
            [](std::string& symbol) {
                const bool good = !symbol.empty() && symbol.size() <= 16;
                return good ? std::string() : "'" + symbol + "' is no symbol of 1 to 16 characters";
            },
            "SYMBOL"));
}

}  // namespace millrace::tools
