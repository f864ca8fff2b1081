#include "convert_csv.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <memory>

#include "console.hpp"
#include "millrace/feed/streams/csv/csv_reader.hpp"
#include "millrace/replay/csv_rows.hpp"
#include "progress.hpp"
#include "record_output.hpp"
#include "signals.hpp"

namespace millrace::tools {

namespace {

using replay::CsvRows;

// Rows that do not fit.
class BadRows {
  public:
    BadRows(const std::string& policy, const std::string& header) : policy_(policy) {
        if (policy == "stop" || policy == "skip") return;
        file_ = std::make_unique<replay::ByteSink>(policy);
        put(header);
    }
    void take(const std::string& input, const CsvRows& rows, std::string_view why) {
        ++count_;
        if (policy_ == "stop") {
            throw Error(ExitCode::format,
                        fmt::format("{}: row {}: {}; mend it, or choose --bad-rows skip or a file",
                                    input, rows.number(), why));
        }
        if (file_ != nullptr) put(rows.text());
    }
    void close() {
        if (file_ != nullptr) file_->close();
    }
    [[nodiscard]] std::uint64_t count() const { return count_; }

  private:
    void put(std::string_view text) {
        static_cast<void>(
            file_->write({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}));
    }
    std::string policy_;
    std::unique_ptr<replay::ByteSink> file_;
    std::uint64_t count_ = 0;
};

}  // namespace

bool is_csv(const std::string& file) {
    std::filesystem::path path(file);
    if (path.extension() == ".gz" || path.extension() == ".zst") path.replace_extension();
    return path.extension() == ".csv";
}

ExitCode convert_csv(const CsvConversion& what) {
    StopSignals signals;
    Progress progress("convert");
    CsvRows rows(what.input);
    bool good = false;
    if (!rows.next(good) || !good) {
        throw Error(ExitCode::format,
                    fmt::format("{}: no first row that names the columns", what.input));
    }
    const auto rtype = dbn::schemas()[static_cast<std::size_t>(what.schema)].rtype;
    streams::CsvRecords records(rtype, rows.cells(), what.input);
    BadRows bad(what.bad_rows, std::string(rows.text()));
    RecordOutput output(what.output, what.schema, what.dataset, what.times);
    dbn::RecordView record;
    while (rows.next(good)) {
        if (!good) bad.take(what.input, rows, "quotes that do not match");
        else if (!records.parse(rows.cells(), record)) bad.take(what.input, rows, records.problem());
        else if (is_wanted(what.symbols, records.symbol())) output.put(record, records.symbol());
        if (rows.number() % 4096 != 0) continue;
        progress.update(rows.source().file_position(), rows.source().file_size(), output.records(),
                        "records");
        if (signals.stopped()) break;
    }
    progress.clear();
    output.close();
    bad.close();
    const std::string& damage = rows.source().damage();
    if (!damage.empty()) tell("{}: {}", what.input, damage);
    tell("{}: {} records, {} bad rows", what.output, output.records(),
               bad.count());
    return ExitCode::ok;
}

}  // namespace millrace::tools
