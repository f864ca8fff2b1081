// millrace convert: captures to files of normalised records, DBN, CSV or JSON.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "checks.hpp"
#include "command.hpp"
#include "console.hpp"
#include "convert_csv.hpp"
#include "file_choice.hpp"
#include "millrace/feed/streams/dbn/gateway_records.hpp"
#include "millrace/replay/replayer.hpp"
#include "progress.hpp"
#include "record_output.hpp"
#include "record_replay.hpp"
#include "schema_names.hpp"
#include "signals.hpp"
#include "venue_choice.hpp"
#include "verdict.hpp"

namespace millrace::tools {

namespace {

struct ConvertOptions {
    std::vector<std::string> files;
    std::string output;
    std::string venue;
    std::vector<std::string> schemas{"mbo"};
    std::string date;
    bool nanoseconds = false;
    std::vector<std::string> symbols;
    std::string dataset = "CSV";
    std::string bad_rows = "stop";
    SessionConfig session;

    [[nodiscard]] dbn::TimeText times() const {
        return nanoseconds ? dbn::TimeText::nanoseconds : dbn::TimeText::rfc3339;
    }
};

class OutputTaker final : public RecordTaker {
  public:
    explicit OutputTaker(RecordOutput& output) : output_(output) {}
    void on_record(const dbn::MadeRecord&, const Symbol& symbol,
                   std::span<const std::uint8_t> bytes) override {
        output_.put(dbn::RecordView(bytes), symbol.view());
    }

  private:
    RecordOutput& output_;
};

// A header alone would pass for a conversion that found nothing. What is no file of its own (a pipe) stays.
void remove_empty(const std::filesystem::path& output) {
    std::error_code problem;
    if (std::filesystem::is_regular_file(output, problem)) std::filesystem::remove(output, problem);
}

// A part that bears the name of the whole must not pass for it.
ExitCode ended_whole(StopSignals& signals, const ConvertOptions& options) {
    if (!signals.stopped()) return ExitCode::ok;
    tell("interrupted: {} holds the records up to there, and no more", options.output);
    return ExitCode::failure;
}

// A conversion that brought nothing of what was asked for is no good one, and says why.
ExitCode judge(const ConvertOptions& options, const FeedSummary& feed, StopSignals& signals) {
    tell_remarks(feed, options.files.front());
    if (!signals.stopped() && judge_contents(feed, options.files.front()) != ExitCode::ok) return ExitCode::failure;
    const ExitCode symbols = judge_symbols(options.symbols, feed);
    return symbols == ExitCode::ok ? ended_whole(signals, options) : symbols;
}

void report(const RecordOutput& output, const ConvertOptions& options) {
    tell("{}: {} records", options.output, output.records());
}

ExitCode convert_captures(const ConvertOptions& options, dbn::SchemaSet schemas) {
    StopSignals signals;
    RecordReplay what{choose_venue(options.venue, options.files), options.date, schemas,
                      options.session, {}};
    for (const std::string& symbol : options.symbols) what.session.symbols.emplace_back(symbol);
    replay::Replayer::Readers readers;
    for (const std::string& file : options.files)
        readers.push_back(std::make_unique<replay::CaptureReader>(file));
    replay::Replayer replayer(std::move(readers), {});
    const dbn::MakerConfig config = maker_config(what, replayer);
    RecordOutput output(options.output, schemas.schema(), std::string(config.venue.dataset),
                        options.times());
    OutputTaker taker(output);
    Progress progress("convert");
    const FeedSummary feed = replay_records(what, config, replayer, taker, [&] {
        progress.update(replayer.bytes_read(), replayer.bytes_total(), output.records(),
                        "records");
        return !signals.stopped();
    });
    progress.clear();
    output.close();
    for (const auto& reader : replayer.readers()) {
        if (!reader->damage().empty()) tell_damage(reader->title(), reader->damage(), "converted");
    }
    report(output, options);
    const ExitCode code = judge(options, feed, signals);
    if (code != ExitCode::ok && output.records() == 0) remove_empty(options.output);
    return code;
}

// What each id of a DBN stream stands for.
class Names {
  public:
    explicit Names(const dbn::Metadata& metadata) {
        for (const dbn::SymbolMappings& mapping : metadata.mappings) {
            for (const dbn::MappingInterval& interval : mapping.intervals) {
                std::uint32_t id = 0;
                const char* end = interval.symbol.data() + interval.symbol.size();
                if (std::from_chars(interval.symbol.data(), end, id).ptr == end)
                    by_id_[id] = mapping.raw_symbol;
            }
        }
    }
    void learn(const dbn::SymbolMapping& mapping) {
        by_id_[mapping.instrument_id.value()] = std::string(mapping.stype_out_symbol.value());
    }
    [[nodiscard]] std::string_view of(std::uint32_t id) const {
        const auto found = by_id_.find(id);
        return found == by_id_.end() ? std::string_view{} : std::string_view(found->second);
    }

