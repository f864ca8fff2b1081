// Exchange and Millrace as programs of their own, in two network namespaces with two veth lines between them.
// A proxy loses, doubles and reorders what passes, by seed; lines are cut, a link goes down and up, and
// Millrace is killed and started again. In the end its books are those of the whole day.
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "millrace/core/random.hpp"
#include "millrace/feed/net/socket.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/command.hpp"

using namespace millrace;
using namespace millrace::test;
using Json = nlohmann::json;
using std::chrono::milliseconds;

namespace {

const std::string kId = std::to_string(getpid());
const std::string kExchange = "mrx" + kId;
const std::string kHost = "mrh" + kId;
constexpr const char* kGroups[] = {"239.77.0.1", "239.77.0.2"};
constexpr std::uint16_t kPorts[] = {26'771, 26'772};

int sh(const std::string& command) { return std::system((command + " >/dev/null 2>&1").c_str()); }

// Two namespaces, joined by two veth pairs; gone when the test is.
struct Namespaces {
    Namespaces() {
        made = sh("ip netns add " + kExchange) == 0 && sh("ip netns add " + kHost) == 0;
        for (const std::string line : {"1", "2"}) {
            const std::string x = "x" + line;
            const std::string h = "h" + line;
            made = made && sh("ip link add " + x + " netns " + kExchange + " type veth peer name " + h + " netns " +
                              kHost) == 0;
            made = made && sh("ip -n " + kExchange + " addr add 10.77." + line + ".1/24 dev " + x) == 0;
            made = made && sh("ip -n " + kHost + " addr add 10.77." + line + ".2/24 dev " + h) == 0;
            sh("ip -n " + kExchange + " link set " + x + " up");
            sh("ip -n " + kHost + " link set " + h + " up");
        }
        sh("ip -n " + kExchange + " link set lo up multicast on");
        sh("ip -n " + kHost + " link set lo up");
    }
    ~Namespaces() {
        sh("ip netns del " + kExchange);
        sh("ip netns del " + kHost);
    }
    bool made = false;
};

bool enter(const std::string& netns) {
    const int fd = open(("/run/netns/" + netns).c_str(), O_RDONLY | O_CLOEXEC);
    const bool entered = fd >= 0 && setns(fd, CLONE_NEWNET) == 0;
    close(fd);
    return entered;
}

const std::function<void()> in_exchange = [] { static_cast<void>(enter(kExchange)); };
const std::function<void()> in_host = [] { static_cast<void>(enter(kHost)); };

// Between the exchange's loopback and the veth lines.
class Proxy {
  public:
    explicit Proxy(std::uint64_t seed) : random_(seed), thread_([this] { run(); }) {
        while (!ready_.load()) std::this_thread::sleep_for(milliseconds(1));
    }
    ~Proxy() {
        stop_.store(true);
        thread_.join();
    }
    void cut(std::size_t line, bool on) { cut_[line].store(on); }
    void behave() { faults_.store(false); }
    [[nodiscard]] std::uint64_t lost() const { return lost_.load(); }

  private:
    struct Line {
        net::LineSockets in;
        net::Socket out;
        std::vector<std::vector<std::uint8_t>> late;
        std::uint32_t burst = 0;
    };

