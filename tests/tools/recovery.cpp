// Recovery as users meet it: `millrace sim` loses messages on all lines and plays the servers, `millrace live`
// gets them back, and its books are those of every message that was sent.
#include <sys/socket.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "millrace/feed/net/socket.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/command.hpp"

using namespace millrace;
using namespace millrace::test;
using Json = nlohmann::json;

namespace {

// Takes in what is sent there, and says nothing.
net::Socket deaf_server(const std::string& address) {
    const std::size_t colon = address.find(':');
    const auto port = static_cast<std::uint16_t>(std::stoul(address.substr(colon + 1)));
    return net::listen_at({address.substr(0, colon), port}, SOCK_DGRAM);
}

struct Net {
    Net() {
        std::random_device random;
        const std::string net = "239.254." + std::to_string(random() % 254 + 1) + ".";
        const auto port = [&](unsigned from) { return std::to_string(from + random() % 2'000); };
        a = net + "1:" + port(20'000);
        b = net + "2:" + port(22'000);
        retransmit = "127.0.0.1:" + port(12'000);
        glimpse = "127.0.0.1:" + port(14'000);
        soup = "127.0.0.1:" + port(16'000);
        retransmit_tcp = "127.0.0.1:" + port(18'000);
    }
    std::string a, b, retransmit, glimpse, soup, retransmit_tcp;
};

std::string multicast_line(const std::string& name, const std::string& group) {
    return "[[feed.line]]\nname = \"" + name + "\"\ninterface = \"lo\"\ngroups = [\"" + group + "\"]\n";
}
std::string config_text(const std::string& lines, const std::string& recovery, const std::string& receive = "",
                        const std::string& venue = "nasdaq-itch50") {
    return "[[feed]]\nname = \"f\"\nvenue = \"" + venue + "\"\n" + lines + "[feed.receive]\n" + receive +
           "[feed.reorder]\nwindow_ms = 20\n[feed.recovery]\n" + recovery +
           "snapshot_retry_ms = 100\n[feed.limits]\ninstruments = 64\norders = 100000\nlevels = 50000\n";
}

// What a day looked like to `millrace live`, and the digest of all that was sent.
struct Day {
    Json seen;
    std::string truth;
    Json recorded;  // the replay of what live recorded
};

Json replay(const TempFile& file, const std::string& venue) {
    const Outcome replayed = run_command({"replay", file.path(), "--venue", venue, "--json", "--orders", "100000",
                                          "--levels", "50000"});
    INFO(replayed.err);
    REQUIRE(replayed.code == 0);
    return Json::parse(replayed.out);
}

// The digest of all that the simulated exchange says with these arguments.
Json digest_of_all(std::vector<std::string> sim_arguments, const std::string& venue) {
    const TempFile everything("recovery-everything.pcapng");
    sim_arguments.insert(sim_arguments.end(), {"--capture", everything.path()});
    const Outcome exchange = run_command(sim_arguments);
    INFO(exchange.err);
    REQUIRE(exchange.code == 0);
    return replay(everything, venue)["digest"];
}

Day run(const std::string& config_of_feed, const std::vector<std::string>& faults_and_servers, bool late = false,
        const std::string& venue = "nasdaq-itch50") {
    const TempFile config("recovery.toml");
    const TempFile ready("recovery.ready");
    const TempFile recording("recovery-recording.pcapng");
    std::ofstream(config.path()) << config_of_feed;
    const std::vector<std::string> live_arguments{"live", config.path(), "--ready-file", ready.path(),
                                                  "--record", recording.path(), "--until-end", "--json"};
    // Long enough for who joins late on a busy host.
    const std::vector<std::string> market{"sim",    "--venue", venue,    "--seconds", late ? "12" : "3",
                                          "--rate", "8000",    "--seed", "77"};
    std::vector<std::string> sim_arguments = market;
    sim_arguments.insert(sim_arguments.end(), {"--linger", "6"});
    sim_arguments.insert(sim_arguments.end(), faults_and_servers.begin(), faults_and_servers.end());
    std::unique_ptr<Command> sim;
    if (late) {
        sim = std::make_unique<Command>(sim_arguments, "recovery-sim");
        std::this_thread::sleep_for(std::chrono::milliseconds(1'200));
    }
    Command live(live_arguments, "recovery-live");
    if (!live.wait_for_file(ready.path())) {
        const Outcome refused = live.wait();
        FAIL(refused.err);
    }
    if (!late) sim = std::make_unique<Command>(sim_arguments, "recovery-sim");
    const Outcome outcome = live.wait();
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    const Outcome exchange = sim->wait();
    INFO(exchange.err);
    REQUIRE(exchange.code == 0);
    Day day{Json::parse(outcome.out), digest_of_all(market, venue), replay(recording, venue)};
    INFO(day.seen["recovery"]);
    CHECK(day.seen["balance"] == 0);
    CHECK(day.seen["quality"]["live"] == 20);
    CHECK(day.seen["digest"] == day.truth);
    return day;
}

std::size_t gaps_ended(const Json& seen, const std::string& how) {
    std::size_t count = 0;
    for (const Json& gap : seen["gaps"]) count += gap["ended"] == how ? 1U : 0U;
    return count;
}

std::vector<std::string> lossy(const Net& net, std::vector<std::string> servers) {
    servers.insert(servers.begin(), {"--multicast", net.a, "--multicast", net.b, "--loss", "0.05", "--burst-loss",
                                     "0.4", "--duplicate", "0.01", "--reorder", "0.02", "--lose-on-all"});
    return servers;
}

}  // namespace

TEST_CASE("recovery live: what neither line brings is retransmitted", "[live]") {
    const Net net;
    for (const std::string receive : {"mode = \"threads\"\n", "mode = \"run_to_completion\"\n"}) {
        const Day day = run(config_text(multicast_line("A", net.a) + multicast_line("B", net.b),
                                        "retransmit = [\"" + net.retransmit + "\"]\n", receive),
                            lossy(net, {"--serve", "retransmit=" + net.retransmit}));
        CHECK(gaps_ended(day.seen, "retransmitted") > 0);
        CHECK(gaps_ended(day.seen, "given_up") == 0);
        // The answers stand in the recording, and fill the same gaps when it is replayed.
        CHECK(day.recorded["digest"] == day.truth);
        CHECK(day.recorded["balance"] == 0);
        CHECK(day.recorded["messages"] == day.seen["messages"]);
        CHECK(gaps_ended(day.recorded, "retransmitted") == gaps_ended(day.seen, "retransmitted"));
        CHECK(gaps_ended(day.recorded, "given_up") == 0);
    }
}

TEST_CASE("recovery live: where nothing is retransmitted a snapshot is joined", "[live]") {
    const Net net;
    const Day day = run(config_text(multicast_line("A", net.a) + multicast_line("B", net.b),
                                    "glimpse = [\"" + net.glimpse + "\"]\n"),
                        lossy(net, {"--serve", "glimpse=" + net.glimpse}));
    CHECK(gaps_ended(day.seen, "snapshot") > 0);
    CHECK(gaps_ended(day.seen, "given_up") == 0);
}

TEST_CASE("recovery live: who joins late takes a snapshot, with a login", "[live]") {
    const Net net;
    const Day day = run(config_text(multicast_line("A", net.a) + multicast_line("B", net.b),
                                    "retransmit = [\"" + net.retransmit + "\"]\nglimpse = [\"" + net.glimpse +
                                        "\"]\ngap_messages = 500\nusername = \"user\"\npassword = \"secret\"\n"),
                        lossy(net, {"--serve", "retransmit=" + net.retransmit, "--serve", "glimpse=" + net.glimpse,
                                    "--username", "user", "--password", "secret"}),
                        true);
    CHECK(day.seen["recovery"]["snapshots_joined"] >= 1);
}

TEST_CASE("recovery live: servers that refuse are named once, the books flow on flagged, and the end is found", "[live]") {
    const Net net;
    const TempFile config("refused.toml");
    const TempFile ready("refused.ready");
    std::ofstream(config.path()) << config_text(
        multicast_line("A", net.a), "snap = [\"" + net.glimpse + "\"]\ntoken = \"wrong\"\n", "", "iex-deep");
    Command live({"live", config.path(), "--ready-file", ready.path(), "--until-end", "--json"}, "refused-live");
    REQUIRE(live.wait_for_file(ready.path()));
    Command sim({"sim", "--venue", "iex-deep", "--multicast", net.a, "--seconds", "2", "--rate", "4000", "--loss",
                 "0.02", "--lose-on-all", "--serve", "snap=" + net.glimpse, "--token", "right", "--linger", "4"},
                "refused-sim");
    const Outcome outcome = live.wait();
    INFO(outcome.err);
    CHECK(outcome.code == 0);
    const std::string said = "f: snapshot server " + net.glimpse + " refuses the token; check token\n";
    const std::size_t at = outcome.err.find(said);
    REQUIRE(at != std::string::npos);
    CHECK(outcome.err.find(said, at + 1) == std::string::npos);
    const Json seen = Json::parse(outcome.out);
    INFO(outcome.out);
    REQUIRE(seen.at("server_problems").size() == 1);
    CHECK(seen["server_problems"][0]["server"] == "snapshot server " + net.glimpse);
    CHECK(seen["server_problems"][0]["problem"] == "token");
    CHECK(seen["server_problems"][0]["times"] == seen["recovery"]["snapshots_refused"]);
    CHECK(seen["quality"]["live"] == 0);
    CHECK(seen["ledger"]["superseded"] == 0);
    CHECK(seen["ledger"]["held"] == 0);
    CHECK(seen["balance"] == 0);
    CHECK(gaps_ended(seen, "given_up") > 1);
    std::uint64_t missing = 0;
    for (const Json& gap : seen["gaps"]) {
        missing += gap["last"].get<std::uint64_t>() - gap["first"].get<std::uint64_t>() + 1;
    }
    CHECK(seen["lines"][0]["lost"] == missing);
    REQUIRE(sim.wait().code == 0);
}

TEST_CASE("recovery live: a SoupBinTCP server that refuses the login is named", "[live]") {
    const Net net;
    for (const std::string mode : {"threads", "run_to_completion"}) {
        const TempFile config("refused-soup.toml");
        const TempFile ready("refused-soup.ready");
        std::ofstream(config.path()) << config_text(
            "[[feed.line]]\nname = \"T\"\nsoup = \"" + net.soup + "\"\nusername = \"joe\"\npassword = \"wrong\"\n",
            "glimpse = [\"" + net.glimpse + "\"]\n", "mode = \"" + mode + "\"\n");
        Command sim({"sim", "--serve", "soup=" + net.soup, "--username", "joe", "--password", "right", "--seconds", "1",
                     "--flat-out", "--linger", "8"},
                    "refused-soup-sim");
        Command live({"live", config.path(), "--ready-file", ready.path(), "--duration", "2", "--json"},
                     "refused-soup-live");
        const Outcome outcome = live.wait();
        INFO(mode << ": " << outcome.err);
        CHECK(outcome.code == 0);
        CHECK(outcome.err.find("f: line T, server " + net.soup + " refuses the login; check username and password\n") !=
              std::string::npos);
        const Json seen = Json::parse(outcome.out);
        REQUIRE(seen.contains("server_problems"));
        INFO(seen["server_problems"]);
        const auto is_login = [](const Json& t) { return t["problem"] == "login" && t["times"] == 1; };
        CHECK(std::any_of(seen["server_problems"].begin(), seen["server_problems"].end(), is_login));
        sim.signal(SIGTERM);
        static_cast<void>(sim.wait());
    }
}

TEST_CASE("recovery live: a feed by SoupBinTCP, on io_uring and without", "[live]") {
    for (const std::string backend : {"io_uring", "recvmmsg"}) {
        const Net net;
        const Day day = run(config_text("[[feed.line]]\nname = \"T\"\nsoup = \"" + net.soup + "\"\n", "",
                                        "backend = \"" + backend + "\"\n"),
                            {"--serve", "soup=" + net.soup, "--flat-out"});
        CHECK(day.seen["gaps"].empty());
    }
}

namespace {

// A day of an IEX feed that loses messages on both lines. `keys` go into [feed.recovery].
Day run_iex(const Net& net, const std::string& venue, const std::string& keys, const std::vector<std::string>& servers,
            bool late = false) {
    return run(config_text(multicast_line("A", net.a) + multicast_line("B", net.b), keys, "", venue),
               lossy(net, servers), late, venue);
}

}  // namespace

TEST_CASE("recovery live: IEX fills gaps by UDP", "[live]") {
    const Net net;
    for (const std::string venue : {"iex-tops", "iex-deep"}) {
        const Day day = run_iex(net, venue, "retransmit = [\"" + net.retransmit + "\"]\n",
                                {"--serve", "retransmit=" + net.retransmit});
        CHECK(gaps_ended(day.seen, "retransmitted") > 0);
        CHECK(gaps_ended(day.seen, "given_up") == 0);
    }
}

TEST_CASE("recovery live: IEX fills gaps by TCP, where UDP is silent", "[live]") {
    const Net net;
    const net::Socket deaf = deaf_server(net.retransmit);
    const Day day = run_iex(net, "iex-deepplus",
                            "retransmit = [\"" + net.retransmit + "\"]\nretransmit_tcp = [\"" + net.retransmit_tcp +
                                "\"]\nanswer_timeout_ms = 20\n",
                            {"--serve", "retransmit-tcp=" + net.retransmit_tcp});
    CHECK(gaps_ended(day.seen, "retransmitted") > 0);
    CHECK(gaps_ended(day.seen, "given_up") == 0);
    CHECK(day.seen["recovery"]["unanswered"] > 0);
    REQUIRE(day.seen.at("server_problems").size() == 1);
    CHECK(day.seen["server_problems"][0]["server"] == "retransmission server " + net.retransmit);
    CHECK(day.seen["server_problems"][0]["problem"] == "silent");
}

TEST_CASE("recovery live: IEX's snapshots are joined where nothing is sent again, by who joins late too", "[live]") {
    const Net net;
    for (const std::string venue : {"iex-deep", "iex-deepplus"}) {
        for (const bool late : {false, true}) {
            const Day day = run_iex(net, venue, "snap = [\"" + net.glimpse + "\"]\ntoken = \"secret\"\n",
                                    {"--serve", "snap=" + net.glimpse, "--token", "secret"}, late);
            CHECK(gaps_ended(day.seen, "snapshot") > 0);
            CHECK(gaps_ended(day.seen, "given_up") == 0);
            CHECK(day.seen["recovery"]["snapshots_joined"] >= 1);
        }
    }
}
