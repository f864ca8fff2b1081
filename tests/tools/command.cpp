// The command as scripts see it: exit codes, one line for each error, stable JSON, a clean end by
// signal.
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>

#include "exit_codes.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/command.hpp"

using namespace millrace;
using namespace millrace::test;
using Json = nlohmann::json;

namespace {

// A capture of a few seconds with faults on both lines.
void simulate(const TempFile& capture, const std::string& seconds = "1") {
    const Outcome outcome =
        run_command({"sim", "--capture", capture.path().string(), "--seconds", seconds, "--seed",
                     "5", "--loss", "0.01", "--duplicate", "0.01", "--reorder", "0.01"});
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
}

std::string config_text(const std::string& interface, const std::string& more = "") {
    return "[[feed]]\nname = \"f\"\nvenue = \"nasdaq-itch50\"\n[[feed.line]]\nname = \"A\"\n"
           "groups = [\"239.255.91.1:23911\"]\ninterface = \"" +
           interface + "\"\n" + more +
           "[feed.limits]\ninstruments = 64\norders = 1000\nlevels = 1000\n";
}

Json replay_json(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(),
                     {"replay", "--json", "--orders", "100000", "--levels", "50000"});
    const Outcome outcome = run_command(arguments);
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    REQUIRE(outcome.out.find('\n') == outcome.out.size() - 1);
    return Json::parse(outcome.out);
}

}  // namespace

TEST_CASE("millrace --help: names every subcommand and every exit code") {
    const Outcome outcome = run_command({"--help"});
    CHECK(outcome.code == 0);
    for (const char* word : {"live", "replay", "dump", "sim", "qualify", "doctor", "version"})
        CHECK(outcome.out.find(word) != std::string::npos);
    for (const tools::ExitCodeInfo& info : tools::kExitCodes) {
        CHECK(outcome.out.find(info.meaning) != std::string::npos);
    }
}

TEST_CASE(
    "millrace: each bad input ends with its exit code and one line that says what and where") {
    const TempFile capture("bad-input.pcapng");
    simulate(capture);
    const TempFile text("bad-input.txt");
    std::ofstream(text.path()) << "This is a letter and no capture, whatever its name may say.\n";
    const TempFile no_interface("no-interface.toml");
    std::ofstream(no_interface.path()) << config_text("nosuch0");
    const TempFile no_cpu("no-cpu.toml");
    std::ofstream(no_cpu.path()) << config_text("lo", "[feed.threads]\ndecoder = 1023\n");
    const TempFile bad_key("bad-key.toml");
    std::ofstream(bad_key.path()) << config_text("lo", "[feed.receive]\nbufers = 64\n");

    struct Case {
        std::vector<std::string> arguments;
        ExitCode code;
        std::string says;
    };
    const std::vector<Case> cases{
        {{}, ExitCode::usage, "subcommand"},
        {{"reply", capture.path()}, ExitCode::usage, "no command is called reply"},
        {{"replay"}, ExitCode::usage, "FILE"},
        {{"replay", capture.path(), "--no-such-flag"}, ExitCode::usage, "--no-such-flag (see millrace replay --help)"},
        {{"live", "--duration", "abc"}, ExitCode::usage, "(see millrace live --help)"},
        {{"--no-such-flag"}, ExitCode::usage, "(see millrace --help)"},
        {{"sim", "--serve", "soup=127.0.0.1:1", "--username", "far-too-long"},
         ExitCode::usage,
         "--username: 'far-too-long' is longer than 6 characters"},
        {{"replay", capture.path(), "--venue", "nyse"}, ExitCode::usage, "nasdaq-psx-itch50"},
        {{"replay", capture.path(), "--group", "here:1"}, ExitCode::usage, "here:1"},
        {{"replay", capture.path(), "--pace", "0"}, ExitCode::usage, "--pace"},
        {{"replay", "/nowhere/day.pcap"}, ExitCode::file, "/nowhere/day.pcap"},
        {{"replay", text.path()}, ExitCode::format, text.path()},
        {{"dump", text.path()}, ExitCode::format, text.path()},
        {{"sim"}, ExitCode::usage, "--multicast"},
        {{"sim", "--venue", "iex-deep", "--serve", "soup=127.0.0.1:1"}, ExitCode::usage, "iex-deep has no such server"},
        {{"sim", "--venue", "iex-tops", "--binaryfile", "/nowhere/x.itch"},
         ExitCode::usage,
         "iex-tops has no files of records"},
        {{"live"}, ExitCode::usage, "config"},
        {{"live", "/nowhere/feed.toml"}, ExitCode::config, "/nowhere/feed.toml"},
        {{"live", bad_key.path()}, ExitCode::config, "feed.receive.bufers"},
        {{"live", no_interface.path()}, ExitCode::interface, "nosuch0"},
        {{"live", no_cpu.path()}, ExitCode::cpu, "1023"},
    };
    for (const Case& bad : cases) {
        const Outcome outcome = run_command(bad.arguments);
        std::string line = outcome.err;
        const std::size_t last = line.rfind("millrace: ");
        line = last == std::string::npos ? line : line.substr(last);
        INFO(outcome.err);
        CHECK(outcome.code == static_cast<int>(bad.code));
        CHECK(outcome.out.empty());
        CHECK(line.find("millrace: ") == 0);
        CHECK(line.find('\n') == line.size() - 1);
        CHECK(line.find(bad.says) != std::string::npos);
    }
}

