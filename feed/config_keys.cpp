#include "millrace/feed/config_keys.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "millrace/feed/streams/dbn/layouts.hpp"
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
    const auto has_lines = []<class Venue>() {
        if constexpr (requires { Venue::kOnLines; }) return Venue::kOnLines;
        else return true;
    };
    venues::for_each_venue([&]<class Venue>() {
        if (!has_lines.template operator()<Venue>()) return;
        key.allowed += (key.allowed.empty() ? "" : ", ") + in_quotes(Venue::kId);
    });
    key.set = [has_lines](Target target, const ConfigValue& value) {
        bool known = false;
        venues::with_venue(std::string_view(value.text),
                           [&]<class Venue>() { known = has_lines.template operator()<Venue>(); });
        if (value.type != Type::text || !known)
            return false;
        target.feed.venue = value.text;
        return true;
    };
    return key;
}

// What is wrong with the first entry that is not allowed; empty where none is. `problem_of` an entry continues a
// sentence that begins with it, and is empty where it is good.
template <class ProblemOf>
std::string first_problem(const std::vector<std::string>& entries, ProblemOf problem_of) {
    for (const std::string& entry : entries) {
        if (const std::string problem = problem_of(entry); !problem.empty()) return in_quotes(entry) + " " + problem;
    }
    return {};
}

std::string problem_of_symbol(const std::string& symbol) {
    if (symbol.empty()) return "is no symbol";
    return symbol.size() <= Symbol::kCapacity ? "" : "is longer than 16 characters";
}
std::string problem_of_symbols(const std::vector<std::string>& symbols) {
    const bool all = std::find(symbols.begin(), symbols.end(), "*") != symbols.end();
    if (all && symbols.size() != 1) return "\"*\" stands beside others";
    return first_problem(symbols, problem_of_symbol);
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
        if (!problem_of_symbols(value.texts).empty()) return false;
        target.feed.session.symbols.clear();
        if (value.texts.front() == "*") return true;
        for (const std::string& text : value.texts) target.feed.session.symbols.emplace_back(text);
        return true;
    };
    key.show = [](Target) { return std::string("[\"*\"]"); };
    key.why = [](const ConfigValue& value) { return problem_of_symbols(value.texts); };
    return key;
}

// What an address belongs to: a line's groups may be addresses of this host too, a server has no group's.
enum class Who : std::uint8_t { line, server };

// "239.255.0.1:26477" or "[ff05::1]:26477". What is wrong with it, as in first_problem().
std::string parse_group(const std::string& text, Who who, GroupConfig& group) {
    const std::size_t colon = text.rfind(':');
    if (colon == std::string::npos) return "has no port";
    const bool v6 = text.front() == '[' && colon >= 2 && text[colon - 1] == ']';
    group.address = v6 ? text.substr(1, colon - 2) : text.substr(0, colon);
    std::array<unsigned char, 16> bytes{};
    if (inet_pton(v6 ? AF_INET6 : AF_INET, group.address.c_str(), bytes.data()) != 1)
        return "begins with no numeric address (names are not looked up, IPv6 stands in [])";
    const char* end = text.data() + text.size();
    const auto [last, problem] = std::from_chars(text.data() + colon + 1, end, group.port);
    if (problem != std::errc{} || last != end || group.port == 0) return "has no port from 1 to 65535";
    const bool multicast = v6 ? bytes[0] == 0xff : (bytes[0] & 0xf0) == 0xe0;
    return multicast && who == Who::server ? "is a multicast group; a server has an address of its own" : "";
}

// Into `groups`, each once. What is wrong with the first that is not allowed.
std::string parse_groups(const std::vector<std::string>& texts, Who who, std::vector<GroupConfig>& groups) {
    return first_problem(texts, [&](const std::string& text) -> std::string {
        GroupConfig group;
        if (std::string problem = parse_group(text, who, group); !problem.empty()) return problem;
        if (std::find(groups.begin(), groups.end(), group) != groups.end()) return "stands there twice";
        groups.push_back(group);
        return {};
    });
}

std::string allowed_endpoints(Who who) {
    return who == Who::line ? "address:port, as \"239.255.0.1:26477\" or \"[ff05::1]:26477\""
                            : "address:port, as \"192.0.2.1:26477\" or \"[2001:db8::1]:26477\"";
}

