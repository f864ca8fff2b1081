#include "millrace/replay/simulator/venue_wire.hpp"

#include <optional>

#include <fmt/format.h>

#include "millrace/core/error.hpp"
#include "millrace/feed/framing/moldudp64.hpp"
#include "millrace/replay/simulator/iex_wire.hpp"

namespace millrace::replay {

namespace {

// The market's own messages, in MoldUDP64.
class ItchWire final : public VenueWire {
  public:
    explicit ItchWire(std::string session) : session_(std::move(session)) {
        if (session_.size() > 10) {
            throw Error(ExitCode::usage, "simulated exchange: session too long; give at most 10 characters");
        }
    }

    void encode(Bytes of_market, const Put& put) override { put(of_market); }
    void begin(std::span<std::uint8_t> room, const Place& place) override {
        next_ = place.first;
        builder_.emplace(room, session_);
        builder_->begin(place.first);
    }
    [[nodiscard]] bool append(Bytes message) override { return builder_->append(message); }
    [[nodiscard]] Bytes finish(Timestamp) override { return builder_->finish(); }
    [[nodiscard]] Bytes finish_session(Timestamp) override { return builder_->end_of_session(next_); }

  private:
    std::string session_;
    SequenceNumber next_ = 1;
    std::optional<MoldUdp64PacketBuilder> builder_;
};

}  // namespace

std::unique_ptr<VenueWire> make_wire(std::string_view venue, const std::string& session) {
    if (venue.starts_with("nasdaq-")) return std::make_unique<ItchWire>(session);
    if (const auto feed = iex_feed(venue)) return make_iex_wire(*feed, session);
    throw Error(ExitCode::usage, fmt::format("simulated exchange: it cannot speak as {}; give one of the "
                                             "nasdaq- or iex- venues",
                                             venue));
}

}  // namespace millrace::replay
