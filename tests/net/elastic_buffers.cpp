// Receive buffers that follow the rate: what the policy wants, and that buffers granted and taken back are used, and
// no longer used, by both backends.
#include "millrace/feed/net/elastic_buffers.hpp"

#include <algorithm>
#include <map>

#include "millrace/feed/net/receiver.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/multicast.hpp"

using namespace millrace;
using namespace millrace::net;
using millrace::test::eventually;
using millrace::test::LoopbackSender;
using millrace::test::SomeGroups;

namespace {

constexpr Nanoseconds kLook = 10'000'000;
constexpr Nanoseconds kShrinkAfter = 60'000'000'000;
constexpr std::uint32_t kLeast = 1'000;
constexpr std::uint32_t kMost = 32'000;

// A line as the policy sees it: so many datagrams between two looks, and what the policy wants is granted at once.
struct Line {
    BufferPolicy policy{kLeast, kMost, kShrinkAfter};
    BufferPolicy::Sample sample{1, 0, 0, kLeast};

    std::uint32_t look(std::uint64_t datagrams, std::uint32_t in_use = 0) {
        sample.now += kLook;
        sample.received += datagrams;
        sample.peak_in_use = in_use;
        sample.buffers = policy.wanted(sample);
        return sample.buffers;
    }
    std::uint32_t look_for(Nanoseconds time, std::uint64_t datagrams) {
        for (Nanoseconds t = 0; t < time; t += kLook) look(datagrams);
        return sample.buffers;
    }
};

}  // namespace

