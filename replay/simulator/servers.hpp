// The simulated exchange's servers on real sockets, on a thread of their own.
#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>

#include "millrace/feed/net/socket.hpp"
#include "millrace/replay/simulator/venue_servers.hpp"

namespace millrace::replay {

// Where each server listens; those that the venue does not run are left out.
struct ServersConfig : VenueServersConfig {
    std::optional<GroupConfig> retransmit;      // by UDP
    std::optional<GroupConfig> retransmit_tcp;
    std::optional<GroupConfig> snapshot;
    std::optional<GroupConfig> soup;            // the feed itself by TCP
};

class SimulatedServers {
  public:
    // Opens the sockets and starts the thread. Throws Error(resource, config, usage).
    explicit SimulatedServers(const ServersConfig& config);
    ~SimulatedServers();
    SimulatedServers(const SimulatedServers&) = delete;
    SimulatedServers& operator=(const SimulatedServers&) = delete;

    // The exchange's thread: a message, just before it goes out; and that none will follow.
    void append(std::span<const std::uint8_t> message);
    void end();

    // Requests that were answered, by UDP or TCP; and connections to the snapshot server.
    [[nodiscard]] std::uint64_t retransmissions() const { return retransmissions_.load(); }
    [[nodiscard]] std::uint64_t snapshots() const { return snapshots_.load(); }

  private:
    struct Connection {
        net::Socket socket;
        std::unique_ptr<ServerConnection> server;
        bool dead = false;
        Timestamp ended_at = 0;  // when all was said
    };

    void run();
    void answer_requests();
    // Of clients at a listener, if there is one; `make()` is the server's side.
    template <class Make>
    void accept_all(const net::Socket& listener, Make&& make);
    static void serve(Connection& connection, Timestamp now);

    bool has_snapshots_;
    std::mutex mutex_;  // over what follows, up to connections_
    std::unique_ptr<VenueServers> venue_;
    SentMessages sent_;

    net::Socket udp_;  // the thread's, as is what follows
    net::Socket gap_fill_;
    net::Socket snapshot_;
    net::Socket soup_;
    std::list<Connection> connections_;
    std::atomic<std::uint64_t> retransmissions_{0};
    std::atomic<std::uint64_t> snapshots_{0};
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

}  // namespace millrace::replay
