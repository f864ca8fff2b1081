// The market-data records of the Databento Binary Encoding (DBN), version 3, each declared once.
//
// Encoders, JSON and CSV text and the Python dtypes read the `fields()` tables; layouts.hpp lists
// all records for tools. Names are DBN's own. All integers are little-endian; a price counts 1e-9;
// a timestamp is UTC nanoseconds since the Unix epoch. These records are the same in versions 1,
// 2 and 3; what differs stands in definition.hpp, statistics.hpp and gateway.hpp.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <string_view>
#include <tuple>

#include "millrace/core/wire.hpp"

namespace millrace::dbn {

using wire::Code;
using wire::CString;
using wire::field;
using wire::field_of;
using wire::i16le;
using wire::i32le;
using wire::i64le;
using wire::i8le;
using wire::Price9le;
using wire::Reserved;
using wire::u16le;
using wire::u32le;
using wire::u64le;
using wire::u8;
using Timestamp64 = wire::UnsignedTimestamp64le;

inline constexpr std::uint8_t kVersion = 3;

// "No value", by type.
inline constexpr std::int64_t kUndefPrice = std::numeric_limits<std::int64_t>::max();
inline constexpr std::uint64_t kUndefTimestamp = std::numeric_limits<std::uint64_t>::max();
inline constexpr std::uint32_t kUndefSize = std::numeric_limits<std::uint32_t>::max();
inline constexpr std::int64_t kUndefQuantity = std::numeric_limits<std::int64_t>::max();

enum class Rtype : std::uint8_t {
    mbp_0 = 0x00,
    mbp_1 = 0x01,
    mbp_10 = 0x0A,
    ohlcv_deprecated = 0x11,
    status = 0x12,
    definition = 0x13,
    imbalance = 0x14,
    error = 0x15,
    symbol_mapping = 0x16,
    system = 0x17,
    statistics = 0x18,
    ohlcv_1s = 0x20,
    ohlcv_1m = 0x21,
    ohlcv_1h = 0x22,
    ohlcv_1d = 0x23,
    ohlcv_eod = 0x24,
    mbo = 0xA0,
    cmbp_1 = 0xB1,
    cbbo_1s = 0xC0,
    cbbo_1m = 0xC1,
    tcbbo = 0xC2,
    bbo_1s = 0xC3,
    bbo_1m = 0xC4,
};

// Bits of `flags`. Always tested with AND: old files carry bits that mean nothing.
namespace flags {
inline constexpr std::uint8_t kLast = 128;           // ends the venue's event for this instrument
inline constexpr std::uint8_t kTopOfBook = 64;       // replaces its side's best price
inline constexpr std::uint8_t kSnapshot = 32;        // from a snapshot or a replay
inline constexpr std::uint8_t kLevel = 16;           // a price level's total, not an order
inline constexpr std::uint8_t kBadReceiveTime = 8;   // ts_recv is no true time of capture
inline constexpr std::uint8_t kMaybeBadBook = 4;     // messages were lost before this record
}  // namespace flags

// The first 16 bytes of every record.
struct Header {
    u8 length;  // of the record in words of four bytes, header included
    u8 rtype;
    u16le publisher_id;
    u32le instrument_id;
    Timestamp64 ts_event;
};

template <class M, class... Fields>
[[nodiscard]] constexpr auto after_header(const Fields&... fields) {
    return std::tuple(field_of<M>("length", &M::length, 0), field_of<M>("rtype", &M::rtype, 1),
                      field_of<M>("publisher_id", &M::publisher_id, 2),
                      field_of<M>("instrument_id", &M::instrument_id, 4),
                      field_of<M>("ts_event", &M::ts_event, 8), fields...);
}

// A record: its name is that of its schema's struct, its kType the rtype it usually carries.
template <class M>
concept Record = wire::Message<M> && std::is_base_of_v<Header, M> && sizeof(M) % 8 == 0;

// An all-zero record with its length and rtype set.
template <Record M>
[[nodiscard]] constexpr M make(Rtype rtype) {
    M record{};
    record.length.set(sizeof(M) / 4);
    record.rtype.set(static_cast<std::uint8_t>(rtype));
    return record;
}

struct Mbo : Header {
    static constexpr char kType = static_cast<char>(Rtype::mbo);
    static constexpr std::string_view kName = "mbo";
    u64le order_id;
    Price9le price;
    u32le size;
    u8 flags;
    u8 channel_id;
    Code action;  // A add, M modify, C cancel, R clear, T trade, F fill, N none
    Code side;    // A ask, B bid, N none
    Timestamp64 ts_recv;
    i32le ts_in_delta;
    u32le sequence;
    static constexpr auto fields() {
        using M = Mbo;
        return after_header<M>(
            field("order_id", &M::order_id, 16), field("price", &M::price, 24),
            field("size", &M::size, 32), field("flags", &M::flags, 36),
            field("channel_id", &M::channel_id, 37), field("action", &M::action, 38),
            field("side", &M::side, 39), field("ts_recv", &M::ts_recv, 40),
            field("ts_in_delta", &M::ts_in_delta, 48), field("sequence", &M::sequence, 52));
    }
};
static_assert(Record<Mbo> && wire::layout_matches_spec<Mbo>() && sizeof(Mbo) == 56);

// A trade, and the head of every record that shows levels. Mind that its order of action, side
// and flags is not Mbo's.
struct Trade : Header {
    static constexpr char kType = static_cast<char>(Rtype::mbp_0);
    static constexpr std::string_view kName = "trades";
    Price9le price;
    u32le size;
    Code action;
    Code side;
    u8 flags;
    u8 depth;  // the level that changed, from 0
    Timestamp64 ts_recv;
    i32le ts_in_delta;
    u32le sequence;
    template <class M>
    [[nodiscard]] static constexpr auto fields_of() {
        return after_header<M>(
            field_of<M>("price", &M::price, 16), field_of<M>("size", &M::size, 24),
            field_of<M>("action", &M::action, 28), field_of<M>("side", &M::side, 29),
            field_of<M>("flags", &M::flags, 30), field_of<M>("depth", &M::depth, 31),
            field_of<M>("ts_recv", &M::ts_recv, 32),
            field_of<M>("ts_in_delta", &M::ts_in_delta, 40),
            field_of<M>("sequence", &M::sequence, 44));
    }
    static constexpr auto fields() { return fields_of<Trade>(); }
};
static_assert(Record<Trade> && wire::layout_matches_spec<Trade>() && sizeof(Trade) == 48);

// Both sides at one depth. An empty side has price kUndefPrice and zeroes.
struct Level {
    static constexpr char kType = 0;
    static constexpr std::string_view kName = "level";
    Price9le bid_px;
    Price9le ask_px;
    u32le bid_sz;
    u32le ask_sz;
    u32le bid_ct;
    u32le ask_ct;
    static constexpr auto fields() {
        using M = Level;
        return std::tuple(field("bid_px", &M::bid_px, 0), field("ask_px", &M::ask_px, 8),
                          field("bid_sz", &M::bid_sz, 16), field("ask_sz", &M::ask_sz, 20),
                          field("bid_ct", &M::bid_ct, 24), field("ask_ct", &M::ask_ct, 28));
    }
};
static_assert(wire::layout_matches_spec<Level>() && sizeof(Level) == 32);

// The same across venues; pb is the publisher of the best price.
struct ConsolidatedLevel {
    static constexpr char kType = 0;
    static constexpr std::string_view kName = "consolidated_level";
    Price9le bid_px;
    Price9le ask_px;
    u32le bid_sz;
    u32le ask_sz;
    u16le bid_pb;
    Reserved<2> reserved1;
    u16le ask_pb;
    Reserved<2> reserved2;
    static constexpr auto fields() {
        using M = ConsolidatedLevel;
        return std::tuple(field("bid_px", &M::bid_px, 0), field("ask_px", &M::ask_px, 8),
                          field("bid_sz", &M::bid_sz, 16), field("ask_sz", &M::ask_sz, 20),
                          field("bid_pb", &M::bid_pb, 24), field("_reserved1", &M::reserved1, 26),
                          field("ask_pb", &M::ask_pb, 28), field("_reserved2", &M::reserved2, 30));
    }
};
static_assert(wire::layout_matches_spec<ConsolidatedLevel>() && sizeof(ConsolidatedLevel) == 32);

// Records with levels: the fields of Head, then those of each level with "_00", "_01", ... behind
// their names (layouts.hpp puts the table together).
struct Mbp1 : Trade {
    static constexpr char kType = static_cast<char>(Rtype::mbp_1);
    static constexpr std::string_view kName = "mbp-1";
    std::array<Level, 1> levels;
    static constexpr auto fields() { return Trade::fields_of<Mbp1>(); }
};
static_assert(Record<Mbp1> && sizeof(Mbp1) == sizeof(Trade) + 32);

struct Mbp10 : Trade {
    static constexpr char kType = static_cast<char>(Rtype::mbp_10);
    static constexpr std::string_view kName = "mbp-10";
    std::array<Level, 10> levels;
    static constexpr auto fields() { return Trade::fields_of<Mbp10>(); }
};
static_assert(Record<Mbp10> && sizeof(Mbp10) == 368);

// The best prices at an interval's end (ts_recv), with the last trade before it.
struct BboHead : Header {
    static constexpr char kType = static_cast<char>(Rtype::bbo_1s);
    static constexpr std::string_view kName = "bbo_head";
    Price9le price;
    u32le size;
    Reserved<1> reserved1;
    Code side;
    u8 flags;
    Reserved<1> reserved2;
    Timestamp64 ts_recv;
    Reserved<4> reserved3;
    u32le sequence;
    template <class M>
    [[nodiscard]] static constexpr auto fields_of() {
        return after_header<M>(
            field_of<M>("price", &M::price, 16), field_of<M>("size", &M::size, 24),
            field_of<M>("_reserved1", &M::reserved1, 28), field_of<M>("side", &M::side, 29),
            field_of<M>("flags", &M::flags, 30), field_of<M>("_reserved2", &M::reserved2, 31),
            field_of<M>("ts_recv", &M::ts_recv, 32),
            field_of<M>("_reserved3", &M::reserved3, 40),
            field_of<M>("sequence", &M::sequence, 44));
    }
    static constexpr auto fields() { return fields_of<BboHead>(); }
};
static_assert(wire::layout_matches_spec<BboHead>() && sizeof(BboHead) == 48);

struct Bbo : BboHead {
    static constexpr std::string_view kName = "bbo";
    std::array<Level, 1> levels;
    static constexpr auto fields() { return BboHead::fields_of<Bbo>(); }
};
static_assert(Record<Bbo> && sizeof(Bbo) == 80);

struct Cmbp1Head : Header {
    static constexpr char kType = static_cast<char>(Rtype::cmbp_1);
    static constexpr std::string_view kName = "cmbp-1_head";
    Price9le price;
    u32le size;
    Code action;
    Code side;
    u8 flags;
    Reserved<1> reserved1;
    Timestamp64 ts_recv;
    i32le ts_in_delta;
    Reserved<4> reserved2;
    template <class M>
    [[nodiscard]] static constexpr auto fields_of() {
        return after_header<M>(
            field_of<M>("price", &M::price, 16), field_of<M>("size", &M::size, 24),
            field_of<M>("action", &M::action, 28), field_of<M>("side", &M::side, 29),
            field_of<M>("flags", &M::flags, 30), field_of<M>("_reserved1", &M::reserved1, 31),
            field_of<M>("ts_recv", &M::ts_recv, 32),
            field_of<M>("ts_in_delta", &M::ts_in_delta, 40),
            field_of<M>("_reserved2", &M::reserved2, 44));
    }
    static constexpr auto fields() { return fields_of<Cmbp1Head>(); }
};
static_assert(wire::layout_matches_spec<Cmbp1Head>() && sizeof(Cmbp1Head) == 48);

struct Cmbp1 : Cmbp1Head {
    static constexpr std::string_view kName = "cmbp-1";
    std::array<ConsolidatedLevel, 1> levels;
    static constexpr auto fields() { return Cmbp1Head::fields_of<Cmbp1>(); }
};
static_assert(Record<Cmbp1> && sizeof(Cmbp1) == 80);

struct CbboHead : Header {
    static constexpr char kType = static_cast<char>(Rtype::cbbo_1s);
    static constexpr std::string_view kName = "cbbo_head";
    Price9le price;
    u32le size;
    Reserved<1> reserved1;
    Code side;
    u8 flags;
    Reserved<1> reserved2;
    Timestamp64 ts_recv;
    Reserved<8> reserved3;
    template <class M>
    [[nodiscard]] static constexpr auto fields_of() {
        return after_header<M>(
            field_of<M>("price", &M::price, 16), field_of<M>("size", &M::size, 24),
            field_of<M>("_reserved1", &M::reserved1, 28), field_of<M>("side", &M::side, 29),
            field_of<M>("flags", &M::flags, 30), field_of<M>("_reserved2", &M::reserved2, 31),
            field_of<M>("ts_recv", &M::ts_recv, 32),
            field_of<M>("_reserved3", &M::reserved3, 40));
    }
    static constexpr auto fields() { return fields_of<CbboHead>(); }
};
static_assert(wire::layout_matches_spec<CbboHead>() && sizeof(CbboHead) == 48);

struct Cbbo : CbboHead {
    static constexpr std::string_view kName = "cbbo";
    std::array<ConsolidatedLevel, 1> levels;
    static constexpr auto fields() { return CbboHead::fields_of<Cbbo>(); }
};
static_assert(Record<Cbbo> && sizeof(Cbbo) == 80);

struct Ohlcv : Header {
    static constexpr char kType = static_cast<char>(Rtype::ohlcv_1s);
    static constexpr std::string_view kName = "ohlcv";
    Price9le open;
    Price9le high;
    Price9le low;
    Price9le close;
    u64le volume;
    static constexpr auto fields() {
        using M = Ohlcv;
        return after_header<M>(field("open", &M::open, 16), field("high", &M::high, 24),
                               field("low", &M::low, 32), field("close", &M::close, 40),
                               field("volume", &M::volume, 48));
    }
};
static_assert(Record<Ohlcv> && wire::layout_matches_spec<Ohlcv>() && sizeof(Ohlcv) == 56);

}  // namespace millrace::dbn
