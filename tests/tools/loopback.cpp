// The whole way as users go it: the simulator multicasts on two lines, `millrace live` receives
// and records, and the books equal those of the simulator's own capture, by every backend and in
// both modes.
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "tests/support/catch.hpp"
#include "tests/support/command.hpp"

using namespace millrace::test;
using Json = nlohmann::json;

namespace {

// Two groups that no other test on this machine is likely to use.
struct Groups {
    std::string a;
    std::string b;
};
Groups some_groups() {
    std::random_device random;
    const std::string net = "239.255." + std::to_string(random() % 254 + 1) + ".";
    return {net + "1:" + std::to_string(20'000 + random() % 5'000),
            net + "2:" + std::to_string(25'000 + random() % 5'000)};
}

std::string config_text(const Groups& groups, const std::string& mode,
                        const std::string& backend) {
    return "[[feed]]\nname = \"f\"\nvenue = \"nasdaq-itch50\"\n"
           "[[feed.line]]\nname = \"A\"\ninterface = \"lo\"\ngroups = [\"" +
           groups.a +
           "\"]\n"
           "[[feed.line]]\nname = \"B\"\ninterface = \"127.0.0.1\"\ngroups = [\"" +
           groups.b +
           "\"]\n"
           "[feed.receive]\nmode = \"" +
           mode + "\"\nbackend = \"" + backend +
           "\"\nrequire_backend = true\n"
           "[feed.reorder]\nwindow_ms = 10000\nwindow_packets = 20000\n"
           "[feed.limits]\ninstruments = 64\norders = 100000\nlevels = 50000\n";
}

Json replay(const TempFile& capture) {
    const Outcome outcome = run_command(
        {"replay", capture.path(), "--json", "--orders", "100000", "--levels", "50000"});
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    return Json::parse(outcome.out);
}

void check_way(const std::string& mode, const std::string& backend) {
    INFO(mode << " " << backend);
    const TempFile config("loopback.toml");
    const TempFile recorded("loopback-recorded.pcapng");
    const TempFile sent("loopback-sent.pcapng");
    const TempFile ready("loopback.ready");
    const Groups groups = some_groups();
    std::ofstream(config.path()) << config_text(groups, mode, backend);
    Command live({"live", config.path(), "--record", recorded.path(), "--ready-file", ready.path(),
                  "--until-end", "--json"},
                 "live");
    if (!live.wait_for_file(ready.path())) {
        const Outcome refused = live.wait();
        INFO(refused.err);
        REQUIRE(refused.code == 8);  // the one excuse: this host has no such backend
        WARN("skipped: this host refuses " << backend);
        return;
    }
    const Outcome sim =
        run_command({"sim", "--multicast", groups.a, "--multicast", groups.b, "--capture",
                     sent.path(), "--seconds", "2", "--seed", "11", "--loss", "0.02",
                     "--duplicate", "0.01", "--reorder", "0.02"});
    INFO(sim.err);
    REQUIRE(sim.code == 0);
    const Outcome outcome = live.wait();
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    Json seen = Json::parse(outcome.out);
    CHECK(seen["backend"] == backend);
    CHECK(seen["balance"] == 0);
    CHECK(seen["quality"]["live"] == 20);
    CHECK(seen["digest"] == replay(sent)["digest"]);
    const Json again = replay(recorded);
    CHECK(seen["digest"] == again["digest"]);
    CHECK(seen["messages"] == again["messages"]);
    for (Json& line : seen["lines"]) line.erase("receiver");  // what only a socket has
    CHECK(seen["lines"] == again["lines"]);
}

}  // namespace

TEST_CASE("loopback: received by recvmmsg on threads, the books are those that were sent") {
    check_way("threads", "recvmmsg");
}
TEST_CASE(
    "loopback: received by recvmmsg and run to completion, the books are those that were sent") {
    check_way("run_to_completion", "recvmmsg");
}
TEST_CASE("loopback: received by io_uring on threads, the books are those that were sent") {
    check_way("threads", "io_uring");
}
TEST_CASE(
    "loopback: received by io_uring and run to completion, the books are those that were sent") {
    check_way("run_to_completion", "io_uring");
}

TEST_CASE("loopback: packets of another venue, and none at all, are said, and the first is a failure") {
    const Groups groups = some_groups();
    const Groups silent = some_groups();
    const TempFile config("wrong-venue.toml");
    const TempFile ready("wrong-venue.ready");
    std::string quiet = config_text(silent, "threads", "recvmmsg");
    quiet.replace(quiet.find("name = \"f\""), 10, "name = \"g\"");
    std::ofstream(config.path()) << config_text(groups, "threads", "recvmmsg") << quiet;
    Command live({"live", config.path(), "--ready-file", ready.path(), "--duration", "6", "--json"}, "wrong-live");
    REQUIRE(live.wait_for_file(ready.path()));
    REQUIRE(run_command({"sim", "--venue", "iex-deep", "--multicast", groups.a, "--seconds", "0.2"}).code == 0);
    const Outcome outcome = live.wait();
    INFO(outcome.err);
    CHECK(outcome.code == 1);
    CHECK(outcome.err.find("f: nothing that came reads as nasdaq-itch50") != std::string::npos);
    CHECK(outcome.err.find("g: no packet has come so far") != std::string::npos);
    CHECK(outcome.err.find("f: no packet") == std::string::npos);
}

TEST_CASE("loopback: SIGTERM and SIGHUP end millrace live with its report") {
    const int signal = GENERATE(SIGTERM, SIGHUP);
    const auto heed_all = [] { std::signal(SIGHUP, SIG_DFL); };  // also where the tests run by nohup
    const TempFile config("sigterm.toml");
    const TempFile ready("sigterm.ready");
    std::ofstream(config.path()) << config_text(some_groups(), "threads", "recvmmsg");
    Command live({"live", config.path(), "--ready-file", ready.path(), "--json"}, "live", heed_all);
    REQUIRE(live.wait_for_file(ready.path()));
    live.signal(signal);
    const Outcome outcome = live.wait();
    INFO(outcome.err);
    CHECK(outcome.code == 0);
    CHECK(Json::parse(outcome.out)["balance"] == 0);
}

TEST_CASE("loopback: a SIGHUP that is ignored, as by nohup, ends nothing") {
    const TempFile config("nohup.toml");
    const TempFile ready("nohup.ready");
    std::ofstream(config.path()) << config_text(some_groups(), "threads", "recvmmsg");
    Command live({"live", config.path(), "--ready-file", ready.path(), "--duration", "0.4", "--json"}, "nohup",
                 [] { std::signal(SIGHUP, SIG_IGN); });
    REQUIRE(live.wait_for_file(ready.path()));
    live.signal(SIGHUP);
    const Outcome outcome = live.wait();
    CHECK(outcome.code == 0);
    CHECK(outcome.err.find("no packet has come so far") != std::string::npos);
}
