// One instrument's book, as strategies see it: best prices, levels, queues, status, and how far to trust it.
//
// An order book is a window on its feed's BookStore. It is read on the thread that drives the feed, from
// callbacks or between two polls; what it returns is a copy, or a range valid until the next packet.
#pragma once

#include <cstdint>
#include <iterator>
#include <optional>
#include <ranges>

#include "millrace/core/digest.hpp"
#include "millrace/core/price_ladder.hpp"
#include "millrace/core/types.hpp"

namespace millrace {

class BookStore;

// A price level: zeroes when there is none.
struct Level {
    Price price{};
    Quantity quantity = 0;
    std::uint32_t orders = 0;  // 0 also where the venue does not tell (see OrderBook::depth)

    [[nodiscard]] constexpr bool empty() const { return quantity == 0; }
    friend constexpr bool operator==(const Level&, const Level&) = default;
};

struct Top {
    Level bid;
    Level ask;
    friend constexpr bool operator==(const Top&, const Top&) = default;
};

struct Order {
    OrderId id{};
    Side side = Side::bid;
    Price price{};
    Quantity quantity = 0;
    friend constexpr bool operator==(const Order&, const Order&) = default;
};

enum class TradingState : std::uint8_t { unknown, halted, paused, quotation_only, trading };
[[nodiscard]] constexpr std::string_view name(TradingState state) {
    constexpr std::array<std::string_view, 5> kNames{"unknown", "halted", "paused", "quotation_only", "trading"};
    return kNames[static_cast<std::size_t>(state)];
}

struct LastTrade {
    Price price{};
    Quantity quantity = 0;  // 0 when there has been none
    Timestamp exchange_time = 0;
};

class alignas(2 * kCacheLine) OrderBook {
  public:
    [[nodiscard]] InstrumentId instrument() const { return InstrumentId{number_}; }
    [[nodiscard]] const Symbol& symbol() const { return symbol_; }
    [[nodiscard]] BookDepth depth() const { return depth_; }
    [[nodiscard]] PriceScale price_scale() const { return price_scale_; }

    [[nodiscard]] Top top() const { return {level(Side::bid, 0), level(Side::ask, 0)}; }
    [[nodiscard]] std::uint32_t level_count(Side side) const { return ladder(side).size(); }
    // Depth 0 is the best level; beyond the last one an empty level.
    [[nodiscard]] Level level(Side side, std::uint32_t depth) const;

    // Orders of a level, first in the queue first. Empty where `depth()` is not BookDepth::orders.
    class OrderIterator;
    [[nodiscard]] auto orders(Side side, std::uint32_t depth) const;
    [[nodiscard]] std::uint32_t order_count() const { return order_count_; }
    // Whether orders() stand as the exchange has them. False after a snapshot that does not promise the order of
    // its queues, until the levels which it brought with more than one order have emptied.
    [[nodiscard]] bool queue_exact() const { return doubtful_levels_ == 0; }
    // The order if it rests in this book.
    [[nodiscard]] std::optional<Order> find(OrderId id) const;

    // `live` only if every message up to the feed's current sequence number has been applied.
    [[nodiscard]] Quality quality() const { return quality_; }
    // The last message that changed this book; 0 when none has.
    [[nodiscard]] SequenceNumber sequence() const { return sequence_; }
    [[nodiscard]] const Digest& digest() const { return digest_; }

    [[nodiscard]] TradingState trading_state() const { return trading_state_; }
    [[nodiscard]] const LastTrade& last_trade() const { return last_trade_; }

  private:
    friend class BookStore;

    [[nodiscard]] const PriceLadder& ladder(Side side) const { return ladders_[static_cast<std::size_t>(side)]; }
    [[nodiscard]] PriceLadder& ladder(Side side) { return ladders_[static_cast<std::size_t>(side)]; }

    [[nodiscard]] LevelSlot best(Side side) const { return best_[static_cast<std::size_t>(side)]; }
    [[nodiscard]] static std::uint32_t book_and_side(std::uint32_t number, Side side) {
        return (number + 1) * 2 + static_cast<std::uint32_t>(side);
    }
    [[nodiscard]] std::uint32_t book_and_side(Side side) const { return book_and_side(number_, side); }

    // What every change of the book touches fills the first cache line.
    Digest digest_;
    SequenceNumber sequence_ = 0;
    LevelSlot best_[2] = {};    // by Side: first of each ladder, so that most changes need not touch that
    std::uint32_t order_count_ = 0;
    std::uint32_t number_ = 0;  // of this book in its store
    std::uint32_t doubtful_levels_ = 0;  // whose queue order is not known
    Quality quality_ = Quality::live;
    TradingState trading_state_ = TradingState::unknown;
    BookDepth depth_ = BookDepth::orders;
    PriceScale price_scale_{};
    const BookStore* store_ = nullptr;

    alignas(kCacheLine) LastTrade last_trade_;
    Symbol symbol_;

    PriceLadder ladders_[2];  // by Side; each in two lines that processors fetch together
};

}  // namespace millrace

#include "millrace/core/book_store.hpp"  // IWYU pragma: export
