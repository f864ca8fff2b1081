// What a datagram costs that waits in a socket: a full socket is drained through each backend, with its control
// messages read, its counters counted and its buffer given back, beside a bare recvmmsg. A worse ratio means that
// receiving has become more than a system call and a few loads; the kernel's share, which is most of it, is in both.
// And the same where the kernel has put 32 datagrams of one size together (UDP_GRO), beside a bare recvmsg that
// leaves them as they are: there a worse ratio means that taking them apart has become dearer.
#include <sys/socket.h>

#include <array>
#include <vector>

#include "bench/claims.hpp"
#include "millrace/feed/net/receiver.hpp"
#include "tests/support/multicast.hpp"

namespace millrace::bench {
namespace {

constexpr int kRounds = 20;
constexpr std::size_t kTogether = 32;
constexpr std::size_t kDatagrams = 96 * kTogether;  // that 4 MiB of socket buffer hold as well
constexpr std::size_t kBytes = 60;

LineConfig line_of(const GroupConfig& group) { return {"A", {group}, "lo", {}, {}, {}}; }

// Datagrams of kBytes, each by itself or kTogether at once.
template <bool kGro>
void fill(const test::LoopbackSender& sender, const GroupConfig& group) {
    static const std::string datagram(kBytes, 'x');
    static const std::string several(kTogether * kBytes, 'x');
    for (std::size_t sent = 0; sent < kDatagrams; sent += kGro ? kTogether : 1) {
        if (kGro) sender.send_together(group, several, kBytes);
        else sender.send(group, datagram);
    }
}

// Fills the socket and times `drain(datagrams)`, which returns how many it took, round after round.
template <bool kGro, class Drain>
void run(benchmark::State& state, const GroupConfig& group, Drain&& drain) {
    const test::LoopbackSender sender;
    double ns = 0;
    for (int round = 0; round < kRounds; ++round) {
        fill<kGro>(sender, group);
        const Stopwatch watch;
        const std::size_t taken = drain(kDatagrams);
        ns += watch.ns();
        if (taken != kDatagrams) return state.SkipWithError("not every datagram was there");
    }
    report(state, ns / (kRounds * kDatagrams));
}

template <Backend kBackend, bool kGro>
void through_receiver(benchmark::State& state) {
    for (auto _ : state) {
        const test::SomeGroups groups;
        ReceiveConfig config;
        config.gro = kGro;
        if (kGro) config.buffers = 512;
        net::Receiver receiver({line_of(groups.group(0))}, 0, 1, config, kBackend);
        receiver.start();
        std::uint64_t bytes = 0;
        run<kGro>(state, groups.group(0), [&](std::size_t datagrams) {
            std::size_t taken = 0;
            for (int idle = 0; taken < datagrams && idle < 1'000;) {
                const std::size_t n = receiver.poll([&](const net::Received& received) {
                    receiver.for_each_datagram(received, [&](const auto& datagram) { bytes += datagram.size(); });
                    receiver.release(received.buffer);
                });
                taken += n;
                idle = n == 0 ? idle + 1 : 0;
            }
            return taken;
        });
        if (bytes != kRounds * kDatagrams * kBytes) state.SkipWithError("bytes are missing");
    }
}

void bare(benchmark::State& state) {
    constexpr std::size_t kBatch = 32;
    for (auto _ : state) {
        const test::SomeGroups groups;
        const net::LineSockets line = net::open_line(line_of(groups.group(0)), std::size_t{8} << 20);
        std::vector<std::array<char, 2'048>> buffers(kBatch);
        std::array<std::array<char, 128>, kBatch> controls;
        std::array<iovec, kBatch> parts{};
        std::array<mmsghdr, kBatch> messages{};
        run<false>(state, groups.group(0), [&](std::size_t datagrams) {
            std::size_t taken = 0;
            while (taken < datagrams) {
                for (std::size_t i = 0; i < kBatch; ++i) {
                    parts[i] = {buffers[i].data(), buffers[i].size()};
                    messages[i].msg_hdr = {nullptr, 0, &parts[i], 1, controls[i].data(), controls[i].size(), 0};
                }
                const int n = recvmmsg(line.sockets[0].fd(), messages.data(), kBatch, MSG_DONTWAIT, nullptr);
                if (n <= 0) break;
                taken += static_cast<std::size_t>(n);
            }
            return taken;
        });
    }
}

void bare_gro(benchmark::State& state) {
    for (auto _ : state) {
        const test::SomeGroups groups;
        const net::LineSockets line = net::open_line(line_of(groups.group(0)), std::size_t{8} << 20);
        net::receive_together(line.sockets[0]);
        std::vector<char> buffer(65'536);
        alignas(8) char control[128];
        iovec part{buffer.data(), buffer.size()};
        run<true>(state, groups.group(0), [&](std::size_t datagrams) {
            std::size_t taken = 0;
            while (taken < datagrams) {
                msghdr header{nullptr, 0, &part, 1, control, sizeof(control), 0};
                const ssize_t n = recvmsg(line.sockets[0].fd(), &header, MSG_DONTWAIT);
                if (n <= 0) break;
                const auto read = net::ControlMessages::of(header);
                taken += net::datagrams_in(static_cast<std::size_t>(n), read.segment);
            }
            return taken;
        });
    }
}

std::string no_io_uring() { return net::io_uring_refusal(); }

template <Backend kBackend, bool kGro>
Claim claim(const char* name, bool quick, std::string (*missing)()) {
    return {name,  "ns/datagram", kGro ? 1.5 : 1.1, through_receiver<kBackend, kGro>, kGro ? bare_gro : bare, 0,
            quick, 9, missing};
}

const Registered kUring{claim<Backend::io_uring, false>("drain: io_uring", true, no_io_uring)};
const Registered kRecvmmsg{claim<Backend::recvmmsg, false>("drain: recvmmsg", false, nullptr)};
const Registered kUringGro{claim<Backend::io_uring, true>("drain: io_uring, UDP GRO", false, no_io_uring)};
const Registered kRecvmmsgGro{claim<Backend::recvmmsg, true>("drain: recvmmsg, UDP GRO", false, nullptr)};

}  // namespace
}  // namespace millrace::bench
