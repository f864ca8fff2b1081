// Two venues in one process: a simulated exchange for each multicasts on two lines, `millrace live` receives both,
// and each feed's books, counts and digest are what its own capture replays to.
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "tests/support/catch.hpp"
#include "tests/support/command.hpp"

using namespace millrace::test;
using Json = nlohmann::json;

namespace {

struct Venue {
    std::string id;
    std::string a;
    std::string b;
    std::string seed;
};

std::string feed_text(const Venue& venue) {
    const auto line = [](const std::string& name, const std::string& group) {
        return "[[feed.line]]\nname = \"" + name + "\"\ninterface = \"lo\"\ngroups = [\"" + group + "\"]\n";
    };
    return "[[feed]]\nname = \"" + venue.id + "\"\nvenue = \"" + venue.id + "\"\n" + line("A", venue.a) +
           line("B", venue.b) +
           "[feed.reorder]\nwindow_ms = 10000\nwindow_packets = 20000\n"
           "[feed.limits]\ninstruments = 64\norders = 100000\nlevels = 50000\n";
}

Json replay(const Venue& venue, const TempFile& capture) {
    const Outcome outcome = run_command({"replay", capture.path(), "--json", "--orders", "100000", "--levels", "50000"});
    INFO(venue.id << ": " << outcome.err);
    REQUIRE(outcome.code == 0);
    return Json::parse(outcome.out);
}

}  // namespace

TEST_CASE("two venues: Nasdaq and IEX live in one process end in the books of their replays, each its own") {
    std::random_device random;
    const auto group = [&, net = "239.253." + std::to_string(random() % 254 + 1) + "."](unsigned host) {
        return net + std::to_string(host) + ":" + std::to_string(20'000 + 1'000 * host + random() % 1'000);
    };
    const Venue nasdaq{"nasdaq-itch50", group(1), group(2), "21"};
    const Venue iex{"iex-deep", group(3), group(4), "22"};
    const TempFile config("two.toml");
    const TempFile ready("two.ready");
    std::ofstream(config.path()) << feed_text(nasdaq) << feed_text(iex);
    Command live({"live", config.path(), "--ready-file", ready.path(), "--until-end", "--json"}, "two-live");
    if (!live.wait_for_file(ready.path())) {
        const Outcome refused = live.wait();
        FAIL(refused.err);
    }
    const TempFile nasdaq_sent("two-nasdaq.pcapng");
    const TempFile iex_sent("two-iex.pcapng");
    const auto exchange = [](const Venue& venue, const TempFile& sent) {
        return std::make_unique<Command>(
            std::vector<std::string>{"sim", "--venue", venue.id, "--multicast", venue.a, "--multicast", venue.b,
                                     "--capture", sent.path(), "--seconds", "2", "--rate", "8000", "--seed", venue.seed,
                                     "--loss", "0.02", "--duplicate", "0.01", "--reorder", "0.02"},
            "two-" + venue.id);
    };
    const auto first = exchange(nasdaq, nasdaq_sent);
    const auto second = exchange(iex, iex_sent);
    REQUIRE(first->wait().code == 0);
    REQUIRE(second->wait().code == 0);
    const Outcome outcome = live.wait();
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    const Json seen = Json::parse(outcome.out)["feeds"];
    REQUIRE(seen.size() == 2);
    std::size_t i = 0;
    for (const auto& [venue, sent] : {std::pair{&nasdaq, &nasdaq_sent}, std::pair{&iex, &iex_sent}}) {
        const Json& feed = seen[i++];
        INFO(feed);
        const Json again = replay(*venue, *sent);
        CHECK(feed["name"] == venue->id);
        CHECK(again["venue"] == venue->id);
        CHECK(feed["balance"] == 0);
        CHECK(feed["quality"]["live"] == 20);
        CHECK(feed["digest"] == again["digest"]);
        CHECK(feed["messages"] == again["messages"]);
    }
    CHECK(seen[0]["digest"] != seen[1]["digest"]);
}
