// Short arrays compared and shifted whole, a cache line or less at a time, without a branch per element.
// SSE2 is part of every x86-64; other processors take the plain loops, which give the same results.
#pragma once

#include <cstdint>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace millrace::lanes {

// Bit i is set where values[i] == wanted.
[[nodiscard]] inline std::uint32_t match4(const std::uint64_t* values, std::uint64_t wanted) {
    return static_cast<std::uint32_t>(values[0] == wanted) | static_cast<std::uint32_t>(values[1] == wanted) << 1 |
           static_cast<std::uint32_t>(values[2] == wanted) << 2 | static_cast<std::uint32_t>(values[3] == wanted) << 3;
}

#if defined(__SSE2__)

namespace detail {
[[nodiscard]] inline __m128i load(const void* from) { return _mm_loadu_si128(static_cast<const __m128i*>(from)); }
}  // namespace detail

template <int N>
[[nodiscard]] std::uint32_t match(const std::uint32_t* values, std::uint32_t wanted) {
    static_assert(N == 4 || N == 8 || N == 12);
    const __m128i w = _mm_set1_epi32(static_cast<int>(wanted));
    const auto equal = [&](int at) { return _mm_cmpeq_epi32(detail::load(values + at), w); };
    const __m128i low = _mm_packs_epi32(equal(0), N > 4 ? equal(4) : _mm_setzero_si128());
    const __m128i high = N > 8 ? _mm_packs_epi32(equal(8), _mm_setzero_si128()) : _mm_setzero_si128();
    return static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_packs_epi16(low, high)));
}

// Of the first 12 of 16 readable bytes.
[[nodiscard]] inline std::uint32_t match12(const std::uint8_t* values, std::uint8_t wanted) {
    const __m128i equal = _mm_cmpeq_epi8(detail::load(values), _mm_set1_epi8(static_cast<char>(wanted)));
    return static_cast<std::uint32_t>(_mm_movemask_epi8(equal)) & 0xfffU;
}

// Closes the gap: values[i] = values[i + 1] from `at` on. values[N] must be readable; what comes to lie in
// values[N - 1] is of no account.
template <std::uint32_t N>
void close_gap(std::uint32_t* values, std::uint32_t at) {
    static constexpr std::uint32_t kKeep[2 * N] = {
        ~0U, ~0U, ~0U, ~0U, ~0U, ~0U, ~0U, ~0U, N > 8 ? ~0U : 0, N > 8 ? ~0U : 0, N > 8 ? ~0U : 0, N > 8 ? ~0U : 0};
    for (std::uint32_t i = 0; i < N; i += 4) {
        const __m128i keep = detail::load(kKeep + N + i - at);
        const __m128i moved = _mm_andnot_si128(keep, detail::load(values + i + 1));
        const __m128i kept = _mm_and_si128(keep, detail::load(values + i));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(values + i), _mm_or_si128(moved, kept));
    }
}

#else

template <int N>
[[nodiscard]] std::uint32_t match(const std::uint32_t* values, std::uint32_t wanted) {
    std::uint32_t mask = 0;
    for (int i = 0; i < N; ++i) mask |= static_cast<std::uint32_t>(values[i] == wanted) << i;
    return mask;
}

[[nodiscard]] inline std::uint32_t match12(const std::uint8_t* values, std::uint8_t wanted) {
    std::uint32_t mask = 0;
    for (int i = 0; i < 12; ++i) mask |= static_cast<std::uint32_t>(values[i] == wanted) << i;
    return mask;
}

template <std::uint32_t N>
void close_gap(std::uint32_t* values, std::uint32_t at) {
    for (std::uint32_t i = at; i + 1 < N; ++i) values[i] = values[i + 1];
}

#endif

}  // namespace millrace::lanes
