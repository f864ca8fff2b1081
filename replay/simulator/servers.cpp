#include "millrace/replay/simulator/servers.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "millrace/core/clock.hpp"

namespace millrace::replay {

namespace {
constexpr int kNapMs = 2;
}

SimulatedServers::SimulatedServers(const ServersConfig& config)
    : config_(config), retransmit_(config.session, config.packet_bytes_max) {
    if (config.retransmit) udp_ = net::listen_at(*config.retransmit, SOCK_DGRAM);
    if (config.glimpse) glimpse_ = net::listen_at(*config.glimpse, SOCK_STREAM);
    if (config.soup) soup_ = net::listen_at(*config.soup, SOCK_STREAM);
    thread_ = std::thread([this] { run(); });
}

SimulatedServers::~SimulatedServers() {
    stop_.store(true);
    thread_.join();
}

void SimulatedServers::append(std::span<const std::uint8_t> message) {
    const std::scoped_lock lock(mutex_);
    store_.append(message);
    if (config_.glimpse) books_.apply(message);
}

void SimulatedServers::end() {
    const std::scoped_lock lock(mutex_);
    ended_ = true;
}

void SimulatedServers::run() {
    std::vector<pollfd> polled;
    while (!stop_.load()) {
        polled.clear();
        for (const net::Socket* socket : {&udp_, &glimpse_, &soup_}) {
            if (socket->fd() >= 0) polled.push_back({socket->fd(), POLLIN, 0});
        }
        for (const Connection& connection : connections_) polled.push_back({connection.socket.fd(), POLLIN, 0});
        ::poll(polled.data(), polled.size(), kNapMs);
        const Timestamp now = MonotonicClock::now();
        const std::scoped_lock lock(mutex_);
        if (udp_.fd() >= 0) answer_requests();
        if (glimpse_.fd() >= 0) accept_all(glimpse_, true, now);
        if (soup_.fd() >= 0) accept_all(soup_, false, now);
        for (Connection& connection : connections_) serve(connection, now);
        connections_.remove_if([](const Connection& connection) { return connection.dead; });
    }
}

void SimulatedServers::answer_requests() {
    std::array<std::uint8_t, 64> request;
    for (;;) {
        sockaddr_storage from{};
        socklen_t size = sizeof(from);
        auto* address = reinterpret_cast<sockaddr*>(&from);
        const long bytes = recvfrom(udp_.fd(), request.data(), request.size(), MSG_DONTWAIT, address, &size);
        if (bytes < 0) return;
        const auto reply = retransmit_.reply(std::span(request).first(static_cast<std::size_t>(bytes)), store_);
        if (reply.empty()) continue;
        ++retransmissions_;
        static_cast<void>(sendto(udp_.fd(), reply.data(), reply.size(), MSG_DONTWAIT | MSG_NOSIGNAL, address, size));
    }
}

SoupSource SimulatedServers::feed() {
    return {[this] { return store_.next(); }, [this](SequenceNumber sequence) { return store_[sequence]; },
            [this] { return ended_; }};
}

SoupSource SimulatedServers::source_of(const std::vector<std::vector<std::uint8_t>>& snapshot) {
    return {[&snapshot] { return snapshot.size() + 1; },
            [&snapshot](SequenceNumber sequence) { return std::span<const std::uint8_t>(snapshot[sequence - 1]); },
            [] { return true; }};
}

void SimulatedServers::accept_all(const net::Socket& listener, bool snapshot, Timestamp now) {
    for (;;) {
        net::Socket socket(accept4(listener.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (socket.fd() < 0) return;
        Connection& connection = connections_.emplace_back();
        connection.socket = std::move(socket);
        SoupServerConfig config;
        config.session = config_.session;
        config.username = config_.username;
        config.password = config_.password;
        if (snapshot) {
            connection.snapshot = books_.snapshot(store_.next());
            ++snapshots_;
        }
        connection.server.emplace(config, snapshot ? source_of(connection.snapshot) : feed(), now);
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
    if (connection.server->wants_close() && connection.server->output().empty()) connection.dead = true;
}

}  // namespace millrace::replay
