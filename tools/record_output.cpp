#include "record_output.hpp"

#include <algorithm>
#include <utility>

#include "millrace/core/error.hpp"
#include "millrace/feed/streams/dbn/market_clock.hpp"

namespace millrace::tools {

namespace {

constexpr std::size_t kPiece = std::size_t{1} << 18;
constexpr std::uint64_t kDay = std::uint64_t{86'400} * 1'000'000'000;

// What DBN orders the record by: every kind that is made here has ts_recv at a place of its own.
std::uint64_t time_of(dbn::RecordView record) {
    std::size_t at = 16;  // definitions, status, imbalance, statistics
    switch (static_cast<dbn::Rtype>(record.rtype())) {
        case dbn::Rtype::mbo: at = 40; break;
        case dbn::Rtype::mbp_0:
        case dbn::Rtype::mbp_1:
        case dbn::Rtype::mbp_10:
        case dbn::Rtype::bbo_1s:
        case dbn::Rtype::bbo_1m:
        case dbn::Rtype::cmbp_1:
        case dbn::Rtype::tcbbo:
        case dbn::Rtype::cbbo_1s:
        case dbn::Rtype::cbbo_1m: at = 32; break;
        case dbn::Rtype::status:
        case dbn::Rtype::definition:
        case dbn::Rtype::imbalance:
        case dbn::Rtype::statistics: break;
        default: at = 8; break;
    }
    dbn::Timestamp64 time{};
    if (record.bytes().size() < at + sizeof(time)) return record.header().ts_event.value();
    std::copy_n(&record.bytes()[at], sizeof(time), time.raw.begin());
    return time.value();
}

}  // namespace

RecordFormat record_format_of(const std::filesystem::path& path) {
    std::filesystem::path name = path;
    const bool gzip = name.extension() == ".gz";
    if (gzip || name.extension() == ".zst") name.replace_extension();
    if (name.extension() == ".dbn" && !gzip) return RecordFormat::dbn;
    if (name.extension() == ".csv") return RecordFormat::csv;
    if (name.extension() == ".json" || name.extension() == ".jsonl") return RecordFormat::json;
    throw Error(ExitCode::usage,
                fmt::format("{}: the name does not say what to write; end it in .dbn, .dbn.zst, "
                            ".csv or .json (.gz or .zst may follow the last two)",
                            path.string()));
}

bool is_wanted(const std::vector<std::string>& symbols, std::string_view symbol) {
    return symbols.empty() || std::find(symbols.begin(), symbols.end(), symbol) != symbols.end();
}

RecordOutput::RecordOutput(const std::filesystem::path& path, dbn::Schema schema,
                           std::string dataset, dbn::TimeText times)
    : format_(record_format_of(path)), schema_(schema), dataset_(std::move(dataset)), times_(times) {
    if (format_ == RecordFormat::csv && schema == dbn::Schema::mixed) {
        throw Error(ExitCode::usage,
                    fmt::format("{}: a CSV file holds records of one schema; choose it with --schema",
                                path.string()));
    }
    if (format_ == RecordFormat::dbn) {
        file_ = std::make_unique<replay::DbnFileWriter>(path);
        return;
    }
    text_ = std::make_unique<replay::ByteSink>(path);
    if (format_ == RecordFormat::csv) {
        const auto rtype = dbn::schemas()[static_cast<std::size_t>(schema)].rtype;
        dbn::append_csv_header(buffer_, *dbn::layout_of(rtype));
        buffer_.push_back('\n');
    }
}

void RecordOutput::put(dbn::RecordView record, std::string_view symbol) {
    ++records_;
    if (format_ == RecordFormat::dbn) {
        note(record, symbol);
        static_cast<void>(file_->write(record.bytes()));
        return;
    }
    if (format_ == RecordFormat::json) {
        dbn::append_json(buffer_, record, symbol, times_);
    } else {
        dbn::append_csv(buffer_, *dbn::layout_of(record.rtype()), record, symbol, times_);
    }
    buffer_.push_back('\n');
    if (buffer_.size() > kPiece) flush_text();
}

// Remembers what the metadata has to say of the record's instrument and time.
void RecordOutput::note(dbn::RecordView record, std::string_view symbol) {
    const std::uint64_t at = time_of(record);
    if (at < first_time_) first_time_ = at;
    if (at > last_time_ && at != dbn::kUndefTimestamp) last_time_ = at;
    if (symbol.empty()) return;
    if (at < day_begin_ || at >= day_end_) {
        day_begin_ = at / kDay * kDay;
        day_end_ = day_begin_ + kDay;
        date_ = dbn::utc_date(static_cast<Timestamp>(day_begin_));
    }
    const std::uint32_t id = record.header().instrument_id.value();
    if (last_seen_ == nullptr || id != last_id_) {
        last_seen_ = &seen_[id];
        last_id_ = id;
        if (last_seen_->symbol.empty()) *last_seen_ = {std::string(symbol), date_, date_};
    }
    if (date_ < last_seen_->first_date) last_seen_->first_date = date_;
    if (date_ > last_seen_->last_date) last_seen_->last_date = date_;
}

void RecordOutput::flush_text() {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(buffer_.data());
    static_cast<void>(text_->write({bytes, buffer_.size()}));
    buffer_.clear();
}

dbn::Metadata RecordOutput::metadata() const {
    dbn::Metadata metadata;
    metadata.dataset = dataset_;
    metadata.schema = static_cast<std::uint16_t>(schema_);
    metadata.start = records_ == 0 || first_time_ == dbn::kUndefTimestamp ? 0 : first_time_;
    metadata.end = last_time_ == 0 ? dbn::kUndefTimestamp : last_time_ + 1;
    metadata.stype_in = static_cast<std::uint8_t>(dbn::SymbolType::raw_symbol);
    for (const auto& [id, seen] : seen_) {
        metadata.symbols.push_back(seen.symbol);
        dbn::SymbolMappings& mapping = metadata.mappings.emplace_back();
        mapping.raw_symbol = seen.symbol;
        for (std::uint32_t date = seen.first_date; date <= seen.last_date;) {
            const std::uint32_t next = dbn::next_date(date);
            mapping.intervals.push_back({date, next, std::to_string(id)});
            if (next <= date) break;
            date = next;
        }
    }
    return metadata;
}

void RecordOutput::close() {
    if (file_ != nullptr) return file_->close(metadata());
    flush_text();
    text_->close();
}

}  // namespace millrace::tools
