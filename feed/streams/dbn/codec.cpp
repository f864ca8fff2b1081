#include "millrace/feed/streams/dbn/codec.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "millrace/feed/streams/dbn/definition.hpp"
#include "millrace/feed/streams/dbn/gateway_records.hpp"
#include "millrace/feed/streams/dbn/state_records.hpp"

namespace millrace::dbn {

namespace {

using wire::FieldKind;
using wire::FieldLayout;

constexpr std::uint8_t kUnsetCode = 255;

// A new record of its kind with what a field has that the older version lacks.
template <Record M>
void put_default(UpgradeBuffer& buffer, Rtype rtype) {
    M record = make<M>(rtype);
    if constexpr (std::is_same_v<M, Definition>) set_defaults(record);
    if constexpr (std::is_same_v<M, SymbolMapping>) {
        record.stype_in.set(kUnsetCode);
        record.stype_out.set(kUnsetCode);
    }
    if constexpr (std::is_same_v<M, ErrorRecord>) {
        record.code.set(kUnsetCode);
        record.is_last.set(kUnsetCode);
    }
    if constexpr (std::is_same_v<M, System>) record.code.set(kUnsetCode);
    std::memcpy(buffer.data(), &record, sizeof(record));
}

bool put_defaults(UpgradeBuffer& buffer, Rtype rtype) {
    switch (rtype) {
        case Rtype::definition: put_default<Definition>(buffer, rtype); return true;
        case Rtype::statistics: put_default<Statistics>(buffer, rtype); return true;
        case Rtype::symbol_mapping: put_default<SymbolMapping>(buffer, rtype); return true;
        case Rtype::error: put_default<ErrorRecord>(buffer, rtype); return true;
        case Rtype::system: put_default<System>(buffer, rtype); return true;
        default: return false;
    }
}

// Copies a field into one of the same kind that is as wide or wider.
void copy_field(const std::uint8_t* from, const FieldLayout& old, std::uint8_t* to,
                const FieldLayout& now) {
    const std::size_t both = std::min(old.size, now.size);
    std::memcpy(to, from, both);
    const bool negative = old.is_signed && (from[old.size - 1] & 0x80) != 0;
    std::memset(to + both, negative ? 0xff : 0, now.size - both);
}

// Text the older version had no code for.
void derive(UpgradeBuffer& buffer, Rtype rtype, std::uint8_t version) {
    if (rtype == Rtype::statistics) {
        auto& record = *reinterpret_cast<Statistics*>(buffer.data());
        if (record.quantity.value() == std::numeric_limits<std::int32_t>::max()) {
            record.quantity.set(kUndefQuantity);
        }
    }
    if (rtype == Rtype::system && version == 1) {
        auto& record = *reinterpret_cast<System*>(buffer.data());
        if (record.msg.value().substr(0, 9) == "Heartbeat") record.code.set(0);
    }
}

}  // namespace

RecordView upgrade(RecordView record, std::uint8_t version, bool ts_out, UpgradeBuffer& buffer) {
    const auto rtype = static_cast<Rtype>(record.rtype());
    const wire::MessageLayout* old = layout_of(record.rtype(), version);
    const wire::MessageLayout* now = layout_of(record.rtype());
    if (version >= kVersion || old == now || old == nullptr) return record;
    if (record.bytes().size() < old->size || !put_defaults(buffer, rtype)) return record;
    for (const FieldLayout& field : now->fields) {
        if (field.kind == FieldKind::reserved || field.name == "length") continue;
        const auto same = std::find_if(old->fields.begin(), old->fields.end(),
                                       [&](const FieldLayout& f) { return f.name == field.name; });
        if (same == old->fields.end()) continue;
        copy_field(&record.bytes()[same->offset], *same, &buffer[field.offset], field);
    }
    derive(buffer, rtype, version);
    std::size_t size = now->size;
    if (ts_out && record.bytes().size() >= old->size + kSentTimeBytes) {
        const auto sent = record.bytes().last(kSentTimeBytes);
        std::copy(sent.begin(), sent.end(), buffer.begin() + static_cast<std::ptrdiff_t>(size));
        size += kSentTimeBytes;
    }
    buffer[0] = static_cast<std::uint8_t>(size / 4);
    return RecordView({buffer.data(), size});
}

// Numbers get the largest value of their type; ids and what concerns legs get 0.
void set_defaults(Definition& definition) {
    auto* bytes = reinterpret_cast<std::uint8_t*>(&definition);
    for (const FieldLayout& field : layout_of(Rtype::definition)->fields) {
        const bool zero = field.name.substr(0, 4) == "leg_" || field.name.ends_with("raw_instrument_id") ||
                          field.name == "underlying_id";
        const bool number = field.kind == FieldKind::integer || field.kind == FieldKind::signed_integer;
        const bool wide = field.kind == FieldKind::price || field.kind == FieldKind::timestamp;
        if (field.offset < sizeof(Header) || field.name == "ts_recv") continue;
        if (!(wide || (number && !zero))) continue;
        std::memset(bytes + field.offset, 0xff, field.size);
        if (field.is_signed) bytes[field.offset + field.size - 1] = 0x7f;
    }
    definition.instrument_class.set('\0');
    definition.match_algorithm.set(' ');
    definition.security_update_action.set('A');
    definition.user_defined_instrument.set('N');
    definition.leg_side.set('N');
}

}  // namespace millrace::dbn
