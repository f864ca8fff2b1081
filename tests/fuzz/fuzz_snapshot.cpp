// Whatever a snapshot server says (SNAP for DEEP and DEEP+, GLIMPSE), in pieces of any size, into the client and on
// into a session that waits for it: no more than one end, nothing behind it, and the session's ledger closes.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <vector>

#include "millrace/feed/framing/iex_tp.hpp"
#include "millrace/feed/session.hpp"
#include "millrace/feed/venues/venue_list.hpp"

namespace {

using namespace millrace;

SessionConfig waiting() {
    SessionConfig config;
    config.lines = 1;
    config.limits = {4, 64, 32};
    config.reorder_window_packets = 4;
    config.reorder_window_ns = 1000;
    config.recovery.snapshot_servers = 1;
    config.recovery.hold_bytes = 4'096;
    config.recovery.backlog_bytes = 4'096;
    return config;
}

void expect(bool holds) {
    if (!holds) std::abort();
}

template <class Session>
struct Sink final : SnapshotSink {
    Sink(Session& s, std::uint32_t i) : session(s), id(i) {}
    void on_snapshot_message(std::span<const std::uint8_t> message) override {
        expect(!ended);
        if (!begun) session.on_snapshot_begin(id);
        begun = true;
        session.on_snapshot_message(id, message);
    }
    void on_snapshot_end(SequenceNumber next) override {
        expect(!ended);
        ended = true;
        if (!begun) session.on_snapshot_begin(id);
        session.on_snapshot_end(id, next);
    }

    Session& session;
    std::uint32_t id;
    bool begun = false;
    bool ended = false;
};

// The heartbeat of a line whose first 11 messages, of 40 bytes each, are missing.
std::vector<std::uint8_t> late_heartbeat(std::uint16_t protocol) {
    std::vector<std::uint8_t> room(sizeof(IexTpHeader));
    IexTpPacketBuilder builder(room, {protocol, 1, 1});
    builder.begin(12, 11 * 40);
    const auto bytes = builder.finish(1);
    return {bytes.begin(), bytes.end()};
}

template <class Venue>
void run(std::span<const std::uint8_t> said, std::size_t piece, const std::vector<std::uint8_t>& heartbeat) {
    NullHandler handler;
    using FeedSession = Session<Venue, NullHandler>;
    const auto session = std::make_unique<FeedSession>(waiting(), handler);
    session->on_packet({0, 1, heartbeat});
    session->on_time(10'000);
    const std::optional<RecoveryRequest> request = session->next_request(1);
    expect(request && request->kind == RecoveryRequest::Kind::snapshot);
    const auto client = Venue::recovery_protocol()->snapshot_client(*request, {});
    Sink<FeedSession> sink(*session, request->id);
    client->on_connecting(1);
    client->on_connected(1);
    client->sent(client->output().size(), 1);
    while (!said.empty() && client->state() == SnapshotClient::State::going) {
        const std::size_t bytes = std::min(piece, said.size());
        client->on_bytes(said.first(bytes), 1, sink);
        client->hand_over(64, sink);
        said = said.subspan(bytes);
    }
    for (int i = 0; i < 16; ++i) client->hand_over(4'096, sink);
    client->on_closed();
    const bool failed = client->state() == SnapshotClient::State::failed;
    expect(failed == (client->problem() != ServerProblem::none));
    expect(client->state() != SnapshotClient::State::done || sink.ended);
    if (failed) session->on_snapshot_failed(request->id, client->problem());
    static_cast<void>(session->next_request(2));
    session->finish();
    expect(balance(session->messages()) == 0);
}

}  // namespace

// The first byte chooses the server, and how long the pieces are.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::span<const std::uint8_t> said(data + 1, size - 1);
    const std::size_t piece = std::size_t{1} << (data[0] >> 2 & 15);
    switch (data[0] & 3) {
        case 0:
        case 1: run<venues::IexDeep>(said, piece, late_heartbeat(venues::IexDeep::kProtocol)); break;
        case 2: run<venues::IexDeepPlus>(said, piece, late_heartbeat(venues::IexDeepPlus::kProtocol)); break;
        default: {
            std::vector<std::uint8_t> room(64);
            MoldUdp64PacketBuilder builder(room, "FUZZ");
            builder.begin(12);
            const auto bytes = builder.finish();
            run<venues::NasdaqItch50>(said, piece, {bytes.begin(), bytes.end()});
        }
    }
    return 0;
}
