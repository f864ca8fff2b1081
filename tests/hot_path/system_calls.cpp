// Which system calls the hot threads make while packets arrive: a filter kills the process at any other one.
//
// Each case runs in a process of its own. There the main thread is the decoder; once it has warmed up, the
// filter is put on it alone, or on all threads of the feed.
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <new>
#include <optional>

#include "live_handler.hpp"
#include "millrace/feed/feed.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/itch_packets.hpp"
#include "tests/support/multicast.hpp"
#include "tests/support/network.hpp"
#include "tests/support/seccomp_filter.hpp"

using namespace millrace;
using namespace millrace::test;

namespace {

enum class Who { decoder, all_threads };

struct Case {
    ReceiveMode mode = ReceiveMode::threads;
    Backend backend = Backend::recvmmsg;
    Idle idle = Idle::spin;
    Who who = Who::decoder;
    std::initializer_list<int> allowed;
    bool planted = false;  // the handler makes a call that no idle strategy makes
    bool sink = false;     // records are made for a gateway, whose thread is not the decoder's
};

enum class End { survived, killed, failed };

// Shared by the two processes.
struct Progress {
    std::atomic<bool> ready{false};  // child writes, parent reads; as is done
    std::atomic<bool> done{false};
    std::atomic<bool> refused{false};
};

struct Handler : tools::LiveHandler {
    using LiveHandler::LiveHandler;
    bool call = false;
    void on_book(const OrderBook& book, const BookUpdate& update) {
        LiveHandler::on_book(book, update);
        if (call) syscall(SYS_getppid);
    }
};

FeedConfig config_of(const Case& c, const SomeGroups& groups) {
    FeedConfig config;
    config.name = "f";
    config.venue = "nasdaq-itch50";
    config.lines = {{"A", {groups.group(0)}, "lo", {}, {}, {}}, {"B", {groups.group(1)}, "lo", {}, {}, {}}};
    config.receive.backend = c.backend;
    config.receive.mode = c.mode;
    config.receive.idle = c.idle;
    config.receive.buffers = 256;
    config.receive.buffers_max = 256;  // no control thread: that one may make calls
    config.session.limits = {64, 10'000, 10'000};
    return config;
}

constexpr std::size_t kWarmUp = 100;
constexpr std::size_t kPackets = 2'000;

// The child: receives until enough packets came after the filter was put on.
[[noreturn]] void receive(const Case& c, const SomeGroups& groups, Progress& progress) {
    Handler handler(64);
    std::unique_ptr<tools::Sinks> sinks;
    if (c.sink) {
        const dbn::MakerConfig maker =
            tools::maker_config("nasdaq-itch50", {dbn::Schema::mbo, dbn::Schema::mbp_10}, 64);
        const std::string gateway = "tcp://127.0.0.1:" + std::to_string(free_port());
        sinks = std::make_unique<tools::Sinks>(tools::SinkOptions{{gateway + "?policy=conflate"}, {}},
                                               "f", maker, nullptr);
        handler.send_to(*sinks, maker);
    }
    FeedHandler<venues::NasdaqItch50, Handler> feed(config_of(c, groups), handler);
    feed.start();
    progress.ready = true;
    std::size_t packets = 0;
    while (packets < kWarmUp) packets += feed.poll();
    const auto scope = c.who == Who::decoder ? FilterScope::this_thread : FilterScope::all_threads;
    if (!allow_only(c.allowed, scope)) {
        progress.refused = true;
        _exit(1);
    }
    handler.call = c.planted;
    // Of a filter on all threads the decoder itself is to use nothing.
    const bool idles = c.who == Who::decoder || c.mode == ReceiveMode::run_to_completion;
    while (packets < kPackets) {
        const std::size_t taken = feed.poll();
        packets += taken;
        if (taken == 0 && idles) feed.idle();
    }
    progress.done = true;
    for (;;) cpu_pause();  // ending would be a call; the parent does it
}

// Numbered packets on both lines, now and then a gap on one and on both, until the child is done or dead.
class Source {
  public:
    explicit Source(const SomeGroups& groups) : groups_(groups) {}
    void send() {
        ++packet_;
        std::vector<Message> messages;
        if (packet_ == 1) messages.push_back(directory(1, "AAPL"));
        for (std::uint64_t i = 0; i < 10; ++i) {
            messages.push_back(add(1, 2 * sequence_ + 2 * i, i % 2 == 0 ? 'B' : 'S', 100, "AAPL", 10'000));
            messages.push_back(remove(1, 2 * sequence_ + 2 * i));
        }
        const auto bytes = packet(sequence_, messages);
        sequence_ += messages.size();
        if (packet_ % 7 != 0) sender_.send(groups_.group(0), bytes);
        if (packet_ % 14 != 0) sender_.send(groups_.group(1), bytes);
    }

  private:
    const SomeGroups& groups_;
    LoopbackSender sender_;
    std::uint64_t packet_ = 0;
    std::uint64_t sequence_ = 1;
};

End run(const Case& c) {
    void* shared = mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(shared != MAP_FAILED);
    auto& progress = *new (shared) Progress;
    const SomeGroups groups;
    const pid_t child = fork();
    if (child == 0) receive(c, groups, progress);
    Source source(groups);
    int status = 0;
    bool over = false;
    const bool in_time = eventually([&] {
        over = waitpid(child, &status, WNOHANG) == child;
        if (progress.ready && !progress.done) source.send();
        usleep(100);
        return over || progress.done;
    });
    if (!over) {
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
    }
    const bool done = progress.done;
    if (progress.refused) WARN("skipped: this host refuses system-call filters");
    const bool refused = progress.refused;
    munmap(shared, sizeof(Progress));
    if (refused) return End::survived;
    if (over && WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) return End::killed;
    return in_time && done ? End::survived : End::failed;
}

bool skipped(Backend backend) {
    if (backend != Backend::io_uring || net::io_uring_refusal().empty()) return false;
    WARN("skipped: this host refuses io_uring");
    return true;
}

constexpr int call_of(Backend backend) { return backend == Backend::io_uring ? SYS_io_uring_enter : SYS_recvmmsg; }
// What waiting in the kernel is for a receiver.
constexpr int wait_of(Backend backend) { return backend == Backend::io_uring ? SYS_io_uring_enter : SYS_poll; }

}  // namespace

TEST_CASE("system calls: a spinning decoder thread makes none", "[no-sanitizer]") {
    const Idle idle = GENERATE(Idle::spin, Idle::pause);
    CAPTURE(name(idle));
    CHECK(run({.idle = idle, .who = Who::decoder, .allowed = {}}) == End::survived);
}

TEST_CASE("system calls: a spinning decoder thread that makes records for a sink makes none", "[no-sanitizer]") {
    CHECK(run({.idle = Idle::spin, .who = Who::decoder, .allowed = {}, .sink = true}) == End::survived);
    CHECK(run({.idle = Idle::spin, .who = Who::decoder, .allowed = {}, .planted = true, .sink = true}) ==
          End::killed);
}

TEST_CASE("system calls: a decoder thread that yields or waits makes that call and no other", "[no-sanitizer]") {
    CHECK(run({.idle = Idle::yield, .who = Who::decoder, .allowed = {SYS_sched_yield}}) == End::survived);
    CHECK(run({.idle = Idle::yield, .who = Who::decoder, .allowed = {}}) == End::killed);
    CHECK(run({.idle = Idle::wait, .who = Who::decoder, .allowed = {SYS_clock_nanosleep}}) == End::survived);
    CHECK(run({.idle = Idle::wait, .who = Who::decoder, .allowed = {}}) == End::killed);
}

TEST_CASE("system calls: a receiver makes its backend's, and that of its idle strategy", "[no-sanitizer]") {
    const Backend backend = GENERATE(Backend::recvmmsg, Backend::io_uring);
    const ReceiveMode mode = GENERATE(ReceiveMode::threads, ReceiveMode::run_to_completion);
    CAPTURE(name(backend), name(mode));
    if (skipped(backend)) return;
    const int receive = call_of(backend);
    const int wait = wait_of(backend);
    const Who all = Who::all_threads;
    CHECK(run({mode, backend, Idle::spin, all, {receive}}) == End::survived);
    CHECK(run({mode, backend, Idle::spin, all, {}}) == End::killed);
    CHECK(run({mode, backend, Idle::pause, all, {receive}}) == End::survived);
    CHECK(run({mode, backend, Idle::yield, all, {receive, SYS_sched_yield}}) == End::survived);
    CHECK(run({mode, backend, Idle::yield, all, {receive}}) == End::killed);
    CHECK(run({mode, backend, Idle::wait, all, {receive, wait}}) == End::survived);
    if (wait != receive) CHECK(run({mode, backend, Idle::wait, all, {receive}}) == End::killed);
}

TEST_CASE("system calls: with packet rings receiving takes none", "[no-sanitizer]") {
    const ReceiveMode mode = GENERATE(ReceiveMode::threads, ReceiveMode::run_to_completion);
    CAPTURE(name(mode));
    if (!net::af_packet_refusal().empty()) {
        WARN("skipped: this host refuses af_packet");
        return;
    }
    const Who all = Who::all_threads;
    CHECK(run({mode, Backend::af_packet, Idle::spin, all, {}}) == End::survived);
    CHECK(run({mode, Backend::af_packet, Idle::wait, all, {SYS_poll}}) == End::survived);
    CHECK(run({mode, Backend::af_packet, Idle::wait, all, {}}) == End::killed);
}

TEST_CASE("system calls: a call planted in a callback is found", "[no-sanitizer]") {
    CHECK(run({.who = Who::decoder, .allowed = {}, .planted = true}) == End::killed);
    CHECK(run({.mode = ReceiveMode::run_to_completion,
               .who = Who::all_threads,
               .allowed = {SYS_recvmmsg},
               .planted = true}) == End::killed);
}
