// A line that is quiet and then a hundred times as fast, before a decoder that stands still: its receive buffers
// become at least eight times as many, no hot thread allocates or takes a page fault for it, nothing is lost before the
// cap, and what is lost after it is counted to the packet.
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "millrace/feed/feed.hpp"
#include "tests/hot_path/allocation_counter.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/itch_packets.hpp"
#include "tests/support/multicast.hpp"

using namespace millrace;
using namespace millrace::test;
using net::ReceiveCounter;

namespace {

constexpr std::uint32_t kStart = 512;
constexpr std::uint32_t kCap = 8'192;
constexpr double kQuietRate = 50;  // packets a second

FeedConfig config_of(const SomeGroups& groups, Backend backend) {
    FeedConfig config;
    config.name = "f";
    config.venue = venues::NasdaqItch50::kId;
    config.lines = {{"A", {groups.group(0)}, "lo", {}, {}, {}}};
    config.receive.backend = backend;
    config.receive.require_backend = true;
    config.receive.idle = Idle::wait;
    config.receive.buffers = kStart;
    config.receive.buffers_max = kCap;
    config.session.limits = {8, 400'000, 1'000};
    config.session.reorder_window_ns = 1'000'000;
    return config;
}

// Minor page faults so far of the thread of this name; -1 where there is none.
long faults_of(const std::string& thread) {
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
        std::string name;
        std::getline(std::ifstream(task.path() / "comm"), name);
        if (name != thread) continue;
        std::ifstream file(task.path() / "stat");
        std::string stat{std::istreambuf_iterator<char>(file), {}};
        std::istringstream fields(stat.substr(stat.rfind(')') + 2));  // field 3 and on; the faults are field 10
        std::string field;
        for (int i = 3; i <= 10; ++i) fields >> field;
        return std::stol(field);
    }
    return -1;
}
long faults_of_this_thread() {
    rusage usage{};
    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_minflt;
}

// One message a packet, numbered on, from a thread of its own whose allocations do not count.
class Source {
  public:
    explicit Source(const SomeGroups& groups) : groups_(groups), thread_([this] { run(); }) {}
    ~Source() {
        send(0, 0);
        thread_.join();
    }

    // As fast as it goes where `rate` is 0. Returns packets a second once all are sent; no packets: the end.
    double send(std::uint64_t packets, double rate) {
        packets_ = packets;
        rate_ = rate;
        turn_.store(++turns_, std::memory_order_release);  // pairs with the load in run(), as does `done_`
        while (done_.load(std::memory_order_acquire) != turns_) std::this_thread::yield();
        return static_cast<double>(packets) / seconds_;
    }
    [[nodiscard]] std::uint64_t sent() const { return next_ - 1; }

  private:
    void run() {
        exempt_this_thread();
        for (std::uint64_t turn = 1;; ++turn) {
            while (turn_.load(std::memory_order_acquire) != turn) std::this_thread::yield();
            const auto begin = std::chrono::steady_clock::now();
            for (std::uint64_t i = 0; i < packets_; ++i) {
                const Message message = next_ == 1 ? directory(1, "A") : add(1, next_, 'B', 100, "A", 1000);
                sender_.send(groups_.group(0), packet(next_, {message}));
                ++next_;
                if (rate_ == 0) continue;
                const std::chrono::duration<double> due(static_cast<double>(i + 1) / rate_);
                std::this_thread::sleep_until(begin + due);
            }
            seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
            const bool last = packets_ == 0;
            done_.store(turn, std::memory_order_release);
            if (last) return;
        }
    }

    const SomeGroups& groups_;
    LoopbackSender sender_;
    SequenceNumber next_ = 1;
    // Whose turn it is says who may touch these.
    std::uint64_t packets_ = 0;
    double rate_ = 0;
    double seconds_ = 0;
    std::uint64_t turns_ = 0;                // send()'s own
    std::atomic<std::uint64_t> turn_{0};     // send() writes, run() reads
    std::atomic<std::uint64_t> done_{0};     // run() writes, send() reads
    std::thread thread_;
};

class RateStep {
  public:
    explicit RateStep(Backend backend) : feed_(config_of(groups_, backend), handler_), source_(groups_) {
        feed_.start();
        source_.send(64, 0);  // whatever is touched once only
        MILLRACE_VERIFY(drain());
        own_faults_ = 0;
        receiver_faults_ = faults_of("millrace-rx-A");
        reset_allocations();
        count_allocations(true);
    }
    ~RateStep() { count_allocations(false); }

