// UDP sockets that receive a line: bound, joined to its groups on one interface, stamped by the kernel.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "millrace/feed/net/receive_config.hpp"

namespace millrace::net {

// A file descriptor, closed with its owner.
class Socket {
  public:
    Socket() = default;
    explicit Socket(int fd) : fd_(fd) {}
    Socket(Socket&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
    Socket& operator=(Socket&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~Socket();
    [[nodiscard]] int fd() const { return fd_; }

  private:
    int fd_ = -1;
};

struct Interface {
    unsigned index = 0;
    std::string name;
};
// By name or by one of its addresses. Throws Error(interface) that names those there are.
[[nodiscard]] Interface find_interface(const std::string& name_or_address);
// Its number, which changes when it is removed and made again; 0 where there is none.
[[nodiscard]] unsigned interface_index(const std::string& name_or_address);
// Whether it is there, up, and has a carrier.
[[nodiscard]] bool link_is_up(const std::string& name_or_address);

// A socket of type SOCK_DGRAM or SOCK_STREAM that never blocks, on its way to `to`: a stream may still be
// connecting. Without a file descriptor, and errno set, when it cannot be had.
[[nodiscard]] Socket connect_to(const GroupConfig& to, int type);
// One that waits for datagrams or connections at `at`. Throws Error(resource, config).
[[nodiscard]] Socket listen_at(const GroupConfig& at, int type);

struct LineSockets {
    std::vector<Socket> sockets;
    std::size_t buffer_bytes = 0;  // the receive buffer the kernel granted each
};

// The sockets of a line: one for each port and, since the kernel limits the groups of a socket, one for
// every twenty groups. Throws Error(interface, privilege, resource).
[[nodiscard]] LineSockets open_line(const LineConfig& line, std::size_t socket_buffer_bytes);

// Datagrams of one size that the kernel has put together come as one from now on, with a control message that says how
// long each is. Throws Error(privilege) where the kernel cannot.
void receive_together(const Socket& socket);

}  // namespace millrace::net
