// What a feed tells about itself, as records among its records, so that it comes in order with
// them. Their rtypes lie in a range that DBN does not use, and they never leave the process.
#pragma once

#include "millrace/core/order_book.hpp"
#include "millrace/feed/streams/dbn/records.hpp"

namespace millrace::python {

inline constexpr std::uint8_t kGapType = 0xE0;
inline constexpr std::uint8_t kQualityType = 0xE1;
inline constexpr std::uint8_t kReconnectType = 0xE2;

[[nodiscard]] constexpr bool is_event_type(std::uint8_t record_type) {
    return record_type >= kGapType && record_type <= kReconnectType;
}

// Messages that were given up: books may be wrong from here on, until their quality says
// otherwise.
struct GapEvent : dbn::Header {
    static constexpr char kType = static_cast<char>(kGapType);
    static constexpr std::string_view kName = "gap";
    wire::u64le first;
    wire::u64le last;
    static constexpr auto fields() {
        using M = GapEvent;
        return dbn::after_header<M>(wire::field("first", &M::first, 16),
                                    wire::field("last", &M::last, 24));
    }
};
static_assert(dbn::Record<GapEvent> && wire::layout_matches_spec<GapEvent>());

// A book's quality changed: 0 live, 1 recovering, 2 stale, 3 suspect.
struct QualityEvent : dbn::Header {
    static constexpr char kType = static_cast<char>(kQualityType);
    static constexpr std::string_view kName = "quality";
    wire::u64le sequence;
    wire::u8 quality;
    wire::Reserved<7> reserved;
    static constexpr auto fields() {
        using M = QualityEvent;
        return dbn::after_header<M>(wire::field("sequence", &M::sequence, 16),
                                    wire::field("quality", &M::quality, 24),
                                    wire::field("_reserved", &M::reserved, 25));
    }
};
static_assert(dbn::Record<QualityEvent> && wire::layout_matches_spec<QualityEvent>());

// A TCP line that had been lost is there again: which of the feed's lines, from 0, and how often
// that has happened to it.
struct ReconnectEvent : dbn::Header {
    static constexpr char kType = static_cast<char>(kReconnectType);
    static constexpr std::string_view kName = "reconnect";
    wire::u64le count;
    wire::u8 line;
    wire::Reserved<7> reserved;
    static constexpr auto fields() {
        using M = ReconnectEvent;
        return dbn::after_header<M>(wire::field("count", &M::count, 16),
                                    wire::field("line", &M::line, 24),
                                    wire::field("_reserved", &M::reserved, 25));
    }
};
static_assert(dbn::Record<ReconnectEvent> && wire::layout_matches_spec<ReconnectEvent>());

// ---- ready made; `instrument` is 0 where it is the whole feed that is spoken of ----

[[nodiscard]] inline GapEvent gap_event(std::uint16_t publisher, std::uint32_t instrument,
                                        std::uint64_t first, std::uint64_t last) {
    auto event = dbn::make<GapEvent>(dbn::Rtype{kGapType});
    event.publisher_id.set(publisher);
    event.instrument_id.set(instrument);
    event.first.set(first);
    event.last.set(last);
    return event;
}

[[nodiscard]] inline QualityEvent quality_event(std::uint16_t publisher, std::uint32_t instrument,
                                                const OrderBook& book, Quality quality) {
    auto event = dbn::make<QualityEvent>(dbn::Rtype{kQualityType});
    event.publisher_id.set(publisher);
    event.instrument_id.set(instrument);
    event.sequence.set(book.sequence());
    event.quality.set(static_cast<std::uint8_t>(quality));
    return event;
}

}  // namespace millrace::python
