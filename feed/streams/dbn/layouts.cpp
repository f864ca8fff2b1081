#include "millrace/feed/streams/dbn/layouts.hpp"

#include <algorithm>
#include <array>

#include "millrace/feed/streams/dbn/definition.hpp"
#include "millrace/feed/streams/dbn/definition_old.hpp"
#include "millrace/feed/streams/dbn/gateway_records.hpp"
#include "millrace/feed/streams/dbn/state_records.hpp"

namespace millrace::dbn {

namespace {

constexpr std::array<SchemaInfo, 20> kSchemas{{
    {Schema::mbo, "mbo", Rtype::mbo},
    {Schema::mbp_1, "mbp-1", Rtype::mbp_1},
    {Schema::mbp_10, "mbp-10", Rtype::mbp_10},
    {Schema::tbbo, "tbbo", Rtype::mbp_1},
    {Schema::trades, "trades", Rtype::mbp_0},
    {Schema::ohlcv_1s, "ohlcv-1s", Rtype::ohlcv_1s},
    {Schema::ohlcv_1m, "ohlcv-1m", Rtype::ohlcv_1m},
    {Schema::ohlcv_1h, "ohlcv-1h", Rtype::ohlcv_1h},
    {Schema::ohlcv_1d, "ohlcv-1d", Rtype::ohlcv_1d},
    {Schema::definition, "definition", Rtype::definition},
    {Schema::statistics, "statistics", Rtype::statistics},
    {Schema::status, "status", Rtype::status},
    {Schema::imbalance, "imbalance", Rtype::imbalance},
    {Schema::ohlcv_eod, "ohlcv-eod", Rtype::ohlcv_eod},
    {Schema::cmbp_1, "cmbp-1", Rtype::cmbp_1},
    {Schema::cbbo_1s, "cbbo-1s", Rtype::cbbo_1s},
    {Schema::cbbo_1m, "cbbo-1m", Rtype::cbbo_1m},
    {Schema::tcbbo, "tcbbo", Rtype::tcbbo},
    {Schema::bbo_1s, "bbo-1s", Rtype::bbo_1s},
    {Schema::bbo_1m, "bbo-1m", Rtype::bbo_1m},
}};

// "bid_px_00": the name of a level's field in a record that has several.
struct LevelFieldName {
    std::array<char, 16> text{};
    std::size_t size = 0;
};

// The fields of a record's head followed by those of each level.
template <class M, class LevelType>
struct LevelTable {
    static constexpr std::size_t kLevels = std::tuple_size_v<decltype(M::levels)>;
    static constexpr const auto& kHead = wire::detail::FieldTable<M>::kFields;
    static constexpr const auto& kLevel = wire::detail::FieldTable<LevelType>::kFields;
    static constexpr std::size_t kCount = kHead.size() + kLevels * kLevel.size();

    static constexpr auto kNames = [] {
        std::array<LevelFieldName, kLevels * kLevel.size()> names{};
        for (std::size_t i = 0; i < names.size(); ++i) {
            LevelFieldName& name = names[i];
            for (const char c : kLevel[i % kLevel.size()].name) name.text[name.size++] = c;
            const std::size_t level = i / kLevel.size();
            name.text[name.size++] = '_';
            name.text[name.size++] = static_cast<char>('0' + level / 10);
            name.text[name.size++] = static_cast<char>('0' + level % 10);
        }
        return names;
    }();

