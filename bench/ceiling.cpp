// Packets sent for each that the handler saw, from a sender that goes as fast as it can over loopback, with 8 MiB of
// socket buffer: 1 is no loss. A worse figure means that receiving, decoding and building on one thread no longer keep
// up with what a core can send.
#include <atomic>
#include <thread>

#include <fmt/format.h>

#include "bench/claims.hpp"
#include "millrace/core/clock.hpp"
#include "millrace/core/cpu.hpp"
#include "millrace/feed/feed.hpp"
#include "tests/support/itch_packets.hpp"
#include "tests/support/multicast.hpp"

namespace millrace::bench {
namespace {

constexpr std::uint64_t kPackets = 200'000;

FeedConfig config_of(const GroupConfig& group, Backend backend) {
    FeedConfig config;
    config.name = "bench";
    config.lines = {{"A", {group}, "lo", {}, {}, {}}};
    config.receive.backend = backend;
    config.receive.mode = ReceiveMode::run_to_completion;
    config.receive.idle = Idle::spin;
    config.receive.socket_buffer_bytes = std::size_t{8} << 20;
    config.session.limits = {2, 1'000, 1'000};
    return config;
}

using Packets = std::vector<std::vector<std::uint8_t>>;

// Orders that come and go at once, one message a packet.
Packets make_traffic() {
    Packets packets{test::packet(1, {test::directory(1, "A")})};
    for (SequenceNumber n = 2; n <= kPackets; ++n) {
        const bool comes = n % 2 == 0;
        packets.push_back(test::packet(n, {comes ? test::add(1, n, 'B', 100, "A", 1'000) : test::remove(1, n - 1)}));
    }
    return packets;
}
const Packets& traffic() {
    static const Packets packets = make_traffic();
    return packets;
}

template <Backend kBackend>
void no_loss(benchmark::State& state) {
    for (auto _ : state) {
        const Packets& packets = traffic();
        const test::SomeGroups groups;
        NullHandler handler;
        FeedHandler<venues::NasdaqItch50, NullHandler> feed(config_of(groups.group(0), kBackend), handler);
        feed.start();
        const std::vector<int> cpus = available_cpus();
        std::atomic<Timestamp> over{0};  // the sender writes, this thread reads
        std::thread sender = start_thread("sender", cpus.size() > 1 ? cpus.front() : kNotPinned, [&] {
            const test::LoopbackSender socket;
            for (const auto& packet : packets) socket.send(groups.group(0), packet);
            over.store(MonotonicClock::now());
        });
        const Timestamp begin = MonotonicClock::now();
        std::uint64_t taken = 0;
        for (bool last = false; !last;) {
            const bool all_sent = over.load() != 0;
            const std::size_t n = feed.poll();
            taken += n;
            last = n == 0 && all_sent;
        }
        sender.join();
        feed.stop();
        const std::uint64_t drops = feed.lines()[0].received[net::ReceiveCounter::kernel_drops];
        fmt::print(stderr, "    {}: {} of {} packets, {} counted as dropped, {:.0f} packets/s\n", name(kBackend), taken,
                   kPackets, drops, 1e9 * kPackets / static_cast<double>(over.load() - begin));
        if (feed.stats().balance() != 0) state.SkipWithError("the ledger does not balance");
        else report(state, static_cast<double>(kPackets) / static_cast<double>(taken));
    }
}

std::string no_io_uring() { return net::io_uring_refusal(); }
std::string no_af_packet() { return net::af_packet_refusal(); }

const Registered kUring{{"sender's ceiling: io_uring", "sent a packet seen", 1, no_loss<Backend::io_uring>, nullptr, 1,
                         false, 3, no_io_uring}};
const Registered kRecvmmsg{{"sender's ceiling: recvmmsg", "sent a packet seen", 1, no_loss<Backend::recvmmsg>, nullptr,
                            1, false, 3, nullptr}};
const Registered kPacket{{"sender's ceiling: af_packet", "sent a packet seen", 1, no_loss<Backend::af_packet>, nullptr,
                          1, false, 3, no_af_packet}};

}  // namespace
}  // namespace millrace::bench
