// What the thread of the feed does a message, while an edge is well and while it is in trouble: the
// same instructions, no system call, and nothing is left out. Each edge with its real server, which
// stands still or is killed. Slow, hence under --long; times, which prove nothing, are [figures].
#include <fmt/format.h>
#include <sys/mman.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <new>

#include "millrace/core/clock.hpp"
#include "millrace/core/histogram.hpp"
#include "millrace/feed/session.hpp"
#include "millrace/feed/venues/nasdaq_itch50/venue.hpp"
#include "millrace/replay/simulator/exchange.hpp"
#include "record_replay.hpp"
#include "tests/support/broker_servers.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/python.hpp"
#include "tests/support/seccomp_filter.hpp"
#include "tests/support/sink_test.hpp"

using namespace millrace;
using namespace millrace::streams;
using namespace millrace::test;

namespace {

constexpr std::uint32_t kBooks = 256;
constexpr std::uint64_t kMessages = 20'000;

// A simulated day of one line, its packets in memory. Its records all find room in a sink's ring.
struct Day {
    std::vector<std::vector<std::uint8_t>> packets;
    std::uint64_t messages = 0;

    static const Day& get() {
        static const Day day;
        return day;
    }

  private:
    Day() {
        replay::ExchangeConfig config;
        config.market.symbols = 100;
        config.market.messages = kMessages;
        config.market.peak_orders = 2'000;
        config.lines.resize(1);
        replay::Exchange exchange(config, [&](const replay::SimulatedPacket& packet) {
            packets.emplace_back(packet.bytes.begin(), packet.bytes.end());
        });
        while (exchange.step()) {
        }
        messages = exchange.next_sequence() - 1;
    }
};

// Takes records and does nothing: what a feed without a sink is compared by.
struct NoSink {
    void on_record(const dbn::MadeRecord&, const Symbol&, std::span<const std::uint8_t>) {}
    void on_packet_end() {}
};

// A feed's thread from packet to record, and the sink behind it.
template <class Sink>
class Feed {
  public:
    explicit Feed(Sink& sink)
        : maker_(tools::maker_config("nasdaq-itch50", {dbn::Schema::mbo, dbn::Schema::mbp_1}, kBooks), sink),
          session_(std::make_unique<Session<venues::NasdaqItch50, dbn::DbnMaker<Sink>>>(config(), maker_)) {}

