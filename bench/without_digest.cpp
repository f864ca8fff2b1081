// Compiled with `millrace` renamed (CMakeLists.txt), so that both kinds of books are in one program. The digest's
// two functions that follow the books are the only difference.
#define of_order of_order_when_kept
#define of_neighbours of_neighbours_when_kept
#include "millrace/core/digest.hpp"
#undef of_order
#undef of_neighbours

namespace millrace::digest {
[[nodiscard]] constexpr std::uint64_t of_order(OrderId, Price, Quantity, Side) { return 0; }
[[nodiscard]] constexpr std::uint64_t of_neighbours(std::uint32_t, std::uint32_t) { return 0; }
}  // namespace millrace::digest

#include <array>
#include <memory>

#include "bench/without_digest.hpp"
#include "millrace/feed/session.hpp"
#include "millrace/feed/venues/nasdaq_itch50/venue.hpp"

namespace without_digest {

namespace {

using namespace millrace;

struct Counting : NullHandler {
    std::uint64_t updates = 0;
    void on_book(const OrderBook&, const BookUpdate&) { ++updates; }
};
using Books = Session<venues::NasdaqItch50, Counting>;

// As measured() of book_runs.hpp.
[[gnu::noinline]] void measured(Books& books, const Packets& packets) {
    constexpr std::size_t kBatch = 64;
    std::array<Packet, kBatch> batch;
    std::size_t n = 0;
    const std::uint8_t* at = packets.bytes;
    for (const auto size : packets.sizes) {
        batch[n++] = {0, 0, {at, size}};
        at += size;
        if (n < kBatch) continue;
        books.on_packets(batch);
        n = 0;
    }
    books.on_packets({batch.data(), n});
    books.finish();
}

}  // namespace

Result run(const Packets& packets, double (*now)()) {
    SessionConfig config;
    config.lines = 1;
    config.limits.orders = packets.orders_max;
    Counting handler;
    const auto books = std::make_unique<Books>(config, handler);
    const double begin = now();
    measured(*books, packets);
    return {now() - begin, handler.updates, balance(books->messages()) == 0};
}

}  // namespace without_digest
