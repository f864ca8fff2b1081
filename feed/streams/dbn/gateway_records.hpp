// DBN records about the stream itself: errors, system messages, and what symbol an id stands for.
#pragma once

#include "millrace/feed/streams/dbn/records.hpp"

namespace millrace::dbn {

inline constexpr std::size_t kSymbolLength = 71;    // with its NUL; 22 in version 1
inline constexpr std::size_t kSymbolLengthV1 = 22;

struct ErrorRecord : Header {
    static constexpr char kType = static_cast<char>(Rtype::error);
    static constexpr std::string_view kName = "error";
    CString<302> err;
    u8 code;
    u8 is_last;
    static constexpr auto fields() {
        using M = ErrorRecord;
        return after_header<M>(field("err", &M::err, 16), field("code", &M::code, 318),
                               field("is_last", &M::is_last, 319));
    }
};
static_assert(Record<ErrorRecord> && wire::layout_matches_spec<ErrorRecord>() &&
              sizeof(ErrorRecord) == 320);

struct System : Header {
    static constexpr char kType = static_cast<char>(Rtype::system);
    static constexpr std::string_view kName = "system";
    CString<303> msg;
    u8 code;  // 0 heartbeat, 1 subscription acknowledged, 2 slow reader, 3 replay completed
    static constexpr auto fields() {
        using M = System;
        return after_header<M>(field("msg", &M::msg, 16), field("code", &M::code, 319));
    }
};
static_assert(Record<System> && wire::layout_matches_spec<System>() && sizeof(System) == 320);

struct SymbolMapping : Header {
    static constexpr char kType = static_cast<char>(Rtype::symbol_mapping);
    static constexpr std::string_view kName = "symbol_mapping";
    u8 stype_in;
    CString<kSymbolLength> stype_in_symbol;
    u8 stype_out;
    CString<kSymbolLength> stype_out_symbol;
    Timestamp64 start_ts;
    Timestamp64 end_ts;
    static constexpr auto fields() {
        using M = SymbolMapping;
        return after_header<M>(field("stype_in", &M::stype_in, 16),
                               field("stype_in_symbol", &M::stype_in_symbol, 17),
                               field("stype_out", &M::stype_out, 88),
                               field("stype_out_symbol", &M::stype_out_symbol, 89),
                               field("start_ts", &M::start_ts, 160),
                               field("end_ts", &M::end_ts, 168));
    }
};
static_assert(Record<SymbolMapping> && wire::layout_matches_spec<SymbolMapping>() &&
              sizeof(SymbolMapping) == 176);

// Version 1.
struct ErrorRecordV1 : Header {
    static constexpr char kType = static_cast<char>(Rtype::error);
    static constexpr std::string_view kName = "error";
    CString<64> err;
    static constexpr auto fields() {
        using M = ErrorRecordV1;
        return after_header<M>(field("err", &M::err, 16));
    }
};
static_assert(Record<ErrorRecordV1> && wire::layout_matches_spec<ErrorRecordV1>() &&
              sizeof(ErrorRecordV1) == 80);

struct SystemV1 : Header {
    static constexpr char kType = static_cast<char>(Rtype::system);
    static constexpr std::string_view kName = "system";
    CString<64> msg;
    static constexpr auto fields() {
        using M = SystemV1;
        return after_header<M>(field("msg", &M::msg, 16));
    }
};
static_assert(Record<SystemV1> && wire::layout_matches_spec<SystemV1>() && sizeof(SystemV1) == 80);

struct SymbolMappingV1 : Header {
    static constexpr char kType = static_cast<char>(Rtype::symbol_mapping);
    static constexpr std::string_view kName = "symbol_mapping";
    CString<kSymbolLengthV1> stype_in_symbol;
    CString<kSymbolLengthV1> stype_out_symbol;
    Reserved<4> reserved;
    Timestamp64 start_ts;
    Timestamp64 end_ts;
    static constexpr auto fields() {
        using M = SymbolMappingV1;
        return after_header<M>(field("stype_in_symbol", &M::stype_in_symbol, 16),
                               field("stype_out_symbol", &M::stype_out_symbol, 38),
                               field("_reserved", &M::reserved, 60),
                               field("start_ts", &M::start_ts, 64),
                               field("end_ts", &M::end_ts, 72));
    }
};
static_assert(Record<SymbolMappingV1> && wire::layout_matches_spec<SymbolMappingV1>() &&
              sizeof(SymbolMappingV1) == 80);

}  // namespace millrace::dbn
