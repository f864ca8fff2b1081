// Captures through the books to DBN records, for convert and for replay's sinks.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "millrace/feed/session_config.hpp"
#include "millrace/feed/streams/dbn/record_maker.hpp"
#include "millrace/replay/replayer.hpp"
#include "summary.hpp"

namespace millrace::tools {

// Takes records; called once a record, hence virtual: one instance of the maker serves all.
class RecordTaker {
  public:
    virtual ~RecordTaker() = default;
    virtual void on_record(const dbn::MadeRecord& made, const Symbol& symbol,
                           std::span<const std::uint8_t> bytes) = 0;
    virtual void on_packet_end() {}
};
using RecordHandler = dbn::DbnMaker<RecordTaker>;

struct RecordReplay {
    std::string venue;
    std::string date;  // YYYY-MM-DD, or empty
    dbn::SchemaSet schemas;
    SessionConfig session;
};

// What DBN needs to know of a venue. Throws Error(usage) for an unknown one.
[[nodiscard]] dbn::VenueTraits traits_of_venue(const std::string& venue);

// Runs the replayer to its end, or until `keep_on` says no. Throws Error(usage) when the captures
// do not tell their day and `date` does not either.
FeedSummary replay_records(const RecordReplay& options, replay::Replayer& replayer,
                           RecordTaker& taker, const std::function<bool()>& keep_on);

}  // namespace millrace::tools
