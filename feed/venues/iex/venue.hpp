// The Investors Exchange: top of book, price levels, and orders, each a feed of its own.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "millrace/feed/framing/iex_tp.hpp"
#include "millrace/feed/streams/dbn/venue_traits.hpp"
#include "millrace/feed/venues/iex/level_builder.hpp"
#include "millrace/feed/venues/iex/messages.hpp"
#include "millrace/feed/venues/iex/order_builder.hpp"
#include "millrace/feed/venues/iex/quote_builder.hpp"
#include "millrace/feed/venues/iex/recovery.hpp"

namespace millrace::venues {

namespace iex {
// DBN has no number for DEEP and DEEP+.
inline constexpr auto kPrivatePublisher = static_cast<std::uint16_t>(dbn::kPrivatePublisher + static_cast<unsigned>(kScale));

[[nodiscard]] constexpr RecoveryMeans recovery_means(bool snap) {
    return {.retransmit = true, .retransmit_tcp = true, .snap = snap, .answers_in_parts = true,
            .request_messages_max = IexTpRequest::kMessagesMax};
}

template <class FeedMessages>
struct Feed {
    static constexpr PriceScale kPriceScale = kScale;
    using Messages = FeedMessages;

    [[nodiscard]] static std::span<const wire::MessageLayout> layouts() { return LayoutTable<Messages>::all(); }
    [[nodiscard]] static const wire::MessageLayout* layout(std::span<const std::uint8_t> message) {
        return LayoutTable<Messages>::of(message);
    }
    [[nodiscard]] static std::unique_ptr<RecoveryProtocol> recovery_protocol() { return std::make_unique<Recovery>(); }
    // Counts messages by their first byte, the type.
    [[nodiscard]] static std::uint8_t type_index(std::span<const std::uint8_t> message) {
        return message.empty() ? std::uint8_t{0} : message[0];
    }
};
}  // namespace iex

struct IexTops : iex::Feed<iex::TopsMessages> {
    static constexpr std::string_view kId = "iex-tops";
    static constexpr std::string_view kTitle = "IEX TOPS 1.5 and 1.6";
    static constexpr std::uint16_t kProtocol = 0x8003;
    static constexpr dbn::VenueTraits kDbn{"IEXG.TOPS", 38, dbn::TimeOrigin::utc};
    static constexpr RecoveryMeans kRecovery = iex::recovery_means(false);
    using Framing = IexTp<0x8002, kProtocol>;
    template <BookHandler Handler>
    using Builder = iex::QuoteBuilder<Handler>;
};

struct IexDeep : iex::Feed<iex::DeepMessages> {
    static constexpr std::string_view kId = "iex-deep";
    static constexpr std::string_view kTitle = "IEX DEEP 1.0";
    static constexpr std::uint16_t kProtocol = 0x8004;
    static constexpr dbn::VenueTraits kDbn{"IEXG.DEEP", iex::kPrivatePublisher, dbn::TimeOrigin::utc};
    static constexpr RecoveryMeans kRecovery = iex::recovery_means(true);
    using Framing = IexTp<kProtocol>;
    template <BookHandler Handler>
    using Builder = iex::LevelBuilder<Handler>;
};

struct IexDeepPlus : iex::Feed<iex::DeepPlusMessages> {
    static constexpr std::string_view kId = "iex-deepplus";
    static constexpr std::string_view kTitle = "IEX DEEP+ 1.0";
    static constexpr std::uint16_t kProtocol = 0x8005;
    static constexpr dbn::VenueTraits kDbn{"IEXG.DEEPPLUS", iex::kPrivatePublisher, dbn::TimeOrigin::utc};
    static constexpr RecoveryMeans kRecovery = iex::recovery_means(true);
    using Framing = IexTp<kProtocol>;
    template <BookHandler Handler>
    using Builder = iex::OrderBuilder<Handler>;
};

}  // namespace millrace::venues
