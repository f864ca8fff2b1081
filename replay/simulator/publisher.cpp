#include "millrace/replay/simulator/publisher.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>

#include <fmt/format.h>

#include "millrace/core/clock.hpp"
#include "millrace/core/error.hpp"

namespace millrace::replay {

namespace {

// A silence of the market longer than this is cut short.
constexpr Nanoseconds kSilenceMax = 100'000'000;
// Sleeping is not worth it for less; the simulator never spins, since the receiver needs the CPUs.
constexpr Nanoseconds kNapMin = 50'000;
// Packets of a line handed to the kernel at once when there is no pace to keep.
constexpr std::size_t kBatch = 16;

template <class T>
int set(const net::Socket& socket, int level, int option, const T& setting) {
    return setsockopt(socket.fd(), level, option, &setting, sizeof(setting));
}

int aim(const net::Socket& socket, const Endpoint& to, const net::Interface& interface) {
    constexpr int kOwnNetworkOnly = 1;
    if (to.is_v6) {
        sockaddr_in6 address{};
        address.sin6_family = AF_INET6;
        address.sin6_port = htons(to.port);
        address.sin6_scope_id = interface.index;
        std::memcpy(&address.sin6_addr, to.address.data(), 16);
        if (set(socket, IPPROTO_IPV6, IPV6_MULTICAST_IF, static_cast<int>(interface.index)) != 0 ||
            set(socket, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, kOwnNetworkOnly) != 0) {
            return -1;
        }
        return connect(socket.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(to.port);
    std::memcpy(&address.sin_addr, to.address.data(), 4);
    ip_mreqn from{};
    from.imr_ifindex = static_cast<int>(interface.index);
    if (set(socket, IPPROTO_IP, IP_MULTICAST_IF, from) != 0 ||
        set(socket, IPPROTO_IP, IP_MULTICAST_TTL, kOwnNetworkOnly) != 0) {
        return -1;
    }
    return connect(socket.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
}

net::Socket open_sender(const Endpoint& to, const net::Interface& interface) {
    const std::string what = fmt::format("send to {} on {}", to.text(), interface.name);
    net::Socket socket(::socket(to.is_v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (socket.fd() < 0) {
        throw_errno(ExitCode::resource, what, errno, "raise the limit on open files");
    }
    if (aim(socket, to, interface) != 0) {
        throw_errno(ExitCode::interface, what, errno, "choose another group or interface");
    }
    return socket;
}

void nap(Nanoseconds length) {
    const timespec time{0, static_cast<long>(length)};
    nanosleep(&time, nullptr);
}

}  // namespace

Publisher::Publisher(const std::vector<Endpoint>& destinations, const std::string& interface,
                     double time_scale)
    : pace_(time_scale) {
    const net::Interface found = net::find_interface(interface);
    for (const Endpoint& to : destinations) {
        Line line;
        line.socket = open_sender(to, found);
        line.packets.resize(pace_.waits() ? 1 : kBatch);
        lines_.push_back(std::move(line));
    }
}

// What is due is reckoned from the first packet on, so that lateness does not add up.
bool MarketPace::wait_until_due(Timestamp time, const KeepOn& keep_on) {
    if (!waits()) return true;
    if (last_time_ == 0) {
        due_ = static_cast<double>(MonotonicClock::now());
    } else if (time > last_time_) {
        due_ += static_cast<double>(std::min(time - last_time_, kSilenceMax)) / time_scale_;
    }
    last_time_ = std::max(last_time_, time);
    for (;;) {
        const Nanoseconds early = static_cast<Timestamp>(due_) - MonotonicClock::now();
        latest_ = std::max(latest_, -early);
        if (early < kNapMin) return true;
        if (!keep_on()) return false;
        nap(std::min(early, kSilenceMax));
    }
}

bool Publisher::send(const SimulatedPacket& packet, const KeepOn& keep_on) {
    if (!pace_.wait_until_due(packet.time, keep_on)) return false;
    Line& line = lines_[packet.line];
    line.packets[line.waiting++] = packet.bytes;
    return line.waiting < line.packets.size() || flush(line, keep_on);
}

bool Publisher::flush(const KeepOn& keep_on) {
    bool all = true;
    for (Line& line : lines_) all = all && flush(line, keep_on);
    return all;
}

bool Publisher::flush(Line& line, const KeepOn& keep_on) {
    std::array<iovec, kBatch> pieces{};
    std::array<mmsghdr, kBatch> messages{};
    const std::size_t waiting = std::exchange(line.waiting, 0);
    for (std::size_t i = 0; i < waiting; ++i) {
        pieces[i] = {line.packets[i].data(), line.packets[i].size()};
        messages[i].msg_hdr.msg_iov = &pieces[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    std::size_t done = 0;
    while (done < waiting) {
        const auto left = static_cast<unsigned>(waiting - done);
        const int sent = sendmmsg(line.socket.fd(), &messages[done], left, 0);
        if (sent > 0) {
            done += static_cast<std::size_t>(sent);
            sent_ += static_cast<std::uint64_t>(sent);
            continue;
        }
        // An address where nobody listens answers ECONNREFUSED now and then, and the answer takes
        // the place of a send: that packet is tried again.
        const int problem = errno;
        if (problem != ECONNREFUSED && problem != ENOBUFS && problem != EAGAIN &&
            problem != EINTR) {
            throw_errno(ExitCode::interface, "send", problem, "check that the interface is up");
        }
        if (!keep_on()) return false;
        if (problem == ECONNREFUSED) continue;
        ++retried_;
        nap(1'000'000);
    }
    return true;
}

}  // namespace millrace::replay
