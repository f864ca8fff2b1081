#include "stream_intake.hpp"

#include "millrace/core/error.hpp"
#include "millrace/replay/dbn_file.hpp"

namespace millrace::tools {

ExitCode code_of_failed(const streams::Url& url) {
    return url.scheme == "file" ? ExitCode::format : ExitCode::resource;
}

std::uint64_t records_in(std::span<const std::uint8_t> payload) {
    try {
        replay::DbnFileReader reader(payload, "batch");
        dbn::RecordView record;
        while (reader.next(record)) {
        }
        return reader.damage().empty() ? reader.records() : 0;
    } catch (const Error&) {
        return 0;
    }
}

std::vector<std::uint8_t> clearing(std::span<const std::uint8_t> payload) {
    replay::DbnFileReader reader(payload, "batch");
    dbn::RecordView record;
    if (!reader.next(record)) return {};
    auto clear = dbn::make<dbn::Mbo>(dbn::Rtype::mbo);
    clear.publisher_id = record.header().publisher_id;
    clear.instrument_id = record.header().instrument_id;
    clear.ts_event = record.header().ts_event;
    // Which kind of book it is stands in the flags.
    if (const auto* mbo = record.as<dbn::Mbo>()) clear.flags = mbo->flags;
    clear.action.set('R');
    clear.side.set('N');
    std::vector<std::uint8_t> stream = dbn::encode(reader.metadata());
    const auto bytes = wire::bytes_of(clear);
    stream.insert(stream.end(), bytes.begin(), bytes.end());
    return stream;
}

bool StreamIntake::take(const streams::Received& received) {
    missing_before_ = received.gap ? 1 : 0;
    began_anew_ = false;
    const std::uint64_t records = records_in(received.payload);
    if (!received.has_envelope) {
        // Of somebody else: nothing can be told of it but whether it is DBN.
        ++(records != 0 ? foreign_ : unreadable_);
        return records != 0;
    }
    const streams::CheckedTotals before = checker_.totals();
    const streams::Verdict verdict = checker_.on_batch(received.envelope, received.payload, records);
    const streams::CheckedTotals& now = checker_.totals();
    began_anew_ = now.restarts != before.restarts;
    // Those that come late are fewer missing, and too late for who goes by their order.
    missing_before_ = now.missing > before.missing ? now.missing - before.missing : 0;
    if (verdict == streams::Verdict::overlap) missing_before_ = 1;
    return verdict == streams::Verdict::next || verdict == streams::Verdict::gap;
}

SourceSummary StreamIntake::summary(const std::string& url) const {
    const streams::CheckedTotals& totals = checker_.totals();
    return {url,
            {{"batches", totals.batches},
             {"streams", checker_.streams()},
             {"records", totals.records},
             {"missing", totals.missing},
             {"duplicates", totals.duplicates},
             {"damaged", totals.damaged},
             {"foreign", foreign_},
             {"unreadable", unreadable_},
             {"conflated", totals.conflated},
             {"left_out", totals.left_out},
             {"late", totals.late},
             {"superseded", totals.superseded},
             {"restarts", totals.restarts},
             {"open", checker_.open()}},
            totals.missing + totals.damaged + unreadable_,
            false,
            {},
            ExitCode::ok};
}

}  // namespace millrace::tools
