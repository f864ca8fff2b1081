// A DBN file as a feed: its records as they are, brought to version 3. It makes no books.
#include <algorithm>
#include <charconv>
#include <memory>

#include "millrace/core/clock.hpp"
#include "millrace/feed/streams/dbn/layouts.hpp"
#include "millrace/replay/dbn_file.hpp"
#include "plain_record.hpp"
#include "sources.hpp"

namespace millrace::python {

namespace {

class DbnProducer final : public Producer {
  public:
    explicit DbnProducer(const DbnOptions& options)
        : start_(options.start), end_(options.end), reader_(options.file) {
        const auto& mappings = reader_.metadata().mappings;
        symbol_table().reserve(mappings.size() + 1);
        for (const dbn::SymbolMappings& mapping : mappings) {
            if (mapping.intervals.empty()) continue;
            const std::string& id = mapping.intervals.front().symbol;
            std::uint32_t instrument = 0;
            const auto [end, problem] =
                std::from_chars(id.data(), id.data() + id.size(), instrument);
            if (problem == std::errc{}) symbol_table().add(instrument, Symbol(mapping.raw_symbol));
        }
    }
    ~DbnProducer() override { stop(); }

    [[nodiscard]] std::string dataset() const override { return reader_.metadata().dataset; }

  protected:
    void run() override {
        // How many records pass between two looks at who asks or waits; a packet has about as
        // many.
        constexpr std::uint64_t kTogether = 32;
        wait_between_packets();
        dbn::RecordView record;
        while (!stopping() && reader_.next_upgraded(record)) {
            const auto at = static_cast<Timestamp>(record.header().ts_event.value());
            if (at >= start_ && at < end_) put(record);
            if (reader_.records() % kTogether == 0) {
                packet_done(at);
                set_bytes(reader_.bytes_read(), reader_.bytes_total());
            }
        }
        publish();
        set_bytes(reader_.bytes_read(), reader_.bytes_total());
        if (!reader_.damage().empty()) {
            throw Error(ExitCode::format, reader_.title() + ": " + reader_.damage() +
                                              "; the records up to there are good");
        }
    }
    // A file says of which schema it is, or that it has several.
    [[nodiscard]] bool makes(const std::string& schema) const override {
        const auto own = static_cast<dbn::Schema>(reader_.metadata().schema);
        const dbn::SchemaInfo* held = dbn::schema_named(dbn::name(own));
        const dbn::SchemaInfo* asked = dbn::schema_named(schema);
        if (held == nullptr || asked == nullptr || held->rtype == asked->rtype) return true;
        throw Error(ExitCode::usage, reader_.title() + ": holds " + std::string(held->name) +
                                         " records, and no " + schema);
    }
    [[nodiscard]] std::string digest_now() const override { return Digest{}.text(); }
    [[nodiscard]] std::string stats_now() const override {
        return "{\"records\": " + std::to_string(reader_.records()) +
               ", \"passed_over\": " + std::to_string(passed_over_) + "}";
    }
    [[nodiscard]] std::optional<BookImage> book_now(const Symbol&, bool) const override {
        return std::nullopt;
    }
    [[nodiscard]] std::vector<BookImage> books_now() const override { return {}; }

  private:
    void put(dbn::RecordView record) {
        const std::size_t size = plain_size(record);
        if (size == 0) ++passed_over_;
        else if (size == record.bytes().size()) append(record.bytes());
        else append(plain_copy(record, size, plain_));
    }

    Timestamp start_;
    Timestamp end_;
    replay::DbnFileReader reader_;
    dbn::UpgradeBuffer plain_{};
    std::uint64_t passed_over_ = 0;  // of no type known here, or cut short
};

}  // namespace

std::unique_ptr<Producer> dbn_source(const DbnOptions& options) {
    return std::make_unique<DbnProducer>(options);
}

}  // namespace millrace::python
