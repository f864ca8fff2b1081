#include "millrace/replay/simulator/servers.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <utility>
#include <vector>

#include "millrace/core/clock.hpp"

namespace millrace::replay {

namespace {
constexpr int kNapMs = 2;
}

SimulatedServers::SimulatedServers(const ServersConfig& config)
    : has_snapshots_(config.snapshot.has_value()), venue_(make_servers(config)) {
    if (config.retransmit) udp_ = net::listen_at(*config.retransmit, SOCK_DGRAM);
    if (config.retransmit_tcp) gap_fill_ = net::listen_at(*config.retransmit_tcp, SOCK_STREAM);
    if (config.snapshot) snapshot_ = net::listen_at(*config.snapshot, SOCK_STREAM);
    if (config.soup) soup_ = net::listen_at(*config.soup, SOCK_STREAM);
    thread_ = std::thread([this] { run(); });
}

SimulatedServers::~SimulatedServers() {
    stop_.store(true);
    thread_.join();
}

void SimulatedServers::append(std::span<const std::uint8_t> message) {
    const std::scoped_lock lock(mutex_);
    sent_.store.append(message);
    if (has_snapshots_) venue_->apply(message);
}

void SimulatedServers::end() {
    const std::scoped_lock lock(mutex_);
    sent_.ended = true;
}

void SimulatedServers::run() {
    std::vector<pollfd> polled;
    while (!stop_.load()) {
        polled.clear();
        for (const net::Socket* socket : {&udp_, &gap_fill_, &snapshot_, &soup_}) {
            if (socket->fd() >= 0) polled.push_back({socket->fd(), POLLIN, 0});
        }
        for (const Connection& connection : connections_) polled.push_back({connection.socket.fd(), POLLIN, 0});
        ::poll(polled.data(), polled.size(), kNapMs);
        const Timestamp now = MonotonicClock::now();
        const std::scoped_lock lock(mutex_);
        if (udp_.fd() >= 0) answer_requests();
        accept_all(gap_fill_, [&] {
            ++retransmissions_;
            return venue_->gap_fill(sent_, now);
        });
        accept_all(snapshot_, [&] {
            ++snapshots_;
            return venue_->snapshot(sent_, now);
        });
        accept_all(soup_, [&] { return venue_->feed(sent_, now); });
        for (Connection& connection : connections_) serve(connection, now);
        connections_.remove_if([](const Connection& connection) { return connection.dead; });
    }
}

void SimulatedServers::answer_requests() {
    std::array<std::uint8_t, 2'048> request;
    for (;;) {
        sockaddr_storage from{};
        socklen_t size = sizeof(from);
        auto* address = reinterpret_cast<sockaddr*>(&from);
        const long bytes = recvfrom(udp_.fd(), request.data(), request.size(), MSG_DONTWAIT, address, &size);
        if (bytes < 0) return;
        bool answered = false;
        venue_->answer(std::span(request).first(static_cast<std::size_t>(bytes)), sent_.store, [&](auto reply) {
            answered = true;
            static_cast<void>(sendto(udp_.fd(), reply.data(), reply.size(), MSG_DONTWAIT | MSG_NOSIGNAL, address, size));
        });
        if (answered) ++retransmissions_;
    }
}

template <class Make>
void SimulatedServers::accept_all(const net::Socket& listener, Make&& make) {
    while (listener.fd() >= 0) {
        net::Socket socket(accept4(listener.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (socket.fd() < 0) return;
        auto server = make();
        if (server != nullptr) connections_.push_back({std::move(socket), std::move(server), false});
    }
}

void SimulatedServers::serve(Connection& connection, Timestamp now) {
    std::array<std::uint8_t, 4'096> bytes;
    for (;;) {
        const long size = recv(connection.socket.fd(), bytes.data(), bytes.size(), MSG_DONTWAIT);
        if (size > 0) {
            connection.server->on_bytes(std::span(bytes).first(static_cast<std::size_t>(size)), now);
            continue;
        }
        connection.dead = size == 0 || (errno != EAGAIN && errno != EINTR);
        break;
    }
    while (!connection.dead) {
        connection.server->on_time(now);
        const auto output = connection.server->output();
        if (output.empty()) break;
        const long size = send(connection.socket.fd(), output.data(), output.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (size < 0) {
            connection.dead = errno != EAGAIN && errno != EINTR;
            break;
        }
        connection.server->sent(static_cast<std::size_t>(size));
    }
    if (!connection.server->wants_close() || !connection.server->output().empty()) return;
    // To close with something of the client's unread would reset the connection, and lose what the
    // client has not read yet: it is left to hang up.
    constexpr Nanoseconds kGoodbye = 30'000'000'000;
    if (connection.ended_at == 0) {
        connection.ended_at = now;
        shutdown(connection.socket.fd(), SHUT_WR);
    }
    connection.dead = connection.dead || now - connection.ended_at >= kGoodbye;
}

}  // namespace millrace::replay
