// The servers that a simulated exchange runs beside its lines, as its venue's clients expect them, without
// their sockets: bytes in, bytes out, time as an argument.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "millrace/core/types.hpp"
#include "millrace/replay/simulator/message_store.hpp"

namespace millrace::replay {

// The server's side of one TCP connection. `now` is any clock that does not go back.
class ServerConnection {
  public:
    virtual ~ServerConnection() = default;
    virtual void on_bytes(std::span<const std::uint8_t> bytes, Timestamp now) = 0;
    // Queues what is to be said, up to a limit; notices a silent client.
    virtual void on_time(Timestamp now) = 0;
    // Bytes to send; tell how many were taken.
    [[nodiscard]] virtual std::span<const std::uint8_t> output() const = 0;
    virtual void sent(std::size_t bytes) = 0;
    // Once the output has gone.
    [[nodiscard]] virtual bool wants_close() const = 0;
};

// What has been sent so far, for connections to serve from. Borrowed: it outlives them.
struct SentMessages {
    MessageStore store;
    bool ended = false;  // no message will follow
};

class VenueServers {
  public:
    using Bytes = std::span<const std::uint8_t>;
    using Put = std::function<void(Bytes)>;

    virtual ~VenueServers() = default;

    // Every message of the venue's, in order, where snapshots are to be had.
    virtual void apply(Bytes message) = 0;
    // Gives `put` the packets that answer a request by UDP; none, which means silence, for what is no request
    // of this session or asks for what there is not. Each is valid during its call.
    virtual void answer(Bytes request, const MessageStore& store, const Put& put) = 0;
    // Connections of clients who ask for old messages, for a snapshot of what apply() was given, or for the feed
    // itself; null where the venue has no such server. They keep `sent` and this object.
    [[nodiscard]] virtual std::unique_ptr<ServerConnection> gap_fill(const SentMessages& sent, Timestamp now) = 0;
    [[nodiscard]] virtual std::unique_ptr<ServerConnection> snapshot(const SentMessages& sent, Timestamp now) = 0;
    [[nodiscard]] virtual std::unique_ptr<ServerConnection> feed(const SentMessages& sent, Timestamp now) = 0;
};

struct VenueServersConfig {
    std::string venue = "nasdaq-itch50";
    std::string session;
    std::size_t packet_bytes_max = 1'400;
    // Who may come in; with all of them empty anybody.
    std::string username;
    std::string password;
    std::string token;
};

// Of the venue of that id. Throws Error(usage).
[[nodiscard]] std::unique_ptr<VenueServers> make_servers(const VenueServersConfig& config);

}  // namespace millrace::replay
