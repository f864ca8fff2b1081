#include "millrace/feed/config.hpp"

#include <filesystem>
#include <fstream>
#include <sstream>

#include "millrace/core/error.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temp_file.hpp"

using namespace millrace;

namespace {

constexpr const char* kHead = R"(
[[feed]]
name = "n"
venue = "nasdaq-itch50"
)";
constexpr const char* kLineA = R"(
[[feed.line]]
name = "A"
groups = ["239.255.0.1:26477"]
interface = "lo"
)";

std::string minimal(const std::string& more = "") { return std::string(kHead) + kLineA + more; }

// What the error says; the exit code is checked on the way.
std::string error_of(const std::string& text) {
    try {
        (void)parse_config(text, "f.toml");
    } catch (const Error& error) {
        CHECK(error.code() == ExitCode::config);
        CHECK(std::string(error.what()).find('\n') == std::string::npos);
        return error.what();
    }
    return "no error";
}
bool says(const std::string& text, const std::string& part) {
    const std::string error = error_of(text);
    INFO(error);
    const bool found = error.find(part) != std::string::npos;
    CHECK(found);
    return found;
}

std::string contents(const std::filesystem::path& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
}

}  // namespace

TEST_CASE("config: what is left out has its default") {
    const FeedConfig feed = parse_config(minimal(), "f.toml").feeds.at(0);
    CHECK(feed.name == "n");
    CHECK(feed.venue == "nasdaq-itch50");
    REQUIRE(feed.lines.size() == 1);
    CHECK(feed.lines[0].groups == std::vector<GroupConfig>{{"239.255.0.1", 26477}});
    CHECK(feed.receive.backend == Backend::automatic);
    CHECK(feed.receive.mode == ReceiveMode::threads);
    CHECK(feed.threads.receivers.empty());
    CHECK(feed.threads.decoder == kNotPinned);
    CHECK(feed.session.lines == 1);
    CHECK(feed.session.symbols.empty());
    CHECK(feed.session.datagram_bytes_max == feed.receive.buffer_bytes);
}