  private:
    std::unordered_map<std::uint32_t, std::string> by_id_;
};

// DBN to another format, or to version 3: the records as they are.
ExitCode pass_on(const ConvertOptions& options, dbn::SchemaSet schemas) {
    StopSignals signals;
    replay::DbnFileReader reader{std::filesystem::path(options.files.front())};
    if (reader.metadata().ts_out) {
        throw Error(ExitCode::usage,
                    fmt::format("{}: records with send times (ts_out) are not converted",
                                options.files.front()));
    }
    RecordOutput output(options.output, schemas.schema(), reader.metadata().dataset,
                        options.times());
    Names names(reader.metadata());
    Progress progress("convert");
    dbn::RecordView record;
    while (reader.next_upgraded(record) && !signals.stopped()) {
        if (reader.records() % 4096 == 0) {
            progress.update(reader.bytes_read(), reader.bytes_total(), output.records(),
                            "records");
        }
        if (const auto* mapping = record.as<dbn::SymbolMapping>()) names.learn(*mapping);
        const auto wanted = [&](const dbn::SchemaInfo& info) {
            return schemas.has(info.schema) &&
                   static_cast<std::uint8_t>(info.rtype) == record.rtype();
        };
        const wire::MessageLayout* layout = dbn::layout_of(record.rtype());
        if (layout == nullptr || !layout->fits(record.bytes())) continue;
        if (std::none_of(dbn::schemas().begin(), dbn::schemas().end(), wanted)) continue;
        const std::string_view symbol = names.of(record.header().instrument_id.value());
        if (is_wanted(options.symbols, symbol)) output.put(record, symbol);
    }
    progress.clear();
    output.close();
    if (!reader.damage().empty()) tell_damage(reader.title(), reader.damage(), "converted");
    report(output, options);
    if (!options.symbols.empty() && output.records() == 0 && reader.records() != 0) {
        remove_empty(options.output);
        tell("{}: no records of {}; the symbols stand in its metadata", options.files.front(),
             fmt::join(options.symbols, " or "));
        return ExitCode::failure;
    }
    return ended_whole(signals, options);
}

// Whether the file is DBN that holds what is asked for, so that no books are needed.
bool holds(const std::string& file, dbn::SchemaSet schemas) {
    const replay::CaptureReader reader{std::filesystem::path(file)};
    if (reader.format() != replay::CaptureFormat::dbn) return false;
    const replay::DbnFileReader dbn_reader{std::filesystem::path(file)};
    const auto own = static_cast<dbn::Schema>(dbn_reader.metadata().schema);
    return own == dbn::Schema::mixed || (schemas.size() == 1 && schemas.has(own));
}

ExitCode run_convert(const ConvertOptions& options) {
    const dbn::SchemaSet schemas = schema_set(options.schemas);
    static_cast<void>(record_format_of(options.output));
    check_apart(options.files, {options.output, is_csv(options.files.front()) ? options.bad_rows : std::string()});
    if (is_csv(options.files.front())) {
        if (schemas.size() != 1 || options.files.size() != 1) {
            throw Error(ExitCode::usage, "CSV is converted one file and one schema at a time");
        }
        return convert_csv({options.files.front(), options.output, schemas.schema(),
                            options.dataset, options.bad_rows, options.times(), options.symbols});
    }
    if (options.files.size() == 1 && holds(options.files.front(), schemas))
        return pass_on(options, schemas);
    check_made(schemas);
    return convert_captures(options, schemas);
}

}  // namespace

void add_convert(CLI::App& app, Run& run) {
    auto options = std::make_shared<ConvertOptions>();
    CLI::App* command = app.add_subcommand("convert", "Turn captures into DBN, CSV or JSON");
    command
        ->add_option("FILE", options->files,
                     "pcap, pcapng, BinaryFILE, DBN or .csv; plain, gzip or zstd")
        ->required();
    command->add_option("-o,--output", options->output, "FILE.dbn, .dbn.zst, .csv or .json")
        ->required();
    command
        ->add_option("--schema", options->schemas,
                     "mbo, trades, tbbo, mbp-1, mbp-10, status, imbalance, definition, statistics")
        ->delimiter(',')
        ->capture_default_str();
    command->add_option("--venue", options->venue,
                        "venue id (see millrace version); found out where the file tells");
    command->add_option("--date", options->date,
                        "the day, YYYY-MM-DD, of captures that do not tell it (BinaryFILE)");
    command->add_flag("--nanoseconds", options->nanoseconds,
                      "CSV and JSON: times as nanoseconds since 1970");
    command
        ->add_option("--bad-rows", options->bad_rows,
                     "CSV in: stop or skip at rows that do not fit, or the file they go to")
        ->capture_default_str();
    command->add_option("--dataset", options->dataset, "CSV in: the name of the data set")
        ->capture_default_str();
    add_symbols(*command, options->symbols, "these alone, as AAPL,MSFT");
    add_limits(*command, options->session.limits);
    command->callback([options, &run] { run = [options] { return run_convert(*options); }; });
}

}  // namespace millrace::tools
