// From TOML to Config. The only file that knows the TOML library.
#include "millrace/feed/config.hpp"

#include <toml++/toml.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <sstream>
#include <system_error>
#include <utility>

#include "millrace/core/error.hpp"
#include "millrace/feed/config_keys.hpp"
#include "millrace/feed/packet.hpp"
#include "millrace/feed/venues/venue_list.hpp"

namespace millrace {

namespace {

using detail::ConfigKey;
using detail::ConfigTable;
using detail::ConfigTarget;
using detail::ConfigValue;

constexpr std::uintmax_t kFileBytesMax = 1 << 20;

// How many letters have to change to make one word the other.
std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = std::exchange(row[0], i);
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t change = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, change}));
        }
    }
    return row[b.size()];
}

ConfigValue value_of(const toml::node& node) {
    using Type = ConfigValue::Type;
    ConfigValue value;
    if (const auto text = node.value_exact<std::string>()) {
        value.type = Type::text;
        value.text = *text;
    } else if (const auto integer = node.value_exact<std::int64_t>()) {
        value.type = Type::integer;
        value.integer = *integer;
    } else if (const auto boolean = node.value_exact<bool>()) {
        value.type = Type::boolean;
        value.boolean = *boolean;
    } else if (const toml::array* list = node.as_array()) {
        // An empty list is a list of anything; it counts as one of text, which numbers accept too.
        value.type = Type::text_list;
        for (const toml::node& entry : *list) {
            if (const auto entry_text = entry.value_exact<std::string>())
                value.texts.push_back(*entry_text);
            else if (const auto entry_integer = entry.value_exact<std::int64_t>())
                value.integers.push_back(*entry_integer);
            else return {};
        }
        if (!value.integers.empty())
            value.type = value.texts.empty() ? Type::integer_list : Type::other;
    }
    return value;
}

class Parser {
  public:
    Parser(std::string file, Config& config) : file_(std::move(file)), config_(config) {}

    void parse(std::string_view text) {
        toml::table document;
        try {
            document = toml::parse(text);
        } catch (const toml::parse_error& error) {
            fail(error.source().begin.line,
                 std::string(error.description()) + "; this is no TOML");
        }
        for (const auto& [key, node] : document) {
            if (key.str() != "feed") unknown(node, "", key.str(), {"feed"});
        }
        const toml::node* feeds = document.get("feed");
        if (feeds == nullptr) fail(0, "no feed; write a table [[feed]] for each");
        for (const toml::table* feed : tables_of(*feeds, "feed")) parse_feed(*feed);
    }

  private:
    [[noreturn]] void fail(std::size_t line, const std::string& what) const {
        throw Error(ExitCode::config,
                    file_ + (line == 0 ? "" : ":" + std::to_string(line)) + ": " + what);
    }
    [[noreturn]] void fail(const toml::node& at, const std::string& what) const {
        fail(at.source().begin.line, what);
    }
    [[noreturn]] void unknown(const toml::node& at, std::string_view table, std::string_view key,
                              const std::vector<std::string_view>& allowed) const {
        std::string_view nearest = allowed.front();
        for (const std::string_view candidate : allowed) {
            if (distance(key, candidate) < distance(key, nearest)) nearest = candidate;
        }
        std::string message = joined(table, key) + ": there is no such key; ";
        if (distance(key, nearest) <= 1 + key.size() / 3) {
            message += "did you mean " + std::string(nearest) + "?";
        } else {
            message += "there are";
            for (const std::string_view candidate : allowed)
                message += " " + std::string(candidate);
        }
        fail(at, message);
    }
    [[nodiscard]] static std::string joined(std::string_view table, std::string_view key) {
        return table.empty() ? std::string(key) : std::string(table) + "." + std::string(key);
    }

    // A list of tables, written [[name]].
    [[nodiscard]] std::vector<const toml::table*> tables_of(const toml::node& node,
                                                            const std::string& name) const {
        std::vector<const toml::table*> tables;
        const toml::array* list = node.as_array();
        if (list == nullptr || list->empty())
            fail(node, name + ": write it as [[" + name + "]], once for each");
        for (const toml::node& entry : *list) {
            if (entry.as_table() == nullptr)
                fail(entry, name + ": write it as [[" + name + "]], once for each");
            tables.push_back(entry.as_table());
        }
        return tables;
    }