TEST_CASE("config: every key reaches its place") {
    const FeedConfig feed = parse_config(minimal(R"(
[feed.receive]
backend = "recvmmsg"
require_backend = true
mode = "run_to_completion"
buffers = 64
buffers_max = 128
buffer_bytes = 4096
socket_buffer_bytes = 65536
queue = 32
idle = "yield"
huge_pages = false
gro = true
[feed.threads]
receivers = [3]
decoder = 2
[feed.reorder]
window_packets = 7
window_ms = 250
[feed.limits]
instruments = 11
orders = 12
levels = 13
)"),
                                         "f.toml")
                                .feeds.at(0);
    CHECK(feed.receive.backend == Backend::recvmmsg);
    CHECK(feed.receive.require_backend);
    CHECK(feed.receive.mode == ReceiveMode::run_to_completion);
    CHECK(feed.receive.buffers == 64);
    CHECK(feed.receive.buffers_max == 128);
    CHECK(feed.receive.buffer_bytes == 4096);
    CHECK(feed.receive.socket_buffer_bytes == 65'536);
    CHECK(feed.receive.queue == 32);
    CHECK(feed.receive.idle == Idle::yield);
    CHECK_FALSE(feed.receive.huge_pages);
    CHECK(feed.receive.gro);
    CHECK(feed.threads.receivers == std::vector<int>{3});
    CHECK(feed.threads.decoder == 2);
    CHECK(feed.session.reorder_window_packets == 7);
    CHECK(feed.session.reorder_window_ns == 250'000'000);
    CHECK(feed.session.limits.books == 11);
    CHECK(feed.session.limits.orders == 12);
    CHECK(feed.session.limits.levels == 13);
    CHECK(feed.session.datagram_bytes_max == 4096);
}

TEST_CASE("config: symbols are all or the ones named") {
    const std::string with = std::string(kHead) + "symbols = [\"AAPL\", \"MSFT\"]\n" + kLineA;
    CHECK(parse_config(with, "f").feeds[0].session.symbols == std::vector<Symbol>{"AAPL", "MSFT"});
    CHECK(parse_config(std::string(kHead) + "symbols = [\"*\"]\n" + kLineA, "f")
              .feeds[0]
              .session.symbols.empty());
    says(std::string(kHead) + "symbols = [\"AAPL\", \"*\"]\n" + kLineA, "f.toml:5: feed.symbols: \"*\" stands beside others");
    says(std::string(kHead) + "symbols = \"*\"\n" + kLineA,
         "feed.symbols: '*' is not allowed; list of text");
    says(std::string(kHead) + "symbols = [\"AAPL\", \"FAR-TOO-LONG-FOR-A-SYMBOL\"]\n" + kLineA,
         "feed.symbols: \"FAR-TOO-LONG-FOR-A-SYMBOL\" is longer than 16 characters; list");
    says(std::string(kHead) + "symbols = [\"\"]\n" + kLineA, "feed.symbols: \"\" is no symbol");
}

TEST_CASE("config: the example in the tree is complete and its values are the defaults") {
    const std::filesystem::path path =
        std::filesystem::path(MILLRACE_SOURCE_DIR) / "examples/nasdaq_two_lines.toml";
    const FeedConfig example = load_config(path).feeds.at(0);
    CHECK(example.lines.size() == 2);
    const std::string text = contents(path);
    std::istringstream help(config_help());
    for (std::string row; std::getline(help, row);) {
        if (row.substr(0, 3) != "| `") continue;
        const std::string key = row.substr(3, row.find('`', 3) - 3);
        INFO(key);
        // Keys that exclude others, or have no default that makes sense, stand there as comments.
        const bool there = text.find("\n" + key + " = ") != std::string::npos;
        CHECK((there || text.find("\n# " + key + " = ") != std::string::npos));
    }
    const FeedConfig defaults;
    CHECK(example.receive.buffers == defaults.receive.buffers);
    CHECK(example.receive.buffers_max == defaults.receive.buffers_max);
    CHECK(example.receive.socket_buffer_bytes == defaults.receive.socket_buffer_bytes);
    CHECK(example.receive.queue == defaults.receive.queue);
    CHECK(example.session.reorder_window_ns == defaults.session.reorder_window_ns);
    CHECK(example.session.limits.orders == defaults.session.limits.orders);
    CHECK(example.session.limits.levels == defaults.session.limits.levels);
    CHECK(example.session.limits.books == defaults.session.limits.books);
}

TEST_CASE("config: docs/config.md is what --help-config prints") {
    const std::string docs =
        contents(std::filesystem::path(MILLRACE_SOURCE_DIR) / "docs/config.md");
    CHECK(docs.find(config_help()) != std::string::npos);
}

TEST_CASE("config: an unknown key is an error that knows the nearest one") {
    says(minimal("[feed.receive]\nbufers = 3\n"),
         "f.toml:11: feed.receive.bufers: there is no such key; did you mean buffers?");
    says(minimal("[feed.recieve]\nbuffers = 64\n"),
         "feed.recieve: there is no such key; did you mean receive?");
    says(minimal("[[feed.lines]]\nname = \"B\"\n"), "did you mean line?");
    says("[[feeds]]\n", "f.toml:1: feeds: there is no such key; did you mean feed?");
    says(minimal("[feed.limits]\ncolour = 3\n"), "there are instruments orders levels");
}

TEST_CASE("config: a wrong type or value names line, key and what is allowed") {
    says(minimal("[feed.receive]\nbuffers = 8\n"),
         "f.toml:11: feed.receive.buffers: 8 is not allowed; whole number, 16 to 32768");
    says(minimal("[feed.receive]\nbuffers = \"64\"\n"),
         "feed.receive.buffers: '64' is not allowed; whole number");
    says(minimal("[feed.receive]\nbuffers = 64.0\n"), "feed.receive.buffers: 64.0 is not allowed");
    says(minimal("[feed.receive]\nrequire_backend = 1\n"),
         "feed.receive.require_backend: 1 is not allowed; boolean");
    says(minimal("[feed.receive]\nbackend = \"dpdk\"\n"),
         "\"automatic\", \"io_uring\", \"recvmmsg\"");
    says(minimal("[feed]\nname = 3\n"), "f.toml:");
    says(minimal("[feed.limits]\norders = 9999999999999999999\n"), "f.toml:11:");
    says(minimal("[feed.threads]\ndecoder = -2\n"), "feed.threads.decoder: -2 is not allowed");
    says(minimal("[feed.threads]\nreceivers = [1, 2]\n"),
         "f.toml:11: feed.threads.receivers: 2 CPUs for 1 lines");
    says(minimal("[feed.threads]\nreceivers = [\"0\"]\n"),
         "feed.threads.receivers: this is not allowed");
    says(minimal("[feed.threads]\nreceivers = [2000]\n"), "feed.threads.receivers: 2000 is no CPU; list of whole");
    says("[[feed]]\nname = \"n\"\nvenue = \"nyse\"\n" + std::string(kLineA),
         "\"nasdaq-itch50\", ");
}

TEST_CASE("config: sinks are named by URLs, and get DBN's schemas") {
    says(minimal("[feed.sinks]\nurls = [\"redis\"]\n"), "f.toml:11: feed.sinks.urls: \"redis\" is no URL; list");
    says(minimal("[feed.sinks]\nurls = []\n"), "f.toml:11: feed.sinks.urls: this is not allowed");
    says(minimal("[feed.sinks]\nschemas = [\"mbo\", \"quotes\"]\n"), "feed.sinks.schemas: \"quotes\" is no schema");
    const Config config = parse_config(
        minimal("[feed.sinks]\nurls = [\"redis://h:1/k\", \"tcp://h:2\"]\nschemas = [\"trades\"]\n"), "f.toml");
    CHECK(config.feeds.at(0).sinks.urls == std::vector<std::string>{"redis://h:1/k", "tcp://h:2"});
    CHECK(config.feeds.at(0).sinks.schemas == std::vector<std::string>{"trades"});
}

TEST_CASE("config: groups are numeric addresses with a port") {
    for (const char* group :
         {"239.255.0.1", "239.255.0.1:", "239.255.0.1:0", "239.255.0.1:70000", "a.b.c.d:1", ":1",
          "", "[ff05::1:1", "ff05::1:1", "239.255.0.1:1x", "[]:1"}) {
        INFO(group);
        says(std::string(kHead) + "[[feed.line]]\nname = \"A\"\ninterface = \"lo\"\ngroups = [\"" +
                 group + "\"]\n",
             "f.toml:8: feed.line.groups");
    }
    const std::string v6 =
        std::string(kHead) +
        "[[feed.line]]\nname = \"A\"\ninterface = \"lo\"\ngroups = [\"[ff05::1]:26477\"]\n";
    CHECK(parse_config(v6, "f").feeds[0].lines[0].groups ==
          std::vector<GroupConfig>{{"ff05::1", 26477}});
    says(std::string(kHead) + "[[feed.line]]\nname = \"A\"\ninterface = \"lo\"\ngroups = []\n",
         "feed.line.groups");
}

TEST_CASE("config: a server that is not allowed is named, with what is wrong with it") {
    const auto list = [](const std::string& servers) {
        return minimal("[feed.recovery]\nretransmit = [" + servers + "]\n");
    };
    const std::string good = "\"127.0.0.1:26413\"";
    const std::string key = "f.toml:11: feed.recovery.retransmit: ";
    says(list(good + ", " + good), key + good + " stands there twice; list of text, address:port");
    says(list(good + ", \"127.0.0.1:70000\""), key + "\"127.0.0.1:70000\" has no port from 1 to 65535; list");
    says(list("\"127.0.0.1:0\""), key + "\"127.0.0.1:0\" has no port from 1 to 65535");
    says(list("\"127.0.0.1\""), key + "\"127.0.0.1\" has no port;");
    says(list("\"host.example:7000\""), key + "\"host.example:7000\" begins with no numeric address (names are not");
    says(list("\"239.255.0.1:26413\""), key + "\"239.255.0.1:26413\" is a multicast group; a server");
    says(list("\"[ff05::1]:26413\""), key + "\"[ff05::1]:26413\" is a multicast group; a server");
    says(list(good + ", 7"), key + "this is not allowed");
    says(std::string(kHead) + "[[feed.line]]\nname = \"A\"\nsoup = \"239.255.0.1:1\"\n",
         "f.toml:7: feed.line.soup: \"239.255.0.1:1\" is a multicast group");
}

TEST_CASE("config: the pause after a snapshot that failed does not begin above its limit") {
    const auto keys = [](const std::string& text) { return minimal("[feed.recovery]\n" + text); };
    says(keys("attempts = 2\nsnapshot_retry_ms = 40000\n"),
         "f.toml:12: feed.recovery.snapshot_retry_ms: 40000 is above snapshot_retry_max_ms, 30000");
    says(keys("attempts = 2\nsnapshot_retry_max_ms = 500\n"),
         "f.toml:12: feed.recovery.snapshot_retry_ms: 1000 is above snapshot_retry_max_ms, 500");
    CHECK(parse_config(keys("snapshot_retry_ms = 7\nsnapshot_retry_max_ms = 7\n"), "f").feeds.size() == 1);
}

TEST_CASE("config: feeds and lines are there, and each is there once") {
    says("", "f.toml: no feed");
    says("feed = 3\n", "write it as [[feed]]");
    says("[feed]\nname = \"n\"\n", "write it as [[feed]]");
    says(kHead, "f.toml:2: feed.line: missing");
    says("[[feed]]\nvenue = \"nasdaq-itch50\"\n" + std::string(kLineA),
         "f.toml:1: feed.name: missing");
    says(minimal(kLineA), "f.toml:12: feed.line.name: two lines are called A");
    says(minimal("[[feed.line]]\nname = \"recovery\"\ninterface = \"lo\"\ngroups = [\"239.255.0.9:26477\"]\n"),
         "feed.line.name: recovery is what messages asked for again come by");
    says(
        minimal(
            "[[feed.line]]\nname = \"B\"\ninterface = \"lo\"\ngroups = [\"239.255.0.1:26477\"]\n"),
        "f.toml:13: feed.line.groups: line A has 239.255.0.1:26477 too");
    says(minimal() + minimal(), "feed.name: two feeds are called n");
    std::string many = kHead;
    for (int i = 0; i < 17; ++i) {
        many += "[[feed.line]]\nname = \"" + std::to_string(i) +
                "\"\ninterface = \"lo\"\ngroups = [\"239.255.0." + std::to_string(i + 1) +
                ":26477\"]\n";
    }
    says(many, "feed.line: a feed has at most 16 lines");
}

TEST_CASE("config: a venue is asked only in ways that it answers") {
    const auto venue = [](const std::string& id, const std::string& line, const std::string& more) {
        return "[[feed]]\nname = \"n\"\nvenue = \"" + id + "\"\n" + line + more;
    };
    const std::string servers = "[feed.recovery]\nattempts = 2\n";
    says(venue("iex-deep", kLineA, servers + "glimpse = [\"127.0.0.1:1\"]\n"),
         "f.toml:11: feed.recovery.glimpse: iex-deep cannot be asked that way");
    says(venue("dbn-mbo", kLineA, ""), "f.toml:3: feed.venue: 'dbn-mbo' is not allowed");  // files and streams alone
    says(venue("iex-tops", kLineA, servers + "snap = [\"127.0.0.1:1\"]\n"),
         "f.toml:11: feed.recovery.snap: iex-tops cannot be asked that way");
    says(venue("iex-tops", "[[feed.line]]\nname = \"A\"\nsoup = \"127.0.0.1:1\"\n", ""),
         "f.toml:6: feed.line.soup: iex-tops does not come by SoupBinTCP");
}

TEST_CASE("config: a login that no server of the venue asks for, or a request that none answers, is refused") {
    const auto text = [](const std::string& venue, const std::string& keys) {
        return "[[feed]]\nname = \"n\"\nvenue = \"" + venue + "\"\n" + std::string(kLineA) + "[feed.recovery]\n" + keys;
    };
    says(text("nasdaq-itch50", "token = \"t\"\n"), "f.toml:10: feed.recovery.token: no server of nasdaq-itch50 asks");
    says(text("iex-deep", "token = \"t\"\n"), "f.toml:10: feed.recovery.token: only a snapshot server asks for it");
    says(text("nasdaq-itch50", "username = \"u\"\n"),
         "f.toml:10: feed.recovery.username: only a snapshot server asks for it; write glimpse");
    says(text("iex-deep", "username = \"u\"\n"), "f.toml:10: feed.recovery.username: no server of iex-deep asks");
    says(text("iex-deep", "password = \"p\"\n"), "f.toml:10: feed.recovery.password: no server of iex-deep asks");
    says(text("iex-tops", "request_messages = 1001\n"),
         "f.toml:10: feed.recovery.request_messages: iex-tops answers requests of at most 1000 messages");
    CHECK(parse_config(text("iex-tops", "request_messages = 1000\n"), "f.toml").feeds.size() == 1);
    says(minimal("username = \"u\"\n"), "f.toml:10: feed.line.username: only a SoupBinTCP server");
}

TEST_CASE("config: IEX's servers are asked by UDP first, then by TCP, and for snapshots") {
    const std::string text = "[[feed]]\nname = \"n\"\nvenue = \"iex-deep\"\n" + std::string(kLineA) + R"(
[feed.recovery]
retransmit = ["127.0.0.1:1", "127.0.0.1:2"]
retransmit_tcp = ["127.0.0.1:3"]
snap = ["127.0.0.1:4"]
token = "secret"
)";
    const FeedConfig feed = parse_config(text, "f.toml").feeds.at(0);
    CHECK(feed.recovery.retransmit.size() == 2);
    CHECK(feed.recovery.retransmit_tcp == std::vector<GroupConfig>{{"127.0.0.1", 3}});
    CHECK(feed.recovery.snapshot == std::vector<GroupConfig>{{"127.0.0.1", 4}});
    CHECK(feed.recovery.token == "secret");
    CHECK(feed.session.recovery.retransmit_servers == 3);
    CHECK(feed.session.recovery.snapshot_servers == 1);
}

