// The consumer's side of the ledger: whether what arrived is whole, without a hole, and once.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string_view>
#include <vector>

#include "millrace/feed/streams/envelope.hpp"

namespace millrace::streams {

enum class Verdict : std::uint8_t {
    next,        // the records that were to come
    gap,         // these, but records before them are missing
    late,        // these were missing until now: later ones came first
    duplicate,   // all of these came before
    overlap,     // some did
    superseded,  // of an epoch before the one that has begun
    end,         // an end mark: no records, and none will follow
    damaged,     // the payload is not what the sender sent
};

// What can be said of a stream. Each includes the weaker claims of those before it.
enum class Completeness : std::uint8_t {
    complete,   // every record arrived
    conflated,  // but book records that newer ones replaced, which the sender counted
    counted,    // but records that the sender left out, and counted
    broken,     // records were lost on the way, or are damaged
};
[[nodiscard]] std::string_view name(Completeness completeness);

struct CheckedTotals {
    std::uint64_t batches = 0;
    std::uint64_t records = 0;     // each counted once
    std::uint64_t missing = 0;     // numbers passed over, of which
    std::uint64_t conflated = 0;   //   the sender conflated so many,
    std::uint64_t left_out = 0;    //   and left so many out otherwise
    std::uint64_t late = 0;        // records that came after later ones; not missing any more
    std::uint64_t duplicates = 0;  // records that came again
    std::uint64_t superseded = 0;  // records of epochs that had ended
    std::uint64_t restarts = 0;    // epochs of a stream beyond its first
    std::uint64_t damaged = 0;     // batches
    std::uint64_t ends = 0;        // end marks

    // Missing, and nobody says why.
    [[nodiscard]] std::uint64_t lost() const { return missing - conflated - left_out; }
    [[nodiscard]] Completeness completeness() const;
};

// Completeness goes by (stream, epoch, record number) alone: several records share a venue
// sequence. The newest epoch of a stream counts: a sender that began anew has numbered anew.
class StreamChecker {
  public:
    // Whose first batch of a stream must begin with record 1 when it reads `from_start`; else
    // whatever of a stream comes first is taken for its beginning.
    explicit StreamChecker(bool from_start = true) : from_start_(from_start) {}

    // `payload_records` is how many records the payload was found to hold.
    Verdict on_batch(const Envelope& envelope, std::span<const std::uint8_t> payload,
                     std::uint64_t payload_records);
    // The same by the numbers alone, where the payload was checked before or is not at hand.
    Verdict on_envelope(const Envelope& envelope);

    [[nodiscard]] const CheckedTotals& totals() const { return totals_; }
    // The last record number seen of a stream's newest epoch; 0 for none, and for another epoch.
    [[nodiscard]] std::uint64_t last_record(std::uint64_t stream, std::uint32_t epoch) const;
    [[nodiscard]] std::size_t streams() const { return streams_.size(); }
    // Those of them whose end is not known: more may have been lost there.
    [[nodiscard]] std::size_t open() const;

  private:
    struct Range {
        std::uint64_t begin;
        std::uint64_t end;
    };
    struct Stream {
        std::uint32_t epoch = 0;
        bool ended = false;
        std::uint64_t next = 1;  // record to come
        std::vector<Range> missing;  // ascending; of the lost ones, the newest of these ranges
    };
    [[nodiscard]] Verdict damaged(const Envelope& envelope);
    [[nodiscard]] std::uint64_t pass_over(Stream& stream, const Envelope& envelope);
    [[nodiscard]] static std::uint64_t fill(Stream& stream, std::uint64_t begin, std::uint64_t end);

    bool from_start_;
    std::map<std::uint64_t, Stream> streams_;
    CheckedTotals totals_;
};

}  // namespace millrace::streams
