// How Nasdaq gives back what was missed: MoldUDP64 requests, and snapshots by GLIMPSE.
#pragma once

#include <cstring>
#include <memory>
#include <vector>

#include "millrace/core/wire.hpp"
#include "millrace/feed/framing/moldudp64.hpp"
#include "millrace/feed/glimpse_client.hpp"
#include "millrace/feed/recovery_protocol.hpp"

namespace millrace::venues::itch50 {

class Recovery final : public RecoveryProtocol {
  public:
    void write_request(const RecoveryRequest& request, std::vector<std::uint8_t>& out) const override {
        MoldUdp64Request packet{};
        std::memcpy(packet.session.raw.data(), request.session.text.data(), packet.session.raw.size());
        packet.sequence_number.set(request.first);
        packet.message_count.set(request.count);
        const auto bytes = wire::bytes_of(packet);
        out.insert(out.end(), bytes.begin(), bytes.end());
    }
    // GLIMPSE has a session of its own, which is the current one.
    [[nodiscard]] std::unique_ptr<SnapshotClient> snapshot_client(const RecoveryRequest&,
                                                                  const SnapshotLogin& login) const override {
        SoupClientConfig config;
        config.username = login.username;
        config.password = login.password;
        config.timeout_ns = login.timeout_ns;
        return std::make_unique<GlimpseClient>(config);
    }
};

}  // namespace millrace::venues::itch50
