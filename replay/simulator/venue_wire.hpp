// How a simulated exchange speaks: what the market did, in a venue's own messages and packets.
//
// The market tells what happens in ITCH (market.hpp). A wire turns each of its messages into those that the
// venue would send, keeping such books as it needs to know them, and packs them. It is written against the
// specification and shares no code with the books under test.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "millrace/core/types.hpp"

namespace millrace::replay {

// Midnight in New York of a trading day, from which the simulated exchange counts: 2 January 2024.
inline constexpr Timestamp kSimulatedMidnight = Timestamp{1'704'171'600} * 1'000'000'000;

class VenueWire {
  public:
    using Bytes = std::span<const std::uint8_t>;
    using Put = std::function<void(Bytes)>;

    // Where a packet stands in the stream.
    struct Place {
        SequenceNumber first = 1;
        std::uint64_t offset = 0;  // of its first block, in bytes of blocks
    };

    VenueWire() = default;
    virtual ~VenueWire() = default;
    VenueWire(const VenueWire&) = delete;
    VenueWire& operator=(const VenueWire&) = delete;

    // Gives `put` the venue's messages for one of the market's, in order; none where the venue tells none.
    // Each is valid during its call.
    virtual void encode(Bytes of_market, const Put& put) = 0;

    // Starts a packet in `room`, takes messages while they fit, and hands it out. `time` is the market's.
    virtual void begin(std::span<std::uint8_t> room, const Place& place) = 0;
    [[nodiscard]] virtual bool append(Bytes message) = 0;
    [[nodiscard]] virtual Bytes finish(Timestamp time) = 0;
    // In place of finish(), for a packet without messages: nothing more will come. A venue that has no such
    // mark sends a heartbeat.
    [[nodiscard]] virtual Bytes finish_session(Timestamp time) = 0;
};

// Of the venue of that id; `session` names its session. Throws Error(usage).
[[nodiscard]] std::unique_ptr<VenueWire> make_wire(std::string_view venue, const std::string& session);

}  // namespace millrace::replay
