// What stands before the records of a DBN file or stream: which dataset, which symbols, which ids.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "millrace/feed/streams/dbn/layouts.hpp"
#include "millrace/feed/streams/dbn/records.hpp"

namespace millrace::dbn {

// How instruments are named.
enum class SymbolType : std::uint8_t { instrument_id = 0, raw_symbol = 1, none = 255 };

// A symbol's meaning from one day to another. Dates are decimal YYYYMMDD; the end is exclusive.
struct MappingInterval {
    std::uint32_t start_date = 0;
    std::uint32_t end_date = 0;
    std::string symbol;
    friend bool operator==(const MappingInterval&, const MappingInterval&) = default;
};
struct SymbolMappings {
    std::string raw_symbol;
    std::vector<MappingInterval> intervals;
    friend bool operator==(const SymbolMappings&, const SymbolMappings&) = default;
};

struct Metadata {
    std::uint8_t version = kVersion;
    std::string dataset;
    std::uint16_t schema = static_cast<std::uint16_t>(Schema::mixed);
    std::uint64_t start = 0;
    std::uint64_t end = kUndefTimestamp;
    std::uint64_t limit = 0;  // 0: none
    std::uint64_t record_count = std::numeric_limits<std::uint64_t>::max();  // version 1 only
    std::uint8_t stype_in = static_cast<std::uint8_t>(SymbolType::none);
    std::uint8_t stype_out = static_cast<std::uint8_t>(SymbolType::instrument_id);
    bool ts_out = false;  // every record is followed by 8 bytes: when it was sent
    std::vector<std::string> symbols;
    std::vector<std::string> partial;
    std::vector<std::string> not_found;
    std::vector<SymbolMappings> mappings;
    friend bool operator==(const Metadata&, const Metadata&) = default;
};

// The bytes as `metadata.version` has them. Text that does not fit its field is cut.
[[nodiscard]] std::vector<std::uint8_t> encode(const Metadata& metadata);

enum class Parse : std::uint8_t { ok, need_more, malformed };

// Reads metadata from the front of `bytes`. ok: `size` bytes were read; need_more: at least `size`
// bytes are needed; malformed: `problem` says what is wrong.
struct MetadataResult {
    Parse status = Parse::malformed;
    std::size_t size = 0;
    const char* problem = "";
};
[[nodiscard]] MetadataResult parse_metadata(std::span<const std::uint8_t> bytes, Metadata& out);

// True when the bytes begin as plain DBN does.
[[nodiscard]] bool looks_like_dbn(std::span<const std::uint8_t> bytes);

}  // namespace millrace::dbn