TEST_CASE("config: a file that is missing, a folder, binary or no TOML says which") {
    const auto file_error = [](const std::filesystem::path& path) {
        try {
            (void)load_config(path);
        } catch (const Error& error) {
            CHECK(error.code() == ExitCode::config);
            return std::string(error.what());
        }
        return std::string("no error");
    };
    CHECK(file_error("/nowhere/feed.toml").find("/nowhere/feed.toml: No such file") == 0);
    CHECK(file_error("/tmp").find("is a folder") != std::string::npos);
    const test::TempFile binary("binary.toml");
    std::ofstream(binary.path(), std::ios::binary) << std::string(
        "\x7f"
        "ELF\0\1\2",
        7);
    CHECK(file_error(binary.path()).find("is no text") != std::string::npos);
    says("[[feed]\n", "f.toml:1: ");
    says("name = \n\n", "this is no TOML");
    says("\xff\xfe\xfd", "f.toml:1: ");
}

TEST_CASE("config: the only feed of a venue is found, and none or two are errors") {
    const Config config = parse_config(minimal(), "f.toml");
    CHECK(only_feed_of(config, "nasdaq-itch50").name == "n");
    CHECK_THROWS_AS(only_feed_of(config, "nasdaq-bx-itch50"), Error);
    Config two = config;
    two.feeds.push_back(config.feeds[0]);
    CHECK_THROWS_AS(only_feed_of(two, "nasdaq-itch50"), Error);
}
