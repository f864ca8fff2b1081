// Any packets at any venue of the list: the ledger closes, every book's totals equal what it holds, and every
// message can be written out.
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "millrace/feed/session.hpp"
#include "millrace/feed/venues/venue_list.hpp"
#include "tools/dump_format.hpp"

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
    Digest content;
    for (const Side side : {Side::bid, Side::ask}) {
        Price last{};
        for (std::uint32_t depth = 0; depth < book.level_count(side); ++depth) {
            const Level level = book.level(side, depth);
            if (level.empty()) std::abort();
            if (depth > 0 && (side == Side::bid ? level.price >= last : level.price <= last)) std::abort();
            last = level.price;
            if (book.depth() != BookDepth::orders) {
                content.content += digest::of_level(level.price, level.quantity, side);
                continue;
            }
            Quantity total = 0;
            for (const Order order : book.orders(side, depth)) {
                content.content += digest::of_order(order.id, order.price, order.quantity, side);
                total += order.quantity;
            }
            if (total != level.quantity) std::abort();
        }
        if (book.depth() == BookDepth::top && book.level_count(side) > 1) std::abort();
    }
    if (content.content != book.digest().content) std::abort();
}

template <class Venue>
void dump(std::span<const std::uint8_t> packet) {
    const Frame frame = Venue::Framing::parse(packet);
    if (frame.kind == FrameKind::malformed) return;
    typename Venue::Framing::Walker walker(frame.blocks);
    fmt::memory_buffer text;
    for (std::uint32_t i = 0; i < frame.count; ++i) {
        const auto message = walker.next();
        const wire::MessageLayout* layout = Venue::layout(message);
        if (layout != nullptr && layout->fits(message)) tools::dump_json(text, {1, 2, 3}, *layout, message);
    }
}

// A run of packets, each behind a byte for line and passing time and a byte of length.
template <class Venue>
void run(const std::uint8_t* data, std::size_t size) {
    NullHandler handler;
    const auto session = std::make_unique<Session<Venue, NullHandler>>(small(), handler);
    Timestamp now = 1;
    while (size >= 2) {
        now += data[0] >> 1;
        const std::size_t length = std::min<std::size_t>(data[1], size - 2);
        const std::span<const std::uint8_t> packet(data + 2, length);
        session->on_packet({static_cast<LineId>(data[0] & 1), now, packet});
        dump<Venue>(packet);
        if (balance(session->messages()) != 0) std::abort();
        data += 2 + length;
        size -= 2 + length;
    }
    session->finish();
    if (session->arbiter().gap_open() || session->messages()[MessageCounter::held] != 0) std::abort();
    for (const OrderBook& book : session->books()) check(book);
}

}  // namespace

// The first byte chooses the venue.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    std::size_t at = data[0] % std::tuple_size_v<venues::VenueList>;
    venues::for_each_venue([&]<class Venue>() {
        if (at-- == 0) run<Venue>(data + 1, size - 1);
    });
    return 0;
}
