// How long after the kernel's receipt of a datagram the handler sees its book, over loopback, beside a bare
// recvmsg that spins and reads the clock. A worse ratio means that Millrace's own share, receiving through its
// backend, arbitrating, decoding and building, has grown; the kernel's share is in both.
//
// The value is the median of one run; stderr has the percentiles. Receiver and sender are pinned where there
// are two CPUs; on a machine that does other work the figures say more about that work.
#include <sys/socket.h>

#include <atomic>
#include <optional>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "bench/claims.hpp"
#include "millrace/core/clock.hpp"
#include "millrace/core/cpu.hpp"
#include "millrace/core/histogram.hpp"
#include "millrace/feed/feed.hpp"
#include "millrace/feed/framing/moldudp64.hpp"
#include "millrace/feed/venues/nasdaq_itch50/messages.hpp"
#include "tests/support/multicast.hpp"

namespace millrace::bench {
namespace {

using venues::itch50::AddOrder;
using venues::itch50::OrderDelete;
using venues::itch50::StockDirectory;

constexpr std::uint64_t kPackets = 10'000;  // of the measured part; as many again warm up
constexpr std::uint16_t kSymbols = 50;
constexpr Nanoseconds kPatience = 30'000'000'000;

template <class M>
M message(std::uint16_t locate) {
    M m{};
    m.message_type.set(M::kType);
    m.stock_locate.set(locate);
    if constexpr (requires { m.stock; }) m.stock.set(fmt::format("S{}", locate));
    return m;
}

// Packets of one message each: the directory, then orders that come and, a hundred orders later, go.
std::vector<std::vector<std::uint8_t>> traffic() {
    std::vector<std::vector<std::uint8_t>> packets;
    std::vector<std::uint8_t> buffer(1'400);
    MoldUdp64PacketBuilder builder(buffer, "WIRE");
    const auto send = [&](const auto& m) {
        builder.begin(packets.size() + 1);
        MILLRACE_VERIFY(builder.append(wire::bytes_of(m)));
        const auto packet = builder.finish();
        packets.emplace_back(packet.begin(), packet.end());
    };
    for (std::uint16_t locate = 1; locate <= kSymbols; ++locate) send(message<StockDirectory>(locate));
    for (std::uint64_t reference = 1; packets.size() < kSymbols + 2 * kPackets; ++reference) {
        auto add = message<AddOrder>(static_cast<std::uint16_t>(1 + reference % kSymbols));
        add.order_reference.set(reference);
        add.side.set(reference % 2 == 0 ? 'B' : 'S');
        add.shares.set(100);
        add.price.set(static_cast<std::uint32_t>(reference % 2 == 0 ? 1'000'000 : 1'000'100) +
                      static_cast<std::uint32_t>(reference % 7) * 100);
        send(add);
        if (reference <= 100) continue;
        auto gone = message<OrderDelete>(static_cast<std::uint16_t>(1 + (reference - 100) % kSymbols));
        gone.order_reference.set(reference - 100);
        send(gone);
    }
    return packets;
}

// What one run saw: only packets behind the warm-up are recorded.
struct Seen {
    Histogram latency;
    std::uint64_t packets = 0;
    void on_packet(Timestamp received_at) {
        if (++packets > kSymbols + kPackets) latency.record(SystemClock::now() - received_at);
    }
};

struct Strategy : NullHandler {
    Seen& seen;
    explicit Strategy(Seen& s) : seen(s) {}
    void on_book(const OrderBook&, const BookUpdate& update) { seen.on_packet(update.received_at); }
};

// Sends at `rate` packets a second from a thread of its own while `poll` is called, until all have been seen.
template <class Poll>
bool run(Seen& seen, const GroupConfig& group, double rate, Poll&& poll) {
    const auto packets = traffic();
    const std::vector<int> cpus = available_cpus();
    const bool pin = cpus.size() > 1;
    std::atomic<bool> over{false};   // this thread writes, the sender reads
    std::atomic<bool> ready{false};  // the receiver writes, the sender reads: what is sent will be received
    std::thread sender = start_thread("sender", pin ? cpus.front() : kNotPinned, [&] {
        const test::LoopbackSender socket;
        while (!ready.load(std::memory_order_acquire)) std::this_thread::yield();  // pairs with the release below
        double due = static_cast<double>(MonotonicClock::now());
        for (const auto& packet : packets) {
            while (static_cast<double>(MonotonicClock::now()) < due && !over.load(std::memory_order_relaxed)) {
            }
            socket.send(group, packet);
            due += 1e9 / rate;
        }
    });
    std::thread receiver = start_thread("receiver", pin ? cpus.back() : kNotPinned, [&] {
        const Timestamp deadline = MonotonicClock::now() + kPatience;
        poll();
        ready.store(true, std::memory_order_release);  // whatever opened its sockets in that first poll has
        while (seen.packets < packets.size() && MonotonicClock::now() < deadline) poll();
    });
    receiver.join();
    over.store(true, std::memory_order_relaxed);
    sender.join();
    return seen.packets == packets.size();
}

void conclude(benchmark::State& state, const Seen& seen, bool all, const std::string& what) {
    if (!all) state.SkipWithError("not every packet arrived");
    const auto us = [&](double percent) { return static_cast<double>(seen.latency.percentile(percent)) / 1e3; };
    fmt::print(stderr, "    {}: p50 {:.1f} p99 {:.1f} p99.9 {:.1f} max {:.1f} us of {}\n", what, us(50), us(99),
               us(99.9), static_cast<double>(seen.latency.max()) / 1e3, seen.latency.total());
    report(state, us(50));
}

[[nodiscard]] LineConfig line_of(const GroupConfig& group) {
    LineConfig line;
    line.name = "A";
    line.groups = {group};
    line.interface = "lo";
    return line;
}

template <Backend kBackend, int kRate>
void wire_to_book(benchmark::State& state) {
    for (auto _ : state) {
        const test::SomeGroups groups;
        FeedConfig config;
        config.name = "bench";
        config.lines = {line_of(groups.group(0))};
        config.receive.backend = kBackend;
        config.receive.mode = ReceiveMode::run_to_completion;
        config.receive.idle = Idle::spin;
        config.session.limits = {kSymbols, 10'000, 10'000};
        Seen seen;
        Strategy strategy(seen);
        // Made on the thread that polls, which io_uring wants.
        std::optional<FeedHandler<venues::NasdaqItch50, Strategy>> feed;
        const bool all = run(seen, groups.group(0), kRate, [&] {
            if (!feed) {
                feed.emplace(config, strategy);
                feed->start();
                seen.packets += kSymbols;  // the directory changes no book
            }
            static_cast<void>(feed->poll());
        });
        conclude(state, seen, all, fmt::format("{}, {}/s", name(kBackend), kRate));
    }
}

// A socket, a loop around recvmsg, and the clock.
template <int kRate>
void bare_recv(benchmark::State& state) {
    for (auto _ : state) {
        const test::SomeGroups groups;
        const net::LineSockets line = net::open_line(line_of(groups.group(0)), std::size_t{8} << 20);
        Seen seen;
        alignas(8) char control[128];
        char bytes[2048];
        iovec part{bytes, sizeof(bytes)};
        const bool all = run(seen, groups.group(0), kRate, [&] {
            msghdr header{nullptr, 0, &part, 1, control, sizeof(control), 0};
            if (recvmsg(line.sockets[0].fd(), &header, MSG_DONTWAIT) < 0) return;
            net::ControlMessages read;
            for (cmsghdr* at = CMSG_FIRSTHDR(&header); at != nullptr; at = CMSG_NXTHDR(&header, at)) read.read(*at);
            seen.on_packet(read.received_at);
        });
        conclude(state, seen, all, fmt::format("bare recvmsg, {}/s", kRate));
    }
}

std::string no_io_uring() { return net::io_uring_refusal(); }
std::string no_af_packet() { return net::af_packet_refusal(); }

const Registered kUring10{{"wire to book: io_uring, 10,000 packets/s", "us p50", 1.15,
                           wire_to_book<Backend::io_uring, 10'000>, bare_recv<10'000>, 0, true, 9, no_io_uring}};
const Registered kUring50{{"wire to book: io_uring, 50,000 packets/s", "us p50", 1.35,
                           wire_to_book<Backend::io_uring, 50'000>, bare_recv<50'000>, 0, false, 9, no_io_uring}};
const Registered kRecvmmsg10{{"wire to book: recvmmsg, 10,000 packets/s", "us p50", 1.15,
                              wire_to_book<Backend::recvmmsg, 10'000>, bare_recv<10'000>, 0, false, 9, nullptr}};
const Registered kPacket10{{"wire to book: af_packet, 10,000 packets/s", "us p50", 0.95,
                            wire_to_book<Backend::af_packet, 10'000>, bare_recv<10'000>, 0, false, 9, no_af_packet}};

}  // namespace
}  // namespace millrace::bench
