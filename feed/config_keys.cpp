#include "millrace/feed/config_keys.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "millrace/feed/venues/venue_list.hpp"

namespace millrace::detail {

namespace {

using Type = ConfigValue::Type;
using Target = const ConfigTarget&;

std::string in_quotes(std::string_view text) { return "\"" + std::string(text) + "\""; }

// A whole number from `low` to `high`, kept in units of `unit`. `get` finds the variable in a
// target.
template <class Get>
ConfigKey integer_key(std::string_view table, std::string_view name, std::int64_t low,
                      std::int64_t high, std::string_view meaning, Get get,
                      std::int64_t unit = 1) {
    ConfigKey key{table,
                  name,
                  "whole number",
                  std::to_string(low) + " to " + std::to_string(high),
                  meaning,
                  false,
                  {},
                  {}};
    key.set = [=](Target target, const ConfigValue& value) {
        if (value.type != Type::integer || value.integer < low || value.integer > high)
            return false;
        auto& variable = get(target);
        variable = static_cast<std::remove_reference_t<decltype(variable)>>(value.integer * unit);
        return true;
    };
    key.show = [=](Target target) {
        return std::to_string(static_cast<std::int64_t>(get(target)) / unit);
    };
    return key;
}

template <class Get>
ConfigKey boolean_key(std::string_view table, std::string_view name, std::string_view meaning,
                      Get get) {
    ConfigKey key{table, name, "boolean", "true, false", meaning, false, {}, {}};
    key.set = [=](Target target, const ConfigValue& value) {
        if (value.type != Type::boolean) return false;
        get(target) = value.boolean;
        return true;
    };
    key.show = [=](Target target) { return std::string(get(target) ? "true" : "false"); };
    return key;
}

// One of `choices`, each written as its name().
template <class Get, class Choice, std::size_t N>
ConfigKey choice_key(std::string_view table, std::string_view name,
                     const std::array<Choice, N>& choices, std::string_view meaning, Get get) {
    ConfigKey key{table, name, "text", "", meaning, false, {}, {}};
    for (const Choice choice : choices) {
        key.allowed += (key.allowed.empty() ? "" : ", ") + in_quotes(millrace::name(choice));
    }
    key.set = [=](Target target, const ConfigValue& value) {
        for (const Choice choice : choices) {
            if (value.type != Type::text || value.text != millrace::name(choice)) continue;
            get(target) = choice;
            return true;
        }
        return false;
    };
    key.show = [=](Target target) { return in_quotes(millrace::name(get(target))); };
    return key;
}

// Text that must not be empty, and has no default.
template <class Get>
ConfigKey text_key(std::string_view table, std::string_view name, std::string_view meaning,
                   Get get) {
    ConfigKey key{table, name, "text", "not empty", meaning, true, {}, {}};
    key.set = [=](Target target, const ConfigValue& value) {
        if (value.type != Type::text || value.text.empty()) return false;
        get(target) = value.text;
        return true;
    };
    key.show = [=](Target target) { return in_quotes(get(target)); };
    return key;
}

ConfigKey venue_key() {
    ConfigKey key = text_key("feed", "venue", "Whose protocol the lines speak.",
                             [](Target t) -> auto& { return t.feed.venue; });
    key.allowed.clear();
    venues::for_each_venue([&]<class Venue>() {
        key.allowed += (key.allowed.empty() ? "" : ", ") + in_quotes(Venue::kId);
    });
    key.set = [](Target target, const ConfigValue& value) {
        if (value.type != Type::text || !venues::with_venue(value.text, []<class Venue>() {}))
            return false;
        target.feed.venue = value.text;
        return true;
    };
    return key;
}

ConfigKey symbols_key() {
    ConfigKey key{"feed",
                  "symbols",
                  "list of text",
                  "symbols of at most 16 characters, or \"*\" alone for all",
                  "The instruments to keep books for; any other costs one look-up.",
                  false,
                  {},
                  {}};
    key.set = [](Target target, const ConfigValue& value) {
        if (value.type != Type::text_list || value.texts.empty()) return false;
        const auto fits = [](const std::string& s) {
            return !s.empty() && s.size() <= Symbol::kCapacity;
        };
        if (!std::all_of(value.texts.begin(), value.texts.end(), fits)) return false;
        const bool all =
            std::find(value.texts.begin(), value.texts.end(), "*") != value.texts.end();
        if (all && value.texts.size() != 1) return false;
        target.feed.session.symbols.clear();
        if (all) return true;
        for (const std::string& text : value.texts) target.feed.session.symbols.emplace_back(text);
        return true;
    };
    key.show = [](Target) { return std::string("[\"*\"]"); };
    return key;
}

// "239.255.0.1:26477" or "[ff05::1]:26477".
bool parse_group(const std::string& text, GroupConfig& group) {
    const std::size_t colon = text.rfind(':');
    if (colon == std::string::npos) return false;
    const bool v6 = text.front() == '[' && colon >= 2 && text[colon - 1] == ']';
    group.address = v6 ? text.substr(1, colon - 2) : text.substr(0, colon);
    std::array<unsigned char, 16> bytes{};
    if (inet_pton(v6 ? AF_INET6 : AF_INET, group.address.c_str(), bytes.data()) != 1) return false;
    const char* end = text.data() + text.size();
    const auto [last, problem] = std::from_chars(text.data() + colon + 1, end, group.port);
    return problem == std::errc{} && last == end && group.port != 0;
}

ConfigKey groups_key() {
    ConfigKey key{
        "feed.line",
        "groups",
        "list of text",
        "address:port, as \"239.255.0.1:26477\" or \"[ff05::1]:26477\"",
        "Multicast groups that carry this line; a unicast address of this host works too.",
        true,
        {},
        {}};
    key.set = [](Target target, const ConfigValue& value) {
        if (value.type != Type::text_list || value.texts.empty()) return false;
        std::vector<GroupConfig> groups;
        for (const std::string& text : value.texts) {
            GroupConfig group;
            if (!parse_group(text, group) ||
                std::find(groups.begin(), groups.end(), group) != groups.end())
                return false;
            groups.push_back(group);
        }
        target.line.groups = groups;
        return true;
    };
    key.show = [](Target) { return std::string("[]"); };
    return key;
}

constexpr std::int64_t kCpuMax = 1023;

ConfigKey receivers_key() {
    ConfigKey key{"feed.threads",
                  "receivers",
                  "list of whole numbers",
                  "a CPU for each line, 0 to 1023; empty: not pinned",
                  "Where the receiver thread of each line runs, in the order of the lines.",
                  false,
                  {},
                  {}};
    key.set = [](Target target, const ConfigValue& value) {
        if (value.type == Type::text_list && value.texts.empty()) {
            target.feed.threads.receivers.clear();
            return true;
        }
        if (value.type != Type::integer_list) return false;
        std::vector<int> cpus;
        for (const std::int64_t cpu : value.integers) {
            if (cpu < 0 || cpu > kCpuMax) return false;
            cpus.push_back(static_cast<int>(cpu));
        }
        target.feed.threads.receivers = cpus;
        return true;
    };
    key.show = [](Target) { return std::string("[]"); };
    return key;
}

void add_receive_keys(std::vector<ConfigKey>& keys) {
    const auto receive = [](auto member) {
        return [member](Target t) -> auto& { return t.feed.receive.*member; };
    };
    using R = ReceiveConfig;
    keys.push_back(choice_key("feed.receive", "backend",
                              std::array{Backend::automatic, Backend::io_uring, Backend::recvmmsg},
                              "How packets are taken from the kernel; automatic: the first that "
                              "works, and it is said which.",
                              receive(&R::backend)));
    keys.push_back(boolean_key("feed.receive", "require_backend",
                               "End with exit code 8 instead of taking another backend.",
                               receive(&R::require_backend)));
    keys.push_back(choice_key(
        "feed.receive", "mode", std::array{ReceiveMode::threads, ReceiveMode::run_to_completion},
        "A receiver thread for each line and a decoder thread, or all on one thread.",
        receive(&R::mode)));
    keys.push_back(integer_key("feed.receive", "buffers", 16, 32'768,
                               "Receive buffers of a line; rounded up to a power of two.",
                               receive(&R::buffers)));
    keys.push_back(
        integer_key("feed.receive", "buffer_bytes", 64, 65'536,
                    "The longest datagram a buffer takes; longer ones count as truncated.",
                    receive(&R::buffer_bytes)));
    keys.push_back(integer_key("feed.receive", "socket_buffer_bytes", 4'096, std::int64_t{1} << 30,
                               "Receive buffer asked of the kernel for each socket.",
                               receive(&R::socket_buffer_bytes)));
    keys.push_back(
        integer_key("feed.receive", "queue", 16, 1 << 20,
                    "Packets of a line that may wait between its receiver and the decoder.",
                    receive(&R::queue)));
    keys.push_back(choice_key(
        "feed.receive", "idle",
        std::array{Idle::automatic, Idle::spin, Idle::pause, Idle::yield, Idle::wait},
        "What a thread does that finds nothing to do; automatic: spin where every thread has a "
        "CPU of its own, else wait.",
        receive(&R::idle)));
    keys.push_back(boolean_key("feed.receive", "huge_pages",
                               "Receive into huge pages where the host grants them.",
                               receive(&R::huge_pages)));
}

void add_limit_keys(std::vector<ConfigKey>& keys) {
    keys.push_back(
        integer_key("feed.reorder", "window_packets", 1, 1 << 20,
                    "Packets held while a missing message is waited for.",
                    [](Target t) -> auto& { return t.feed.session.reorder_window_packets; }));
    keys.push_back(integer_key(
        "feed.reorder", "window_ms", 0, 60'000,
        "How long a missing message is waited for before it is given up.",
        [](Target t) -> auto& { return t.feed.session.reorder_window_ns; }, 1'000'000));
    keys.push_back(integer_key("feed.limits", "instruments", 1, 65'535, "Books.",
                               [](Target t) -> auto& { return t.feed.session.limits.books; }));
    keys.push_back(integer_key("feed.limits", "orders", 1, 1 << 30,
                               "Resting orders, over all books.",
                               [](Target t) -> auto& { return t.feed.session.limits.orders; }));
    keys.push_back(integer_key("feed.limits", "levels", 1, 1 << 28,
                               "Price levels, over all books.",
                               [](Target t) -> auto& { return t.feed.session.limits.levels; }));
}

std::vector<ConfigKey> make_keys() {
    std::vector<ConfigKey> keys;
    keys.push_back(text_key("feed", "name",
                            "What the feed is called in reports; each feed has its own.",
                            [](Target t) -> auto& { return t.feed.name; }));
    keys.push_back(venue_key());
    keys.push_back(symbols_key());
    keys.push_back(text_key("feed.line", "name", "What the line is called in reports.",
                            [](Target t) -> auto& { return t.line.name; }));
    keys.push_back(groups_key());
    keys.push_back(text_key("feed.line", "interface",
                            "Name or address of the interface to join the groups on.",
                            [](Target t) -> auto& { return t.line.interface; }));
    add_receive_keys(keys);
    keys.push_back(receivers_key());
    keys.push_back(integer_key(
        "feed.threads", "decoder", kNotPinned, kCpuMax,
        "Where the thread runs that arbitrates, decodes and calls the handler; -1: not pinned.",
        [](Target t) -> auto& { return t.feed.threads.decoder; }));
    add_limit_keys(keys);
    return keys;
}

constexpr std::array<ConfigTable, 6> kTables{{
    {"feed", "[[feed]]",
     "A feed: one numbered stream of messages, on one or more lines. One table for each."},
    {"feed.line", "[[feed.line]]",
     "One of the redundant lines of the feed above it. One table for each, at most 16."},
    {"feed.receive", "[feed.receive]", "How packets come from the kernel to the decoder."},
    {"feed.threads", "[feed.threads]", "Which CPUs the threads are pinned to."},
    {"feed.reorder", "[feed.reorder]",
     "How long a gap may stay open before its messages are given up."},
    {"feed.limits", "[feed.limits]",
     "How much memory is taken at the start. Reaching a limit is counted and reported."},
}};

}  // namespace

std::span<const ConfigKey> config_keys() {
    static const std::vector<ConfigKey> kKeys = make_keys();
    return kKeys;
}

std::span<const ConfigTable> config_tables() { return kTables; }

}  // namespace millrace::detail
