// The simulation's command, as scripts see it.
#include <nlohmann/json.hpp>

#include "tests/support/catch.hpp"
#include "tests/support/command.hpp"

using millrace::test::Command;
using millrace::test::Outcome;
using Json = nlohmann::json;

namespace {

std::filesystem::path program() { return std::filesystem::canonical("/proc/self/exe").parent_path() / "simulate"; }

Outcome simulate(std::vector<std::string> arguments, const std::function<void()>& before = {}) {
    return Command(std::move(arguments), "simulate", before, program()).wait();
}

}  // namespace

TEST_CASE("simulate: any unsigned 64-bit number is a seed, and one object says what came of it") {
    for (const char* from : {"0", "18446744073709551615"}) {
        const Outcome outcome = simulate({"--seeds", "2", "--from", from, "--json"});
        CHECK(outcome.code == 0);
        CHECK(outcome.err.empty());
        std::vector<std::string> keys;
        const auto summary = nlohmann::ordered_json::parse(outcome.out);
        for (const auto& [key, value] : summary.items()) keys.push_back(key);
        CHECK(keys == std::vector<std::string>{"seeds", "events", "faults", "books_checked", "exact", "flagged", "wrong",
                                               "seconds", "failed_seed"});
        CHECK(summary["seeds"] == 2);
        CHECK(summary["faults"]["rollover"].is_number());
        CHECK(summary["failed_seed"].is_null());
    }
}

TEST_CASE("simulate: what is no seed is refused with one line that says so") {
    for (const char* from : {"-1", "18446744073709551616", "one", "1.5", "0x10", " 1", ""}) {
        CAPTURE(from);
        const Outcome outcome = simulate({"--seeds", "1", "--from", from});
        CHECK(outcome.code == 2);
        CHECK(outcome.out.empty());
        CHECK(outcome.err.find("--from") != std::string::npos);
        CHECK(outcome.err.find('\n') == outcome.err.size() - 1);
    }
}

TEST_CASE("simulate: what it would have to ignore, or cannot run, is refused with one line") {
    const std::vector<std::vector<std::string>> all{
        {"--seeds", "0"}, {"--seeds", "0", "--bug", "gap_skipped"}, {"--seeds", "-1"}, {"--batches", "-1"},
        {"--batches", "abc"}, {"--batches", "4294967296"}, {"--faults", "none-such"}, {"--venue", "none-such"},
        {"--bug", ""}, {"--bug", "none_such"}, {"--plant", ""}, {"--plant", "none_such"},
        {"--bug", "gap_skipped", "--plant", "gap_skipped"}, {"--bug", "gap_skipped", "--json"},
        {"--bug", "gap_skipped", "--venue", "iex-deep"}, {"--bug", "gap_skipped", "--batches", "3"},
        {"--list-bugs", "--json"}, {"--list-bugs", "--bug", "all"}, {"--none-such"}};
    for (const auto& arguments : all) {
        CAPTURE(arguments);
        const Outcome outcome = simulate(arguments);
        INFO(outcome.err);
        CHECK(outcome.code == 2);
        CHECK(outcome.out.empty());
        CHECK(outcome.err.find("simulate: ") == 0);
        CHECK(outcome.err.find(arguments.front()) != std::string::npos);
        CHECK(outcome.err.find('\n') == outcome.err.size() - 1);
    }
}

TEST_CASE("simulate: a result that cannot be written is an error") {
    const auto full = [] { dup2(open("/dev/full", O_WRONLY), STDOUT_FILENO); };
    const auto shut = [] { close(STDOUT_FILENO); };
    const std::vector<std::vector<std::string>> all{
        {"--list-bugs"}, {"--help"}, {"--seeds", "1"}, {"--seeds", "1", "--json"}, {"--bug", "gap_skipped"}};
    for (const auto& arguments : all) {
        CAPTURE(arguments);
        for (const Outcome& outcome : {simulate(arguments, full), simulate(arguments, shut)}) {
            CHECK(outcome.code == 4);
            CHECK(outcome.err.find("simulate: standard output: ") == 0);
        }
    }
}

TEST_CASE("simulate: a signal ends it with the result of what was run") {
    for (const auto& [signal, code] : {std::pair{SIGINT, 130}, std::pair{SIGTERM, 143}, std::pair{SIGHUP, 129}}) {
        const auto heed_all = [] { std::signal(SIGHUP, SIG_DFL); };  // also where the tests run by nohup
        Command command({"--seeds", "1000000000", "--json"}, "simulate", heed_all, program());
        REQUIRE(command.wait_until_it_heeds_signals());
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        command.signal(signal);
        const Outcome outcome = command.wait();
        CHECK(outcome.code == code);
        const auto seeds = std::to_string(Json::parse(outcome.out)["seeds"].get<std::uint64_t>());
        CHECK(outcome.err == "simulate: interrupted after " + seeds + " seeds\n");
    }
}

TEST_CASE("simulate: a violation ends it with 1, the seed, and how to see it again, shrunk") {
    const Outcome outcome = simulate({"--plant", "gap_skipped", "--seeds", "50", "--json"});
    CHECK(outcome.code == 1);
    const Json summary = Json::parse(outcome.out);
    const auto seed = summary["failed_seed"].get<std::uint64_t>();
    CHECK(summary["seeds"] == seed);  // from 1 on: it is the last one that was run
    CHECK(outcome.err.find("seed " + std::to_string(seed) + " fails: ") != std::string::npos);
    const std::string again = "./tools/simulate --plant gap_skipped --venue nasdaq-itch50 --seeds 1 --from " +
                              std::to_string(seed) + " --batches ";
    REQUIRE(outcome.err.find(again) != std::string::npos);
    std::vector<std::string> shrunk;
    std::istringstream words(outcome.err.substr(outcome.err.find("--plant")));
    for (std::string word; words >> word;) shrunk.push_back(word);
    CHECK(simulate(shrunk).code == 1);
}

TEST_CASE("simulate: a planted bug is caught by a seed, or escapes") {
    const Outcome caught = simulate({"--bug", "gap_skipped"});
    CHECK(caught.code == 0);
    CHECK(caught.out.rfind("gap_skipped caught by seed ", 0) == 0);
    const Outcome escaped = simulate({"--bug", "gap_skipped", "--seeds", "1"});
    CHECK(escaped.code == 1);
    CHECK(escaped.out == "gap_skipped escaped\n");
}
