// The Nth system call, completion or allocation fails, of start-up, of live running and of recovery, for every N:
// a documented error, or a feed that says what it lacks; nothing leaks or hangs, and a later attempt works.
#include <chrono>
#include <string_view>

#include "millrace/feed/feed.hpp"
#include "millrace/replay/simulator/servers.hpp"
#include "tests/failures/inject.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/itch_packets.hpp"
#include "tests/support/multicast.hpp"

using namespace millrace;
using namespace millrace::test;
using Feed = FeedHandler<venues::NasdaqItch50, NullHandler>;

namespace {

constexpr const char* kSession = "SESSION001";
constexpr SequenceNumber kWhole = 40;      // so far no message is lost
constexpr SequenceNumber kMessages = 49;
constexpr std::uint64_t kFirst = 200;      // failures of each kind in every run
constexpr std::uint64_t kNever = 1'000'000'000;

// What fails.
enum class Phase : std::uint8_t { start_up, live, recovery };
constexpr std::string_view name(Phase phase) {
    constexpr std::string_view kNames[] = {"start-up", "live running", "recovery"};
    return kNames[static_cast<std::size_t>(phase)];
}
constexpr std::string_view name(Failing what) {
    constexpr std::string_view kNames[] = {"call", "completion", "allocation"};
    return kNames[static_cast<std::size_t>(what)];
}
struct Setting {
    Phase phase;
    ReceiveMode mode;
    Backend backend;
    Failing what;
};

Message message_of(SequenceNumber n) {
    return n == 1 ? directory(1, "A") : add(1, n, 'B', 100, "A", static_cast<std::uint32_t>(1000 + n));
}
// Neither line ever brings these: one to be asked for again, and more than are asked for again.
bool is_lost(SequenceNumber n) { return n == 42 || (n >= 44 && n <= 47); }

// An exchange with two lines and servers, and a feed that listens to it.
class Stage {
  public:
    explicit Stage(const Setting& setting) : servers_(servers_config()), feed_(feed_config(setting), handler_) {
        for (SequenceNumber n = 1; n <= kMessages; ++n) {
            servers_.append(message_of(n));
            packets_.push_back(packet(n, {message_of(n)}, kSession));
        }
    }

    // Starts the feed where it has not, and plays up to this message; 0: only starts. Empty, or the error it met.
    std::string attempt(SequenceNumber to) {
        try {
            feed_.start();
            if (to != 0) play(to);
            return {};
        } catch (const Error& error) {
            return error.what();
        } catch (const std::bad_alloc&) {
            return "no memory";
        }
    }
    [[nodiscard]] bool complete() {
        const OrderBook* book = feed_.book("A");
        return feed_.session().arbiter().next_expected() == kMessages + 1 && book != nullptr &&
               book->quality() == Quality::live && book->order_count() == kMessages - 1;
    }
    [[nodiscard]] std::int64_t stop() {
        feed_.stop();
        return feed_.stats().balance();
    }

  private:
    [[nodiscard]] replay::ServersConfig servers_config() const {
        replay::ServersConfig config;
        config.session = kSession;
        config.retransmit = retransmit_;
        config.snapshot = glimpse_;
        return config;
    }
    [[nodiscard]] FeedConfig feed_config(const Setting& setting) const {
        FeedConfig config;
        config.name = "f";
        config.venue = venues::NasdaqItch50::kId;
        config.lines = {{"A", {groups_.group(0)}, "lo", {}, {}, {}},
                        {"B", {groups_.group(1)}, "127.0.0.1", {}, {}, {}}};
        config.receive.backend = setting.backend;
        config.receive.mode = setting.mode;
        config.receive.idle = Idle::wait;
        config.receive.buffers = 64;
        config.receive.queue = 64;
        config.receive.huge_pages = false;
        config.recovery.retransmit = {retransmit_};
        config.recovery.snapshot = {glimpse_};
        config.session.limits = {8, 100, 100};
        config.session.reorder_window_ns = 1'000'000;
        config.session.recovery.gap_messages_max = 3;
        config.session.recovery.answer_timeout_ns = 10'000'000;
        config.session.recovery.attempts = 1;
        config.session.recovery.snapshot_timeout_ns = 50'000'000;
        config.session.recovery.snapshot_retry_ns = 5'000'000;
        config.session.recovery.snapshot_retry_max_ns = 10'000'000;
        return config;
    }
    // Sends what has not come of the messages up to `to`, again and again, until it has or some time is over.
    void play(SequenceNumber to) {
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(300);
        const auto done = [&] {
            feed_.poll();
            return to == kMessages ? complete() : feed_.session().arbiter().next_expected() > to;
        };
        while (std::chrono::steady_clock::now() < deadline) {
            for (SequenceNumber n = feed_.session().arbiter().next_expected(); n <= to; ++n) {
                if (!is_lost(n)) sender_.send(lines_[n % 2], packets_[n - 1]);
            }
            if (to == kMessages) sender_.send(lines_[0], heartbeat_);
            for (int looks = 0; looks < 20; ++looks) {
                if (done()) return;
                feed_.idle();
            }
        }
    }

