// How a feed is received: which groups on which interface, by which means, into how much memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "millrace/core/cpu.hpp"

namespace millrace {

// A multicast group (or a local unicast address) and its port.
struct GroupConfig {
    std::string address;  // IPv4 or IPv6, numeric
    std::uint16_t port = 0;

    [[nodiscard]] std::string text() const { return address + ":" + std::to_string(port); }
    friend bool operator==(const GroupConfig&, const GroupConfig&) = default;
};

// One of the redundant lines of a feed.
struct LineConfig {
    std::string name;
    std::vector<GroupConfig> groups;
    std::string interface;  // name or address
    std::optional<GroupConfig> soup;  // instead of groups: a SoupBinTCP server, and who logs in there
    std::string username;
    std::string password;
};

enum class Backend : std::uint8_t { automatic, io_uring, recvmmsg, af_packet };
[[nodiscard]] std::string_view name(Backend backend);

enum class ReceiveMode : std::uint8_t {
    threads,            // a receiver thread a line and a decoder thread, rings between them
    run_to_completion,  // one thread receives, decodes and calls the handler
};
[[nodiscard]] std::string_view name(ReceiveMode mode);

struct ReceiveConfig {
    Backend backend = Backend::automatic;
    bool require_backend = false;  // Error(backend) instead of taking another one
    ReceiveMode mode = ReceiveMode::threads;
    std::uint32_t buffers = 4096;  // of a line, at the start; rounded up to a power of two, at most 32768
    std::uint32_t buffers_max = 32'768;  // that a line in threads mode may grow to; not less than `buffers`
    std::uint32_t buffer_bytes = 2048;
    std::size_t socket_buffer_bytes = std::size_t{8} << 20;
    std::uint32_t queue = 32'768;  // packets between a receiver and the decoder
    Idle idle = Idle::automatic;
    bool huge_pages = true;
    // Several datagrams of one size as one, where the kernel has put them together (UDP_GRO), by io_uring and recvmmsg.
    // Buffers are of 64 KiB then, whatever buffer_bytes says, and do not grow.
    bool gro = false;
};

// Who is asked for what was missed (feed/recovery_config.hpp says how).
struct RecoveryServers {
    std::vector<GroupConfig> retransmit;  // asked by UDP
    std::vector<GroupConfig> retransmit_tcp;  // by TCP, after those
    std::vector<GroupConfig> snapshot;    // by TCP
    std::string username;                 // for the snapshot servers, as is what follows
    std::string password;
    std::string token;
    Backend backend = Backend::recvmmsg;  // how TCP is received; follows from the feed's

    [[nodiscard]] std::size_t retransmit_count() const { return retransmit.size() + retransmit_tcp.size(); }
    [[nodiscard]] bool any() const { return retransmit_count() != 0 || !snapshot.empty(); }
};

struct ThreadsConfig {
    std::vector<int> receivers;  // CPU of each line's receiver; empty: not pinned
    int decoder = kNotPinned;    // CPU of the thread that polls the feed, where the library starts it
};

// A CPU that two of a feed's threads are pinned to; kNotPinned when there is none.
[[nodiscard]] int shared_cpu(const ThreadsConfig& threads);

}  // namespace millrace
