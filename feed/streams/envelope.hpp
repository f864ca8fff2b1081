// What travels with every batch of records, on every edge: which stream, which records, and
// whether the bytes are whole. A stream is one symbol's records of one feed; it counts its records
// from 1, the ones that were lost too, so that a hole is seen by whoever reads.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <tuple>

#include "millrace/core/wire.hpp"

namespace millrace::streams {

// As a prefix in files and raw TCP; elsewhere its fields travel by name.
struct Envelope {
    static constexpr char kType = 'E';
    static constexpr std::string_view kName = "envelope";
    wire::u64le stream;
    wire::u64le first_record;
    wire::u64le first_sequence;  // the venue's, of the first record
    wire::u64le last_sequence;
    wire::u32le epoch;  // of the sink: its record numbers begin anew with each
    wire::u32le records;  // 0: an end mark, after which the stream has no more
    wire::u32le crc32c;  // of the payload
    wire::u8 quality;    // the worst of the records' books
    wire::u8 why;            // a WhyLeftOut
    wire::u16le left_out;    // records just before these that the sender left out: so many, or more
                             // than can be said here
    static constexpr auto fields() {
        using M = Envelope;
        using wire::field;
        return std::tuple(
            field("stream", &M::stream, 0), field("first_record", &M::first_record, 8),
            field("first_sequence", &M::first_sequence, 16),
            field("last_sequence", &M::last_sequence, 24), field("epoch", &M::epoch, 32),
            field("records", &M::records, 36), field("crc32c", &M::crc32c, 40),
            field("quality", &M::quality, 44), field("why", &M::why, 45),
            field("left_out", &M::left_out, 46));
    }
};
static_assert(wire::layout_matches_spec<Envelope>() && sizeof(Envelope) == 48);

// They travel by name too.
inline constexpr std::size_t kEnvelopeFields = std::tuple_size_v<decltype(Envelope::fields())>;

// `left_out` says so also for more.
inline constexpr std::uint64_t kLeftOutMost = 65'535;
enum class WhyLeftOut : std::uint8_t {
    nothing = 0,
    conflated = 1,  // newer records say all that they said
    dropped = 2,
    both = 3,
};

// CRC-32C (Castagnoli), as iSCSI and Kafka have it.
[[nodiscard]] std::uint32_t crc32c(std::span<const std::uint8_t> bytes);

// The number of a stream, from what it is called.
[[nodiscard]] std::uint64_t stream_id(std::string_view feed, std::string_view symbol);

// "name:value" fields of an envelope as text, for headers and the like: decimal numbers.
// Calls `see(name, text)` for each.
template <class See>
void for_each_field(const Envelope& envelope, See&& see);
// Sets the field of that name. False where there is none, or the text is no number that fits.
[[nodiscard]] bool set_field(Envelope& envelope, std::string_view name, std::string_view text);

namespace detail {
struct Decimal {
    explicit Decimal(std::uint64_t number);
    [[nodiscard]] std::string_view view() const { return {text.data(), size}; }
    std::array<char, 20> text{};
    std::size_t size = 0;
};
}  // namespace detail

template <class See>
void for_each_field(const Envelope& envelope, See&& see) {
    std::apply(
        [&](const auto&... fields) {
            (see(fields.name, detail::Decimal((envelope.*fields.member).value()).view()), ...);
        },
        Envelope::fields());
}

}  // namespace millrace::streams
