// All backends on loopback: what arrives is handed over whole, and each way of losing a datagram is
// counted under its own name and no other.
#include "millrace/feed/net/receiver.hpp"

#include <algorithm>
#include <set>
#include <thread>

#include "millrace/core/clock.hpp"
#include "millrace/feed/net/receiver_thread.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/multicast.hpp"

using namespace millrace;
using namespace millrace::net;
using millrace::test::eventually;
using millrace::test::LoopbackSender;
using millrace::test::SomeGroups;

namespace {

bool host_has(Backend backend) {
    const std::string refusal = backend == Backend::io_uring    ? io_uring_refusal()
                                : backend == Backend::af_packet ? af_packet_refusal()
                                                                : "";
    if (!refusal.empty()) WARN("skipped: this host refuses " << name(backend));
    return refusal.empty();
}

ReceiveConfig small() {
    ReceiveConfig config;
    config.buffers = 64;
    config.buffer_bytes = 512;
    config.socket_buffer_bytes = std::size_t{1} << 18;
    config.queue = 64;
    config.huge_pages = false;
    return config;
}

LineConfig line_of(std::vector<GroupConfig> groups, const std::string& interface = "lo") {
    return {"A", std::move(groups), interface, {}, {}, {}};
}

// A receiver of one or more lines that keeps the text of what it is handed.
class Listener {
  public:
    Listener(Backend backend, const std::vector<LineConfig>& of, const ReceiveConfig& config)
        : receiver_(of, 0, of.size(), config, backend) {
        receiver_.start();
    }

    std::size_t poll() {
        return receiver_.poll([this](const Received& received) {
            receiver_.for_each_datagram(received, [&](std::span<const std::uint8_t> bytes) {
                texts.emplace_back(bytes.begin(), bytes.end());
                lines.push_back(received.line);
                times.push_back(received.received_at);
            });
            if (keep) kept_.push_back(received.buffer);
            else receiver_.release(received.buffer);
        });
    }
    void give_back() {
        for (const std::uint32_t buffer : kept_) receiver_.release(buffer);
        kept_.clear();
        keep = false;
    }
    // Polls until so many datagrams were handed over.
    [[nodiscard]] bool wait_for(std::size_t count) {
        return eventually([&] {
            poll();
            return texts.size() >= count;
        });
    }
    [[nodiscard]] std::uint64_t count(ReceiveCounter counter, LineId line = 0) {
        return receiver_.counters(line)[counter];
    }
    // Whether nothing but `but` was counted of what a receiver hopes never to count.
    [[nodiscard]] bool no_losses_but(ReceiveCounter but) {
        for (const auto counter : {ReceiveCounter::truncated, ReceiveCounter::queue_full, ReceiveCounter::kernel_drops,
                                   ReceiveCounter::no_buffers, ReceiveCounter::socket_errors}) {
            if (counter != but && count(counter) != 0) return false;
        }
        return true;
    }

    std::vector<std::string> texts;
    std::vector<LineId> lines;
    std::vector<Timestamp> times;
    bool keep = false;  // the buffers of what is handed over

  private:
    Receiver receiver_;
    std::vector<std::uint32_t> kept_;
};

// Something for ReceiveCounter arguments that means none of them.
constexpr ReceiveCounter kNone = ReceiveCounter::received;

}  // namespace

TEST_CASE("Receiver: datagrams arrive whole, in order, with the kernel's time, on the line they were sent to") {
    const Backend backend = GENERATE(Backend::recvmmsg, Backend::io_uring, Backend::af_packet);
    CAPTURE(name(backend));
    if (!host_has(backend)) return;
    const SomeGroups groups;
    Listener listener(backend, {line_of({groups.group(0)}, "lo"), line_of({groups.group(1)}, "127.0.0.1")}, small());
    const LoopbackSender sender;
    const Timestamp before = SystemClock::now();
    for (int i = 0; i < 300; ++i) {
        sender.send(groups.group(i % 2), std::to_string(i) + std::string(static_cast<std::size_t>(i), '.'));
        REQUIRE(listener.wait_for(static_cast<std::size_t>(i) + 1));
    }
    for (std::size_t i = 0; i < 300; ++i) {
        REQUIRE(listener.texts[i] == std::to_string(i) + std::string(i, '.'));
        REQUIRE(listener.lines[i] == i % 2);
        REQUIRE(listener.times[i] >= before);
        REQUIRE(listener.times[i] <= SystemClock::now());
    }
    CHECK(listener.count(ReceiveCounter::received, 0) == 150);
    CHECK(listener.count(ReceiveCounter::received, 1) == 150);
    CHECK(listener.no_losses_but(kNone));
}

