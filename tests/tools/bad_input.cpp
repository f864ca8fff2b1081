// What a user can get wrong, or a host can refuse: each through the command itself, with its exit code and one
// line that says what, where, and what to try.
#include <arpa/inet.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "exit_codes.hpp"
#include "millrace/core/cpu.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/command.hpp"
#include "tests/support/multicast.hpp"
#include "tests/support/seccomp_filter.hpp"

using namespace millrace;
using namespace millrace::test;
using Json = nlohmann::json;

namespace {

// A file with this text, which goes with the object.
class Text : public TempFile {
  public:
    Text(const std::string& name, const std::string& text) : TempFile(name) { std::ofstream(path()) << text; }
};

// The tables after the line's are `more`.
std::string config_text(const std::vector<GroupConfig>& groups, const std::string& more = "") {
    std::string list;
    for (const GroupConfig& group : groups) list += (list.empty() ? "\"" : ", \"") + group.text() + "\"";
    return "[[feed]]\nname = \"f\"\nvenue = \"nasdaq-itch50\"\n[[feed.line]]\nname = \"A\"\ninterface = \"lo\"\n"
           "groups = [" +
           list + "]\n" + more + "[feed.limits]\ninstruments = 64\norders = 1000\nlevels = 1000\n";
}

void simulate(const std::filesystem::path& capture, const std::string& seconds = "1") {
    const Outcome outcome = run_command({"sim", "--capture", capture, "--seconds", seconds, "--seed", "9"});
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
}

// The command failed with `code`; the last line it wrote to stderr is the only one of its own, and names `words`.
void check_failed(const Outcome& outcome, ExitCode code, const std::vector<std::string>& words) {
    INFO(outcome.err);
    CHECK(outcome.code == static_cast<int>(code));
    const std::size_t last = outcome.err.rfind("millrace: ");
    REQUIRE(last != std::string::npos);
    const std::string line = outcome.err.substr(last);
    CHECK(line.find('\n') == line.size() - 1);
    for (const std::string& word : words) {
        INFO(word);
        CHECK(line.find(word) != std::string::npos);
    }
}

bool is_root() { return geteuid() == 0; }

}  // namespace

TEST_CASE("bad input: a config error names the file, the line and the key") {
    const Text config("line-and-key.toml", config_text({SomeGroups().group(0)},
                                                       "[feed.receive]\nbuffers = 64\nqueue = \"long\"\n"));
    check_failed(run_command({"live", config.path()}), ExitCode::config,
                 {config.path().string() + ":10: feed.receive.queue", "'long' is not allowed", "16 to 1048576"});
    const Text no_toml("no-toml.toml", "[[feed]\n");
    check_failed(run_command({"live", no_toml.path()}), ExitCode::config, {no_toml.path().string() + ":1: "});
}

TEST_CASE("bad input: a group that cannot be joined") {
    if (!is_root()) {
        WARN("skipped: needs root for a network of its own");
        return;
    }
    const SomeGroups groups;
    std::vector<GroupConfig> four;
    for (int i = 0; i < 4; ++i) four.push_back(groups.group(i));
    const Text config("unjoinable.toml", config_text(four));
    // In a network namespace whose sockets join three groups and no more.
    const Outcome outcome = run_command({"live", config.path(), "--duration", "1"}, [] {
        if (unshare(CLONE_NEWNET) != 0) _exit(99);
        if (!(std::ofstream("/proc/sys/net/ipv4/igmp_max_memberships") << "3\n").flush()) _exit(99);
    });
    if (outcome.code == 99) {
        WARN("skipped: this host makes no network namespaces");
        return;
    }
    check_failed(outcome, ExitCode::interface, {"line A", four[3].text() + " on lo", "check that lo"});
}

TEST_CASE("bad input: a port that only the privileged may receive on") {
    int first = 0;
    std::ifstream("/proc/sys/net/ipv4/ip_unprivileged_port_start") >> first;
    if (first <= 800) {
        WARN("skipped: on this host every port is free to all");
        return;
    }
    const Text config("privilege.toml", config_text({{"239.255.91.7", 800}}));
    const Outcome outcome = run_command({"live", config.path(), "--duration", "1"}, [] {
        prctl(PR_CAPBSET_DROP, CAP_NET_BIND_SERVICE);  // fails where it is not held anyway
    });
    check_failed(outcome, ExitCode::privilege, {"line A", "239.255.91.7:800", "choose another port"});
}

