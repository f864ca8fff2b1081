// The sockets of the gateway's clients: connections come, bytes come and go, by io_uring, or by poll
// where the kernel refuses io_uring. One thread uses them.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "millrace/feed/net/socket.hpp"

namespace millrace::streams {

// What happens to them, told from within turn().
class GatewayListener {
  public:
    // Of a connection from now on; numbers of those that were dropped are used again.
    virtual void on_accept(std::uint32_t number) = 0;
    virtual void on_bytes(std::uint32_t number, std::span<const char> bytes) = 0;
    // The other side has hung up, or cannot be reached any more.
    virtual void on_hang_up(std::uint32_t number) = 0;

  protected:
    ~GatewayListener() = default;
};

class GatewaySockets {
  public:
    virtual ~GatewaySockets() = default;
    // Sends all of `bytes`, which is left empty, with room that was used before. Not while it is
    // sending().
    virtual void send(std::uint32_t number, std::vector<std::uint8_t>& bytes) = 0;
    [[nodiscard]] virtual bool sending(std::uint32_t number) const = 0;
    // Asks for what comes next, once; unasked nothing is read.
    virtual void receive(std::uint32_t number) = 0;
    // Tells the other side that this was all.
    virtual void finish(std::uint32_t number) = 0;
    // Hangs up. Nothing more is told of it.
    virtual void drop(std::uint32_t number) = 0;
    // Does what can be done, waiting at most so long for something to do.
    virtual void turn(int wait_ms, GatewayListener& listener) = 0;
    [[nodiscard]] virtual bool by_io_uring() const = 0;
};

enum class GatewayBackend : std::uint8_t {
    best,  // io_uring, or poll where it is refused
    io_uring,
    poll,
};

// To be called on the thread that uses them. `accepts` is borrowed. Null when the kernel refuses that
// backend.
[[nodiscard]] std::unique_ptr<GatewaySockets> make_gateway_sockets(const net::Socket& accepts,
                                                                   GatewayBackend backend);

}  // namespace millrace::streams