    SomeGroups groups_;
    GroupConfig lines_[2] = {groups_.group(0), groups_.group(1)};
    GroupConfig retransmit_{"127.0.0.1", groups_.group(0).port};
    GroupConfig glimpse_ = retransmit_;
    replay::SimulatedServers servers_;
    LoopbackSender sender_;
    std::vector<std::vector<std::uint8_t>> packets_;  // made before anything fails: what fails is not the test
    std::vector<std::uint8_t> heartbeat_ = packet(kMessages + 1, {}, kSession);
    NullHandler handler_;
    Feed feed_;
};

// One failure, and the attempt after it. True where so many events came that one failed.
bool survives(const Setting& setting, std::uint64_t nth) {
    Stage stage(setting);
    std::string error;
    for (const auto& [phase, to] : {std::pair{Phase::start_up, SequenceNumber{0}}, std::pair{Phase::live, kWhole},
                                   std::pair{Phase::recovery, kMessages}}) {
        arm(setting.what, setting.phase == phase ? nth : kNever);
        error = stage.attempt(to);
        if (setting.phase == phase) break;
    }
    const bool failed = disarm();
    CAPTURE(nth, error);
    CHECK((failed || error.empty()));
    // By then no failure is left: whatever was given up is made good.
    bool complete = false;
    const bool recovered = eventually([&] {
        const std::string again = stage.attempt(kMessages);
        CHECK(again == "");
        complete = again.empty() && stage.complete();
        return complete || !again.empty();
    });
    CHECK((recovered && complete));
    CHECK(stage.stop() == 0);
    return failed;
}

void sweep(Backend backend, Failing what, std::uint64_t most) {
    const auto phase = GENERATE(Phase::start_up, Phase::live, Phase::recovery);
    const auto mode = GENERATE(ReceiveMode::threads, ReceiveMode::run_to_completion);
    if (backend == Backend::io_uring && !net::io_uring_refusal().empty()) {
        WARN("skipped: this host refuses io_uring");
        return;
    }
    CAPTURE(name(phase), name(mode), name(backend), name(what));
    const Setting setting{phase, mode, backend, what};
    survives(setting, kNever);  // whatever is made once in a process is made now
    const Holdings before = holdings();
    for (std::uint64_t nth = 1; nth <= most && survives(setting, nth); ++nth) {
        const Holdings now = holdings();  // before CAPTURE, which holds memory too
        CAPTURE(nth);
        REQUIRE(now.descriptors == before.descriptors);
        REQUIRE(now.mapped_bytes == before.mapped_bytes);
        REQUIRE(now.allocations == before.allocations);
    }
}

}  // namespace

TEST_CASE("failures: each of the first 200 is survived, leaks nothing, and the next attempt works", "[no-sanitizer]") {
    sweep(Backend::recvmmsg, GENERATE(Failing::call, Failing::allocation), kFirst);
}

TEST_CASE("failures: so is each of the first 200 with io_uring, completions too", "[no-sanitizer]") {
    sweep(Backend::io_uring, GENERATE(Failing::call, Failing::completion, Failing::allocation), kFirst);
}

TEST_CASE("failures: every one is survived, leaks nothing, and the next attempt works", "[.][long][no-sanitizer]") {
    sweep(Backend::recvmmsg, GENERATE(Failing::call, Failing::allocation), 5'000);
}

TEST_CASE("failures: so is every one with io_uring, completions too", "[.][long][no-sanitizer]") {
    sweep(Backend::io_uring, GENERATE(Failing::call, Failing::completion, Failing::allocation), 5'000);
}