    void on_packet(std::size_t number) {
        session_->on_packet({0, static_cast<Timestamp>(number + 1) * 1'000, Day::get().packets[number]});
    }

  private:
    static SessionConfig config() {
        SessionConfig config;
        config.lines = 1;
        config.limits = {kBooks, 20'000, 20'000};
        config.datagram_bytes_max = 2'048;
        return config;
    }

    dbn::DbnMaker<Sink> maker_;
    std::unique_ptr<Session<venues::NasdaqItch50, dbn::DbnMaker<Sink>>> session_;
};

// Not inlined, so that callgrind can be told to count here and nowhere else.
template <class Sink>
[[gnu::noinline]] void measured_day(Feed<Sink>& feed) {
    for (std::size_t i = 0; i < Day::get().packets.size(); ++i) feed.on_packet(i);
}

std::unique_ptr<StreamSink> make_sink(const std::string& url) {
    SinkConfig config;
    config.dataset = "TEST.SET";
    config.schemas = {dbn::Schema::mbo, dbn::Schema::mbp_1};
    config.instruments = kBooks;
    config.stop_within = 0;
    auto edge = make_edge(parse_url(url), config);
    return std::make_unique<StreamSink>(config, std::move(edge));
}

// A server that is there for one edge, and may get into trouble.
struct Server {
    std::string name;
    std::function<std::string(const std::string& place)> url;
    std::function<void(int)> signal;
    std::function<void()> kill_it;
    std::shared_ptr<void> itself;
};

template <class Real>
Server server_of(const std::string& name) {
    auto real = std::make_shared<Real>();
    return {name, [real](const std::string& place) { return real->url(place); },
            [real](int number) { real->signal(number); }, [real] { real->kill_it(); }, real};
}

// One after the other, since each takes memory and time. `only` names one of them; empty: all.
void for_each_server(const std::function<void(Server&)>& use, std::string_view only = {}) {
    const auto with = [&](const std::string& name, const auto& make) {
        if (!only.empty() && only != name) return;
        Server server = make(name);
        use(server);
    };
#ifdef MILLRACE_HAS_REDIS
    with("redis", server_of<RedisServer>);
#endif
#ifdef MILLRACE_HAS_KAFKA
    with("kafka", server_of<KafkaServer>);
#endif
#ifdef MILLRACE_HAS_RABBITMQ
    with("rabbitmq", server_of<RabbitServer>);
#endif
    static_cast<void>(with);
}

std::string url_of(const Server& server, const std::string& place) {
    const std::string queue = server.name == "rabbitmq" ? "&queue=" + place : "";
    return server.url(place) + "?policy=drop_oldest" + queue;
}

constexpr std::array<std::string_view, 3> kSides{"well", "stands still", "killed"};

// Puts the server into that state; its sink is connected.
void bring_about(const Server& server, std::string_view side) {
    if (side == "stands still") server.signal(SIGSTOP);
    if (side == "killed") server.kill_it();
}
// Until the sink's thread has to do with it.
void wait_for_trouble(const StreamSink& sink, std::string_view side) {
    if (side == "killed") REQUIRE(in_time([&] { return sink.stats().state != EdgeState::live; }));
}
void end_trouble(const Server& server, std::string_view side) {
    if (side == "stands still") server.signal(SIGCONT);
}

void check_nothing_left_out(const StreamSink& sink) {
    CHECK(sink.stats().made >= kMessages);
    CHECK(sink.stats().ring_full == 0);
    CHECK(sink.stats().dropped == 0);
}

// Calls `day` with a feed whose edge is in that state.
template <class RunDay>
void run_side(const Server& server, std::string_view side, RunDay&& day) {
    INFO(server.name << ", " << side);
    const auto sink = make_sink(url_of(server, fmt::format("m{}", side[0])));
    REQUIRE(in_time([&] { return sink->stats().state == EdgeState::live; }));
    bring_about(server, side);
    wait_for_trouble(*sink, side);
    Feed<StreamSink> feed(*sink);
    day(feed);
    check_nothing_left_out(*sink);
    end_trouble(server, side);
    sink->stop();
}

constexpr const char* kSideVariable = "MILLRACE_TEST_SIDE";  // "redis/killed"

// Instructions of a day, counted by callgrind in a process of its own.
std::uint64_t count_instructions(const std::string& edge, std::string_view side) {
    REQUIRE(setenv(kSideVariable, fmt::format("{}/{}", edge, side).c_str(), 1) == 0);
    const std::string self = std::filesystem::read_symlink("/proc/self/exe");
    const Outcome counted =
        run_program({"valgrind", "--tool=callgrind", "--fair-sched=yes", "--toggle-collect=*measured_day*",
                     "--callgrind-out-file=/dev/null", self, "[.hot_side]"});
    unsetenv(kSideVariable);
    INFO(counted.out << counted.err);
    REQUIRE(counted.code == 0);
    const std::string_view what = "Collected : ";
    const std::size_t at = counted.err.find(what);
    REQUIRE(at != std::string::npos);
    return std::stoull(counted.err.substr(at + what.size()));
}

}  // namespace

TEST_CASE("hot thread: what callgrind counts, for the test after this", "[.hot_side][no-sanitizer]") {
    const char* wanted = std::getenv(kSideVariable);
    REQUIRE(wanted != nullptr);
    const std::string_view text(wanted);
    const std::size_t slash = text.find('/');
    const auto measure = [](Feed<StreamSink>& feed) { measured_day(feed); };
    for_each_server([&](Server& server) { run_side(server, text.substr(slash + 1), measure); }, text.substr(0, slash));
}

TEST_CASE("hot thread: the same instructions, whatever becomes of the edge",
          "[.long][hot_thread][server][no-sanitizer]") {
    if (run_program({"valgrind", "--version"}).code != 0) {
        WARN("skipped: no valgrind here (apt-get install valgrind)");
        return;
    }
    for (const EdgeComponent& component : edge_components()) {
        const std::string edge = component.scheme == "amqp" ? "rabbitmq" : std::string(component.scheme);
        if (!component.built || (edge != "redis" && edge != "kafka" && edge != "rabbitmq")) continue;
        const auto well = static_cast<double>(count_instructions(edge, kSides[0]));
        for (std::size_t i = 1; i < kSides.size(); ++i) {
            const auto count = static_cast<double>(count_instructions(edge, kSides[i]));
            const auto messages = static_cast<double>(Day::get().messages);
            fmt::print("{}: {:.1f} instructions a message when it is well, {:.1f} when it {}{}\n", edge,
                       well / messages, count / messages, kSides[i] == "killed" ? "is " : "", kSides[i]);
            CHECK(count / well > 0.99);
            CHECK(count / well < 1.01);
        }
    }
}

namespace {

// Shared by the two processes.
struct Progress {
    std::atomic<bool> connected{false};  // the child writes, the parent reads
    std::atomic<bool> in_trouble{false};  // the parent writes, the child reads
    std::atomic<bool> refused{false};     // the child writes, as is the next
    std::atomic<bool> done{false};
};

// The child: from the filter on, one system call of this thread ends it.
[[noreturn]] void feed_without_calls(const std::string& url, Progress& progress) {
    const auto sink = make_sink(url);
    Feed<StreamSink> feed(*sink);
    while (sink->stats().state != EdgeState::live) usleep(1'000);
    progress.connected = true;
    while (!progress.in_trouble) usleep(1'000);
    if (!allow_only({}, FilterScope::this_thread)) {
        progress.refused = true;
        _exit(1);
    }
    const std::size_t packets = Day::get().packets.size();
    for (std::size_t i = 0; i < packets; ++i) {
        feed.on_packet(i);
        // A second in all, so that the sink's thread meets with the trouble meanwhile.
        for (std::size_t pause = 0; pause < 10'000'000 / packets; ++pause) cpu_pause();
    }
    const SinkStats stats = sink->stats();
    progress.done = stats.made >= kMessages && stats.ring_full + stats.dropped == 0;
    for (;;) cpu_pause();  // ending would be a call; the parent does it
}

// Whether it survived a day with the server in that state.
bool survives(const Server& server, std::string_view side, Progress& progress) {
    static_cast<void>(Day::get());  // making it takes memory, and so calls
    const pid_t child = fork();
    if (child == 0) feed_without_calls(url_of(server, fmt::format("c{}", side[0])), progress);
    int status = 0;
    bool over = false;
    const bool decided = in_time([&] {
        over = waitpid(child, &status, WNOHANG) == child;
        if (progress.connected && !progress.in_trouble) {
            bring_about(server, side);
            progress.in_trouble = true;
        }
        return over || progress.done;
    });
    end_trouble(server, side);
    if (!over) {
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
    }
    return decided && !over && progress.done;
}

}  // namespace

TEST_CASE("hot thread: no system call, whatever becomes of the edge", "[.long][hot_thread][server][no-sanitizer]") {
    for_each_server([](Server& server) {
        for (const std::string_view side : kSides) {
            INFO(server.name << ", " << side);
            void* shared =
                mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
            REQUIRE(shared != MAP_FAILED);
            auto& progress = *new (shared) Progress;
            const bool survived = survives(server, side, progress);
            if (progress.refused) WARN("skipped: this host refuses system-call filters");
            else CHECK(survived);
            munmap(shared, sizeof(Progress));
        }
    });
}

namespace {

// Paced as a busy feed, so that the sink's thread and the server run beside it.
template <class Sink>
void print_times(std::string_view what, Feed<Sink>& feed) {
    Histogram times;
    Timestamp due = MonotonicClock::now();
    for (std::size_t i = 0; i < Day::get().packets.size(); ++i) {
        due += 500'000;
        while (MonotonicClock::now() < due) cpu_pause();
        const Timestamp begin = MonotonicClock::now();
        feed.on_packet(i);
        times.record(MonotonicClock::now() - begin);
    }
    fmt::print("| {} | {:.1f} | {:.1f} | {:.1f} | {} |\n", what, static_cast<double>(times.percentile(50)) / 1e3,
               static_cast<double>(times.percentile(99.9)) / 1e3, static_cast<double>(times.max()) / 1e3,
               times.total());
    std::fflush(stdout);
}

}  // namespace

TEST_CASE("hot thread: how long a packet takes it, beside a feed without a sink", "[.hot_figures]") {
    fmt::print("| edge | p50, us a packet | p99.9 | max | packets |\n|---|---|---|---|---|\n");
    const auto control = [](std::string_view what) {
        NoSink sink;
        Feed<NoSink> feed(sink);
        print_times(what, feed);
    };
    control("no sink");
    for_each_server([](Server& server) {
        for (const std::string_view side : kSides) {
            run_side(server, side, [&](Feed<StreamSink>& feed) {
                print_times(fmt::format("{}, {}", server.name, side), feed);
            });
        }
    });
    control("no sink, again");
}
