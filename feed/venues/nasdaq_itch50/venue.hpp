// Nasdaq's equity books, and those of its sister exchanges, which speak the same protocol.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "millrace/feed/framing/moldudp64.hpp"
#include "millrace/feed/recovery_config.hpp"
#include "millrace/feed/streams/dbn/venue_traits.hpp"
#include "millrace/feed/venues/nasdaq_itch50/book_builder.hpp"
#include "millrace/feed/venues/nasdaq_itch50/messages.hpp"
#include "millrace/feed/venues/nasdaq_itch50/recovery.hpp"

namespace millrace::venues {

struct NasdaqItch50 {
    static constexpr std::string_view kId = "nasdaq-itch50";
    static constexpr std::string_view kTitle = "Nasdaq TotalView-ITCH 5.0";
    static constexpr PriceScale kPriceScale{4};
    static constexpr dbn::VenueTraits kDbn{"XNAS.ITCH", 2, dbn::TimeOrigin::new_york_midnight};

    static constexpr RecoveryMeans kRecovery{.retransmit = true, .glimpse = true};
    [[nodiscard]] static std::unique_ptr<RecoveryProtocol> recovery_protocol() {
        return std::make_unique<itch50::Recovery>();
    }

    using Framing = MoldUdp64;
    using Messages = itch50::Messages;
    template <BookHandler Handler>
    using Builder = itch50::BookBuilder<Handler>;

    [[nodiscard]] static std::span<const wire::MessageLayout> layouts() { return itch50::layouts(); }
    [[nodiscard]] static const wire::MessageLayout* layout(std::span<const std::uint8_t> message) {
        return message.empty() ? nullptr : itch50::layout_of_type(static_cast<char>(message[0]));
    }
    // Counts messages by their first byte, the type.
    [[nodiscard]] static std::uint8_t type_index(std::span<const std::uint8_t> message) {
        return message.empty() ? std::uint8_t{0} : message[0];
    }
};

struct NasdaqBxItch50 : NasdaqItch50 {
    static constexpr std::string_view kId = "nasdaq-bx-itch50";
    static constexpr std::string_view kTitle = "Nasdaq Texas (formerly BX) TotalView-ITCH 5.0";
    static constexpr dbn::VenueTraits kDbn{"XBOS.ITCH", 3, dbn::TimeOrigin::new_york_midnight};
};

struct NasdaqPsxItch50 : NasdaqItch50 {
    static constexpr std::string_view kId = "nasdaq-psx-itch50";
    static constexpr std::string_view kTitle = "Nasdaq PSX TotalView-ITCH 5.0";
    static constexpr dbn::VenueTraits kDbn{"XPSX.ITCH", 4, dbn::TimeOrigin::new_york_midnight};
};

}  // namespace millrace::venues