    // Reads the keys of one table of the declared ones, then its inner tables.
    void parse_table(const toml::table& table, std::string_view name, const ConfigTarget& target) {
        std::vector<std::string_view> allowed;
        for (const ConfigKey& key : detail::config_keys()) {
            if (key.table != name) continue;
            allowed.push_back(key.name);
            const toml::node* node = table.get(key.name);
            if (node != nullptr) set(key, *node, target);
            else if (key.required)
                fail(table, joined(name, key.name) + ": missing; " + std::string(key.meaning));
        }
        for (const ConfigTable& inner : detail::config_tables()) {
            if (inner.name.size() > name.size() && inner.name.substr(0, name.size()) == name) {
                allowed.push_back(inner.name.substr(name.size() + 1));
            }
        }
        for (const auto& [key, node] : table) {
            if (std::find(allowed.begin(), allowed.end(), key.str()) == allowed.end()) {
                unknown(node, name, key.str(), allowed);
            }
        }
    }

    void set(const ConfigKey& key, const toml::node& node, const ConfigTarget& target) {
        const ConfigValue value = value_of(node);
        if (key.set(target, value)) return;
        std::ostringstream given;
        if (node.is_table() || node.is_array()) given << "this";
        else given << toml::node_view(node);
        std::string why = key.why ? key.why(value) : std::string();
        if (why.empty()) why = given.str() + " is not allowed";
        fail(node, joined(key.table, key.name) + ": " + why + "; " + std::string(key.type) +
                       (key.allowed.empty() ? "" : ", " + key.allowed));
    }

    void parse_feed(const toml::table& table) {
        FeedConfig& feed = config_.feeds.emplace_back();
        LineConfig no_line;
        parse_table(table, "feed", {feed, no_line});
        for (const ConfigTable& inner : detail::config_tables()) {
            constexpr std::string_view kPrefix = "feed.";
            if (inner.name.substr(0, kPrefix.size()) != kPrefix || inner.name == "feed.line")
                continue;
            const toml::node* node = table.get(inner.name.substr(kPrefix.size()));
            if (node == nullptr) continue;
            if (node->as_table() == nullptr)
                fail(*node,
                     std::string(inner.name) + ": write it as " + std::string(inner.heading));
            parse_table(*node->as_table(), inner.name, {feed, no_line});
        }
        const toml::node* lines = table.get("line");
        if (lines == nullptr) fail(table, "feed.line: missing; a feed has at least one line");
        for (const toml::table* line : tables_of(*lines, "feed.line")) {
            parse_table(*line, "feed.line", {feed, feed.lines.emplace_back()});
            check_line(*line, feed);
        }
        check_feed(table, feed);
        feed.session.lines = feed.lines.size();
        feed.session.datagram_bytes_max = feed.receive.buffer_bytes;
        feed.session.recovery.retransmit_servers =
            static_cast<std::uint8_t>(feed.recovery.retransmit_count());
        feed.session.recovery.snapshot_servers =
            static_cast<std::uint8_t>(feed.recovery.snapshot.size());
    }

    // The line just read against those before it.
    void check_line(const toml::table& table, const FeedConfig& feed) const {
        const LineConfig& line = feed.lines.back();
        if (feed.lines.size() > kLinesMax) {
            fail(table, "feed.line: a feed has at most " + std::to_string(kLinesMax) + " lines");
        }
        if (line.name == kRecoveryLineName) {
            fail(*table.get("name"), "feed.line.name: " + line.name +
                                         " is what messages asked for again come by; choose another name");
        }
        bool by_tcp = false;
        venues::with_venue(feed.venue, [&]<class Venue>() { by_tcp = WalksRecords<typename Venue::Framing>; });
        if (line.soup && !by_tcp) {
            fail(*table.get("soup"), "feed.line.soup: " + feed.venue + " does not come by SoupBinTCP; write groups");
        }
        for (const char* key : {"username", "password"}) {
            const toml::node* node = table.get(key);
            if (node != nullptr && !line.soup)
                fail(*node, "feed.line." + std::string(key) +
                                ": only a SoupBinTCP server asks for it; write soup, or leave it out");
        }
        if (line.soup && (!line.groups.empty() || !line.interface.empty())) {
            fail(table, "feed.line.soup: a line comes by TCP or by groups; write one of them");
        }
        for (const auto& [key, missing] : {std::pair{"groups", line.groups.empty()},
                                           std::pair{"interface", line.interface.empty()}}) {
            if (missing && !line.soup)
                fail(table, "feed.line." + std::string(key) + ": missing; or write soup");
        }
        for (std::size_t i = 0; i + 1 < feed.lines.size(); ++i) {
            if (feed.lines[i].name == line.name)
                fail(*table.get("name"), "feed.line.name: two lines are called " + line.name);
            for (const auto& group : feed.lines[i].groups) {
                if (std::find(line.groups.begin(), line.groups.end(), group) == line.groups.end())
                    continue;
                fail(*table.get("groups"), "feed.line.groups: line " + feed.lines[i].name +
                                               " has " + group.address + ":" +
                                               std::to_string(group.port) + " too");
            }
        }
    }

