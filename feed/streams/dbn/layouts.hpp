// The list of DBN records, for tools that handle them without knowing each: field names, types and
// offsets by rtype and version, from the records' own declarations.
#pragma once

#include <span>
#include <string_view>

#include "millrace/core/wire.hpp"
#include "millrace/feed/streams/dbn/records.hpp"

namespace millrace::dbn {

// What a file or a subscription holds; the numbers are the metadata's.
enum class Schema : std::uint16_t {
    mbo = 0,
    mbp_1 = 1,
    mbp_10 = 2,
    tbbo = 3,
    trades = 4,
    ohlcv_1s = 5,
    ohlcv_1m = 6,
    ohlcv_1h = 7,
    ohlcv_1d = 8,
    definition = 9,
    statistics = 10,
    status = 11,
    imbalance = 12,
    ohlcv_eod = 13,
    cmbp_1 = 14,
    cbbo_1s = 15,
    cbbo_1m = 16,
    tcbbo = 17,
    bbo_1s = 18,
    bbo_1m = 19,
    mixed = 0xFFFF,
};

struct SchemaInfo {
    Schema schema;
    std::string_view name;
    Rtype rtype;
};

// In the order of their numbers; `mixed` is not among them.
[[nodiscard]] std::span<const SchemaInfo> schemas();
// By name ("mbp-1"), or null.
[[nodiscard]] const SchemaInfo* schema_named(std::string_view name);
// "mixed" where there is no such number.
[[nodiscard]] std::string_view name(Schema schema);

// The record that an rtype stands for; null where this build knows none. `version` 1, 2 or 3.
[[nodiscard]] const wire::MessageLayout* layout_of(std::uint8_t rtype, std::uint8_t version = kVersion);
[[nodiscard]] inline const wire::MessageLayout* layout_of(Rtype rtype) {
    return layout_of(static_cast<std::uint8_t>(rtype));
}
// Every record of version 3, once.
[[nodiscard]] std::span<const wire::MessageLayout> layouts();

}  // namespace millrace::dbn
