// The consumer's side of the ledger: whether what arrived is whole, without a hole, and once.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>

#include "millrace/feed/streams/envelope.hpp"

namespace millrace::streams {

enum class Verdict : std::uint8_t {
    next,       // the records that were to come
    gap,        // these, but records before them are missing
    duplicate,  // all of these came before
    overlap,    // some did
    damaged,    // the payload is not what the sender sent
};

struct CheckedTotals {
    std::uint64_t batches = 0;
    std::uint64_t records = 0;     // each counted once
    std::uint64_t missing = 0;     // numbers passed over
    std::uint64_t duplicates = 0;  // records that came again
    std::uint64_t damaged = 0;     // batches
};

// Completeness goes by (stream, epoch, record number) alone: several records share a venue
// sequence.
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
    // The last record number seen of a stream; 0 for none.
    [[nodiscard]] std::uint64_t last_record(std::uint64_t stream, std::uint32_t epoch) const;
    [[nodiscard]] std::size_t streams() const { return next_.size(); }

  private:
    Verdict damaged();

    bool from_start_;
    std::map<std::pair<std::uint64_t, std::uint32_t>, std::uint64_t> next_;  // record to come
    CheckedTotals totals_;
};

}  // namespace millrace::streams
