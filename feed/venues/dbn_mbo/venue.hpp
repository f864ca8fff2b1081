// DBN's market by order as a feed: records in files and streams that millrace or others made.
//
// The messages are DBN records of version 3, behind 16-bit lengths like any venue's. Symbols come
// from symbol-mapping records, which readers of files make of the metadata.
#pragma once

#include <span>
#include <string_view>

#include "millrace/feed/framing/moldudp64.hpp"
#include "millrace/feed/streams/dbn/layouts.hpp"
#include "millrace/feed/venues/dbn_mbo/book_builder.hpp"

namespace millrace::venues {

struct DbnMbo {
    static constexpr std::string_view kId = "dbn-mbo";
    static constexpr std::string_view kTitle = "Databento Binary Encoding, market by order";
    static constexpr PriceScale kPriceScale{9};

    static constexpr bool kOnLines = false;  // comes from files and streams alone

    using Framing = MoldUdp64;
    template <BookHandler Handler>
    using Builder = dbn_mbo::BookBuilder<Handler>;

    [[nodiscard]] static std::span<const wire::MessageLayout> layouts() { return dbn::layouts(); }
    [[nodiscard]] static const wire::MessageLayout* layout(std::span<const std::uint8_t> message) {
        return message.size() < sizeof(dbn::Header) ? nullptr : dbn::layout_of(message[1]);
    }
    // Counts records by their rtype.
    [[nodiscard]] static std::uint8_t type_index(std::span<const std::uint8_t> message) {
        return message.size() < 2 ? std::uint8_t{0} : message[1];
    }
};

}  // namespace millrace::venues
