// CRC-32C by the processor's instruction. It takes three cycles, and one can be begun in each: so three
// runs of bytes are gone through side by side, and their checksums put together.
#include <nmmintrin.h>

#include <array>
#include <cstring>

#include "millrace/feed/streams/envelope.hpp"

namespace millrace::streams {

namespace {

constexpr std::uint32_t kPolynomial = 0x82f63b78;  // Castagnoli's, its bits reversed as in the checksum
constexpr std::size_t kRun = 1'024;                // bytes

// The product of two polynomials modulo Castagnoli's; the highest bit is the coefficient of 1.
constexpr std::uint32_t product(std::uint32_t a, std::uint32_t b) {
    std::uint32_t sum = 0;
    for (std::uint32_t bit = std::uint32_t{1} << 31; bit != 0; bit >>= 1) {
        if ((a & bit) != 0) sum ^= b;
        b = (b & 1) != 0 ? (b >> 1) ^ kPolynomial : b >> 1;
    }
    return sum;
}

// What a checksum becomes behind kRun bytes of zero, by the value of each of its four bytes.
constexpr auto kBehindRun = [] {
    std::uint32_t factor = std::uint32_t{1} << 30;  // x, to be taken to the power of kRun * 8
    for (std::size_t power = 1; power < kRun * 8; power *= 2) factor = product(factor, factor);
    std::array<std::array<std::uint32_t, 256>, 4> table{};
    for (std::uint32_t byte = 0; byte < 4; ++byte) {
        for (std::uint32_t i = 0; i < 256; ++i) table[byte][i] = product(factor, i << (8 * byte));
    }
    return table;
}();
static_assert((kRun & (kRun - 1)) == 0);

std::uint64_t behind_run(std::uint64_t crc) {
    return kBehindRun[0][crc & 0xff] ^ kBehindRun[1][crc >> 8 & 0xff] ^ kBehindRun[2][crc >> 16 & 0xff] ^
           kBehindRun[3][crc >> 24 & 0xff];
}

std::uint64_t word_at(const std::uint8_t* bytes) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes, sizeof(word));
    return word;
}

}  // namespace

std::uint32_t crc32c(std::span<const std::uint8_t> bytes) {
    std::uint64_t crc = 0xffffffffU;
    for (; bytes.size() >= 3 * kRun; bytes = bytes.subspan(3 * kRun)) {
        std::uint64_t second = 0;
        std::uint64_t third = 0;
        for (const std::uint8_t *at = bytes.data(), *end = at + kRun; at < end; at += sizeof(std::uint64_t)) {
            crc = _mm_crc32_u64(crc, word_at(at));
            second = _mm_crc32_u64(second, word_at(at + kRun));
            third = _mm_crc32_u64(third, word_at(at + 2 * kRun));
        }
        crc = behind_run(behind_run(crc) ^ second) ^ third;
    }
    for (; bytes.size() >= 8; bytes = bytes.subspan(8)) crc = _mm_crc32_u64(crc, word_at(bytes.data()));
    auto rest = static_cast<std::uint32_t>(crc);
    for (const std::uint8_t byte : bytes) rest = _mm_crc32_u8(rest, byte);
    return ~rest;
}

}  // namespace millrace::streams
