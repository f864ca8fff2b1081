// The simulated exchange's servers on real sockets: retransmission (MoldUDP64), snapshots (GLIMPSE) and the
// whole feed by TCP (SoupBinTCP), on a thread of their own.
#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "millrace/feed/net/socket.hpp"
#include "millrace/replay/simulator/message_store.hpp"
#include "millrace/replay/simulator/retransmit_server.hpp"
#include "millrace/replay/simulator/snapshot_books.hpp"
#include "millrace/replay/simulator/soup_server.hpp"

namespace millrace::replay {

struct ServersConfig {
    std::string session;
    std::size_t packet_bytes_max = 1'400;
    std::optional<GroupConfig> retransmit;
    std::optional<GroupConfig> glimpse;
    std::optional<GroupConfig> soup;
    std::string username;  // with both empty anybody may log in
    std::string password;
};

class SimulatedServers {
  public:
    // Opens the sockets and starts the thread. Throws Error(resource, config).
    explicit SimulatedServers(const ServersConfig& config);
    ~SimulatedServers();
    SimulatedServers(const SimulatedServers&) = delete;
    SimulatedServers& operator=(const SimulatedServers&) = delete;

    // The exchange's thread: a message, just before it goes out; and that none will follow.
    void append(std::span<const std::uint8_t> message);
    void end();

    [[nodiscard]] std::uint64_t retransmissions() const { return retransmissions_.load(); }
    [[nodiscard]] std::uint64_t snapshots() const { return snapshots_.load(); }

  private:
    struct Connection {
        net::Socket socket;
        std::vector<std::vector<std::uint8_t>> snapshot;  // empty: the feed itself
        std::optional<SoupServer> server;
        bool dead = false;
    };

    void run();
    void answer_requests();
    void accept_all(const net::Socket& listener, bool snapshot, Timestamp now);
    [[nodiscard]] SoupSource feed();
    [[nodiscard]] static SoupSource source_of(const std::vector<std::vector<std::uint8_t>>& snapshot);
    static void serve(Connection& connection, Timestamp now);

    ServersConfig config_;
    std::mutex mutex_;  // over what follows, up to connections_
    MessageStore store_;
    SnapshotBooks books_;
    bool ended_ = false;

    RetransmitServer retransmit_;        // the thread's, as is what follows
    net::Socket udp_;
    net::Socket glimpse_;
    net::Socket soup_;
    std::list<Connection> connections_;  // whose addresses their servers keep
    std::atomic<std::uint64_t> retransmissions_{0};
    std::atomic<std::uint64_t> snapshots_{0};
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

}  // namespace millrace::replay