    static constexpr auto kFields = [] {
        std::array<wire::FieldLayout, kCount> fields{};
        std::copy(kHead.begin(), kHead.end(), fields.begin());
        for (std::size_t i = 0; i < kNames.size(); ++i) {
            wire::FieldLayout& field = fields[kHead.size() + i];
            field = kLevel[i % kLevel.size()];
            field.name = {kNames[i].text.data(), kNames[i].size};
            const std::size_t before = sizeof(M) - kLevels * sizeof(LevelType);
            const std::size_t level = i / kLevel.size();
            field.offset = static_cast<std::uint16_t>(field.offset + before +
                                                      level * sizeof(LevelType));
        }
        return fields;
    }();
};

template <class M>
constexpr wire::MessageLayout kLayout = [] {
    if constexpr (requires { M::levels; }) {
        using LevelType = typename decltype(M::levels)::value_type;
        return wire::MessageLayout{M::kType, M::kName, sizeof(M),
                                   LevelTable<M, LevelType>::kFields};
    } else {
        return wire::layout_of<M>();
    }
}();

constexpr std::array kLayouts{
    kLayout<Mbo>,        kLayout<Trade>,      kLayout<Mbp1>,          kLayout<Mbp10>,
    kLayout<Bbo>,        kLayout<Cmbp1>,      kLayout<Cbbo>,          kLayout<Ohlcv>,
    kLayout<Status>,     kLayout<Imbalance>,  kLayout<Statistics>,    kLayout<Definition>,
    kLayout<ErrorRecord>, kLayout<System>,    kLayout<SymbolMapping>,
};

// What versions before 3 laid out otherwise.
const wire::MessageLayout* old_layout_of(Rtype rtype, std::uint8_t version) {
    switch (rtype) {
        case Rtype::definition:
            return version == 1 ? &kLayout<DefinitionV1> : &kLayout<DefinitionV2>;
        case Rtype::statistics: return &kLayout<StatisticsV1>;
        case Rtype::symbol_mapping: return version == 1 ? &kLayout<SymbolMappingV1> : nullptr;
        case Rtype::error: return version == 1 ? &kLayout<ErrorRecordV1> : nullptr;
        case Rtype::system: return version == 1 ? &kLayout<SystemV1> : nullptr;
        default: return nullptr;
    }
}

}  // namespace

std::span<const SchemaInfo> schemas() { return kSchemas; }

const SchemaInfo* schema_named(std::string_view name) {
    const auto found = std::find_if(kSchemas.begin(), kSchemas.end(),
                                    [&](const SchemaInfo& info) { return info.name == name; });
    return found == kSchemas.end() ? nullptr : &*found;
}

std::string_view name(Schema schema) {
    const auto number = static_cast<std::size_t>(schema);
    return number < kSchemas.size() ? kSchemas[number].name : "mixed";
}

std::span<const wire::MessageLayout> layouts() { return kLayouts; }

const wire::MessageLayout* layout_of(std::uint8_t rtype, std::uint8_t version) {
    const auto known = static_cast<Rtype>(rtype);
    if (version < kVersion) {
        if (const wire::MessageLayout* old = old_layout_of(known, version)) return old;
    }
    switch (known) {
        case Rtype::mbo: return &kLayout<Mbo>;
        case Rtype::mbp_0: return &kLayout<Trade>;
        case Rtype::mbp_1: return &kLayout<Mbp1>;
        case Rtype::mbp_10: return &kLayout<Mbp10>;
        case Rtype::bbo_1s:
        case Rtype::bbo_1m: return &kLayout<Bbo>;
        case Rtype::cmbp_1:
        case Rtype::tcbbo: return &kLayout<Cmbp1>;
        case Rtype::cbbo_1s:
        case Rtype::cbbo_1m: return &kLayout<Cbbo>;
        case Rtype::ohlcv_deprecated:
        case Rtype::ohlcv_1s:
        case Rtype::ohlcv_1m:
        case Rtype::ohlcv_1h:
        case Rtype::ohlcv_1d:
        case Rtype::ohlcv_eod: return &kLayout<Ohlcv>;
        case Rtype::status: return &kLayout<Status>;
        case Rtype::imbalance: return &kLayout<Imbalance>;
        case Rtype::statistics: return &kLayout<Statistics>;
        case Rtype::definition: return &kLayout<Definition>;
        case Rtype::error: return &kLayout<ErrorRecord>;
        case Rtype::system: return &kLayout<System>;
        case Rtype::symbol_mapping: return &kLayout<SymbolMapping>;
    }
    return nullptr;
}

}  // namespace millrace::dbn
