// Inside the market: its orders, its books, and how it writes a message. Of no use outside.
#pragma once

#include <limits>

#include "millrace/feed/venues/nasdaq_itch50/messages.hpp"
#include "millrace/replay/simulator/market.hpp"

namespace millrace::replay {

struct Market::Order {
    static constexpr OrderIndex kNone = std::numeric_limits<OrderIndex>::max();
    static constexpr std::uint32_t kDead = std::numeric_limits<std::uint32_t>::max();

    std::uint64_t reference = 0;
    std::uint32_t stamp = kDead;  // number of the add: tells a recycled index from the order meant
    std::uint32_t price = 0;
    std::uint32_t shares = 0;
    OrderIndex ahead = kNone;
    OrderIndex behind = kNone;
    std::uint32_t place = 0;  // in live_
    std::uint16_t symbol = 0;
    bool bid = false;
};

struct Market::Level {
    std::uint32_t price = 0;
    std::uint32_t orders = 0;
    std::uint64_t shares = 0;
    OrderIndex front = Order::kNone;
    OrderIndex back = Order::kNone;
};

struct Market::Book {
    std::vector<Level> sides[2];  // [1] bids ascending, [0] asks descending: the best is last
    std::uint32_t middle = 0;     // where the price hovers
    std::uint32_t live = 0;
    Geometric near{1};      // how far from the best price most orders lie, in cents
    double reach = 1;       // how far the others do: busy symbols have deep books
    std::uint64_t far = 0;  // how many of a million those others are

    [[nodiscard]] std::vector<Level>& side(bool bid) { return sides[bid ? 1 : 0]; }
    [[nodiscard]] const std::vector<Level>& side(bool bid) const { return sides[bid ? 1 : 0]; }
    [[nodiscard]] static bool worse(std::uint32_t a, std::uint32_t b, bool bid) {
        return bid ? a < b : a > b;
    }
};

template <class M>
M Market::begin(std::uint32_t locate) const {
    M m{};
    m.message_type.set(M::kType);
    m.stock_locate.set(locate);
    m.timestamp.set(static_cast<std::uint64_t>(now_));
    if constexpr (requires { m.stock; }) {
        if (locate != 0) m.stock.set(symbol_name(locate - 1));
    }
    return m;
}

template <class M>
void Market::emit(const M& message) {
    const auto bytes = wire::bytes_of(message);
    written_.push_back(static_cast<std::uint8_t>(bytes.size()));
    written_.insert(written_.end(), bytes.begin(), bytes.end());
    ++shape_.by_type[static_cast<unsigned char>(M::kType)];
    ++shape_.messages;
}

// ITCH prices have four decimals.
inline constexpr std::uint32_t kCent = 100;

}  // namespace millrace::replay
