#include "millrace/feed/streams/checker.hpp"

namespace millrace::streams {

Verdict StreamChecker::damaged() {
    ++totals_.batches;
    ++totals_.damaged;
    return Verdict::damaged;
}

Verdict StreamChecker::on_batch(const Envelope& envelope, std::span<const std::uint8_t> payload,
                                std::uint64_t payload_records) {
    const bool whole = payload_records == envelope.records.value() &&
                       crc32c(payload) == envelope.crc32c.value();
    return whole ? on_envelope(envelope) : damaged();
}

Verdict StreamChecker::on_envelope(const Envelope& envelope) {
    const std::uint64_t first = envelope.first_record.value();
    const std::uint64_t records = envelope.records.value();
    if (records == 0 || first == 0 || first + records < first) return damaged();
    ++totals_.batches;
    std::uint64_t& next = next_.try_emplace({envelope.stream.value(), envelope.epoch.value()},
                                            from_start_ ? 1 : first)
                              .first->second;
    const std::uint64_t end = first + records;
    if (end <= next) {
        totals_.duplicates += records;
        return Verdict::duplicate;
    }
    const std::uint64_t again = first < next ? next - first : 0;
    const std::uint64_t missing = first > next ? first - next : 0;
    totals_.records += records - again;
    totals_.duplicates += again;
    totals_.missing += missing;
    next = end;
    return missing != 0 ? Verdict::gap : again != 0 ? Verdict::overlap : Verdict::next;
}

std::uint64_t StreamChecker::last_record(std::uint64_t stream, std::uint32_t epoch) const {
    const auto found = next_.find({stream, epoch});
    return found == next_.end() ? 0 : found->second - 1;
}

}  // namespace millrace::streams
