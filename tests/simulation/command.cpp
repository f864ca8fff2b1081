// The simulation's command, as scripts see it.
#include <nlohmann/json.hpp>

#include "tests/support/catch.hpp"
#include "tests/support/command.hpp"

using millrace::test::Command;
using millrace::test::Outcome;
using Json = nlohmann::json;

namespace {

Outcome simulate(std::vector<std::string> arguments) {
    const auto program = std::filesystem::canonical("/proc/self/exe").parent_path() / "simulate";
    return Command(std::move(arguments), "simulate", {}, program).wait();
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
    }
    CHECK(simulate({"--seeds", "-1"}).code == 2);
    CHECK(simulate({"--bug", "none_such"}).code == 2);
    CHECK(simulate({"--venue", "none-such"}).code == 2);
}

TEST_CASE("simulate: a violation ends it with 1, the seed, and how to see it again, shrunk") {
    const Outcome outcome = simulate({"--plant", "gap_skipped", "--seeds", "50", "--json"});
    CHECK(outcome.code == 1);
    const Json summary = Json::parse(outcome.out);
    const auto seed = summary["failed_seed"].get<std::uint64_t>();
    CHECK(summary["seeds"] == seed);  // from 1 on: it is the last one that was run
    CHECK(outcome.err.find("seed " + std::to_string(seed) + " fails: ") != std::string::npos);
    const std::string again = "./tools/simulate --venue nasdaq-itch50 --seeds 1 --from " + std::to_string(seed) + " --batches ";
    REQUIRE(outcome.err.find(again) != std::string::npos);
    const std::size_t at = outcome.err.find("--seeds 1");
    std::vector<std::string> shrunk{"--plant", "gap_skipped"};
    std::istringstream words(outcome.err.substr(at));
    for (std::string word; words >> word;) shrunk.push_back(word);
    CHECK(simulate(shrunk).code == 1);
}

TEST_CASE("simulate: a planted bug is caught by a seed, or escapes") {
    const Outcome caught = simulate({"--bug", "gap_skipped"});
    CHECK(caught.code == 0);
    CHECK(caught.out.rfind("gap_skipped caught by seed ", 0) == 0);
    const Outcome escaped = simulate({"--bug", "gap_skipped", "--seeds", "0"});
    CHECK(escaped.code == 1);
    CHECK(escaped.out == "gap_skipped escaped\n");
}