TEST_CASE("BufferPolicy: twice what the highest rate brings in a stall is provided for, and never less than at first") {
    Line line;
    CHECK(line.look(0) == kLeast);
    CHECK(line.look(50) == kLeast);      // 5,000/s: 500
    CHECK(line.look(500) == 5'000);      // 50,000/s for 50 ms, twice
    CHECK(line.look(100) == 5'000);      // not fewer because it pauses
    CHECK_FALSE(line.policy.at_cap());
    CHECK(line.look(5'000) == kMost);    // 50,000 would be wanted
    CHECK(line.policy.at_cap());
}

TEST_CASE("BufferPolicy: buffers that are more than half in use are doubled, whatever the rate") {
    Line line;
    CHECK(line.look(1, 500) == kLeast);
    CHECK(line.look(1, 501) == 2'000);
    CHECK(line.look(1, 1'001) == 4'000);
    CHECK(line.look(1, 2'000) == 4'000);
}

TEST_CASE("BufferPolicy: half is given back after a minute of needing less than a quarter; a busy moment puts it off") {
    Line line;
    line.look(1);
    REQUIRE(line.look(1'000) == 10'000);
    CHECK(line.look_for(kShrinkAfter - kLook, 1) == 10'000);
    line.look(1, 2'501);
    CHECK(line.look_for(kShrinkAfter - kLook, 1) == 10'000);
    CHECK(line.look(1) == 5'000);
    CHECK(line.look_for(kShrinkAfter - kLook, 1) == 5'000);
    CHECK(line.look(1) == 2'500);
    CHECK(line.look_for(10 * kShrinkAfter, 1) == kLeast);
}

namespace {

// 256 buffers of 512 + 128 bytes at the start; a chunk of 2 MiB holds 3,276, and two hold 6,553.
class ElasticLine {
  public:
    static constexpr std::uint32_t kStart = 256;
    static constexpr std::uint32_t kCap = 8'192;
    static constexpr std::uint32_t kOneChunk = 3'276;
    static constexpr std::uint32_t kTwoChunks = 6'553;

    explicit ElasticLine(Backend backend) : receiver_({line()}, 0, 1, config(), backend, {kLook, kShrinkAfter}) {
        receiver_.start();
    }

    // Sends so many and receives them; their buffers stay out.
    [[nodiscard]] bool receive(std::uint32_t datagrams) {
        const std::size_t before = kept.size();
        for (std::uint32_t i = 0; i < datagrams; i += 16) {
            for (std::uint32_t j = i; j < i + 16 && j < datagrams; ++j) sender_.send(groups_.group(0), "datagram");
            const std::size_t sent = before + std::min(i + 16, datagrams);
            if (!eventually([&] { return poll(), kept.size() == sent; })) return false;
        }
        return true;
    }
    void poll() {
        receiver_.poll([this](const Received& received) {
            twice = twice || ++out_[received.buffer] != 1;
            highest = std::max(highest, received.buffer);
            kept.push_back(received.buffer);
        });
    }
    void give_back() {
        for (const std::uint32_t buffer : kept) {
            --out_[buffer];
            receiver_.release(buffer);
        }
        kept.clear();
    }
    // The one that was received into last is the first to be used again.
    void give_back_reversed() {
        std::reverse(kept.begin(), kept.end());
        give_back();
    }
    // Until a datagram comes, for a millisecond at most.
    void sleep() { receiver_.wait(); }
    void look(Nanoseconds later = kLook) {
        now_ += later;
        receiver_.look_after_buffers(now_, count(ReceiveCounter::received));
    }
    // Polls often enough that whatever was asked for has been done.
    void settle() {
        for (int i = 0; i < 1'000; ++i) poll();
    }
    [[nodiscard]] std::uint64_t count(ReceiveCounter counter) { return receiver_.counters(0)[counter]; }

    std::vector<std::uint32_t> kept;
    std::uint32_t highest = 0;  // buffer that was handed over
    bool twice = false;         // a buffer was handed over that had not been given back

  private:
    [[nodiscard]] LineConfig line() const { return {"A", {groups_.group(0)}, "lo", {}, {}, {}}; }
    [[nodiscard]] static ReceiveConfig config() {
        ReceiveConfig config;
        config.buffers = kStart;
        config.buffers_max = kCap;
        config.buffer_bytes = 512;
        config.huge_pages = false;
        return config;
    }

    SomeGroups groups_;
    LoopbackSender sender_;
    Receiver receiver_;
    std::map<std::uint32_t, int> out_;
    Timestamp now_ = 1;
};

bool host_has(Backend backend) {
    if (backend != Backend::io_uring || io_uring_refusal().empty()) return true;
    WARN("skipped: this host refuses io_uring");
    return false;
}

}  // namespace

TEST_CASE("ElasticBuffers: buffers in use call for more, up to the cap, which is counted") {
    const Backend backend = GENERATE(Backend::recvmmsg, Backend::io_uring);
    CAPTURE(name(backend));
    if (!host_has(backend)) return;
    ElasticLine line(backend);
    CHECK(line.count(ReceiveCounter::buffers) == ElasticLine::kStart);
    line.look();
    REQUIRE(line.receive(ElasticLine::kStart));
    line.look();
    line.settle();
    CHECK(line.count(ReceiveCounter::buffers) == ElasticLine::kTwoChunks);
    CHECK(line.count(ReceiveCounter::grants) == 1);
    CHECK(line.count(ReceiveCounter::buffers_cap) == 0);
    REQUIRE(line.receive(ElasticLine::kTwoChunks - ElasticLine::kStart));
    for (int i = 0; i < 3; ++i) {
        line.look();
        line.settle();
    }
    CHECK(line.count(ReceiveCounter::buffers) == ElasticLine::kCap);
    CHECK(line.count(ReceiveCounter::grants) == 2);
    CHECK(line.count(ReceiveCounter::buffers_cap) == 1);
    REQUIRE(line.receive(ElasticLine::kCap - ElasticLine::kTwoChunks));
    CHECK(line.highest == ElasticLine::kCap - 1);
    CHECK_FALSE(line.twice);
}

TEST_CASE("ElasticBuffers: buffers are taken back once all of them are home, are not used meanwhile, and may return") {
    const Backend backend = GENERATE(Backend::recvmmsg, Backend::io_uring);
    CAPTURE(name(backend));
    if (!host_has(backend)) return;
    ElasticLine line(backend);
    line.look();
    REQUIRE(line.receive(ElasticLine::kStart));
    line.look();
    line.settle();
    const auto many = static_cast<std::uint32_t>(line.count(ReceiveCounter::buffers));
    REQUIRE(many == ElasticLine::kTwoChunks);
    REQUIRE(line.receive(many / 4));  // more than a quarter is out
    for (int i = 0; i < 3; ++i) {
        line.look(kShrinkAfter);
        line.settle();
    }
    CHECK(line.count(ReceiveCounter::retired) == 0);
    line.give_back();
    for (int i = 0; i < 3; ++i) line.look(kShrinkAfter);
    line.settle();
    REQUIRE(line.count(ReceiveCounter::retired) == 1);
    const auto few = static_cast<std::uint32_t>(line.count(ReceiveCounter::buffers));
    CHECK(few == ElasticLine::kOneChunk);
    // The kernel still has io_uring's; once around and they are home.
    for (std::uint32_t i = 0; i < 2 * many; i += 64) {
        REQUIRE(line.receive(64));
        line.give_back();
    }
    line.highest = 0;
    for (int i = 0; i < 100; ++i) {
        REQUIRE(line.receive(64));
        line.give_back();
    }
    CHECK(line.highest < few);
    CHECK(line.count(ReceiveCounter::buffers) == few);
    REQUIRE(line.receive(few));
    line.look();
    line.settle();
    CHECK(line.count(ReceiveCounter::buffers) > few);
    CHECK_FALSE(line.twice);
}

// Between two receives of single datagrams io_uring's receiver keeps a buffer of its own, and needs none of these while
// its receives stay armed.
TEST_CASE("ElasticBuffers: they are taken back from a line that sleeps whenever nothing comes") {
    if (!host_has(Backend::io_uring)) return;
    ElasticLine line(Backend::io_uring);
    line.look();
    REQUIRE(line.receive(ElasticLine::kStart));
    line.look();
    line.settle();
    // One by one they are used, until one of those is out that are to be taken back. As the first to come back it takes
    // the place of the one that was kept: that has received, as after polls that found nothing one datagram is asked for.
    do {
        line.give_back();
        line.settle();
        REQUIRE(line.receive(64));
    } while (line.kept.back() < ElasticLine::kOneChunk);
    line.give_back_reversed();
    for (int i = 0; i < 3; ++i) line.look(kShrinkAfter);
    line.settle();
    REQUIRE(line.count(ReceiveCounter::buffers) == ElasticLine::kOneChunk);
    line.sleep();
    for (std::uint32_t i = 0; i < ElasticLine::kTwoChunks + 64; i += 64) {
        REQUIRE(line.receive(64));
        line.give_back();
    }
    // Had one of them not come home, there would be no others.
    REQUIRE(line.receive(ElasticLine::kOneChunk));
    line.look();
    line.settle();
    CHECK(line.count(ReceiveCounter::buffers) > ElasticLine::kOneChunk);
    CHECK_FALSE(line.twice);
}
