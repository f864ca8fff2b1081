// What DBN needs to know of a venue: the name of its data set, its publisher, and its clock.
#pragma once

#include <string_view>

#include "millrace/feed/streams/dbn/market_clock.hpp"

namespace millrace::dbn {

struct VenueTraits {
    std::string_view dataset;
    std::uint16_t publisher = 0;
    TimeOrigin time_origin = TimeOrigin::utc;
};

// Publishers from here on are nobody's: for venues that DBN has no number for. What is added to it
// is the number of decimals of the venue's prices.
inline constexpr std::uint16_t kPrivatePublisher = 60'000;

// The decimals of a publisher's prices, which DBN does not tell: books made of its records then
// count prices as the venue does. Those of US equities have four.
[[nodiscard]] constexpr PriceScale price_scale_of(std::uint16_t publisher) {
    constexpr std::uint16_t kIexTops = 38;
    if (publisher >= 2 && publisher <= 8) return PriceScale{4};  // ITCH and PITCH
    if (publisher == kIexTops) return PriceScale{4};
    if (publisher >= kPrivatePublisher && publisher <= kPrivatePublisher + 9) {
        return PriceScale(static_cast<std::uint8_t>(publisher - kPrivatePublisher));
    }
    return PriceScale{9};
}

// A venue says so itself by a static member kDbn; one that does not gets a private publisher.
template <class Venue>
[[nodiscard]] constexpr VenueTraits traits_of() {
    if constexpr (requires { Venue::kDbn; }) return Venue::kDbn;
    else {
        constexpr auto kDecimals = static_cast<std::uint16_t>(Venue::kPriceScale);
        return {Venue::kId.substr(0, 15), kPrivatePublisher + kDecimals, TimeOrigin::utc};
    }
}

}  // namespace millrace::dbn
