#include "millrace/feed/streams/checker.hpp"

#include <algorithm>
#include <array>

namespace millrace::streams {

namespace {

// Of a stream; older ones stay missing, though their records may come late.
constexpr std::size_t kRangesMax = 256;

}  // namespace

std::string_view name(Completeness completeness) {
    constexpr std::array<std::string_view, 4> kNames{"complete", "conflated", "counted", "broken"};
    return kNames[static_cast<std::size_t>(completeness)];
}

Completeness CheckedTotals::completeness() const {
    if (damaged != 0 || lost() != 0) return Completeness::broken;
    if (left_out != 0) return Completeness::counted;
    return conflated != 0 ? Completeness::conflated : Completeness::complete;
}

Verdict StreamChecker::damaged(const Envelope& envelope) {
    ++(envelope.records.value() == 0 ? totals_.ends : totals_.batches);
    ++totals_.damaged;
    return Verdict::damaged;
}

// Counts the records before the batch that did not come.
std::uint64_t StreamChecker::pass_over(Stream& stream, const Envelope& envelope) {
    const std::uint64_t first = envelope.first_record.value();
    if (first <= stream.next) return 0;
    const std::uint64_t missing = first - stream.next;
    const std::uint64_t told = envelope.left_out.value();
    const bool all = told >= missing || told == kLeftOutMost;
    const std::uint64_t explained = all ? missing : told;
    const bool conflated = envelope.why.value() == static_cast<std::uint8_t>(WhyLeftOut::conflated);
    (conflated ? totals_.conflated : totals_.left_out) += explained;
    totals_.missing += missing;
    if (!all) stream.missing.push_back({stream.next, first - explained});
    if (stream.missing.size() > kRangesMax) stream.missing.erase(stream.missing.begin());
    stream.next = first;
    return missing;
}

// Takes the records from `begin` up to `end` off the missing ones; returns how many those were.
std::uint64_t StreamChecker::fill(Stream& stream, std::uint64_t begin, std::uint64_t end) {
    std::uint64_t filled = 0;
    std::vector<Range> left;
    for (const Range& range : stream.missing) {
        const std::uint64_t from = std::max(range.begin, begin);
        const std::uint64_t to = std::min(range.end, end);
        if (from >= to) {
            left.push_back(range);
            continue;
        }
        filled += to - from;
        if (range.begin < from) left.push_back({range.begin, from});
        if (to < range.end) left.push_back({to, range.end});
    }
    if (filled != 0) stream.missing = std::move(left);
    return filled;
}

Verdict StreamChecker::on_batch(const Envelope& envelope, std::span<const std::uint8_t> payload,
                                std::uint64_t payload_records) {
    const bool whole = payload_records == envelope.records.value() &&
                       crc32c(payload) == envelope.crc32c.value();
    return whole ? on_envelope(envelope) : damaged(envelope);
}

Verdict StreamChecker::on_envelope(const Envelope& envelope) {
    const std::uint64_t first = envelope.first_record.value();
    const std::uint64_t records = envelope.records.value();
    const std::uint64_t end = first + records;
    if (first == 0 || end < first) return damaged(envelope);
    ++(records == 0 ? totals_.ends : totals_.batches);
    const std::uint32_t epoch = envelope.epoch.value();
    const auto [place, fresh] = streams_.try_emplace(envelope.stream.value());
    Stream& stream = place->second;
    if (!fresh && epoch < stream.epoch) {
        totals_.superseded += records;
        return Verdict::superseded;
    }
    if (fresh || epoch > stream.epoch) {
        totals_.restarts += fresh ? 0 : 1;
        stream = {};
        stream.epoch = epoch;
        if (fresh && !from_start_) stream.next = first;
    }
    const std::uint64_t old = first < stream.next ? std::min(end, stream.next) - first : 0;
    const std::uint64_t late = old == 0 ? 0 : fill(stream, first, first + old);
    const std::uint64_t missing = pass_over(stream, envelope);
    stream.next = std::max(stream.next, end);
    totals_.missing -= late;
    totals_.late += late;
    totals_.duplicates += old - late;
    totals_.records += records - (old - late);
    if (records == 0) {
        stream.ended = true;
        return Verdict::end;
    }
    if (old == records) return late == 0 ? Verdict::duplicate : late == old ? Verdict::late : Verdict::overlap;
    if (old != 0) return Verdict::overlap;
    return missing != 0 ? Verdict::gap : Verdict::next;
}

std::uint64_t StreamChecker::last_record(std::uint64_t stream, std::uint32_t epoch) const {
    const auto found = streams_.find(stream);
    return found == streams_.end() || found->second.epoch != epoch ? 0 : found->second.next - 1;
}

std::size_t StreamChecker::open() const {
    return static_cast<std::size_t>(std::count_if(
        streams_.begin(), streams_.end(), [](const auto& each) { return !each.second.ended; }));
}

}  // namespace millrace::streams
