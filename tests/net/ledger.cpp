// The ledgers as another thread reads them while a feed runs: they balance at every moment.
#include <algorithm>
#include <atomic>
#include <thread>

#include "millrace/feed/feed.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/itch_packets.hpp"
#include "tests/support/multicast.hpp"

using namespace millrace;
using namespace millrace::test;
using net::ReceiveCounter;
using Feed = FeedHandler<venues::NasdaqItch50, NullHandler>;

namespace {

FeedConfig config_of(const SomeGroups& groups, Backend backend, ReceiveMode mode) {
    FeedConfig config;
    config.name = "f";
    config.venue = venues::NasdaqItch50::kId;
    config.lines = {{"A", {groups.group(0)}, "lo", {}, {}, {}}, {"B", {groups.group(1)}, "lo", {}, {}, {}}};
    config.receive.backend = backend;
    config.receive.require_backend = true;
    config.receive.mode = mode;
    config.receive.idle = Idle::yield;
    config.receive.queue = 64;
    config.receive.buffers = 256;
    config.receive.huge_pages = false;
    config.session.limits = {8, 1000, 1000};
    config.session.reorder_window_ns = 1'000'000;
    return config;
}

// What is wrong with the ledgers of the lines; empty when nothing is.
std::string problem_of(const std::vector<LineStats>& lines) {
    for (const LineStats& line : lines) {
        if (line.balance() != 0) return line.name + ": balance " + std::to_string(line.balance());
        if (line.in_flight > line.received[ReceiveCounter::received]) {
            return line.name + ": arbitrated, not handed over";
        }
    }
    return {};
}
std::string problem_of(const FeedStats& stats) {
    std::uint64_t messages = 0;
    for (const LineStats& line : stats.lines) messages += line.decoded[LineCounter::messages];
    if (messages != stats.messages[MessageCounter::decoded]) return "lines and messages differ";
    if (stats.balance() != 0) return "balance " + std::to_string(stats.balance());
    return problem_of(stats.lines);
}

// Reads both ledgers for as long as it lives, and keeps what is wrong with them.
class Auditor {
  public:
    explicit Auditor(const Feed& feed) : thread_([this, &feed] { run(feed); }) {}
    ~Auditor() { finish(); }
    void finish() {
        stop_ = true;
        if (thread_.joinable()) thread_.join();
    }

    // After finish().
    std::string problem;
    std::uint64_t reads = 0;

  private:
    void run(const Feed& feed) {
        for (; !stop_; ++reads) {
            const std::string found = problem_of(feed.stats());
            if (!found.empty()) problem = found;
        }
    }

    std::atomic<bool> stop_{false};  // finish() sets, the thread reads
    std::thread thread_;
};

bool refused(Backend backend) {
    const bool no = (backend == Backend::io_uring && !net::io_uring_refusal().empty()) ||
                    (backend == Backend::af_packet && !net::af_packet_refusal().empty());
    if (no) WARN("skipped: this host refuses " << name(backend));
    return no;
}

// One in four packets comes late, one in sixteen on one line only, one in 32 cannot be read.
void send_all(const SomeGroups& groups) {
    const LoopbackSender sender;
    for (SequenceNumber n = 1; n <= 6'000; ++n) {
        const SequenceNumber number = n % 8 == 0 ? n - 1 : n % 8 == 7 ? n + 1 : n;
        auto bytes = packet(number, {add(1, number, 'B', 100, "A", 1000)});
        if (n % 32 == 5) bytes.resize(25);
        sender.send(groups.group(0), bytes);
        if (n % 16 != 3) sender.send(groups.group(1), bytes);
    }
}

}  // namespace

TEST_CASE("FeedHandler: the ledgers that another thread reads balance at every moment") {
    const ReceiveMode mode = GENERATE(ReceiveMode::threads, ReceiveMode::run_to_completion);
    const Backend backend = GENERATE(Backend::recvmmsg, Backend::io_uring, Backend::af_packet);
    if (refused(backend)) return;
    CAPTURE(name(mode), name(backend));
    const SomeGroups groups;
    NullHandler handler;
    Feed feed(config_of(groups, backend, mode), handler);
    feed.start();
    Auditor auditor(feed);
    std::atomic<bool> sent{false};
    std::thread sending([&] {
        send_all(groups);
        sent = true;
    });
    // On the polling thread, after every poll, as well.
    std::string problem;
    while (!sent) {
        feed.poll();
        const std::string found = problem_of(feed.lines());
        if (!found.empty()) problem = found;
    }
    sending.join();
    auditor.finish();
    CHECK(problem == "");
    CHECK(auditor.problem == "");
    CHECK(auditor.reads > 100);
    feed.stop();
    const FeedStats stats = feed.stats();
    CHECK(stats.balance() == 0);
    for (const LineStats& line : stats.lines) CHECK(line.in_flight == 0);
    CHECK(stats.messages == feed.session().messages());
    CHECK(stats.messages[MessageCounter::delivered] > 0);
}

TEST_CASE("FeedHandler: datagrams that the kernel has put together are handled and counted each") {
    const ReceiveMode mode = GENERATE(ReceiveMode::threads, ReceiveMode::run_to_completion);
    const Backend backend = GENERATE(Backend::recvmmsg, Backend::io_uring);
    if (refused(backend)) return;
    CAPTURE(name(mode), name(backend));
    const SomeGroups groups;
    NullHandler handler;
    FeedConfig config = config_of(groups, backend, mode);
    config.receive.gro = true;
    Feed feed(config, handler);
    feed.start();
    const LoopbackSender sender;
    constexpr SequenceNumber kOrders = 200;
    for (SequenceNumber n = 1; n <= kOrders;) {
        std::string together;
        std::size_t each = 0;
        for (int i = 0; i < 40; ++i, ++n) {
            const auto bytes = packet(n, {n == 1 ? directory(1, "A") : add(1, n, 'B', 100, "A", 1000)});
            if (n == 1) sender.send(groups.group(0), bytes);
            else together.append(bytes.begin(), bytes.end());
            each = bytes.size();
        }
        sender.send_together(groups.group(0), together, static_cast<std::uint16_t>(each));
    }
    REQUIRE(eventually([&] {
        feed.poll();
        return feed.session().messages()[MessageCounter::delivered] == kOrders;
    }));
    feed.stop();
    const LineStats line = feed.lines()[0];
    CHECK(line.balance() == 0);
    CHECK(line.received[ReceiveCounter::received] == kOrders);
    CHECK(line.received[ReceiveCounter::handed_over] == kOrders);
    CHECK(line.decoded[LineCounter::arbitrated] == kOrders);
    CHECK(feed.book("A")->top().bid.orders == kOrders - 1);
}
