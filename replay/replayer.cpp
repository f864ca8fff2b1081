#include "millrace/replay/replayer.hpp"

#include <algorithm>
#include <limits>

#include "millrace/core/error.hpp"

namespace millrace::replay {

namespace {

bool is_record_file(const std::unique_ptr<CaptureReader>& reader) {
    return reader->holds_records();
}

}  // namespace

Replayer::Replayer(Readers readers, ReplayConfig config)
    : readers_(std::move(readers)), config_(std::move(config)), lines_(config_.destinations) {
    records_ = std::any_of(readers_.begin(), readers_.end(), is_record_file);
    if (records_ && !std::all_of(readers_.begin(), readers_.end(), is_record_file)) {
        throw Error(
            ExitCode::usage,
            "files of records (BinaryFILE, DBN) and packet captures cannot be replayed together; one "
            "kind at a time");
    }
    if (records_ && config_.pace > 0) {
        throw Error(
            ExitCode::usage,
            readers_.front()->title() +
                ": files of records (BinaryFILE, DBN) are not paced; replay it without --pace");
    }
}

SessionConfig Replayer::session_config(SessionConfig config) {
    config.lines = kLinesMax;
    // What a live feed does not believe, a replay of its recording does not believe either.
    config.quality.doubt_outliers = true;
    std::size_t named_lines = 0;
    for (const auto& reader : readers_) {
        for (std::uint32_t i = 0; !reader->interface_name(i).empty(); ++i) {
            ++named_lines;
            if (reader->interface_name(i) == kRecoveryLineName) recovery_line_ = static_cast<LineId>(kLinesMax);
        }
    }
    // Lines that differ make books suspect here too.
    if (named_lines > 1) config.quality.compare_messages = QualityConfig::live().compare_messages;
    if (recovery_line_) {
        // Nobody is asked, and nobody counted on: the answers stand in the recording, or time runs out.
        config.recovery.retransmit_servers = 1;
        config.recovery.attempts = std::numeric_limits<std::uint32_t>::max();
    }
    return config;
}

void Replayer::refuse_records() const {
    throw Error(ExitCode::usage, readers_.front()->title() +
                                     ": a file of records, and this venue has none; choose another --venue");
}

std::uint64_t Replayer::bytes_total() const {
    std::uint64_t sum = 0;
    for (const auto& reader : readers_) sum += reader->bytes_total();
    return sum;
}

std::uint64_t Replayer::bytes_read() const {
    std::uint64_t sum = 0;
    for (const auto& reader : readers_) sum += reader->bytes_read();
    return sum;
}

}  // namespace millrace::replay