    void open_line(std::size_t i) {
        LineConfig config;
        config.name = std::to_string(i);
        config.groups = {{kGroups[i], kPorts[i]}};
        config.interface = "lo";
        lines_[i].in = net::open_line(config, 1 << 20);
        lines_[i].out = net::connect_to({kGroups[i], kPorts[i]}, SOCK_DGRAM);
        ip_mreqn from{};
        from.imr_ifindex = static_cast<int>(net::find_interface("x" + std::to_string(i + 1)).index);
        const int off = 0;
        setsockopt(lines_[i].out.fd(), IPPROTO_IP, IP_MULTICAST_IF, &from, sizeof(from));
        setsockopt(lines_[i].out.fd(), IPPROTO_IP, IP_MULTICAST_LOOP, &off, sizeof(off));
    }
    void run() {
        if (enter(kExchange)) {
            sh("ip -n " + kExchange + " route add 239.77.0.0/16 dev x1");
            for (std::size_t i = 0; i < 2; ++i) open_line(i);
        }
        ready_.store(true);
        while (!stop_.load()) {
            pollfd polled[2];
            for (std::size_t i = 0; i < 2; ++i) polled[i] = {lines_[i].in.sockets.at(0).fd(), POLLIN, 0};
            ::poll(polled, 2, 5);
            for (std::size_t i = 0; i < 2; ++i) pass_on(i);
        }
    }
    void pass_on(std::size_t i) {
        std::uint8_t bytes[2'048];
        for (;;) {
            const long size = recv(lines_[i].in.sockets.at(0).fd(), bytes, sizeof(bytes), MSG_DONTWAIT);
            if (size < 0) return;
            harm(i, {bytes, bytes + size});
        }
    }
    void harm(std::size_t i, std::vector<std::uint8_t> packet) {
        Line& line = lines_[i];
        if (cut_[i].load()) {
            ++lost_;
            return;
        }
        if (faults_.load()) {
            if (line.burst == 0 && random_.chance(0.02)) line.burst = 1 + static_cast<std::uint32_t>(random_.below(5));
            if (line.burst > 0) {
                --line.burst;
                ++lost_;
                return;
            }
            if (random_.chance(0.02)) {
                line.late.push_back(packet);
                return;
            }
            if (random_.chance(0.02)) send(line, packet);
        }
        send(line, packet);
        if (!line.late.empty() && (random_.chance(0.3) || !faults_.load())) {
            for (const auto& late : line.late) send(line, late);
            line.late.clear();
        }
    }
    static void send(const Line& line, const std::vector<std::uint8_t>& packet) {
        static_cast<void>(::send(line.out.fd(), packet.data(), packet.size(), MSG_DONTWAIT));
    }

    Random random_;
    Line lines_[2];
    std::atomic<bool> cut_[2]{};
    std::atomic<std::uint64_t> lost_{0};
    std::atomic<bool> faults_{true};
    std::atomic<bool> ready_{false};
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

std::string config_text(const std::string& mode) {
    std::string text = "[[feed]]\nname = \"f\"\nvenue = \"nasdaq-itch50\"\n";
    for (std::size_t i = 0; i < 2; ++i) {
        text += "[[feed.line]]\nname = \"" + std::string(1, static_cast<char>('A' + i)) + "\"\ninterface = \"h" +
                std::to_string(i + 1) + "\"\ngroups = [\"" + kGroups[i] + ":" + std::to_string(kPorts[i]) + "\"]\n";
    }
    return text + "[feed.receive]\nmode = \"" + mode + "\"\n[feed.reorder]\nwindow_ms = 20\n" +
           "[feed.recovery]\nretransmit = [\"10.77.1.1:7001\", \"10.77.2.1:7001\"]\n"
           "glimpse = [\"10.77.1.1:7002\", \"10.77.2.1:7002\"]\nanswer_timeout_ms = 50\nretransmit_ms = 1000\n"
           "snapshot_retry_ms = 100\nsnapshot_retry_max_ms = 500\nsnapshot_timeout_ms = 2000\n"
           "[feed.limits]\ninstruments = 64\norders = 100000\nlevels = 50000\n";
}

// How often each of what disturb() does was done: a line cut, both, a link down and up, Millrace
// killed.
using Disturbances = std::array<std::uint64_t, 4>;

// Something bad, and its end. Returns which.
std::size_t disturb(Random& random, Proxy& proxy, std::unique_ptr<Command>& live,
                    const std::vector<std::string>& arguments) {
    const auto some_time = [&] { std::this_thread::sleep_for(milliseconds(50 + random.below(400))); };
    const std::size_t line = random.below(2);
    const std::string link = (random.chance(0.5) ? kHost + " link set h" : kExchange + " link set x") +
                             std::to_string(line + 1);
    const std::size_t what = random.below(Disturbances{}.size());
    switch (what) {
        case 0:
            proxy.cut(line, true);
            some_time();
            proxy.cut(line, false);
            break;
        case 1:
            proxy.cut(0, true);
            proxy.cut(1, true);
            some_time();
            proxy.cut(0, false);
            proxy.cut(1, false);
            break;
        case 2:
            sh("ip -n " + link + " down");
            some_time();
            sh("ip -n " + link + " up");
            break;
        default:
            live->signal(SIGKILL);
            static_cast<void>(live->wait());
            live.reset();  // or it takes the output files of the next one, which are named alike
            some_time();
            live = std::make_unique<Command>(arguments, "namespaces-live", in_host);
    }
    some_time();
    return what;
}

Disturbances run_day(std::uint64_t seed, int seconds, const std::string& mode) {
    INFO("seed " << seed << ", mode " << mode);
    Random random(seed);
    const TempFile config("namespaces.toml");
    const TempFile sent("namespaces-sent.pcapng");
    const TempFile ready("namespaces.ready");
    std::ofstream(config.path()) << config_text(mode);
    const std::vector<std::string> arguments{"live", config.path(), "--until-end", "--json", "--ready-file",
                                             ready.path()};
    auto live = std::make_unique<Command>(arguments, "namespaces-live", in_host);
    REQUIRE(live->wait_for_file(ready.path()));
    Proxy proxy(seed);
    Command sim({"sim", "--multicast", std::string(kGroups[0]) + ":" + std::to_string(kPorts[0]), "--multicast",
                 std::string(kGroups[1]) + ":" + std::to_string(kPorts[1]), "--interface", "lo", "--capture",
                 sent.path(), "--seconds", std::to_string(seconds), "--rate", "3000", "--seed",
                 std::to_string(seed % 1'000'000), "--serve", "retransmit=0.0.0.0:7001", "--serve",
                 "glimpse=0.0.0.0:7002", "--linger", "8"},
                "namespaces-sim", in_exchange);
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds) - milliseconds(1'500);
    Disturbances done{};
    while (std::chrono::steady_clock::now() < end) ++done[disturb(random, proxy, live, arguments)];
    proxy.behave();
    const Outcome outcome = live->wait();
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    const Outcome exchange = sim.wait();
    INFO(exchange.err);
    REQUIRE(exchange.code == 0);
    const Outcome replayed = run_command({"replay", sent.path(), "--venue", "nasdaq-itch50",
                                          "--json", "--orders", "100000", "--levels", "50000"});
    INFO(replayed.err);
    REQUIRE(replayed.code == 0);
    const Json seen = Json::parse(outcome.out);
    INFO(seen["recovery"] << " " << seen["gaps"]);
    CHECK(seen["balance"] == 0);
    CHECK(seen["quality"]["live"] == 20);
    CHECK(seen["digest"] == Json::parse(replayed.out)["digest"]);
    CHECK(proxy.lost() > 0);
    return done;
}

bool can_run() {
    if (geteuid() != 0 || sh("ip netns list") != 0) {
        WARN("skipped: needs root, and ip of iproute2, for network namespaces");
        return false;
    }
    return true;
}

}  // namespace

TEST_CASE(
    "namespaces: lines cut, links down, killed and started again, the books are those of the day",
    "[no-sanitizer]") {
    if (!can_run()) return;
    const Namespaces namespaces;
    if (!namespaces.made) {
        WARN("skipped: this host gives no network namespaces");
        return;
    }
    static_cast<void>(run_day(std::random_device{}(), 7, "threads"));
}

TEST_CASE("namespaces: ten minutes of it", "[.long][no-sanitizer]") {
    if (!can_run()) return;
    const Namespaces namespaces;
    REQUIRE(namespaces.made);
    Disturbances done{};
    for (int day = 0; day < 10; ++day) {
        const auto today =
            run_day(std::random_device{}(), 60, day % 2 == 0 ? "threads" : "run_to_completion");
        for (std::size_t i = 0; i < done.size(); ++i) done[i] += today[i];
    }
    WARN("a line cut " << done[0] << " times, both " << done[1] << ", a link down " << done[2]
                       << ", Millrace killed " << done[3]);
    for (const std::uint64_t times : done) CHECK(times > 0);
}