TEST_CASE("millrace replay --json: has the documented keys, at the top level too") {
    const TempFile capture("json.pcapng");
    simulate(capture);
    const Json json = replay_json({capture.path()});
    REQUIRE(json.at("feeds").size() == 1);
    const Json& feed = json["feeds"][0];
    for (const char* key : {"name", "venue", "packets", "bytes", "messages", "by_type", "lines",
                            "gaps", "drops", "balance", "quality", "digest"}) {
        INFO(key);
        REQUIRE(feed.contains(key));
        CHECK(json.at(key) == feed[key]);
    }
    CHECK(feed["venue"] == "nasdaq-itch50");
    CHECK(feed["balance"] == 0);
    CHECK(feed["digest"].get<std::string>().size() == 32);
    CHECK(feed["quality"]["live"] == 20);
    REQUIRE(feed["lines"].size() == 2);
    CHECK(feed["lines"][0]["name"] == "A");
    CHECK(feed["lines"][1]["received"].get<std::uint64_t>() > 1'000);
    CHECK(feed["lines"][1]["lost"].get<std::uint64_t>() > 0);
    std::uint64_t by_type = 0;
    for (const auto& [type, count] : feed["by_type"].items())
        by_type += count.get<std::uint64_t>();
    CHECK(by_type == feed["messages"]);
    for (const Json& gap : feed["gaps"]) {
        CHECK(gap["first"].get<std::uint64_t>() <= gap["last"].get<std::uint64_t>());
        CHECK((gap["ended"] == "same_line" || gap["ended"] == "other_line"));
    }
    CHECK(json["seconds"].get<double>() > 0);
    CHECK(json["messages_per_second"].get<double>() > 0);
}

TEST_CASE(
    "millrace replay: one digest at full speed, paced, in sequence and with the venue found out "
    "or named") {
    const TempFile capture("ways.pcapng");
    simulate(capture);
    const Json plain = replay_json({capture.path()});
    CHECK(replay_json({capture.path(), "--pace", "4"})["digest"] == plain["digest"]);
    CHECK(replay_json({capture.path(), "--sequential"})["digest"] == plain["digest"]);
    CHECK(replay_json({capture.path(), "--venue", "nasdaq-itch50"})["digest"] == plain["digest"]);
    CHECK(replay_json({capture.path(), "--pace", "4"})["gaps"] == plain["gaps"]);
}

TEST_CASE("millrace replay --books-at: the books as of a sequence number") {
    const TempFile capture("books-at.pcapng");
    simulate(capture);
    const TempFile books("books-at.csv");
    (void)replay_json({capture.path(), "--books", books.path(), "--books-at", "40"});
    std::ifstream rows(books.path());
    std::string row;
    std::getline(rows, row);
    CHECK(row ==
          "locate,symbol,bid_price,bid_size,bid_orders,ask_price,ask_size,ask_orders,bid_levels,"
          "ask_levels,live_orders");
    std::getline(rows, row);
    CHECK(row.substr(0, 2) == "1,");
}

TEST_CASE("millrace replay: SIGINT ends a paced replay with its report") {
    const TempFile capture("interrupted.pcapng");
    simulate(capture);
    Command replay({"replay", capture.path(), "--pace", "0.01", "--json", "--orders", "100000",
                    "--levels", "50000"});
    REQUIRE(replay.wait_until_it_heeds_signals());
    replay.signal(SIGINT);
    const Outcome outcome = replay.wait();
    INFO(outcome.err);
    CHECK(outcome.code == 0);
    CHECK(Json::parse(outcome.out)["balance"] == 0);
}

TEST_CASE("millrace sim: what a server alone sends keeps the market's pace, and a report says what came of it") {
    const std::string server = "soup=127.0.0.1:" + std::to_string(16'000 + getpid() % 8'000);
    const auto begin = std::chrono::steady_clock::now();
    const Outcome outcome =
        run_command({"sim", "--serve", server, "--seconds", "1", "--rate", "2000", "--linger", "0"});
    CHECK(std::chrono::steady_clock::now() - begin > std::chrono::milliseconds(700));
    CHECK(outcome.code == 0);
    CHECK(outcome.err.empty());
    CHECK(outcome.out.find("exchange  nasdaq-itch50, ") == 0);
    CHECK(outcome.out.find("\nserved    0 retransmissions, 0 snapshots\n") != std::string::npos);
}

TEST_CASE("millrace live: a run that no packet came to says so, and where it listened") {
    const TempFile config("silent.toml");
    std::ofstream(config.path()) << config_text("lo");
    const Outcome outcome = run_command({"live", config.path(), "--duration", "0.2"});
    CHECK(outcome.code == 0);
    CHECK(outcome.err.find("f: no packet has come so far, by A 239.255.91.1:23911 on lo; ") != std::string::npos);
}
