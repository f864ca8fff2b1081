#include "millrace/feed/net/socket.hpp"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <memory>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "millrace/core/error.hpp"
#include "millrace/feed/net/received.hpp"

#ifndef IPV6_MULTICAST_ALL
#define IPV6_MULTICAST_ALL 29  // Linux 4.20
#endif
#ifndef SO_RXQ_OVFL
#define SO_RXQ_OVFL 40
#endif

namespace millrace {

std::string_view name(Backend backend) {
    constexpr std::array<std::string_view, 4> kNames{"automatic", "io_uring", "recvmmsg", "af_packet"};
    return kNames[static_cast<std::size_t>(backend)];
}

std::string_view name(ReceiveMode mode) {
    return mode == ReceiveMode::threads ? "threads" : "run_to_completion";
}

}  // namespace millrace

namespace millrace::net {

namespace {

constexpr std::size_t kGroupsPerSocket = 20;  // igmp_max_memberships, unless an administrator raised it

union Address {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6;
    sockaddr_storage storage;
};

[[nodiscard]] bool parse_address(const std::string& text, std::uint16_t port, Address& address) {
    std::memset(&address, 0, sizeof(address));
    if (inet_pton(AF_INET, text.c_str(), &address.v4.sin_addr) == 1) {
        address.v4.sin_family = AF_INET;
        address.v4.sin_port = htons(port);
        return true;
    }
    if (inet_pton(AF_INET6, text.c_str(), &address.v6.sin6_addr) == 1) {
        address.v6.sin6_family = AF_INET6;
        address.v6.sin6_port = htons(port);
        return true;
    }
    return false;
}

[[nodiscard]] bool is_multicast(const Address& address) {
    return address.any.sa_family == AF_INET ? IN_MULTICAST(ntohl(address.v4.sin_addr.s_addr))
                                            : IN6_IS_ADDR_MULTICAST(&address.v6.sin6_addr);
}

template <class T>
void set_option(int fd, int level, int option, const T& value, std::string_view what) {
    if (setsockopt(fd, level, option, &value, sizeof(value)) != 0) {
        throw_errno(ExitCode::privilege, what, errno, "a kernel of Linux 5.15 or later is expected");
    }
}

// Asks for the buffer with privilege, then without; returns what was granted.
std::size_t set_receive_buffer(int fd, std::size_t bytes) {
    const int wanted = static_cast<int>(bytes);
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &wanted, sizeof(wanted)) != 0) {
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &wanted, sizeof(wanted));
    }
    int granted = 0;
    socklen_t size = sizeof(granted);
    getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &granted, &size);
    return static_cast<std::size_t>(granted) / 2;  // the kernel doubles it for its own bookkeeping
}

void join(int fd, const Address& group, const Interface& interface, const std::string& what) {
    int result = 0;
    if (group.any.sa_family == AF_INET) {
        ip_mreqn request{};
        request.imr_multiaddr = group.v4.sin_addr;
        request.imr_ifindex = static_cast<int>(interface.index);
        result = setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof(request));
    } else {
        ipv6_mreq request{};
        request.ipv6mr_multiaddr = group.v6.sin6_addr;
        request.ipv6mr_interface = interface.index;
        result = setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &request, sizeof(request));
    }
    if (result != 0) {
        throw_errno(ExitCode::interface, what, errno,
                    fmt::format("check that {} is up and carries multicast", interface.name));
    }
}

Socket open_socket(const LineConfig& line, const Address& bind_to, const std::string& what, std::size_t buffer_bytes,
                   std::size_t& granted) {
    const int family = bind_to.any.sa_family;
    Socket socket(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (socket.fd() < 0) throw_errno(ExitCode::resource, what, errno, "raise the limit on open files");
    const int on = 1;
    const int off = 0;
    set_option(socket.fd(), SOL_SOCKET, SO_REUSEADDR, on, what);
    set_option(socket.fd(), SOL_SOCKET, SO_TIMESTAMPNS, on, what);
    set_option(socket.fd(), SOL_SOCKET, SO_RXQ_OVFL, on, what);
    if (family == AF_INET) set_option(socket.fd(), IPPROTO_IP, IP_MULTICAST_ALL, off, what);
    if (family == AF_INET6) {
        set_option(socket.fd(), IPPROTO_IPV6, IPV6_V6ONLY, on, what);
        set_option(socket.fd(), IPPROTO_IPV6, IPV6_MULTICAST_ALL, off, what);
    }
    granted = set_receive_buffer(socket.fd(), buffer_bytes);
    const socklen_t size = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    if (bind(socket.fd(), &bind_to.any, size) != 0) {
        const ExitCode code = errno == EACCES          ? ExitCode::privilege
                              : errno == EADDRNOTAVAIL ? ExitCode::interface
                                                       : ExitCode::resource;
        throw_errno(code, what, errno, fmt::format("choose another port or address for line {}", line.name));
    }
    return socket;
}

}  // namespace

Socket::~Socket() {
    if (fd_ >= 0) close(fd_);
}