    void check_feed(const toml::table& table, const FeedConfig& feed) const {
        for (std::size_t i = 0; i + 1 < config_.feeds.size(); ++i) {
            if (config_.feeds[i].name == feed.name)
                fail(*table.get("name"), "feed.name: two feeds are called " + feed.name);
        }
        check_recovery(table, feed);
        const std::size_t cpus = feed.threads.receivers.size();
        if (cpus != 0 && cpus != feed.lines.size()) {
            fail(*table.at_path("threads.receivers").node(),
                 "feed.threads.receivers: " + std::to_string(cpus) + " CPUs for " +
                     std::to_string(feed.lines.size()) +
                     " lines; name one for each line, in their order");
        }
        check_busy_cpus(table);
    }

    // Servers that the venue does not run would be asked in a language that it does not speak.
    void check_recovery(const toml::table& table, const FeedConfig& feed) const {
        RecoveryMeans means;
        venues::with_venue(feed.venue, [&]<class Venue>() { means = recovery_means<Venue>(); });
        const auto check = [&](const char* key, bool has, const std::vector<GroupConfig>& servers) {
            constexpr std::size_t kServersMax = 16;
            const toml::node* node = table.at_path("recovery." + std::string(key)).node();
            if (node == nullptr) return;
            const std::string title = "feed.recovery." + std::string(key) + ": ";
            if (!has) fail(*node, title + feed.venue + " cannot be asked that way; leave it out");
            if (servers.size() > kServersMax) fail(*node, title + "at most 16 servers");
        };
        check("retransmit", means.retransmit, feed.recovery.retransmit);
        check("retransmit_tcp", means.retransmit_tcp, feed.recovery.retransmit_tcp);
        check("glimpse", means.glimpse, feed.recovery.snapshot);
        check("snap", means.snap, feed.recovery.snapshot);
        check_logins(table, feed, means);
        check_pauses(table, feed.session.recovery);
    }
    // A pause that doubles would begin above where it ends.
    void check_pauses(const toml::table& table, const RecoveryConfig& recovery) const {
        constexpr Nanoseconds kMs = 1'000'000;
        if (recovery.snapshot_retry_ns <= recovery.snapshot_retry_max_ns) return;
        const toml::node* first = table.at_path("recovery.snapshot_retry_ms").node();
        const toml::node* longest = table.at_path("recovery.snapshot_retry_max_ms").node();
        fail(first != nullptr ? *first : *longest,
             "feed.recovery.snapshot_retry_ms: " + std::to_string(recovery.snapshot_retry_ns / kMs) +
                 " is above snapshot_retry_max_ms, " + std::to_string(recovery.snapshot_retry_max_ns / kMs) +
                 "; lower the one or raise the other");
    }
    // What only another venue's servers ask for would be kept for nothing.
    void check_logins(const toml::table& table, const FeedConfig& feed, const RecoveryMeans& means) const {
        for (const auto& [key, used] : {std::pair{"username", means.glimpse}, std::pair{"password", means.glimpse},
                                        std::pair{"token", means.snap}}) {
            const toml::node* node = table.at_path("recovery." + std::string(key)).node();
            if (node != nullptr && !used)
                fail(*node, "feed.recovery." + std::string(key) + ": no server of " + feed.venue +
                                " asks for it; leave it out");
            if (node != nullptr && feed.recovery.snapshot.empty())
                fail(*node, "feed.recovery." + std::string(key) + ": only a snapshot server asks for it; write " +
                                (means.snap ? "snap" : "glimpse") + ", or leave it out");
        }
        const toml::node* requested = table.at_path("recovery.request_messages").node();
        if (requested != nullptr && feed.session.recovery.request_messages_max > means.request_messages_max) {
            fail(*requested, "feed.recovery.request_messages: " + feed.venue + " answers requests of at most " +
                                 std::to_string(means.request_messages_max) + " messages");
        }
    }

