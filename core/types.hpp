// The vocabulary of a market-data feed. Quantities that must not be mixed are distinct types.
#pragma once

#include <algorithm>
#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>

namespace millrace {

// Nanoseconds. `Timestamp` is a point on the clock its field names (capture and receive times: since
// the Unix epoch, UTC; exchange times: as the venue counts them, see the venue's README).
using Timestamp = std::int64_t;
using Nanoseconds = std::int64_t;

// Number of a message in its session, from 1; 0 means "none yet".
using SequenceNumber = std::uint64_t;

// Inclusive range of sequence numbers; empty when last < first.
struct SequenceRange {
    SequenceNumber first = 1;
    SequenceNumber last = 0;

    [[nodiscard]] constexpr bool empty() const { return last < first; }
    [[nodiscard]] constexpr std::uint64_t size() const { return empty() ? 0 : last - first + 1; }
    friend constexpr bool operator==(const SequenceRange&, const SequenceRange&) = default;
};

// The venue's name for a resting order, unique among the live orders of one feed.
enum class OrderId : std::uint64_t {};

// Price in the venue's smallest unit; `PriceScale` says how many implied decimals it has.
enum class Price : std::int64_t {};

// Number of implied decimals of a venue's prices: 4 means that 10000 is 1.0000.
enum class PriceScale : std::uint8_t {};

using Quantity = std::uint64_t;

enum class Side : std::uint8_t { bid = 0, ask = 1 };
[[nodiscard]] constexpr Side opposite(Side side) { return side == Side::bid ? Side::ask : Side::bid; }

// Which of a feed's redundant lines (A, B, ...) a packet came by, from 0 in the order of the config.
using LineId = std::uint8_t;
inline constexpr std::size_t kLinesMax = 16;

// Dense handle of an instrument within one feed, from 0, in order of first appearance.
enum class InstrumentId : std::uint32_t {};

[[nodiscard]] constexpr std::uint64_t value(OrderId id) { return static_cast<std::uint64_t>(id); }
[[nodiscard]] constexpr std::int64_t value(Price price) { return static_cast<std::int64_t>(price); }
[[nodiscard]] constexpr std::uint32_t value(InstrumentId id) { return static_cast<std::uint32_t>(id); }

// Ticker of at most 16 characters, without padding. Longer text is cut; every venue here fits.
class Symbol {
  public:
    static constexpr std::size_t kCapacity = 16;

    constexpr Symbol() = default;
    constexpr Symbol(std::string_view text) {  // NOLINT: a symbol is written as text
        const std::size_t n = std::min(text.size(), kCapacity);
        for (std::size_t i = 0; i < n; ++i) text_[i] = text[i];
    }
    constexpr Symbol(const char* text) : Symbol(std::string_view(text)) {}  // NOLINT: as above

    [[nodiscard]] constexpr std::string_view view() const {
        std::size_t n = kCapacity;
        while (n > 0 && text_[n - 1] == '\0') --n;
        return {text_.data(), n};
    }
    [[nodiscard]] constexpr bool empty() const { return text_[0] == '\0'; }

    friend constexpr auto operator<=>(const Symbol&, const Symbol&) = default;
    friend constexpr bool operator==(const Symbol&, const Symbol&) = default;

  private:
    std::array<char, kCapacity> text_{};
};

// How far a book can be trusted, at its stated sequence number. Ordered from best to worst.
enum class Quality : std::uint8_t {
    live,        // exact: every message up to the book's sequence number has been applied
    recovering,  // messages are missing and being fetched; the book may be wrong
    stale,       // the feed went quiet beyond its heartbeat; the book was exact when it did
    suspect,     // the feed contradicted itself (unknown order, lines that differ, crossed book)
};
[[nodiscard]] constexpr std::string_view name(Quality quality) {
    constexpr std::array<std::string_view, 4> kNames{"live", "recovering", "stale", "suspect"};
    return kNames[static_cast<std::size_t>(quality)];
}
[[nodiscard]] constexpr Quality worst(Quality a, Quality b) { return a < b ? b : a; }

// What a book can know at most: single orders in queue order, totals by price, or the best price only.
enum class BookDepth : std::uint8_t { orders, levels, top };

inline constexpr std::size_t kCacheLine = 64;

}  // namespace millrace

template <>
struct std::hash<millrace::Symbol> {
    std::size_t operator()(const millrace::Symbol& symbol) const noexcept {
        return std::hash<std::string_view>{}(symbol.view());
    }
};
