// IEX's servers: gap fill by UDP and by TCP, and snapshots by SNAP.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "millrace/feed/framing/iex_tp_requests.hpp"
#include "millrace/replay/simulator/iex_snapshot_books.hpp"
#include "millrace/replay/simulator/iex_wire.hpp"
#include "millrace/replay/simulator/venue_servers.hpp"

namespace millrace::replay {

// A gap-fill request as it should be: its ranges do not overlap and increase, and there are none of no messages.
// Empty when it is none, or of another stream.
[[nodiscard]] std::optional<std::vector<SequenceRange>> parse_iex_request(std::span<const std::uint8_t> bytes,
                                                                          const IexTpStream& stream);

class IexServers final : public VenueServers {
  public:
    IexServers(IexFeed feed, const VenueServersConfig& config);

    void apply(Bytes message) override { books_.apply(message); }
    // Silent about messages there are not, or more of them than may be asked for at once.
    void answer(Bytes request, const MessageStore& store, const Put& put) override;
    [[nodiscard]] std::unique_ptr<ServerConnection> gap_fill(const SentMessages& sent, Timestamp now) override;
    // Null for TOPS.
    [[nodiscard]] std::unique_ptr<ServerConnection> snapshot(const SentMessages& sent, Timestamp now) override;
    [[nodiscard]] std::unique_ptr<ServerConnection> feed(const SentMessages&, Timestamp) override { return nullptr; }

  private:
    IexFeed feed_;
    IexTpStream stream_;
    std::string token_;
    std::vector<std::uint8_t> buffer_;
    IexSnapshotBooks books_;
};

}  // namespace millrace::replay
