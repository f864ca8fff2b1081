// ITCH messages and MoldUDP64 packets for tests, written with the project's encoder.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "millrace/feed/framing/moldudp64.hpp"
#include "millrace/feed/venues/nasdaq_itch50/messages.hpp"

namespace millrace::test {

using Message = std::vector<std::uint8_t>;

template <class M>
[[nodiscard]] M message(std::uint16_t locate, std::uint64_t timestamp = 0) {
    M m{};
    m.message_type.set(M::kType);
    m.stock_locate.set(locate);
    m.timestamp.set(timestamp);
    return m;
}
template <class M>
[[nodiscard]] Message bytes(const M& m) {
    const auto span = wire::bytes_of(m);
    return {span.begin(), span.end()};
}

inline Message directory(std::uint16_t locate, std::string_view stock) {
    auto m = message<venues::itch50::StockDirectory>(locate);
    m.stock.set(stock);
    return bytes(m);
}
inline Message add(std::uint16_t locate, std::uint64_t reference, char side, std::uint32_t shares,
                   std::string_view stock, std::uint32_t price) {
    auto m = message<venues::itch50::AddOrder>(locate);
    m.order_reference.set(reference);
    m.side.set(side);
    m.shares.set(shares);
    m.stock.set(stock);
    m.price.set(price);
    return bytes(m);
}
inline Message executed(std::uint16_t locate, std::uint64_t reference, std::uint32_t shares,
                        std::uint64_t match_number = 0) {
    auto m = message<venues::itch50::OrderExecuted>(locate);
    m.order_reference.set(reference);
    m.executed_shares.set(shares);
    m.match_number.set(match_number);
    return bytes(m);
}
inline Message executed_with_price(std::uint16_t locate, std::uint64_t reference, std::uint32_t shares,
                                   std::uint32_t price, char printable) {
    auto m = message<venues::itch50::OrderExecutedWithPrice>(locate);
    m.order_reference.set(reference);
    m.executed_shares.set(shares);
    m.printable.set(printable);
    m.execution_price.set(price);
    return bytes(m);
}
inline Message cancel(std::uint16_t locate, std::uint64_t reference, std::uint32_t shares) {
    auto m = message<venues::itch50::OrderCancel>(locate);
    m.order_reference.set(reference);
    m.cancelled_shares.set(shares);
    return bytes(m);
}
inline Message remove(std::uint16_t locate, std::uint64_t reference) {
    auto m = message<venues::itch50::OrderDelete>(locate);
    m.order_reference.set(reference);
    return bytes(m);
}
inline Message replace(std::uint16_t locate, std::uint64_t reference, std::uint64_t new_reference,
                       std::uint32_t shares, std::uint32_t price) {
    auto m = message<venues::itch50::OrderReplace>(locate);
    m.original_order_reference.set(reference);
    m.new_order_reference.set(new_reference);
    m.new_shares.set(shares);
    m.new_price.set(price);
    return bytes(m);
}
inline Message trading_action(std::uint16_t locate, std::string_view stock, char state) {
    auto m = message<venues::itch50::StockTradingAction>(locate);
    m.stock.set(stock);
    m.state.set(state);
    m.reason.set("");
    return bytes(m);
}

inline std::vector<std::uint8_t> packet(SequenceNumber first, const std::vector<Message>& messages,
                                        std::string_view session = "SESSION1") {
    std::vector<std::uint8_t> buffer(65'535);
    MoldUdp64PacketBuilder builder(buffer, session);
    builder.begin(first);
    for (const Message& m : messages) MILLRACE_VERIFY(builder.append(m));
    const auto packet = builder.finish();
    return {packet.begin(), packet.end()};
}

}  // namespace millrace::test
