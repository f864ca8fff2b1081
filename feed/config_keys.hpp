// Every key of the config file, declared once: the parser, its errors, `millrace live
// --help-config` and docs/config.md read this table.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/feed/config.hpp"

namespace millrace::detail {

// What a key may be given, whatever TOML calls it.
struct ConfigValue {
    enum class Type : std::uint8_t { text, integer, boolean, text_list, integer_list, other };
    Type type = Type::other;
    std::string text;
    std::int64_t integer = 0;
    bool boolean = false;
    std::vector<std::string> texts;
    std::vector<std::int64_t> integers;
};

// Where a key writes to.
struct ConfigTarget {
    FeedConfig& feed;
    LineConfig& line;
};

struct ConfigKey {
    std::string_view table;  // "feed", "feed.line", "feed.receive", ...
    std::string_view name;
    std::string_view type;     // for people: "text", "whole number", ...
    std::string allowed;       // "1 to 65535", "threads, run_to_completion", ...
    std::string_view meaning;  // one sentence
    bool required = false;
    // False when the value is not allowed; the target is then unchanged.
    std::function<bool(const ConfigTarget&, const ConfigValue&)> set;
    // The value as TOML would write it.
    std::function<std::string(const ConfigTarget&)> show;
    // Of a value that is not allowed: what of it, and why. Empty, or left out, where type and range say it all.
    std::function<std::string(const ConfigValue&)> why = {};
};

[[nodiscard]] std::span<const ConfigKey> config_keys();

// Tables in the order of the docs, each with a sentence.
struct ConfigTable {
    std::string_view name;
    std::string_view heading;  // as written in a file: "[[feed]]"
    std::string_view meaning;
};
[[nodiscard]] std::span<const ConfigTable> config_tables();

}  // namespace millrace::detail