    // Polls until every packet sent was received, or counted as dropped.
    [[nodiscard]] bool drain() {
        return eventually([&] {
            const long before = faults_of_this_thread();
            if (feed_.poll() == 0) feed_.idle();
            own_faults_ += faults_of_this_thread() - before;
            return handled() == source_.sent();
        });
    }
    [[nodiscard]] std::uint64_t handled() {
        count_allocations(false);
        const net::ReceiveCounters received = counters();
        const std::uint64_t in_flight = feed_.lines()[0].in_flight;
        count_allocations(true);
        return received[ReceiveCounter::received] + received[ReceiveCounter::kernel_drops] - in_flight;
    }
    [[nodiscard]] net::ReceiveCounters counters() const { return feed_.lines()[0].received; }
    [[nodiscard]] std::uint64_t count(ReceiveCounter counter) const { return counters()[counter]; }
    [[nodiscard]] long own_faults() const { return own_faults_; }  // while polling
    [[nodiscard]] long receiver_faults() const { return faults_of("millrace-rx-A") - receiver_faults_; }

    Source& source() { return source_; }
    FeedHandler<venues::NasdaqItch50, NullHandler>& feed() { return feed_; }

  private:
    SomeGroups groups_;
    NullHandler handler_;
    FeedHandler<venues::NasdaqItch50, NullHandler> feed_;
    Source source_;
    long own_faults_ = 0;
    long receiver_faults_ = 0;
};

}  // namespace

TEST_CASE("hot path: a hundredfold rate is met with more buffers, no fault, no allocation and no loss", "[no-sanitizer]") {
    const Backend backend = GENERATE(Backend::recvmmsg, Backend::io_uring);
    CAPTURE(name(backend));
    if (backend == Backend::io_uring && !net::io_uring_refusal().empty()) {
        WARN("skipped: this host refuses io_uring");
        return;
    }
    RateStep line(backend);
    const double quiet = line.source().send(20, kQuietRate);
    REQUIRE(line.drain());
    count_allocations(false);
    REQUIRE(line.count(ReceiveCounter::buffers) == kStart);
    count_allocations(true);

    // The decoder stands still: all of them wait in buffers.
    const double fast = line.source().send(6'000, 0);
    CHECK(fast >= 100 * quiet);
    REQUIRE(line.drain());
    count_allocations(false);
    CHECK(line.own_faults() == 0);
    CHECK(line.receiver_faults() == 0);
    CHECK(allocations() == 0);
    CHECK(line.count(ReceiveCounter::buffers) >= 8 * kStart);
    CHECK(line.count(ReceiveCounter::grants) > 1);
    CHECK(line.count(ReceiveCounter::kernel_drops) == 0);
    CHECK(line.count(ReceiveCounter::queue_full) == 0);
    CHECK(line.feed().session().messages()[MessageCounter::delivered] == line.source().sent());
}

TEST_CASE("hot path: beyond the cap of receive buffers every lost packet is counted", "[no-sanitizer]") {
    const Backend backend = GENERATE(Backend::recvmmsg, Backend::io_uring);
    CAPTURE(name(backend));
    if (backend == Backend::io_uring && !net::io_uring_refusal().empty()) {
        WARN("skipped: this host refuses io_uring");
        return;
    }
    RateStep line(backend);
    // More than buffers and socket hold.
    for (int i = 0; i < 20 && line.count(ReceiveCounter::no_buffers) == 0; ++i) line.source().send(4'000, 0);
    line.source().send(40'000, 0);
    count_allocations(false);
    CHECK(line.count(ReceiveCounter::buffers) == kCap);
    CHECK(line.count(ReceiveCounter::buffers_cap) >= 1);
    const bool reached = eventually([&] {
        if (line.feed().poll() == 0) line.source().send(1, 0);  // the next datagram tells of the drops before it
        return line.handled() == line.source().sent();
    });
    count_allocations(false);
    CHECK(reached);
    CHECK(line.count(ReceiveCounter::kernel_drops) > 0);
    CHECK(line.count(ReceiveCounter::queue_full) == 0);
    CHECK(line.receiver_faults() == 0);
    CHECK(line.feed().stats().balance() == 0);
    const LineStats stats = line.feed().lines()[0];
    const net::ReceiveCounters& counters = stats.received;
    CHECK(counters[ReceiveCounter::received] + counters[ReceiveCounter::kernel_drops] == line.source().sent());
}
