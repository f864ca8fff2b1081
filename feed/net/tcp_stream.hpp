// A TCP connection that never blocks: bytes out by send(2), bytes in by io_uring where it is to be had and by
// recv(2) where it is not.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "millrace/feed/net/receive_config.hpp"
#include "millrace/feed/net/socket.hpp"

namespace millrace::net {

class UringReader;

class TcpStream {
  public:
    enum class State : std::uint8_t { connecting, open, closed };

    // Begins to connect; with a backend of io_uring receives by it, unless the kernel refuses. A failure
    // shows as a closed stream.
    TcpStream(const GroupConfig& to, Backend backend);
    ~TcpStream();
    TcpStream(const TcpStream&) = delete;
    TcpStream& operator=(const TcpStream&) = delete;

    // Looks how the connection stands.
    [[nodiscard]] State state();
    // What has arrived, at most; empty when nothing has. Valid until the next call.
    [[nodiscard]] std::span<const std::uint8_t> receive();
    // How many bytes were taken.
    [[nodiscard]] std::size_t send(std::span<const std::uint8_t> bytes);
    [[nodiscard]] int fd() const { return socket_.fd(); }
    [[nodiscard]] bool by_io_uring() const { return reader_ != nullptr; }

  private:
    [[nodiscard]] std::span<const std::uint8_t> taken(long result);

    Socket socket_;
    State state_ = State::connecting;
    std::vector<std::uint8_t> buffer_;
    std::unique_ptr<UringReader> reader_;
    bool wants_reader_ = false;
};

}  // namespace millrace::net