TEST_CASE("Receiver: datagrams that the kernel has put together are taken apart, and counted each") {
    const Backend backend = GENERATE(Backend::recvmmsg, Backend::io_uring);
    CAPTURE(name(backend));
    if (!host_has(backend)) return;
    const SomeGroups groups;
    ReceiveConfig config = small();
    config.gro = true;
    Listener listener(backend, {line_of({groups.group(0)})}, config);
    const LoopbackSender sender;
    sender.send(groups.group(0), "alone");
    sender.send_together(groups.group(0), std::string(100, 'a') + std::string(100, 'b') + std::string(30, 'c'), 100);
    sender.send_together(groups.group(0), std::string(100, 'd') + std::string(100, 'e'), 100);
    sender.send(groups.group(0), std::string(5'000, 'f'));
    sender.send(groups.group(0), "");
    REQUIRE(listener.wait_for(8));
    CHECK(listener.texts == std::vector<std::string>{"alone", std::string(100, 'a'), std::string(100, 'b'),
                                                     std::string(30, 'c'), std::string(100, 'd'), std::string(100, 'e'),
                                                     std::string(5'000, 'f'), ""});
    CHECK(listener.count(ReceiveCounter::received) == 8);
    CHECK(listener.count(ReceiveCounter::bytes) == 5 + 230 + 200 + 5'000);
    CHECK(listener.no_losses_but(kNone));
}

TEST_CASE("Receiver: a datagram longer than a buffer is counted as truncated and not handed over") {
    const Backend backend = GENERATE(Backend::recvmmsg, Backend::io_uring, Backend::af_packet);
    CAPTURE(name(backend));
    if (!host_has(backend)) return;
    const SomeGroups groups;
    Listener listener(backend, {line_of({groups.group(0)})}, small());
    const LoopbackSender sender;
    sender.send(groups.group(0), std::string(512, 'a'));
    sender.send(groups.group(0), std::string(5000, 'b'));
    sender.send(groups.group(0), "after");
    REQUIRE(listener.wait_for(2));
    CHECK(listener.texts == std::vector<std::string>{std::string(512, 'a'), "after"});
    CHECK(listener.count(ReceiveCounter::truncated) == 1);
    CHECK(listener.count(ReceiveCounter::received) == 3);
    CHECK(listener.no_losses_but(ReceiveCounter::truncated));
}

TEST_CASE("Receiver: datagrams of no bytes silence nobody") {
    const Backend backend = GENERATE(Backend::recvmmsg, Backend::io_uring, Backend::af_packet);
    CAPTURE(name(backend));
    if (!host_has(backend)) return;
    const SomeGroups groups;
    ReceiveConfig config = small();
    config.buffers = 128;  // which is all that af_packet has
    Listener listener(backend, {line_of({groups.group(0)})}, config);
    const LoopbackSender sender;
    for (int round = 0; round < 50; ++round) {
        sender.send(groups.group(0), "");
        if (round % 2 == 0) sender.send(groups.group(0), "");
        sender.send(groups.group(0), "x");
    }
    REQUIRE(listener.wait_for(125));
    CHECK(std::count(listener.texts.begin(), listener.texts.end(), "x") == 50);
    CHECK(std::count(listener.texts.begin(), listener.texts.end(), "") == 75);
    CHECK(listener.no_losses_but(kNone));
}

TEST_CASE("Receiver: what the kernel drops is counted, to the datagram, with the next one that arrives") {
    const Backend backend = GENERATE(Backend::recvmmsg, Backend::io_uring, Backend::af_packet);
    CAPTURE(name(backend));
    if (!host_has(backend)) return;
    const SomeGroups groups;
    ReceiveConfig config = small();
    config.socket_buffer_bytes = 4096;
    config.buffers = 16;  // which is all that af_packet has
    Listener listener(backend, {line_of({groups.group(0)})}, config);
    const LoopbackSender sender;
    std::uint64_t sent = 0;
    for (int round = 0; round < 3; ++round) {
        for (int i = 0; i < 500; ++i) sender.send(groups.group(0), std::string(400, 'x'));
        while (listener.poll() > 0) {
        }
        sent += 501;
        sender.send(groups.group(0), "the next one");
        REQUIRE(eventually([&] {
            listener.poll();
            return listener.texts.back() == "the next one";
        }));
        CHECK(listener.count(ReceiveCounter::kernel_drops) + listener.count(ReceiveCounter::received) == sent);
        CHECK(listener.count(ReceiveCounter::kernel_drops) > 0);
        listener.texts.emplace_back();
    }
    CHECK(listener.no_losses_but(ReceiveCounter::kernel_drops));
}

TEST_CASE("Receiver: without a free buffer reception pauses, says so, and goes on when one comes back") {
    const Backend backend = GENERATE(Backend::recvmmsg, Backend::io_uring);
    CAPTURE(name(backend));
    if (!host_has(backend)) return;
    const SomeGroups groups;
    ReceiveConfig config = small();
    config.buffers = 4;
    Listener listener(backend, {line_of({groups.group(0)})}, config);
    listener.keep = true;
    const LoopbackSender sender;
    for (int i = 0; i < 10; ++i) sender.send(groups.group(0), std::to_string(i));
    REQUIRE(listener.wait_for(4));
    REQUIRE(eventually([&] {
        listener.poll();
        return listener.count(ReceiveCounter::no_buffers) > 0;
    }));
    CHECK(listener.texts.size() == 4);
    listener.give_back();
    REQUIRE(listener.wait_for(10));
    CHECK(listener.texts == std::vector<std::string>{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"});
    CHECK(listener.no_losses_but(ReceiveCounter::no_buffers));
}

TEST_CASE("ReceiverThread: what finds the queue to the decoder full is counted, and its buffer used again") {
    const Backend backend = GENERATE(Backend::recvmmsg, Backend::io_uring, Backend::af_packet);
    CAPTURE(name(backend));
    if (!host_has(backend)) return;
    const SomeGroups groups;
    ReceiveConfig config = small();
    config.buffers = backend == Backend::af_packet ? 128 : 16;  // with frames nothing waits elsewhere
    config.queue = 8;
    ReceiverThread thread(line_of({groups.group(0)}), 0, 1, config, backend, kNotPinned, Idle::yield);
    const LoopbackSender sender;
    for (int i = 0; i < 100; ++i) sender.send(groups.group(0), std::to_string(i));
    REQUIRE(eventually([&] {
        std::this_thread::yield();
        return thread.counters()[ReceiveCounter::received] == 100;
    }));
    const ReceiveCounters counters = thread.counters();
    CHECK(counters[ReceiveCounter::handed_over] == 8);
    CHECK(counters[ReceiveCounter::queue_full] == 92);
    CHECK(counters[ReceiveCounter::kernel_drops] == 0);
    CHECK(counters[ReceiveCounter::truncated] == 0);
    Received taken[16];
    REQUIRE(thread.take(taken, 16) == 8);
    for (std::size_t i = 0; i < 8; ++i) {
        const auto bytes = thread.bytes(taken[i]);
        CHECK(std::string(bytes.begin(), bytes.end()) == std::to_string(i));
    }
}

TEST_CASE("Receiver: a line may have more groups than one socket can join") {
    const Backend backend = GENERATE(Backend::recvmmsg, Backend::io_uring, Backend::af_packet);
    CAPTURE(name(backend));
    if (!host_has(backend)) return;
    const SomeGroups groups;
    std::vector<GroupConfig> all;
    for (int i = 0; i < 45; ++i) all.push_back(groups.group(i));
    Listener listener(backend, {line_of(all)}, small());
    const LoopbackSender sender;
    for (int i = 0; i < 45; ++i) sender.send(all[static_cast<std::size_t>(i)], std::to_string(i));
    REQUIRE(listener.wait_for(45));
    CHECK(std::set<std::string>(listener.texts.begin(), listener.texts.end()).size() == 45);
    while (listener.poll() > 0) {
    }
    CHECK(listener.texts.size() == 45);
}

TEST_CASE("Receiver: a group that another socket of this host joined is not received") {
    const Backend backend = GENERATE(Backend::recvmmsg, Backend::io_uring, Backend::af_packet);
    CAPTURE(name(backend));
    if (!host_has(backend)) return;
    const SomeGroups groups;
    Listener one(backend, {line_of({groups.group(0)})}, small());
    Listener two(backend, {line_of({groups.group(1)})}, small());
    const LoopbackSender sender;
    sender.send(groups.group(0), "for one");
    sender.send(groups.group(1), "for two");
    REQUIRE(one.wait_for(1));
    REQUIRE(two.wait_for(1));
    one.poll();
    two.poll();
    CHECK(one.texts == std::vector<std::string>{"for one"});
    CHECK(two.texts == std::vector<std::string>{"for two"});
}

TEST_CASE("find_interface: by name and by address; a wrong one is refused with those there are") {
    CHECK(find_interface("lo").index == find_interface("127.0.0.1").index);
    CHECK(find_interface("127.0.0.1").name == "lo");
    for (const char* wrong : {"nosuch0", "203.0.113.77", "", "lo\n"}) {
        CAPTURE(wrong);
        try {
            static_cast<void>(find_interface(wrong));
            FAIL("found");
        } catch (const Error& error) {
            CHECK(error.code() == ExitCode::interface);
            CHECK(std::string(error.what()).find("lo") != std::string::npos);
        }
    }
}

TEST_CASE("Receiver: IPv6 groups, where the host has IPv6") {
    const Backend backend = GENERATE(Backend::recvmmsg, Backend::io_uring, Backend::af_packet);
    CAPTURE(name(backend));
    if (!host_has(backend)) return;
    const SomeGroups groups;
    const GroupConfig group{"ff05::7:7", groups.group(0).port};
    const net::Socket socket(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const int index = static_cast<int>(if_nametoindex("lo"));
    sockaddr_in6 to{};
    to.sin6_family = AF_INET6;
    to.sin6_port = htons(group.port);
    inet_pton(AF_INET6, group.address.c_str(), &to.sin6_addr);
    setsockopt(socket.fd(), IPPROTO_IPV6, IPV6_MULTICAST_IF, &index, sizeof(index));
    if (sendto(socket.fd(), "?", 1, 0, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) != 1) {
        WARN("skipped: this host has no IPv6 on loopback");
        return;
    }
    Listener listener(backend, {line_of({group})}, small());
    REQUIRE(sendto(socket.fd(), "six", 3, 0, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 3);
    REQUIRE(listener.wait_for(1));
    CHECK(listener.texts.front() == "six");
}
