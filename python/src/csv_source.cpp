// A CSV file of records as a feed, as `millrace convert` writes it: the first row names the columns, a
// row is a record. It makes no books.
#include <memory>

#include "instruments.hpp"
#include "millrace/feed/streams/csv/csv_reader.hpp"
#include "millrace/replay/csv_rows.hpp"
#include "sources.hpp"

namespace millrace::python {

namespace {

class CsvProducer final : public Producer {
  public:
    explicit CsvProducer(const CsvOptions& options)
        : file_(options.file), skips_bad_(options.skip_bad), start_(options.start),
          end_(options.end), instruments_(options.symbols), rows_(options.file) {
        symbol_table().reserve(options.instruments);
        bool good = false;
        if (!rows_.next(good) || !good) {
            throw Error(ExitCode::format, file_ + ": no first row that names the columns");
        }
    }
    ~CsvProducer() override { stop(); }

    [[nodiscard]] std::string dataset() const override { return {}; }

  protected:
    void run() override {
        // How many rows pass between two looks at who asks or waits.
        constexpr std::uint64_t kTogether = 32;
        const dbn::SchemaInfo* schema =
            schemas().empty() ? nullptr : dbn::schema_named(schemas().front());
        if (schema == nullptr) {
            throw Error(ExitCode::usage, file_ + ": has rows, and no events; ask for a schema");
        }
        streams::CsvRecords records(schema->rtype, rows_.cells(), file_);
        set_bytes(0, rows_.source().file_size());
        wait_between_packets();
        bool good = false;
        while (!stopping() && rows_.next(good)) {
            dbn::RecordView record;
            if (!good) refuse("quotes that do not match");
            else if (!records.parse(rows_.cells(), record)) refuse(records.problem());
            else put(record, records.symbol());
            if (rows_.number() % kTogether == 0) {
                packet_done(last_at_);
                set_bytes(rows_.source().file_position(), rows_.source().file_size());
            }
        }
        publish();
        set_bytes(rows_.source().file_position(), rows_.source().file_size());
        if (!rows_.source().damage().empty()) {
            throw Error(ExitCode::format, file_ + ": " + rows_.source().damage() +
                                              "; the rows up to there are good");
        }
    }
    // Its rows are records of whatever kind the first iterator asks for.
    [[nodiscard]] bool makes(const std::string& schema) const override {
        if (schemas().empty() || schemas().front() == schema) return true;
        throw Error(ExitCode::usage, file_ + ": its rows are " + schemas().front() +
                                         " to this feed, and cannot be " + schema);
    }
    [[nodiscard]] std::string digest_now() const override { return Digest{}.text(); }
    [[nodiscard]] std::string stats_now() const override {
        return "{\"records\": " + std::to_string(records_) +
               ", \"bad_rows\": " + std::to_string(bad_rows_) + "}";
    }
    [[nodiscard]] std::optional<BookImage> book_now(const Symbol&, bool) const override {
        return std::nullopt;
    }
    [[nodiscard]] std::vector<BookImage> books_now() const override { return {}; }

  private:
    void refuse(const std::string& why) {
        ++bad_rows_;
        if (skips_bad_) return;
        publish();
        throw Error(ExitCode::format, file_ + ": row " + std::to_string(rows_.number()) + ": " +
                                          why + "; mend it, or read with bad_rows='skip'");
    }
    void put(dbn::RecordView record, std::string_view symbol) {
        ++records_;
        last_at_ = static_cast<Timestamp>(record.header().ts_event.value());
        const Instruments::Entry entry = instruments_.number_of(Symbol(symbol));
        if (entry.fresh && !symbol.empty()) symbol_table().add(entry.id, Symbol(symbol));
        if (!entry.wanted || last_at_ < start_ || last_at_ >= end_) return;
        const std::span<const std::uint8_t> bytes = record.bytes();
        std::copy(bytes.begin(), bytes.end(), own_.begin());
        reinterpret_cast<dbn::Header*>(own_.data())->instrument_id.set(entry.id);
        append({own_.data(), bytes.size()});
    }

    std::string file_;
    bool skips_bad_;
    Timestamp start_;
    Timestamp end_;
    Instruments instruments_;
    replay::CsvRows rows_;
    dbn::UpgradeBuffer own_{};
    Timestamp last_at_ = 0;
    std::uint64_t records_ = 0;
    std::uint64_t bad_rows_ = 0;
};

}  // namespace

std::unique_ptr<Producer> csv_source(const CsvOptions& options) {
    return std::make_unique<CsvProducer>(options);
}

}  // namespace millrace::python
