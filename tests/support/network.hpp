// TCP on loopback, for tests of who listens there.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <vector>

#include "millrace/core/error.hpp"
#include "millrace/feed/net/socket.hpp"

namespace millrace::test {

inline sockaddr_in loopback_at(std::uint16_t port) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(port);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return at;
}

// The port that a socket of IPv4 is bound to.
inline std::uint16_t port_of(const net::Socket& socket) {
    sockaddr_in at{};
    socklen_t size = sizeof(at);
    MILLRACE_VERIFY(getsockname(socket.fd(), reinterpret_cast<sockaddr*>(&at), &size) == 0);
    return ntohs(at.sin_port);
}

// A port that nobody had a moment ago.
inline std::uint16_t free_port() {
    const net::Socket socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_in at = loopback_at(0);
    MILLRACE_VERIFY(bind(socket.fd(), reinterpret_cast<const sockaddr*>(&at), sizeof(at)) == 0);
    return port_of(socket);
}

// A client that blocks, with a receive buffer as small as the kernel lets it be if so asked.
class TcpClient {
  public:
    explicit TcpClient(std::uint16_t port, bool small_buffer = false)
        : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        const int least = 1;
        if (small_buffer)
            setsockopt(socket_.fd(), SOL_SOCKET, SO_RCVBUF, &least, sizeof(least));
        const sockaddr_in at = loopback_at(port);
        const auto* address = reinterpret_cast<const sockaddr*>(&at);
        MILLRACE_VERIFY(connect(socket_.fd(), address, sizeof(at)) == 0);
    }
    void send(std::string_view text) const {
        const auto sent = ::send(socket_.fd(), text.data(), text.size(), MSG_NOSIGNAL);
        MILLRACE_VERIFY(sent == static_cast<ssize_t>(text.size()));
    }
    // What comes within the time; empty at the end, or when nothing comes.
    [[nodiscard]] std::string receive(int wait_ms = 10'000) {
        pollfd wait{socket_.fd(), POLLIN, 0};
        if (poll(&wait, 1, wait_ms) != 1) return {};
        std::string bytes(64 << 10, '\0');
        const auto n = recv(socket_.fd(), bytes.data(), bytes.size(), 0);
        bytes.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
        return bytes;
    }
    // Until so many bytes have come, or no more will.
    [[nodiscard]] std::string receive_bytes(std::size_t count) {
        std::string all;
        while (all.size() < count) {
            const std::string more = receive();
            if (more.empty()) break;
            all += more;
        }
        return all;
    }
    [[nodiscard]] std::string receive_all() {
        std::string all;
        for (std::string more; !(more = receive()).empty();) all += more;
        return all;
    }

  private:
    net::Socket socket_;
};

}  // namespace millrace::test
