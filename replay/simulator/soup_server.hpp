// The server's side of one SoupBinTCP connection: bytes in, bytes out, time as an argument; no socket.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "millrace/core/types.hpp"
#include "millrace/feed/framing/soupbintcp.hpp"
#include "millrace/replay/simulator/venue_servers.hpp"

namespace millrace::replay {

struct SoupServerConfig {
    std::string session;
    std::string username;  // with both empty anybody may log in
    std::string password;
    Nanoseconds heartbeat_ns = 1'000'000'000;
    Nanoseconds timeout_ns = 15'000'000'000;  // silence of the client, unless it names its own
};

// Where the messages are.
struct SoupSource {
    // The number the next message will have.
    std::function<SequenceNumber()> next;
    // Needs a number below next().
    std::function<std::span<const std::uint8_t>(SequenceNumber)> message;
    // No message will follow.
    std::function<bool()> ended;
};

class SoupServer final : public ServerConnection {
  public:
    SoupServer(SoupServerConfig config, SoupSource source, Timestamp now)
        : config_(std::move(config)), source_(std::move(source)), timeout_ns_(config_.timeout_ns),
          heard_at_(now), said_at_(now) {}

    void on_bytes(std::span<const std::uint8_t> bytes, Timestamp now) override;
    // Queues messages that have come, and heartbeats.
    void on_time(Timestamp now) override;
    [[nodiscard]] std::span<const std::uint8_t> output() const override { return std::span(out_).subspan(out_sent_); }
    void sent(std::size_t bytes) override;
    [[nodiscard]] bool wants_close() const override { return closing_; }

  private:
    static constexpr std::size_t kOutputMax = 65'536;

    void log_in(std::span<const std::uint8_t> payload);
    void refuse(char why);
    void say(char type, std::span<const std::uint8_t> payload = {}) { soup::append_packet(out_, type, payload); }

    SoupServerConfig config_;
    SoupSource source_;
    Nanoseconds timeout_ns_;
    Timestamp heard_at_;
    Timestamp said_at_;
    bool live_ = false;
    bool closing_ = false;
    SequenceNumber next_ = 1;
    soup::PacketReader reader_;
    std::vector<std::uint8_t> out_;
    std::size_t out_sent_ = 0;
};

}  // namespace millrace::replay
