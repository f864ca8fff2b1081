// Any packets on any lines at any times: the ledger closes, and every book's totals equal its orders.
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "millrace/feed/session.hpp"
#include "millrace/feed/venues/nasdaq_itch50/venue.hpp"

namespace {

using namespace millrace;

SessionConfig small() {
    SessionConfig config;
    config.limits = {4, 64, 32};
    config.reorder_window_packets = 4;
    config.reorder_window_ns = 1000;
    config.datagram_bytes_max = 256;
    return config;
}

void check(const OrderBook& book) {
    std::uint32_t orders = 0;
    Digest content;
    for (const Side side : {Side::bid, Side::ask}) {
        for (std::uint32_t depth = 0; depth < book.level_count(side); ++depth) {
            const Level level = book.level(side, depth);
            Quantity total = 0;
            std::uint32_t count = 0;
            OrderId ahead{};
            for (const Order order : book.orders(side, depth)) {
                content.content += digest::of_order(order.id, order.price, order.quantity, side);
                if (count > 0) content.queue += digest::of_neighbours(tag_of(ahead), tag_of(order.id));
                ahead = order.id;
                total += order.quantity;
                ++count;
            }
            if (total != level.quantity || count != level.orders || count == 0) std::abort();
            orders += count;
        }
    }
    if (orders != book.order_count() || content != book.digest()) std::abort();
}

}  // namespace

// The input is a run of packets: a byte for line and passing time, a byte of length, then the packet.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    NullHandler handler;
    const auto session = std::make_unique<Session<venues::NasdaqItch50, NullHandler>>(small(), handler);
    Timestamp now = 1;
    while (size >= 2) {
        const auto line = static_cast<LineId>(data[0] & 1);
        now += data[0] >> 1;
        const std::size_t length = std::min<std::size_t>(data[1], size - 2);
        session->on_packet({line, now, {data + 2, length}});
        if ((data[0] & 0x80) != 0) session->on_time(now);
        if (balance(session->messages()) != 0) std::abort();
        data += 2 + length;
        size -= 2 + length;
    }
    session->finish();
    if (session->arbiter().gap_open() || session->messages()[MessageCounter::held] != 0) std::abort();
    for (const OrderBook& book : session->books()) check(book);
    return 0;
}
