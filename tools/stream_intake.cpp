#include "stream_intake.hpp"

#include "millrace/core/error.hpp"
#include "millrace/replay/dbn_file.hpp"

namespace millrace::tools {

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

bool StreamIntake::take(const streams::Received& received) {
    missing_before_ = 0;
    const std::uint64_t records = records_in(received.payload);
    if (!received.has_envelope) {
        // Of somebody else: nothing can be told of it but whether it is DBN.
        ++(records != 0 ? foreign_ : unreadable_);
        return records != 0;
    }
    const std::uint64_t missing = checker_.totals().missing;
    const streams::Verdict verdict = checker_.on_batch(received.envelope, received.payload, records);
    missing_before_ = checker_.totals().missing - missing;
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
             {"unreadable", unreadable_}},
            totals.missing + totals.damaged + unreadable_};
}

}  // namespace millrace::tools
