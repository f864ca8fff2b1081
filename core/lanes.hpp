// Short arrays compared and shifted whole, a cache line or less at a time, without a branch per element.
// SSE2 is part of every x86-64; other processors take the plain loops, which give the same results.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif
#if defined(__SSE4_1__)
#include <smmintrin.h>
#endif

namespace millrace::lanes {

// Bit i is set where values[i] == wanted.
#if defined(__SSE4_1__)
[[nodiscard]] inline std::uint32_t match4(const std::uint64_t* values, std::uint64_t wanted) {
    const __m128i w = _mm_set1_epi64x(static_cast<long long>(wanted));
    const auto equal = [&](int at) {
        return _mm_cmpeq_epi64(_mm_loadu_si128(reinterpret_cast<const __m128i*>(values + at)), w);
    };
    const __m128i both = _mm_packs_epi32(equal(0), equal(2));
    return static_cast<std::uint32_t>(_mm_movemask_ps(_mm_castsi128_ps(both)));
}
#else
[[nodiscard]] inline std::uint32_t match4(const std::uint64_t* values, std::uint64_t wanted) {
    return static_cast<std::uint32_t>(values[0] == wanted) | static_cast<std::uint32_t>(values[1] == wanted) << 1 |
           static_cast<std::uint32_t>(values[2] == wanted) << 2 | static_cast<std::uint32_t>(values[3] == wanted) << 3;
}
#endif

#if defined(__SSE2__)

namespace detail {
[[nodiscard]] inline __m128i load(const void* from) { return _mm_loadu_si128(static_cast<const __m128i*>(from)); }

// N ones and N zeroes: a window of them picks the lanes before a place.
template <std::uint32_t N>
inline constexpr auto kOnesThenZeroes = [] {
    std::array<std::uint32_t, 2 * N> lanes{};
    for (std::uint32_t i = 0; i < N; ++i) lanes[i] = ~0U;
    return lanes;
}();

// Of 4 lanes, those of `kept` where `keep` is all ones, and those of `moved` elsewhere.
[[nodiscard]] inline __m128i choose(const void* keep, const void* kept, const void* moved) {
#if defined(__SSE4_1__)
    return _mm_blendv_epi8(load(moved), load(kept), load(keep));
#else
    const __m128i k = load(keep);
    return _mm_or_si128(_mm_and_si128(k, load(kept)), _mm_andnot_si128(k, load(moved)));
#endif
}
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

// How many of the first `count` of 12 values are greater than `key`; they fall.
[[nodiscard]] inline std::uint32_t count_above(const std::int32_t* values, std::uint32_t count, std::int32_t key) {
    const __m128i k = _mm_set1_epi32(key);
    const auto above = [&](int at) { return _mm_cmpgt_epi32(detail::load(values + at), k); };
    const __m128i bytes = _mm_packs_epi16(_mm_packs_epi32(above(0), above(4)),
                                          _mm_packs_epi32(above(8), _mm_setzero_si128()));
    // As the values fall, those above stand first: what lies behind `count` is cut off.
    const auto mask = static_cast<std::uint32_t>(_mm_movemask_epi8(bytes)) & ((1U << count) - 1);
    return static_cast<std::uint32_t>(std::countr_one(mask));
}

// Closes the gap: values[i] = values[i + 1] from `at` on. values[N] must be readable; what comes to lie in
// values[N - 1] is of no account.
template <std::uint32_t N>
void close_gap(std::uint32_t* values, std::uint32_t at) {
    for (std::uint32_t i = 0; i < N; i += 4) {
        const std::uint32_t* keep = detail::kOnesThenZeroes<N>.data() + N + i - at;
        _mm_storeu_si128(reinterpret_cast<__m128i*>(values + i), detail::choose(keep, values + i, values + i + 1));
    }
}

// Opens a gap: values[i] = values[i - 1] behind `at`, for the caller to fill. values[-1] must be readable; what
// stood in values[N - 1] is lost.
template <std::uint32_t N>
void open_gap(std::uint32_t* values, std::uint32_t at) {
    for (std::uint32_t i = N; i > 0;) {
        i -= 4;
        const std::uint32_t* keep = detail::kOnesThenZeroes<N>.data() + N - 1 + i - at;
        _mm_storeu_si128(reinterpret_cast<__m128i*>(values + i), detail::choose(keep, values + i, values + i - 1));
    }
}

#else

template <int N>
[[nodiscard]] std::uint32_t match(const std::uint32_t* values, std::uint32_t wanted) {
    std::uint32_t mask = 0;
    for (int i = 0; i < N; ++i) mask |= static_cast<std::uint32_t>(values[i] == wanted) << i;
    return mask;
}

[[nodiscard]] inline std::uint32_t count_above(const std::int32_t* values, std::uint32_t count, std::int32_t key) {
    std::uint32_t above = 0;
    while (above < count && values[above] > key) ++above;
    return above;
}

template <std::uint32_t N>
void close_gap(std::uint32_t* values, std::uint32_t at) {
    for (std::uint32_t i = at; i + 1 < N; ++i) values[i] = values[i + 1];
}

template <std::uint32_t N>
void open_gap(std::uint32_t* values, std::uint32_t at) {
    for (std::uint32_t i = N - 1; i > at; --i) values[i] = values[i - 1];
}

#endif

}  // namespace millrace::lanes
