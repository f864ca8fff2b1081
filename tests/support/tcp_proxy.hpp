// Stands between a client and a server on loopback, and does to their connections what networks do.
#pragma once

#include <atomic>
#include <cerrno>
#include <list>
#include <mutex>
#include <thread>

#include "tests/support/network.hpp"

namespace millrace::test {

class TcpProxy {
  public:
    explicit TcpProxy(std::uint16_t to) : port_(free_port()), to_(to) {
        listener_ = net::listen_at({"127.0.0.1", port_}, SOCK_STREAM);
        thread_ = std::thread([this] { run(); });
    }
    ~TcpProxy() {
        stop_ = true;
        thread_.join();
    }
    TcpProxy(const TcpProxy&) = delete;
    TcpProxy& operator=(const TcpProxy&) = delete;

    [[nodiscard]] std::uint16_t port() const { return port_; }
    // Where connections made from now on lead.
    void lead_to(std::uint16_t port) { to_ = port; }
    // Cuts a connection when so many more bytes went to the server; wherever that is.
    void cut_after(std::uint64_t bytes) { budget_ = static_cast<std::int64_t>(bytes); }
    // Flips a bit of the next byte but `bytes` that goes to the server.
    void corrupt_after(std::uint64_t bytes) { corrupt_ = static_cast<std::int64_t>(bytes); }
    // At most so many bytes a millisecond go to the server; 0: as many as come.
    void slow_down(std::size_t bytes_per_ms) { pace_ = bytes_per_ms; }
    [[nodiscard]] int connections() const { return connections_; }

  private:
    struct Pair {
        net::Socket client;
        net::Socket server;
    };

    void run() {
        while (!stop_) {
            accept_one();
            for (auto pair = pairs_.begin(); pair != pairs_.end();) {
                const bool open = carry(pair->client, pair->server, true) &&
                                  carry(pair->server, pair->client, false);
                pair = open ? std::next(pair) : pairs_.erase(pair);
            }
            wait();
        }
    }
    void wait() {
        std::vector<pollfd> polled{{listener_.fd(), POLLIN, 0}};
        for (const Pair& pair : pairs_) {
            if (pace_ == 0) polled.push_back({pair.client.fd(), POLLIN, 0});
            polled.push_back({pair.server.fd(), POLLIN, 0});
        }
        static_cast<void>(poll(polled.data(), polled.size(), 1));
    }
    void accept_one() {
        net::Socket client(accept4(listener_.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (client.fd() < 0) return;
        net::Socket server(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        const sockaddr_in at = loopback_at(to_);
        if (connect(server.fd(), reinterpret_cast<const sockaddr*>(&at), sizeof(at)) != 0) return;
        ++connections_;
        pairs_.push_back({std::move(client), std::move(server)});
    }
    // False when the connection is to be cut.
    bool carry(const net::Socket& from, const net::Socket& to, bool to_server) {
        char bytes[16 << 10];
        const std::size_t most = to_server && pace_ != 0 ? std::min<std::size_t>(pace_, sizeof(bytes))
                                                          : sizeof(bytes);
        const auto n = recv(from.fd(), bytes, most, MSG_DONTWAIT);
        if (n < 0) return errno == EAGAIN || errno == EINTR;
        if (n == 0) return false;
        auto size = static_cast<std::size_t>(n);
        bool open = true;
        if (to_server) {
            if (corrupt_ >= 0 && corrupt_ < n) bytes[corrupt_] = static_cast<char>(bytes[corrupt_] ^ 1);
            if (corrupt_ >= 0) corrupt_ -= n;
            if (budget_ >= 0 && budget_ < n) {
                size = static_cast<std::size_t>(budget_);
                open = false;
                budget_ = -1;
            } else if (budget_ >= 0) {
                budget_ -= n;
            }
        }
        for (std::size_t sent = 0; sent < size;) {
            const auto m = ::send(to.fd(), bytes + sent, size - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (m < 0 && errno != EAGAIN) return false;
            if (m < 0 && stop_) return false;
            if (m < 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
            else sent += static_cast<std::size_t>(m);
        }
        return open;
    }

    std::uint16_t port_;
    net::Socket listener_;
    std::list<Pair> pairs_;  // the proxy's thread alone
    // The test writes, and the proxy's thread both.
    std::atomic<std::uint16_t> to_;
    std::atomic<std::int64_t> budget_{-1};
    std::atomic<std::int64_t> corrupt_{-1};
    std::atomic<std::size_t> pace_{0};
    std::atomic<int> connections_{0};
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

}  // namespace millrace::test
