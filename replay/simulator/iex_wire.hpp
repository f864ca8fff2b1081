// The simulated exchange as IEX: TOPS, DEEP or DEEP+ over IEX-TP.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "millrace/replay/simulator/venue_wire.hpp"

namespace millrace::replay {

enum class IexFeed : std::uint8_t { tops, deep, deep_plus };

// Which of its feeds a venue id names, if any.
[[nodiscard]] std::optional<IexFeed> iex_feed(std::string_view venue);

// The feed's id in IEX-TP.
[[nodiscard]] std::uint16_t iex_protocol(IexFeed feed);

// The session's number is made from its text.
[[nodiscard]] std::unique_ptr<VenueWire> make_iex_wire(IexFeed feed, const std::string& session);
[[nodiscard]] std::uint32_t iex_session_id(std::string_view session);

}  // namespace millrace::replay
