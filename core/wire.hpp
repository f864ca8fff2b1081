// Wire types: the numbers and texts of a protocol as they lie in a packet, byte for byte.
//
// A message is a struct of these types and nothing else, so it has alignment 1 and no padding, and may be
// laid over received bytes once their length is checked. Its `fields()` table repeats the specification's
// names and offsets; `layout_matches_spec<M>()` proves at compile time that each member lies where the
// table says. Decoder, encoder, dump, message tables and Python dtypes all read that one declaration.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <tuple>
#include <type_traits>

#include "millrace/core/error.hpp"
#include "millrace/core/types.hpp"

namespace millrace::wire {

enum class ByteOrder : std::uint8_t { big, little };

// How a field is to be read by people and tools.
enum class FieldKind : std::uint8_t {
    integer,    // unsigned
    signed_integer,
    price,      // unsigned or signed integer with implied decimals
    timestamp,  // nanoseconds, as the venue counts them
    text,       // ASCII, left-justified, padded right with spaces
    reserved,   // carries nothing; left out of dumps
};

namespace detail {

template <std::size_t N>
using UnsignedOf = std::conditional_t<
    N == 1, std::uint8_t,
    std::conditional_t<N == 2, std::uint16_t,
                       std::conditional_t<N <= 4, std::uint32_t, std::uint64_t>>>;

template <std::size_t N, ByteOrder Order>
[[nodiscard]] constexpr UnsignedOf<N> load(const std::array<std::uint8_t, N>& raw) {
    using U = UnsignedOf<N>;
    if constexpr (sizeof(U) == N) {
        const U bits = std::bit_cast<U>(raw);
        if constexpr (N == 1 || Order == ByteOrder::little) return bits;
        else if constexpr (N == 2) return __builtin_bswap16(bits);
        else if constexpr (N == 4) return __builtin_bswap32(bits);
        else return __builtin_bswap64(bits);
    } else {
        // 6 bytes, the only odd width in use: two loads, since one through a wider copy would stall.
        static_assert(N == 6);
        std::array<std::uint8_t, 2> two{raw[0], raw[1]};
        std::array<std::uint8_t, 4> four{raw[2], raw[3], raw[4], raw[5]};
        if constexpr (Order == ByteOrder::big) {
            return std::uint64_t{load<2, Order>(two)} << 32 | load<4, Order>(four);
        } else {
            return std::uint64_t{load<4, Order>(four)} << 16 | load<2, Order>(two);
        }
    }
}

template <std::size_t N, ByteOrder Order>
constexpr void store(std::array<std::uint8_t, N>& raw, std::uint64_t number) {
    for (std::size_t i = 0; i < N; ++i) {
        const std::size_t at = Order == ByteOrder::big ? N - 1 - i : i;
        raw[at] = static_cast<std::uint8_t>(number >> (8 * i));
    }
}

}  // namespace detail

static_assert(std::endian::native == std::endian::little, "loads assume a little-endian host");

// N-byte integer; `value()` is the host's. `Decimals` matters to kind price only.
template <std::size_t N, ByteOrder Order, FieldKind Kind = FieldKind::integer, unsigned Decimals = 0>
struct Number {
    static constexpr FieldKind kKind = Kind;
    static constexpr ByteOrder kOrder = Order;
    static constexpr unsigned kDecimals = Decimals;
    static constexpr bool kSigned = false;
    using Host = detail::UnsignedOf<N>;

    std::array<std::uint8_t, N> raw;

    [[nodiscard]] constexpr Host value() const { return detail::load<N, Order>(raw); }
    constexpr void set(std::uint64_t number) { detail::store<N, Order>(raw, number); }
};

template <std::size_t N, ByteOrder Order, FieldKind Kind = FieldKind::signed_integer, unsigned Decimals = 0>
struct SignedNumber {
    static constexpr FieldKind kKind = Kind;
    static constexpr ByteOrder kOrder = Order;
    static constexpr unsigned kDecimals = Decimals;
    static constexpr bool kSigned = true;
    using Host = std::make_signed_t<detail::UnsignedOf<N>>;
    static_assert(sizeof(Host) == N, "sign extension of odd widths is not needed by any venue yet");

    std::array<std::uint8_t, N> raw;

