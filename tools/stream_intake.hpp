// Batches from a broker, checked one after the other: which of them are to be used, and the ledger.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "millrace/core/error.hpp"
#include "millrace/feed/streams/checker.hpp"
#include "millrace/feed/streams/source.hpp"
#include "millrace/feed/streams/url.hpp"
#include "summary.hpp"

namespace millrace::tools {

// What a source that failed ends a command with: a file of batches is damaged, anything else is not to be had any more.
[[nodiscard]] ExitCode code_of_failed(const streams::Url& url);

// How many records a payload holds; 0 when it is no whole DBN stream.
[[nodiscard]] std::uint64_t records_in(std::span<const std::uint8_t> payload);

// A DBN stream that clears the book of a payload's first record: a sender that began anew tells its books anew, and the
// payload's starts empty. Empty when there is no record.
[[nodiscard]] std::vector<std::uint8_t> clearing(std::span<const std::uint8_t> payload);

class StreamIntake {
  public:
    // As StreamChecker has it.
    explicit StreamIntake(bool from_start = true) : checker_(from_start) {}

    // Counts a batch. True when its records are to be used: they are whole and come for the first
    // time.
    [[nodiscard]] bool take(const streams::Received& received);
    // How many records of its stream never came between the last batch used and this one, by the
    // last take(). A batch of which a part came before cannot be told apart, and counts as 1.
    [[nodiscard]] std::uint64_t missing_before() const { return missing_before_; }
    // The sender of the last batch's stream began anew with it: what came before does not count.
    [[nodiscard]] bool began_anew() const { return began_anew_; }

    [[nodiscard]] std::uint64_t records() const { return checker_.totals().records; }
    [[nodiscard]] SourceSummary summary(const std::string& url) const;

  private:
    streams::StreamChecker checker_;
    std::uint64_t missing_before_ = 0;
    bool began_anew_ = false;
    std::uint64_t foreign_ = 0;     // batches without an envelope
    std::uint64_t unreadable_ = 0;  // likewise, and no DBN
};

}  // namespace millrace::tools