TEST_CASE("bad input: an address that something else uses") {
    const net::Socket taken(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(bind(taken.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
    socklen_t size = sizeof(address);
    REQUIRE(getsockname(taken.fd(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
    const GroupConfig here{"127.0.0.1", ntohs(address.sin_port)};
    const Text config("in-use.toml", config_text({here}));
    check_failed(run_command({"live", config.path(), "--duration", "1"}), ExitCode::resource,
                 {"line A", here.text(), "choose another port or address"});
}

TEST_CASE("bad input: CPUs that do not exist, may not be used, or are busy") {
    const SomeGroups groups;
    const auto live = [&](const std::string& threads, const std::string& idle, const std::function<void()>& before) {
        const Text config("cpus.toml", config_text({groups.group(0)}, "[feed.receive]\nidle = \"" + idle +
                                                                          "\"\n[feed.threads]\n" + threads));
        return run_command({"live", config.path(), "--duration", "0.1"}, before);
    };
    check_failed(live("decoder = 1023\n", "wait", {}), ExitCode::cpu, {"1023", "it may use"});
    check_failed(live("receivers = [1023]\n", "wait", {}), ExitCode::cpu, {"1023", "it may use"});
    const std::vector<int> cpus = available_cpus();
    const std::string first = std::to_string(cpus.front());
    check_failed(live("receivers = [" + first + "]\ndecoder = " + first + "\n", "spin", {}), ExitCode::cpu,
                 {":10: feed.threads", "CPU " + first + " is busy", "\"wait\""});
    CHECK(live("receivers = [" + first + "]\ndecoder = " + first + "\n", "wait", {}).code == 0);
    if (cpus.size() < 2) {
        WARN("skipped: this process has one CPU, and none that it may not use");
        return;
    }
    const auto only_first = [&] {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(static_cast<std::size_t>(cpus.front()), &set);
        sched_setaffinity(0, sizeof(set), &set);
    };
    check_failed(live("decoder = " + std::to_string(cpus[1]) + "\n", "wait", only_first), ExitCode::cpu,
                 {"CPU " + std::to_string(cpus[1]), "may use " + first});
}

TEST_CASE("bad input: io_uring refused by the host", "[no-sanitizer]") {
    const SomeGroups groups;
    const auto no_io_uring = [] {
        if (!refuse(SYS_io_uring_setup, EPERM)) _exit(99);
    };
    const Text must("must.toml", config_text({groups.group(0)}, "[feed.receive]\nbackend = \"io_uring\"\n"
                                                                "require_backend = true\n"));
    const Outcome refused = run_command({"live", must.path(), "--duration", "0.1"}, no_io_uring);
    if (refused.code == 99) {
        WARN("skipped: this host refuses system-call filters");
        return;
    }
    check_failed(refused, ExitCode::backend, {"require_backend", "io_uring", "recvmmsg"});
    // Left to choose, it takes the other one, says so once, and exports it.
    for (const char* backend : {"automatic", "io_uring"}) {
        const Text may("may.toml", config_text({groups.group(0)},
                                               "[feed.receive]\nbackend = \"" + std::string(backend) + "\"\n"));
        const Outcome other = run_command({"live", may.path(), "--duration", "0.1", "--json"}, no_io_uring);
        INFO(other.err);
        CHECK(other.code == 0);
        CHECK(Json::parse(other.out)["backend"] == "recvmmsg");
        const std::size_t said = other.err.find("recvmmsg (io_uring");
        CHECK(said != std::string::npos);
        CHECK(other.err.find("recvmmsg (io_uring", said + 1) == std::string::npos);
    }
}

TEST_CASE("bad input: memory that is not to be had", "[no-sanitizer]") {
    const TempFile capture("memory.pcapng");
    simulate(capture.path());
    const Outcome outcome = run_command({"replay", capture.path(), "--orders", "100000000"}, [] {
        const rlimit little{std::size_t{1} << 30, std::size_t{1} << 30};
        setrlimit(RLIMIT_AS, &little);
    });
    check_failed(outcome, ExitCode::memory, {"MiB of memory", "lower"});
}

TEST_CASE("bad input: a full disk") {
    const TempFile capture("full.pcapng");
    simulate(capture.path());
    const auto out_is_full = [] { dup2(open("/dev/full", O_WRONLY), STDOUT_FILENO); };
    check_failed(run_command({"dump", capture.path()}, out_is_full), ExitCode::file, {"standard output", "No space"});
    check_failed(run_command({"sim", "--capture", "/dev/full", "--seconds", "1"}), ExitCode::file,
                 {"/dev/full", "No space", "make room"});
    check_failed(run_command({"replay", capture.path(), "--books", "/dev/full"}), ExitCode::file,
                 {"/dev/full", "No space"});
    if (!is_root()) {
        WARN("skipped: needs root for a small disk");
        return;
    }
    // A recording that fills its disk: that is said, the feed goes on to its end, the report comes, then the error.
    const TempFile disk("small-disk");
    std::filesystem::create_directory(disk.path());
    if (mount("tmpfs", disk.path().c_str(), "tmpfs", 0, "size=1536k") != 0) {
        WARN("skipped: this host lets nobody mount a small disk");
        return;
    }
    const SomeGroups groups;
    const Text config("full-disk.toml", config_text({groups.group(0)}));
    const TempFile ready("full-disk.ready");
    Command live({"live", config.path(), "--record", disk.path() / "day.pcapng", "--ready-file", ready.path(),
                  "--until-end", "--json"},
                 "live");
    REQUIRE(live.wait_for_file(ready.path()));
    CHECK(run_command({"sim", "--multicast", groups.group(0).text(), "--seconds", "4", "--pace", "4"}).code == 0);
    const Outcome outcome = live.wait();
    const Outcome again = run_command({"replay", disk.path() / "day.pcapng", "--json"});
    umount(disk.path().c_str());
    check_failed(outcome, ExitCode::file, {"day.pcapng", "No space", "make room"});
    CHECK(outcome.err.find("nothing more is recorded, the feed goes on") < outcome.err.find("packets recorded"));
    const Json json = Json::parse(outcome.out);
    CHECK(json["balance"] == 0);
    CHECK(json["recording"]["packets"] == Json::parse(again.out)["packets"]);
    const int packets = json["recording"]["packets"].get<int>() + json["recording"]["lost"].get<int>();
    CHECK(packets == json["packets"]);
    CHECK(again.code == 0);
}

TEST_CASE("bad input: a recording overwrites nothing") {
    const TempFile folder("recordings");
    std::filesystem::create_directory(folder.path());
    const std::string groups = "[[feed]]\nname = \"g\"\nvenue = \"nasdaq-itch50\"\n[[feed.line]]\nname = \"A\"\n"
                               "interface = \"lo\"\ngroups = [\"" + SomeGroups().group(1).text() + "\"]\n";
    const Text one("one.toml", config_text({SomeGroups().group(0)}));
    const Text two("two.toml", config_text({SomeGroups().group(0)}) + groups);
    const auto live = [&](const std::filesystem::path& config, const char* file) {
        return run_command({"live", config, "--duration", "0.01", "--record", folder.path() / file});
    };
    const auto put = [&](const char* file, const char* text) { std::ofstream(folder.path() / file) << text; };
    put("day.pcapng", "x");
    put("empty.pcapng", "");
    put("days-g.pcapng", "x");
    check_failed(live(one.path(), "day.pcapng"), ExitCode::file, {"day.pcapng", "is there already", "another file"});
    check_failed(live(two.path(), "days.pcapng"), ExitCode::file, {"days-g.pcapng"});
    CHECK(std::filesystem::file_size(folder.path() / "day.pcapng") == 1);
    CHECK_FALSE(std::filesystem::exists(folder.path() / "days-f.pcapng"));
    CHECK(live(one.path(), "empty.pcapng").code == 0);
    CHECK(live(one.path(), "/dev/null").code == 0);
    std::filesystem::remove_all(folder.path());
}

TEST_CASE("bad input: captures that end too early") {
    const TempFile whole("whole.pcapng");
    simulate(whole.path());
    const auto size = std::filesystem::file_size(whole.path());
    const auto replay_of_first = [&](std::uintmax_t bytes) {
        const TempFile part("part.pcapng");
        std::filesystem::copy_file(whole.path(), part.path());
        std::filesystem::resize_file(part.path(), bytes);
        return run_command({"replay", part.path(), "--json", "--orders", "100000", "--levels", "50000"});
    };
    // A last packet that was not written to its end: what is whole counts, and the report says what is not.
    for (const std::uintmax_t cut : {1U, 30U, 100U}) {
        const Outcome outcome = replay_of_first(size - cut);
        INFO(outcome.err);
        CHECK(outcome.code == 0);
        CHECK(outcome.err.find("part.pcapng") != std::string::npos);
        const Json json = Json::parse(outcome.out);
        CHECK(json["balance"] == 0);
        CHECK(json["messages"].get<int>() > 1'000);
    }
    // Headers of which no packet is left bring nothing.
    for (const std::uintmax_t bytes : {28U, 100U}) {
        const TempFile part("headers.pcapng");
        const TempFile out("headers.dbn");
        std::filesystem::copy_file(whole.path(), part.path());
        std::filesystem::resize_file(part.path(), bytes);
        const std::vector<std::vector<std::string>> commands{{"replay"}, {"dump"}, {"convert", "-o", out.path()}};
        for (std::vector<std::string> command : commands) {
            command.insert(command.end(), {part.path(), "--venue", "nasdaq-itch50"});
            check_failed(run_command(command), ExitCode::failure, {"headers.pcapng", "no packet"});
            CHECK_FALSE(std::filesystem::exists(out.path()));
        }
    }
    // Less than a header is no capture.
    for (const std::uintmax_t bytes : {0U, 1U, 7U}) {
        check_failed(replay_of_first(bytes), ExitCode::format, {"part.pcapng"});
    }
}

TEST_CASE("signals: SIGINT ends a live feed in the middle, with its report and a recording that replays") {
    const SomeGroups groups;
    const Text config("middle.toml", config_text({groups.group(0)}, "[feed.receive]\nidle = \"wait\"\n"));
    const TempFile ready("middle.ready");
    const TempFile recording("middle.pcapng");
    Command live({"live", config.path(), "--record", recording.path(), "--ready-file", ready.path(), "--json"}, "live");
    REQUIRE(live.wait_for_file(ready.path()));
    Command sim({"sim", "--multicast", groups.group(0).text(), "--seconds", "600", "--rate", "2000", "--json"}, "sim");
    REQUIRE(sim.wait_until_it_heeds_signals());
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    live.signal(SIGINT);
    const Outcome outcome = live.wait();
    INFO(outcome.err);
    CHECK(outcome.code == 0);
    const Json seen = Json::parse(outcome.out);
    CHECK(seen["balance"] == 0);
    const Outcome again = run_command({"replay", recording.path(), "--json", "--orders", "1000", "--levels", "1000",
                                       "--instruments", "64"});
    INFO(again.err);
    REQUIRE(again.code == 0);
    CHECK(Json::parse(again.out)["digest"] == seen["digest"]);
    CHECK(Json::parse(again.out)["messages"] == seen["messages"]);

    sim.signal(SIGTERM);
    const Outcome ended = sim.wait();
    INFO(ended.err);
    CHECK(ended.code == 0);
    CHECK_FALSE(Json::parse(ended.out).empty());
}

TEST_CASE("bad input: no output may be what the command reads, or another output of it") {
    const TempFile capture("apart.pcapng");
    const TempFile link("apart-link.pcapng");
    simulate(capture.path());
    std::filesystem::create_hard_link(capture.path(), link.path());
    const Text config("apart.toml", config_text({SomeGroups().group(0)}));
    const auto bytes = std::filesystem::file_size(capture.path());
    const std::string same = std::string(capture.path()) + ".new";
    const std::vector<std::vector<std::string>> all{
        {"replay", capture.path(), "--books", capture.path()},
        {"replay", capture.path(), "--books", link.path()},
        {"convert", capture.path(), "-o", capture.path().string() + "/../" + capture.path().filename().string()},
        {"live", config.path(), "--record", config.path()},
        {"live", config.path(), "--ready-file", config.path()},
        {"live", config.path(), "--record", same, "--ready-file", same},
        {"sim", "--capture", same, "--binaryfile", same}};
    for (const auto& arguments : all) {
        INFO(arguments[0] << " " << arguments[1] << " " << arguments[2] << " " << arguments[3]);
        const Outcome outcome = run_command(arguments);
        INFO(outcome.err);
        CHECK(outcome.code == static_cast<int>(ExitCode::usage));
        CHECK(std::filesystem::file_size(capture.path()) == bytes);
        CHECK_FALSE(std::filesystem::exists(same));
    }
}

TEST_CASE("bad input: a report that cannot be written is an error, a line on stderr that cannot be is only lost") {
    const TempFile capture("full-console.pcapng");
    simulate(capture.path());
    const auto full = [](int as) {
        return [as] { dup2(open("/dev/full", O_WRONLY), as); };
    };
    const auto shut = [](int fd) {
        return [fd] { close(fd); };
    };
    const std::vector<std::vector<std::string>> all{{"replay", capture.path()},
                                                    {"replay", capture.path(), "--json"},
                                                    {"dump", capture.path()},
                                                    {"live", "--help-config"},
                                                    {"version"},
                                                    {"--version"},
                                                    {"--help"}};
    for (const auto& arguments : all) {
        INFO(arguments[0]);
        check_failed(Command(arguments, "full", full(STDOUT_FILENO)).wait(), ExitCode::file, {"standard output"});
        check_failed(Command(arguments, "shut", shut(STDOUT_FILENO)).wait(), ExitCode::file, {"standard output"});
        CHECK(Command(arguments, "full", full(STDERR_FILENO)).wait().code == 0);
        CHECK(Command(arguments, "shut", shut(STDERR_FILENO)).wait().code == 0);
    }
    CHECK(Command({"replay", "/nowhere"}, "full", full(STDERR_FILENO)).wait().code == static_cast<int>(ExitCode::file));
}

TEST_CASE("bad input: numbers that make no sense are refused with what would") {
    const TempFile capture("numbers.pcapng");
    simulate(capture.path());
    const TempFile out("numbers-out.pcapng");
    const std::vector<std::vector<std::string>> all{
        {"sim", "--capture", out.path(), "--seconds", "-1"},    {"sim", "--capture", out.path(), "--seconds", "nan"},
        {"sim", "--capture", out.path(), "--seconds", "0"},     {"sim", "--capture", out.path(), "--seed", "-1"},
        {"sim", "--capture", out.path(), "--messages", "-5"},   {"sim", "--capture", out.path(), "--loss", "1.5"},
        {"sim", "--capture", out.path(), "--loss", "0,0,0"},    {"sim", "--capture", out.path(), "--rate", "nan"},
        {"replay", capture.path(), "--books", out.path(), "--books-at", "-1"},
        {"replay", capture.path(), "--books", out.path(), "--books-at", "0"},
        {"replay", capture.path(), "--orders", "0"},            {"replay", capture.path(), "--instruments", "65536"},
        {"replay", capture.path(), "--symbols", ""},            {"replay", capture.path(), "--pace", "nan"},
        {"live", "/nowhere.toml", "--duration", "nan"}};
    for (const auto& arguments : all) {
        CAPTURE(arguments);
        check_failed(run_command(arguments), ExitCode::usage, {arguments[arguments.size() - 2]});
    }
}

TEST_CASE("bad input: a login that no server of the simulated venue asks for") {
    const TempFile capture("login.pcapng");
    for (const auto& [venue, flag] : {std::pair{"iex-deep", "--username"}, std::pair{"iex-tops", "--password"},
                                      std::pair{"iex-tops", "--token"}, std::pair{"nasdaq-itch50", "--token"}}) {
        CAPTURE(venue, flag);
        check_failed(run_command({"sim", "--venue", venue, "--capture", capture.path(), flag, "X"}), ExitCode::usage,
                     {flag, venue, "leave it out"});
    }
}

TEST_CASE("bad input: a run that finds nothing of what was asked for says so") {
    const TempFile capture("nothing.pcapng");
    simulate(capture.path());
    check_failed(run_command({"replay", capture.path(), "--venue", "iex-deep"}), ExitCode::failure,
                 {"nothing in it reads as iex-deep"});
    check_failed(run_command({"replay", capture.path(), "--group", "239.1.2.3:4"}), ExitCode::failure,
                 {"no packet goes to 239.1.2.3:4"});
    check_failed(run_command({"dump", capture.path(), "--venue", "iex-deep"}), ExitCode::failure,
                 {capture.path().string(), "nothing in it reads as iex-deep"});
    const TempFile books("nothing.csv");
    check_failed(run_command({"replay", capture.path(), "--books", books.path(), "--books-at", "99999999"}),
                 ExitCode::failure, {"--books-at 99999999: the last number is "});
    const TempFile out("nothing.dbn");
    check_failed(run_command({"convert", capture.path(), "-o", out.path(), "--venue", "iex-deep"}), ExitCode::failure,
                 {capture.path().string(), "nothing in it reads as iex-deep"});
    CHECK_FALSE(std::filesystem::exists(out.path()));
    // As MoldUDP64 the first 64 KiB of IEX's stream are heartbeats: the count lies in the stream's offset.
    const TempFile iex("nothing-iex.pcapng");
    REQUIRE(run_command({"sim", "--venue", "iex-deep", "--messages", "200", "--capture", iex.path()}).code == 0);
    check_failed(run_command({"replay", iex.path(), "--venue", "nasdaq-itch50"}), ExitCode::failure,
                 {iex.path().string(), "nothing in it reads as nasdaq-itch50"});
    check_failed(run_command({"dump", iex.path(), "--venue", "nasdaq-itch50"}), ExitCode::failure,
                 {iex.path().string(), "nothing in it reads as nasdaq-itch50"});
    check_failed(run_command({"convert", iex.path(), "-o", out.path(), "--venue", "nasdaq-itch50"}), ExitCode::failure,
                 {iex.path().string(), "nothing in it reads as nasdaq-itch50"});
    CHECK_FALSE(std::filesystem::exists(out.path()));
    for (const std::string command : {"replay", "convert"}) {
        std::vector<std::string> arguments{command, capture.path(), "--symbols", "AAAA,TYPO"};
        if (command == "convert") arguments.insert(arguments.end(), {"-o", out.path()});
        const Outcome typo = run_command(arguments);
        CHECK(typo.code == 0);
        CHECK(typo.err.find("--symbols TYPO: no such symbol") != std::string::npos);
        CHECK(typo.err.find("AAAA") == std::string::npos);
        arguments[3] = "TYPO";
        check_failed(run_command(arguments), ExitCode::failure, {"--symbols TYPO: no such symbol"});
    }
    const TempFile mbo("nothing-mbo.dbn");
    REQUIRE(run_command({"convert", capture.path(), "-o", mbo.path()}).code == 0);
    check_failed(run_command({"convert", mbo.path(), "-o", out.path(), "--symbols", "TYPO"}), ExitCode::failure,
                 {"no records of TYPO"});
}

TEST_CASE("bad input: a capture that was cut off is replayed up to there, and the JSON says so") {
    const TempFile capture("cut-off.pcapng");
    simulate(capture.path());
    std::filesystem::resize_file(capture.path(), std::filesystem::file_size(capture.path()) / 2);
    const Outcome outcome = run_command({"replay", capture.path(), "--json"});
    CHECK(outcome.code == 0);
    const Json json = Json::parse(outcome.out);
    REQUIRE(json["damage"].size() == 1);
    CHECK(json["damage"][0].get<std::string>().find(capture.path().string() + ": ends inside a block") == 0);
    CHECK(json["messages"] > 0);
    CHECK(json["interrupted"] == false);
    const TempFile out("cut-off.dbn");
    const Outcome converted = run_command({"convert", capture.path(), "-o", out.path()});
    CHECK(converted.code == 0);
    for (const std::string& err : {outcome.err, converted.err}) {
        CHECK(err.find(capture.path().string() + ": ends inside a block") != std::string::npos);
        CHECK(err.find("copy the file again") != std::string::npos);
    }
    CHECK(std::filesystem::file_size(out.path()) > 0);
}

TEST_CASE("bad input: the books that cannot be written do not cost the report") {
    const TempFile capture("no-books.pcapng");
    simulate(capture.path());
    const Outcome outcome = run_command({"replay", capture.path(), "--json", "--books", "/nowhere/books.csv"});
    check_failed(outcome, ExitCode::file, {"/nowhere/books.csv"});
    CHECK(Json::parse(outcome.out)["balance"] == 0);
}