    [[nodiscard]] constexpr Host value() const { return static_cast<Host>(detail::load<N, Order>(raw)); }
    constexpr void set(std::int64_t number) {
        detail::store<N, Order>(raw, static_cast<std::uint64_t>(number));
    }
};

// ASCII text of N characters, padded right with spaces.
template <std::size_t N>
struct Alpha {
    static constexpr FieldKind kKind = FieldKind::text;
    static constexpr ByteOrder kOrder = ByteOrder::big;
    static constexpr unsigned kDecimals = 0;
    static constexpr bool kSigned = false;

    std::array<char, N> raw;

    // Without the padding. Some senders pad with NUL; both are trimmed.
    [[nodiscard]] constexpr std::string_view value() const {
        std::size_t n = N;
        while (n > 0 && (raw[n - 1] == ' ' || raw[n - 1] == '\0')) --n;
        return {raw.data(), n};
    }
    constexpr void set(std::string_view text) {
        for (std::size_t i = 0; i < N; ++i) raw[i] = i < text.size() ? text[i] : ' ';
    }
};

// ASCII text of at most N - 1 characters, ended and padded with NUL.
template <std::size_t N>
struct CString {
    static constexpr FieldKind kKind = FieldKind::text;
    static constexpr ByteOrder kOrder = ByteOrder::little;
    static constexpr unsigned kDecimals = 0;
    static constexpr bool kSigned = false;

    std::array<char, N> raw;

    [[nodiscard]] constexpr std::string_view value() const {
        std::size_t n = 0;
        while (n < N && raw[n] != '\0') ++n;
        return {raw.data(), n};
    }
    // Longer text is cut.
    constexpr void set(std::string_view text) {
        for (std::size_t i = 0; i < N; ++i) raw[i] = i < text.size() && i + 1 < N ? text[i] : '\0';
    }
};

// One ASCII character that stands for a code; `value()` is the character itself, also when a space.
struct Code {
    static constexpr FieldKind kKind = FieldKind::text;
    static constexpr ByteOrder kOrder = ByteOrder::big;
    static constexpr unsigned kDecimals = 0;
    static constexpr bool kSigned = false;

    std::array<char, 1> raw;

    [[nodiscard]] constexpr char value() const { return raw[0]; }
    constexpr void set(char code) { raw[0] = code; }
};

template <std::size_t N>
struct Reserved {
    static constexpr FieldKind kKind = FieldKind::reserved;
    static constexpr ByteOrder kOrder = ByteOrder::big;
    static constexpr unsigned kDecimals = 0;
    static constexpr bool kSigned = false;

