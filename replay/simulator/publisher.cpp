#include "millrace/replay/simulator/publisher.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include <fmt/format.h>

#include "millrace/core/clock.hpp"
#include "millrace/core/error.hpp"

namespace millrace::replay {

namespace {

// A silence of the market longer than this is cut short.
constexpr Nanoseconds kSilenceMax = 100'000'000;
// Sleeping is not worth it for less; the simulator never spins, since the receiver needs the CPUs.
constexpr Nanoseconds kNapMin = 50'000;

net::Socket open_sender(const Endpoint& to, const net::Interface& interface) {
    const std::string what = fmt::format("send to {} on {}", to.text(), interface.name);
    net::Socket socket(::socket(to.is_v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (socket.fd() < 0) throw_errno(ExitCode::resource, what, errno, "raise the limit on open files");
    int result = 0;
    if (to.is_v6) {
        const int index = static_cast<int>(interface.index);
        result = setsockopt(socket.fd(), IPPROTO_IPV6, IPV6_MULTICAST_IF, &index, sizeof(index));
        sockaddr_in6 address{};
        address.sin6_family = AF_INET6;
        address.sin6_port = htons(to.port);
        address.sin6_scope_id = interface.index;
        std::memcpy(&address.sin6_addr, to.address.data(), 16);
        if (result == 0) result = connect(socket.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
    } else {
        ip_mreqn from{};
        from.imr_ifindex = static_cast<int>(interface.index);
        result = setsockopt(socket.fd(), IPPROTO_IP, IP_MULTICAST_IF, &from, sizeof(from));
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(to.port);
        std::memcpy(&address.sin_addr, to.address.data(), 4);
        if (result == 0) result = connect(socket.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
    }
    if (result != 0) throw_errno(ExitCode::interface, what, errno, "choose another group or interface");
    return socket;
}

}  // namespace

Publisher::Publisher(const std::vector<Endpoint>& destinations, const std::string& interface, double time_scale)
    : time_scale_(time_scale) {
    const net::Interface found = net::find_interface(interface);
    for (const Endpoint& to : destinations) sockets_.push_back(open_sender(to, found));
}

bool Publisher::send(const SimulatedPacket& packet, const std::function<bool()>& keep_on) {
    if (time_scale_ > 0) {
        if (last_time_ == 0) due_ = static_cast<double>(MonotonicClock::now());
        else if (packet.time > last_time_) {
            due_ += static_cast<double>(std::min(packet.time - last_time_, kSilenceMax)) / time_scale_;
        }
        last_time_ = std::max(last_time_, packet.time);
        for (;;) {
            const Nanoseconds early = static_cast<Timestamp>(due_) - MonotonicClock::now();
            latest_ = std::max(latest_, -early);
            if (early < kNapMin) break;
            if (!keep_on()) return false;
            const timespec nap{0, static_cast<long>(std::min<Nanoseconds>(early, kSilenceMax))};
            nanosleep(&nap, nullptr);
        }
    }
    const int fd = sockets_[packet.line].fd();
    while (::send(fd, packet.bytes.data(), packet.bytes.size(), 0) < 0) {
        // A group nobody has joined answers ECONNREFUSED now and then: like the wire, it does not matter.
        if (errno == ECONNREFUSED) break;
        if (errno != ENOBUFS && errno != EAGAIN && errno != EINTR) {
            throw_errno(ExitCode::interface, "send", errno, "check that the interface is up");
        }
        ++retried_;
        const timespec nap{0, 1'000'000};
        nanosleep(&nap, nullptr);
        if (!keep_on()) return false;
    }
    ++sent_;
    return true;
}

}  // namespace millrace::replay
