#include "millrace/replay/dbn_blocks.hpp"

#include <algorithm>
#include <charconv>

#include "millrace/feed/streams/dbn/gateway_records.hpp"
#include "millrace/feed/streams/dbn/market_clock.hpp"

namespace millrace::replay {

namespace {

constexpr std::uint64_t kDay = std::uint64_t{86'400} * 1'000'000'000;

// The id in `text`, all of which must be one.
bool parse_id(const std::string& text, std::uint32_t& id) {
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), id);
    return problem == std::errc{} && end == text.data() + text.size() && !text.empty();
}

// When a record happened, as DBN orders records: its receive time where it has one.
std::uint64_t time_of(dbn::RecordView record) {
    const wire::MessageLayout* layout = dbn::layout_of(record.rtype());
    if (layout == nullptr || !layout->fits(record.bytes())) return record.header().ts_event.value();
    for (const wire::FieldLayout& field : layout->fields) {
        if (field.name != "ts_recv") continue;
        dbn::Timestamp64 time{};
        std::copy_n(&record.bytes()[field.offset], sizeof(time), time.raw.begin());
        return time.value();
    }
    return record.header().ts_event.value();
}

}  // namespace

DbnBlocks::DbnBlocks(DbnFileReader reader) : reader_(std::move(reader)) {
    const dbn::Metadata& metadata = reader_.metadata();
    const bool ids_out = metadata.stype_out == static_cast<std::uint8_t>(dbn::SymbolType::instrument_id);
    for (const dbn::SymbolMappings& mapping : metadata.mappings) {
        for (const dbn::MappingInterval& interval : mapping.intervals) {
            Name name{interval.start_date, interval.end_date, 0, ""};
            const bool good = ids_out ? parse_id(interval.symbol, name.id) : parse_id(mapping.raw_symbol, name.id);
            name.symbol = ids_out ? mapping.raw_symbol : interval.symbol;
            if (good && !name.symbol.empty() && name.begin < name.end) names_.push_back(std::move(name));
        }
    }
}

void DbnBlocks::put(std::span<const std::uint8_t> message) {
    blocks_.push_back(static_cast<std::uint8_t>(message.size() >> 8));
    blocks_.push_back(static_cast<std::uint8_t>(message.size() & 0xff));
    blocks_.insert(blocks_.end(), message.begin(), message.end());
    ++count_;
}

// What the ids stand for on the day of `at`.
void DbnBlocks::put_names(std::uint64_t at) {
    names_until_ = (at / kDay + 1) * kDay;
    const std::uint32_t date = dbn::utc_date(static_cast<Timestamp>(at));
    for (const Name& name : names_) {
        if (date < name.begin || date >= name.end) continue;
        auto mapping = dbn::make<dbn::SymbolMapping>(dbn::Rtype::symbol_mapping);
        mapping.instrument_id.set(name.id);
        mapping.ts_event.set(at);
        mapping.stype_in.set(255);
        mapping.stype_out.set(255);
        mapping.stype_in_symbol.set(name.symbol);
        mapping.stype_out_symbol.set(name.symbol);
        mapping.start_ts.set(dbn::kUndefTimestamp);
        mapping.end_ts.set(dbn::kUndefTimestamp);
        put(wire::bytes_of(mapping));
    }
}

std::uint32_t DbnBlocks::next(std::span<const std::uint8_t>& blocks) {
    constexpr std::uint32_t kEnough = 256;
    constexpr std::uint64_t kNoTime = std::uint64_t{1} << 63;  // "undefined", and what is no time
    blocks_.clear();
    count_ = 0;
    dbn::RecordView record;
    while (count_ < kEnough && reader_.next_upgraded(record)) {
        const std::uint64_t at = names_.empty() ? 0 : time_of(record);
        if (at >= names_until_ && at < kNoTime) put_names(at);
        put(record.bytes());
    }
    blocks = blocks_;
    return count_;
}

}  // namespace millrace::replay
