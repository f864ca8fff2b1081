// Nasdaq's servers: retransmission (MoldUDP64), snapshots (GLIMPSE) and the whole feed by TCP (SoupBinTCP).
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "millrace/replay/simulator/retransmit_server.hpp"
#include "millrace/replay/simulator/snapshot_books.hpp"
#include "millrace/replay/simulator/soup_server.hpp"
#include "millrace/replay/simulator/venue_servers.hpp"

namespace millrace::replay {

class NasdaqServers final : public VenueServers {
  public:
    explicit NasdaqServers(const VenueServersConfig& config)
        : config_{config.session, config.username, config.password},
          retransmit_(config.session, config.packet_bytes_max) {}

    void apply(Bytes message) override { books_.apply(message); }
    void answer(Bytes request, const MessageStore& store, const Put& put) override {
        const Bytes reply = retransmit_.reply(request, store);
        if (!reply.empty()) put(reply);
    }
    [[nodiscard]] std::unique_ptr<ServerConnection> gap_fill(const SentMessages&, Timestamp) override {
        return nullptr;
    }
    [[nodiscard]] std::unique_ptr<ServerConnection> snapshot(const SentMessages& sent, Timestamp now) override {
        const auto messages =
            std::make_shared<const std::vector<SnapshotBooks::Bytes>>(books_.snapshot(sent.store.next()));
        const SoupSource source{[messages] { return messages->size() + 1; },
                                [messages](SequenceNumber n) { return std::span((*messages)[n - 1]); },
                                [] { return true; }};
        return std::make_unique<SoupServer>(config_, source, now);
    }
    [[nodiscard]] std::unique_ptr<ServerConnection> feed(const SentMessages& sent, Timestamp now) override {
        const SoupSource source{[&sent] { return sent.store.next(); },
                                [&sent](SequenceNumber n) { return sent.store[n]; }, [&sent] { return sent.ended; }};
        return std::make_unique<SoupServer>(config_, source, now);
    }

  private:
    SoupServerConfig config_;
    RetransmitServer retransmit_;
    SnapshotBooks books_;
};

}  // namespace millrace::replay
