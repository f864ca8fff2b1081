// A rolling fingerprint of a book: equal books have equal digests on every compiler, backend and host,
// live or replayed. Each change costs a few multiplications, whatever the size of the book.
//
// Content is the sum, modulo 2^64, of one hash per resting order (id, price, quantity, side). Queue order
// is the sum of one hash per pair of neighbours in a level's queue, which together with the content fixes
// the order of every queue. Sums can be undone, so an order that leaves takes its hashes with it. The
// hash multiplies two 64-bit words into 128 bits and folds them; it guards against accidents, not against
// someone who forges orders on purpose.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "millrace/core/types.hpp"

namespace millrace {

struct Digest {
    std::uint64_t content = 0;
    std::uint64_t queue = 0;

    friend constexpr bool operator==(const Digest&, const Digest&) = default;

    constexpr Digest& operator+=(const Digest& other) {
        content += other.content;
        queue += other.queue;
        return *this;
    }

    // 32 lowercase hexadecimal digits: content, then queue order.
    [[nodiscard]] std::string text() const {
        constexpr std::string_view kDigits = "0123456789abcdef";
        std::string out(32, '0');
        for (std::size_t i = 0; i < 16; ++i) {
            out[i] = kDigits[(content >> (60 - 4 * i)) & 15];
            out[16 + i] = kDigits[(queue >> (60 - 4 * i)) & 15];
        }
        return out;
    }
};

namespace digest {

// Odd constants with well-spread bits (fractional parts of square roots of small primes).
inline constexpr std::uint64_t kFirst = 0x6a09e667f3bcc909ULL;
inline constexpr std::uint64_t kSecond = 0xbb67ae8584caa73bULL;
inline constexpr std::uint64_t kThird = 0x3c6ef372fe94f82bULL;

[[nodiscard]] constexpr std::uint64_t fold(std::uint64_t a, std::uint64_t b) {
    __extension__ using Wide = unsigned __int128;
    return a * b ^ static_cast<std::uint64_t>((static_cast<Wide>(a) * b) >> 64);
}

// One order at rest. Adding the first factor keeps a zero factor from hiding the other one.
[[nodiscard]] constexpr std::uint64_t of_order(OrderId id, Price price, Quantity quantity, Side side) {
    const std::uint64_t what =
        static_cast<std::uint64_t>(value(price)) * kThird + (quantity << 1 | static_cast<std::uint64_t>(side));
    return fold(value(id) ^ kFirst, what ^ kSecond) + what;
}

// Two orders, by their tags, of which `behind` stands directly after `ahead` in the queue of one level.
[[nodiscard]] constexpr std::uint64_t of_neighbours(std::uint32_t ahead, std::uint32_t behind) {
    return fold((std::uint64_t{ahead} << 32 | behind) ^ kThird, kFirst);
}

// One price level of a book that knows totals only.
[[nodiscard]] constexpr std::uint64_t of_level(Price price, Quantity quantity, Side side) {
    return of_order(OrderId{0}, price, quantity, side);
}

// What one book adds to the digest of its feed: its own, keyed by its symbol, so that two books that
// trade places are noticed. Empty books add nothing.
[[nodiscard]] constexpr Digest keyed(const Digest& book, const Symbol& symbol) {
    std::uint64_t key = kFirst;
    for (const char c : symbol.view()) key = fold(key ^ static_cast<unsigned char>(c), kSecond) + kThird;
    return {book.content * (key | 1), book.queue * (key | 1)};
}

}  // namespace digest
}  // namespace millrace