// A list of address:port; `get` finds it in a target.
template <class Get>
ConfigKey endpoints_key(std::string_view table, std::string_view name, Who who, std::string_view meaning, Get get) {
    ConfigKey key{table, name, "list of text", allowed_endpoints(who), meaning, false, {}, {}};
    key.set = [get, who](Target target, const ConfigValue& value) {
        std::vector<GroupConfig> groups;
        if (value.type != Type::text_list || value.texts.empty() || !parse_groups(value.texts, who, groups).empty())
            return false;
        get(target) = groups;
        return true;
    };
    key.show = [](Target) { return std::string("[]"); };
    key.why = [who](const ConfigValue& value) {
        std::vector<GroupConfig> groups;
        return parse_groups(value.texts, who, groups);
    };
    return key;
}

ConfigKey soup_key() {
    ConfigKey key{"feed.line",
                  "soup",
                  "text",
                  "address:port",
                  "A SoupBinTCP server that sends this line by TCP, instead of groups.",
                  false,
                  {},
                  {}};
    key.set = [](Target target, const ConfigValue& value) {
        GroupConfig server;
        if (value.type != Type::text || !parse_group(value.text, Who::server, server).empty()) return false;
        target.line.soup = server;
        return true;
    };
    key.show = [](Target) { return std::string("\"\""); };
    key.why = [](const ConfigValue& value) {
        std::vector<GroupConfig> server;
        return value.type == Type::text ? parse_groups({value.text}, Who::server, server) : std::string();
    };
    return key;
}

// Text of at most `most` characters that may be empty.
template <class Get>
ConfigKey short_text_key(std::string_view table, std::string_view name, std::size_t most,
                         std::string_view meaning, Get get) {
    ConfigKey key = text_key(table, name, meaning, get);
    key.required = false;
    key.allowed = "at most " + std::to_string(most) + " characters";
    key.set = [=](Target target, const ConfigValue& value) {
        if (value.type != Type::text || value.text.size() > most) return false;
        get(target) = value.text;
        return true;
    };
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
    key.why = [](const ConfigValue& value) {
        const auto cpu = std::find_if(value.integers.begin(), value.integers.end(),
                                      [](std::int64_t each) { return each < 0 || each > kCpuMax; });
        return value.type != Type::integer_list || cpu == value.integers.end() ? std::string()
                                                                               : std::to_string(*cpu) + " is no CPU";
    };
    return key;
}

