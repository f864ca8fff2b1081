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
    std::string books;  // a file for all books' best prices at the end, or empty
};

// What the records of a venue are made with. Throws Error(usage) for an unknown one.
[[nodiscard]] dbn::MakerConfig maker_config(const std::string& venue, dbn::SchemaSet schemas,
                                            std::uint32_t instruments);
// The same for captures; to be asked before an output is opened and an old one lost.
// Throws Error(usage) also when the captures do not tell their day and `date`
// does not either.
[[nodiscard]] dbn::MakerConfig maker_config(const RecordReplay& options,
                                            const replay::Replayer& replayer);

// Runs the replayer to its end, or until `keep_on` says no.
FeedSummary replay_records(const RecordReplay& options, const dbn::MakerConfig& config,
                           replay::Replayer& replayer, RecordTaker& taker,
                           const std::function<bool()>& keep_on);

}  // namespace millrace::tools