Interface find_interface(const std::string& name_or_address) {
    if (const unsigned index = if_nametoindex(name_or_address.c_str()); index != 0) return {index, name_or_address};
    Address wanted;
    const bool is_address = parse_address(name_or_address, 0, wanted);
    std::set<std::string> names;
    ifaddrs* first = nullptr;
    if (getifaddrs(&first) != 0) throw_errno(ExitCode::interface, "list the interfaces", errno, "");
    const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(first, freeifaddrs);
    Interface found;
    for (const ifaddrs* at = first; at != nullptr; at = at->ifa_next) {
        names.insert(at->ifa_name);
        if (!is_address || at->ifa_addr == nullptr || at->ifa_addr->sa_family != wanted.any.sa_family) continue;
        Address here;
        std::memcpy(&here, at->ifa_addr, wanted.any.sa_family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
        const bool same = wanted.any.sa_family == AF_INET
                              ? here.v4.sin_addr.s_addr == wanted.v4.sin_addr.s_addr
                              : std::memcmp(&here.v6.sin6_addr, &wanted.v6.sin6_addr, sizeof(in6_addr)) == 0;
        if (same) found = {if_nametoindex(at->ifa_name), at->ifa_name};
    }
    if (found.index != 0) return found;
    throw Error(ExitCode::interface, fmt::format("interface \"{}\": there is none of that name or address; there are {}",
                                                 name_or_address, fmt::join(names, ", ")));
}

Socket connect_to(const GroupConfig& to, int type) {
    Address address;
    if (!parse_address(to.address, to.port, address)) {
        errno = EINVAL;
        return {};
    }
    const int family = address.any.sa_family;
    Socket socket(::socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (socket.fd() < 0) return {};
    const socklen_t size = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    if (connect(socket.fd(), &address.any, size) != 0 && errno != EINPROGRESS) {
        const int problem = errno;
        socket = {};
        errno = problem;
    }
    return socket;
}

Socket listen_at(const GroupConfig& at, int type) {
    const std::string what = "listen at " + at.text();
    Address address;
    if (!parse_address(at.address, at.port, address)) {
        throw Error(ExitCode::config, what + ": no IPv4 or IPv6 address; write it in numbers");
    }
    const int family = address.any.sa_family;
    Socket socket(::socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (socket.fd() < 0) throw_errno(ExitCode::resource, what, errno, "raise the limit on open files");
    set_option(socket.fd(), SOL_SOCKET, SO_REUSEADDR, 1, what);
    const socklen_t size = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    if (bind(socket.fd(), &address.any, size) != 0 || (type == SOCK_STREAM && listen(socket.fd(), 16) != 0)) {
        throw_errno(ExitCode::resource, what, errno, "choose another address or port");
    }
    return socket;
}

LineSockets open_line(const LineConfig& line, std::size_t socket_buffer_bytes) {
    const Interface interface = find_interface(line.interface);
    LineSockets out;
    // Sockets with room for another group, by the address family and port they are bound to.
    std::map<std::pair<int, std::uint16_t>, std::size_t> groups_on_last;
    std::map<std::pair<int, std::uint16_t>, std::size_t> last_socket;
    for (const GroupConfig& group : line.groups) {
        const std::string what = fmt::format("line {}: {}:{} on {}", line.name, group.address, group.port, interface.name);
        Address address;
        if (!parse_address(group.address, group.port, address)) {
            throw Error(ExitCode::config, what + ": no IPv4 or IPv6 address; write it in numbers");
        }
        if (!is_multicast(address)) {
            out.sockets.push_back(open_socket(line, address, what, socket_buffer_bytes, out.buffer_bytes));
            continue;
        }
        const std::pair key{static_cast<int>(address.any.sa_family), group.port};
        std::size_t& used = groups_on_last[key];
        if (used % kGroupsPerSocket == 0) {
            Address any;
            static_cast<void>(parse_address(key.first == AF_INET ? "0.0.0.0" : "::", group.port, any));
            last_socket[key] = out.sockets.size();
            out.sockets.push_back(open_socket(line, any, what, socket_buffer_bytes, out.buffer_bytes));
        }
        ++used;
        join(out.sockets[last_socket[key]].fd(), address, interface, what);
    }
    return out;
}

void receive_together(const Socket& socket) {
    set_option(socket.fd(), IPPROTO_UDP, kUdpGro, 1, "receive.gro");
}

unsigned interface_index(const std::string& name_or_address) {
    try {
        return find_interface(name_or_address).index;
    } catch (const std::exception&) {
        return 0;
    }
}

bool link_is_up(const std::string& name_or_address) {
    const unsigned index = interface_index(name_or_address);
    ifreq request{};
    if (index == 0 || if_indextoname(index, request.ifr_name) == nullptr) return false;
    const Socket any(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    constexpr short kUp = IFF_UP | IFF_RUNNING;
    return ioctl(any.fd(), SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & kUp) == kUp;
}

}  // namespace millrace::net