    std::array<std::uint8_t, N> raw;
};

using u8 = Number<1, ByteOrder::big>;
using u16be = Number<2, ByteOrder::big>;
using u32be = Number<4, ByteOrder::big>;
using u48be = Number<6, ByteOrder::big>;
using u64be = Number<8, ByteOrder::big>;
using Timestamp48be = Number<6, ByteOrder::big, FieldKind::timestamp>;
using Timestamp64be = Number<8, ByteOrder::big, FieldKind::timestamp>;
using Price4be = Number<4, ByteOrder::big, FieldKind::price, 4>;
using Price8be = Number<8, ByteOrder::big, FieldKind::price, 8>;

using u16le = Number<2, ByteOrder::little>;
using u32le = Number<4, ByteOrder::little>;
using u64le = Number<8, ByteOrder::little>;
using i8le = SignedNumber<1, ByteOrder::little>;
using i16le = SignedNumber<2, ByteOrder::little>;
using i32le = SignedNumber<4, ByteOrder::little>;
using i64le = SignedNumber<8, ByteOrder::little>;
using Timestamp64le = SignedNumber<8, ByteOrder::little, FieldKind::timestamp>;
using UnsignedTimestamp64le = Number<8, ByteOrder::little, FieldKind::timestamp>;
using Price9le = SignedNumber<8, ByteOrder::little, FieldKind::price, 9>;
using Price4le = SignedNumber<8, ByteOrder::little, FieldKind::price, 4>;

// One row of a message's `fields()` table: the specification's name in snake_case, the member, and the
// specification's offset.
template <class M, class T>
struct Field {
    std::string_view name;
    T M::*member;
    std::size_t offset;
    using Type = T;
};

// `M` is named where the member is inherited from a prefix that all messages share.
template <class M, class Owner, class T>
[[nodiscard]] constexpr Field<M, T> field_of(std::string_view name, T Owner::*member, std::size_t offset) {
    return {name, member, offset};
}
template <class M, class T>
[[nodiscard]] constexpr Field<M, T> field(std::string_view name, T M::*member, std::size_t offset) {
    return {name, member, offset};
}

// A wire message: its name and the table of its fields.
template <class M>
concept Message = std::is_trivially_copyable_v<M> && alignof(M) == 1 && requires {
    { M::kName } -> std::convertible_to<std::string_view>;
    M::fields();
};

namespace detail {
// M with each byte set to eight bits, from `Shift` on, of its own number.
template <class M, unsigned Shift>
[[nodiscard]] consteval M numbered() {
    std::array<std::uint8_t, sizeof(M)> numbers{};
    for (std::size_t i = 0; i < sizeof(M); ++i) numbers[i] = static_cast<std::uint8_t>(i >> Shift);
    return std::bit_cast<M>(numbers);
}
}  // namespace detail

// True when the table names every byte of the struct exactly once, in order, and every member lies at
// the offset that the specification gives. The struct is filled with its own byte numbers, so that the
// first byte of a member tells where that member lies.
template <class M>
[[nodiscard]] consteval bool layout_matches_spec() {
    constexpr M kLow = detail::numbered<M, 0>();
    constexpr M kHigh = detail::numbered<M, 8>();
    std::size_t next = 0;
    bool matches = true;
    std::apply(
        [&](const auto&... fields) {
            ((matches = matches && fields.offset == next &&
                        static_cast<std::uint8_t>((kLow.*fields.member).raw[0]) == (fields.offset & 0xff) &&
                        static_cast<std::uint8_t>((kHigh.*fields.member).raw[0]) == fields.offset >> 8,
              next += sizeof(typename std::remove_cvref_t<decltype(fields)>::Type)),
             ...);
        },
        M::fields());
    return matches && next == sizeof(M);
}

// A message or field as tools see it at run time: no templates, made from the same tables.
struct FieldLayout {
    std::string_view name;
    std::uint16_t offset = 0;
    std::uint16_t size = 0;
    FieldKind kind = FieldKind::integer;
    ByteOrder order = ByteOrder::big;
    std::uint8_t decimals = 0;
    bool is_signed = false;
};

struct MessageLayout {
    char type = 0;
    std::string_view name;
    std::uint16_t size = 0;
    std::span<const FieldLayout> fields;

    // True when the type occupies this message's first byte and `bytes` holds all of it.
    [[nodiscard]] constexpr bool fits(std::span<const std::uint8_t> bytes) const {
        return bytes.size() >= size;
    }
};

namespace detail {
template <Message M>
struct FieldTable {
    static constexpr std::size_t kCount = std::tuple_size_v<decltype(M::fields())>;
    static constexpr std::array<FieldLayout, kCount> kFields = std::apply(
        [](const auto&... fields) {
            return std::array<FieldLayout, kCount>{[](const auto& f) {
                using T = typename std::remove_cvref_t<decltype(f)>::Type;
                return FieldLayout{f.name, static_cast<std::uint16_t>(f.offset),
                                   static_cast<std::uint16_t>(sizeof(T)), T::kKind, T::kOrder,
                                   static_cast<std::uint8_t>(T::kDecimals), T::kSigned};
            }(fields)...};
        },
        M::fields());
};
}  // namespace detail

template <Message M>
[[nodiscard]] constexpr MessageLayout layout_of() {
    return {M::kType, M::kName, static_cast<std::uint16_t>(sizeof(M)), detail::FieldTable<M>::kFields};
}

// Lays a message over bytes whose length the caller has checked.
template <Message M>
[[nodiscard]] inline const M& view(std::span<const std::uint8_t> bytes) {
    MILLRACE_ASSERT(bytes.size() >= sizeof(M));
    return *reinterpret_cast<const M*>(bytes.data());  // alignment 1, no padding: proved above
}

template <Message M>
[[nodiscard]] inline std::span<const std::uint8_t> bytes_of(const M& message) {
    return {reinterpret_cast<const std::uint8_t*>(&message), sizeof(M)};
}

}  // namespace millrace::wire
