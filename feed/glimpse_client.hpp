// Takes one snapshot by GLIMPSE 5.0: a SoupBinTCP login for message 1 of the current session, ITCH messages
// that say what is, and at the end the number of the message to go on with. Bytes in, bytes out.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "millrace/feed/recovery_protocol.hpp"
#include "millrace/feed/soup_client.hpp"

namespace millrace {

class GlimpseClient final : public SnapshotClient {
  public:
    explicit GlimpseClient(SoupClientConfig config) : client_(for_snapshot(std::move(config)), 0) {}

    [[nodiscard]] std::span<const std::uint8_t> output() const override { return client_.output(); }
    void sent(std::size_t bytes, Timestamp now) override { client_.sent(bytes, now); }
    void on_connecting(Timestamp now) override { client_.on_connecting(now); }
    void on_connected(Timestamp now) override { client_.on_connected(now); }
    void on_bytes(std::span<const std::uint8_t> bytes, Timestamp now, SnapshotSink& sink) override {
        Messages messages{*this, sink};
        client_.on_bytes(bytes, now, messages);
        look_at_login();
    }
    void on_time(Timestamp now) override {
        client_.on_time(now);
        look_at_login();
    }

  private:
    static constexpr std::size_t kEndOfSnapshot = 21;  // 'G' and an ASCII number of 20 digits

    [[nodiscard]] static SoupClientConfig for_snapshot(SoupClientConfig config) {
        config.session.clear();
        config.first = 1;
        return config;
    }
    void look_at_login() {
        if (!client_.wants_close()) return;
        fail(client_.problem() == ServerProblem::none ? ServerProblem::cut : client_.problem());
    }
    struct Messages {
        GlimpseClient& client;
        SnapshotSink& sink;
        void on_login(std::string_view, SequenceNumber) {}
        void on_heartbeat(SequenceNumber) {}
        void on_end(SequenceNumber) { client.on_closed(); }
        void on_message(SequenceNumber, std::span<const std::uint8_t> message) {
            if (client.state_ != State::going) return;
            if (message.empty() || message[0] != 'G') return sink.on_snapshot_message(message);
            const char* digits = reinterpret_cast<const char*>(message.data()) + 1;
            const auto next = message.size() == kEndOfSnapshot ? soup::parse_number({digits, kEndOfSnapshot - 1})
                                                               : std::nullopt;
            if (!next) return client.fail(ServerProblem::nonsense);
            client.state_ = State::done;
            sink.on_snapshot_end(*next);
        }
    };

    SoupClient client_;
};

}  // namespace millrace