void add_receive_keys(std::vector<ConfigKey>& keys) {
    const auto receive = [](auto member) {
        return [member](Target t) -> auto& { return t.feed.receive.*member; };
    };
    using R = ReceiveConfig;
    keys.push_back(choice_key("feed.receive", "backend",
                              std::array{Backend::automatic, Backend::io_uring, Backend::recvmmsg,
                                         Backend::af_packet},
                              "How packets are taken from the kernel; automatic: the first of "
                              "io_uring and recvmmsg that works, and it is said which. af_packet "
                              "(Linux, with CAP_NET_RAW) passes the network stack by.",
                              receive(&R::backend)));
    keys.push_back(boolean_key("feed.receive", "require_backend",
                               "End with exit code 8 instead of taking another backend.",
                               receive(&R::require_backend)));
    keys.push_back(choice_key(
        "feed.receive", "mode", std::array{ReceiveMode::threads, ReceiveMode::run_to_completion},
        "A receiver thread for each line and a decoder thread, or all on one thread.",
        receive(&R::mode)));
    keys.push_back(integer_key("feed.receive", "buffers", 16, 32'768,
                               "Receive buffers of a line at the start; rounded up to a power of "
                               "two.",
                               receive(&R::buffers)));
    keys.push_back(integer_key("feed.receive", "buffers_max", 16, 32'768,
                               "With mode threads, the buffers of a line grow up to so many by rate "
                               "and use; rounded up likewise, and not less than buffers.",
                               receive(&R::buffers_max)));
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
    keys.push_back(boolean_key("feed.receive", "gro",
                               "With io_uring and recvmmsg: take several datagrams of one size at "
                               "once where the kernel has put them together (UDP_GRO). Buffers are "
                               "of 64 KiB then, and do not grow: lower buffers.",
                               receive(&R::gro)));
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

void add_recovery_keys(std::vector<ConfigKey>& keys) {
    constexpr std::int64_t kMs = 1'000'000;
    const auto servers = [](auto member) {
        return [member](Target t) -> auto& { return t.feed.recovery.*member; };
    };
    const auto numbers = [](auto member) {
        return [member](Target t) -> auto& { return t.feed.session.recovery.*member; };
    };
    const auto key = [&](std::string_view name, std::int64_t low, std::int64_t high,
                         std::string_view meaning, auto member, std::int64_t unit = 1) {
        keys.push_back(
            integer_key("feed.recovery", name, low, high, meaning, numbers(member), unit));
    };
    using R = RecoveryConfig;
    keys.push_back(endpoints_key("feed.recovery", "retransmit", Who::server,
                                 "Servers that send messages again by UDP, asked in turn: Nasdaq's of MoldUDP64 "
                                 "requests, IEX's of UDP gap fill.",
                                 servers(&RecoveryServers::retransmit)));
    keys.push_back(endpoints_key("feed.recovery", "retransmit_tcp", Who::server,
                                 "IEX's servers of TCP gap fill, asked in turn after the others.",
                                 servers(&RecoveryServers::retransmit_tcp)));
    keys.push_back(endpoints_key("feed.recovery", "glimpse", Who::server,
                                 "Nasdaq's snapshot servers, asked in turn.",
                                 servers(&RecoveryServers::snapshot)));
    keys.push_back(endpoints_key("feed.recovery", "snap", Who::server,
                                 "IEX's snapshot servers, asked in turn; DEEP and DEEP+ have them.",
                                 servers(&RecoveryServers::snapshot)));
    keys.push_back(short_text_key("feed.recovery", "username", 6, "For the GLIMPSE servers.",
                                  servers(&RecoveryServers::username)));
    keys.push_back(short_text_key("feed.recovery", "password", 10, "For the GLIMPSE servers.",
                                  servers(&RecoveryServers::password)));
    keys.push_back(short_text_key("feed.recovery", "token", 40, "For the SNAP servers.",
                                  servers(&RecoveryServers::token)));
    key("request_messages", 1, 65'534, "Messages asked for at once.", &R::request_messages_max);
    key("gap_messages", 1, std::int64_t{1} << 40,
        "A longer gap goes straight to the snapshot, where there is one.", &R::gap_messages_max);
    key("attempts", 1, 1'000, "Requests without an answer, of each server, before it is enough.",
        &R::attempts);
    key("answer_timeout_ms", 1, 60'000, "After that the next server is asked.",
        &R::answer_timeout_ns, kMs);
    key("request_interval_us", 0, 60'000'000, "Between two requests, at least.",
        &R::request_interval_ns, 1'000);
    key("retransmit_ms", 1, 3'600'000, "For retransmitting one gap, all told.", &R::retransmit_ns,
        kMs);
    key("hold_bytes", 4'096, std::int64_t{1} << 40, "Of packets that wait behind a gap.",
        &R::hold_bytes);
    key("snapshot_timeout_ms", 1, 3'600'000, "For a snapshot, without progress.",
        &R::snapshot_timeout_ns, kMs);
    key("snapshot_retry_ms", 1, 3'600'000, "Pause after a snapshot that failed; doubles.",
        &R::snapshot_retry_ns, kMs);
    key("snapshot_retry_max_ms", 1, 3'600'000, "The longest such pause.",
        &R::snapshot_retry_max_ns, kMs);
    key("backlog_bytes", 4'096, std::int64_t{1} << 40,
        "Of live messages that wait for a snapshot.", &R::backlog_bytes);
}

void add_quality_keys(std::vector<ConfigKey>& keys) {
    const auto quality = [](auto member) {
        return [member](Target t) -> auto& { return t.feed.session.quality.*member; };
    };
    using Q = QualityConfig;
    keys.push_back(integer_key(
        "feed.quality", "quiet_ms", 0, 86'400'000,
        "A line without a packet for so long is silent; where all are, books are stale. 0: never.",
        quality(&Q::quiet_ns), 1'000'000));
    keys.push_back(choice_key(
        "feed.quality", "suspect",
        std::array{SuspectPolicy::keep, SuspectPolicy::quarantine, SuspectPolicy::stop},
        "A book that the feed contradicts goes on flagged, stands still until a snapshot makes it "
        "anew, or ends the feed.",
        quality(&Q::suspect)));
    keys.push_back(boolean_key("feed.quality", "crossed",
                               "A crossed or locked book in continuous trading is suspect.",
                               quality(&Q::crossed)));
    keys.push_back(boolean_key("feed.quality", "doubt_outliers",
                               "One packet alone neither begins a session nor puts "
                               "the stream far ahead.",
                               quality(&Q::doubt_outliers)));
    keys.push_back(
        integer_key("feed.quality", "compare_messages", 0, 1 << 24,
                    "Recent messages of which the second copy is compared with the first; 0: none.",
                    quality(&Q::compare_messages)));
}

// A list of texts each of which has no problem.
template <class Get, class ProblemOf>
ConfigKey texts_key(std::string_view name, std::string allowed, std::string_view meaning, Get get,
                    ProblemOf problem_of) {
    ConfigKey key{"feed.sinks", name, "list of text", std::move(allowed), meaning, false, {}, {}};
    key.set = [=](Target target, const ConfigValue& value) {
        const bool list = value.type == Type::text_list && !value.texts.empty();
        if (!list || !first_problem(value.texts, problem_of).empty()) return false;
        get(target) = value.texts;
        return true;
    };
    key.show = [=](Target target) {
        std::string text;
        for (const std::string& each : get(target))
            text += (text.empty() ? "" : ", ") + in_quotes(each);
        return "[" + text + "]";
    };
    key.why = [=](const ConfigValue& value) { return first_problem(value.texts, problem_of); };
    return key;
}

void add_sink_keys(std::vector<ConfigKey>& keys) {
    keys.push_back(texts_key(
        "urls", "as \"redis://127.0.0.1:6379/md\"",
        "One for each sink; --sink on the command line takes the place of all of them.",
        [](Target t) -> auto& { return t.feed.sinks.urls; },
        [](const std::string& url) {
            return std::string(url.find("://") == std::string::npos ? "is no URL" : "");
        }));
    keys.push_back(texts_key(
        "schemas", "DBN's names, as \"mbo\", \"trades\", \"mbp-10\"", "What all of them get.",
        [](Target t) -> auto& { return t.feed.sinks.schemas; },
        [](const std::string& schema) {
            return std::string(dbn::schema_named(schema) == nullptr ? "is no schema" : "");
        }));
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
    keys.push_back(endpoints_key(
        "feed.line", "groups", Who::line,
        "Multicast groups that carry this line; a unicast address of this host works too. Needed "
        "but with soup.",
        [](Target t) -> auto& { return t.line.groups; }));
    keys.push_back(text_key("feed.line", "interface",
                            "Name or address of the interface to join the groups on. Needed "
                            "but with soup.",
                            [](Target t) -> auto& { return t.line.interface; }));
    keys.back().required = false;
    keys.push_back(soup_key());
    keys.push_back(short_text_key("feed.line", "username", 6, "For the SoupBinTCP server.",
                                  [](Target t) -> auto& { return t.line.username; }));
    keys.push_back(short_text_key("feed.line", "password", 10, "For the SoupBinTCP server.",
                                  [](Target t) -> auto& { return t.line.password; }));
    add_receive_keys(keys);
    keys.push_back(receivers_key());
    keys.push_back(integer_key(
        "feed.threads", "decoder", kNotPinned, kCpuMax,
        "Where the thread runs that arbitrates, decodes and calls the handler; -1: not pinned.",
        [](Target t) -> auto& { return t.feed.threads.decoder; }));
    add_limit_keys(keys);
    add_recovery_keys(keys);
    add_quality_keys(keys);
    add_sink_keys(keys);
    return keys;
}

constexpr std::array<ConfigTable, 9> kTables{{
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
    {"feed.recovery", "[feed.recovery]",
     "Who is asked for messages that no line brought, and how hard (docs/recovery.md)."},
    {"feed.quality", "[feed.quality]", "When a book is no longer trusted, and what then."},
    {"feed.sinks", "[feed.sinks]",
     "Where the feed's records go, normalised; options stand in the URLs (docs/streams.md)."},
}};

}  // namespace

std::span<const ConfigKey> config_keys() {
    static const std::vector<ConfigKey> kKeys = make_keys();
    return kKeys;
}

std::span<const ConfigTable> config_tables() { return kTables; }

}  // namespace millrace::detail