    // Of threads that never leave their CPU to another, each needs one of its own.
    void check_busy_cpus(const toml::table& table) const {
        ThreadsConfig busy;
        for (const FeedConfig& feed : config_.feeds) {
            const Idle idle = feed.receive.idle;
            if (idle != Idle::spin && idle != Idle::pause) continue;
            busy.receivers.push_back(feed.threads.decoder);
            if (feed.receive.mode == ReceiveMode::run_to_completion) continue;
            const std::vector<int>& receivers = feed.threads.receivers;
            busy.receivers.insert(busy.receivers.end(), receivers.begin(), receivers.end());
        }
        const int shared = shared_cpu(busy);
        if (shared == kNotPinned) return;
        const std::size_t line = table.at_path("threads").node()->source().begin.line;
        throw Error(ExitCode::cpu,
                    file_ + ":" + std::to_string(line) + ": feed.threads: CPU " +
                        std::to_string(shared) + " is busy: two threads that spin are pinned to it; "
                        "choose another CPU, or receive.idle = \"yield\" or \"wait\"");
    }

    std::string file_;
    Config& config_;
};

std::string read_file(const std::filesystem::path& path) {
    const std::string name = path.string();
    std::error_code problem;
    if (std::filesystem::is_directory(path, problem))
        throw Error(ExitCode::config, name + ": is a folder; name a TOML file");
    std::FILE* file = std::fopen(name.c_str(), "rb");
    if (file == nullptr)
        throw_errno(ExitCode::config, name, errno,
                    "name a TOML file (examples/nasdaq_two_lines.toml is one)");
    std::string text(kFileBytesMax + 1, '\0');
    text.resize(std::fread(text.data(), 1, text.size(), file));
    std::fclose(file);
    if (text.size() > kFileBytesMax || text.find('\0') != std::string::npos) {
        throw Error(ExitCode::config, name + ": is no text; name a TOML file");
    }
    return text;
}

}  // namespace

Config parse_config(std::string_view text, const std::string& title) {
    Config config;
    Parser(title, config).parse(text);
    return config;
}

Config load_config(const std::filesystem::path& path) {
    return parse_config(read_file(path), path.string());
}

int shared_cpu(const ThreadsConfig& threads) {
    std::vector<int> pinned = threads.receivers;
    pinned.push_back(threads.decoder);
    std::erase(pinned, kNotPinned);
    std::sort(pinned.begin(), pinned.end());
    const auto twice = std::adjacent_find(pinned.begin(), pinned.end());
    return twice == pinned.end() ? kNotPinned : *twice;
}

const FeedConfig& only_feed_of(const Config& config, std::string_view venue) {
    const FeedConfig* found = nullptr;
    for (const FeedConfig& feed : config.feeds) {
        if (feed.venue != venue) continue;
        if (found != nullptr) {
            throw Error(ExitCode::config, "two feeds of venue " + std::string(venue) +
                                              "; pass one of Config::feeds");
        }
        found = &feed;
    }
    if (found == nullptr) {
        throw Error(ExitCode::config,
                    "no feed of venue " + std::string(venue) + " in the config; add one");
    }
    return *found;
}

std::string config_help() {
    std::string text;
    FeedConfig feed;
    LineConfig line;
    for (const ConfigTable& table : detail::config_tables()) {
        text +=
            "## `" + std::string(table.heading) + "`\n\n" + std::string(table.meaning) + "\n\n";
        text += "| key | type | default | allowed | meaning |\n|---|---|---|---|---|\n";
        for (const ConfigKey& key : detail::config_keys()) {
            if (key.table != table.name) continue;
            text += "| `" + std::string(key.name) + "` | " + std::string(key.type) + " | ";
            text += key.required ? "required" : "`" + key.show({feed, line}) + "`";
            text += " | " + key.allowed + " | " + std::string(key.meaning) + " |\n";
        }
        text += "\n";
    }
    return text;
}

}  // namespace millrace
