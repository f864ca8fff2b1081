// The Investors Exchange: top of book, price levels, and orders, each a feed of its own.
#pragma once

#include <span>
#include <string_view>

#include "millrace/feed/framing/iex_tp.hpp"
#include "millrace/feed/venues/iex/level_builder.hpp"
#include "millrace/feed/venues/iex/messages.hpp"
#include "millrace/feed/venues/iex/order_builder.hpp"
#include "millrace/feed/venues/iex/quote_builder.hpp"

namespace millrace::venues {

namespace iex {
template <class FeedMessages>
struct Feed {
    static constexpr PriceScale kPriceScale = kScale;
    using Messages = FeedMessages;

    [[nodiscard]] static std::span<const wire::MessageLayout> layouts() { return LayoutTable<Messages>::all(); }
    [[nodiscard]] static const wire::MessageLayout* layout(std::span<const std::uint8_t> message) {
        return LayoutTable<Messages>::of(message);
    }
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
    using Framing = IexTp<0x8002, kProtocol>;
    template <BookHandler Handler>
    using Builder = iex::QuoteBuilder<Handler>;
};

struct IexDeep : iex::Feed<iex::DeepMessages> {
    static constexpr std::string_view kId = "iex-deep";
    static constexpr std::string_view kTitle = "IEX DEEP 1.0";
    static constexpr std::uint16_t kProtocol = 0x8004;
    using Framing = IexTp<kProtocol>;
    template <BookHandler Handler>
    using Builder = iex::LevelBuilder<Handler>;
};

struct IexDeepPlus : iex::Feed<iex::DeepPlusMessages> {
    static constexpr std::string_view kId = "iex-deepplus";
    static constexpr std::string_view kTitle = "IEX DEEP+ 1.0";
    static constexpr std::uint16_t kProtocol = 0x8005;
    using Framing = IexTp<kProtocol>;
    template <BookHandler Handler>
    using Builder = iex::OrderBuilder<Handler>;
};

}  // namespace millrace::venues
