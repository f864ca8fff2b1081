// DBN records to a file: DBN itself, CSV or JSON lines, by the file's name.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/feed/streams/dbn/text.hpp"
#include "millrace/replay/dbn_file.hpp"

namespace millrace::tools {

enum class RecordFormat : std::uint8_t { dbn, csv, json };

// By the name's extension, behind which .gz or .zst may follow (DBN: .zst only). Throws Error(usage).
[[nodiscard]] RecordFormat record_format_of(const std::filesystem::path& path);

// Whether a symbol is among those asked for; all are where none is named.
[[nodiscard]] bool is_wanted(const std::vector<std::string>& symbols, std::string_view symbol);

class RecordOutput {
  public:
    // `schema` is `mixed` where records of several kinds come, which a CSV file cannot hold.
    // Throws Error(usage) or Error(file).
    RecordOutput(const std::filesystem::path& path, dbn::Schema schema, std::string dataset,
                 dbn::TimeText times);

    // A record of version 3. What cannot be written shows at close().
    void put(dbn::RecordView record, std::string_view symbol);
    // Throws Error(file).
    void close();

    [[nodiscard]] std::uint64_t records() const { return records_; }

  private:
    struct Seen {
        std::string symbol;
        std::uint32_t first_date = 0;
        std::uint32_t last_date = 0;
    };
    void note(dbn::RecordView record, std::string_view symbol);
    void flush_text();
    [[nodiscard]] dbn::Metadata metadata() const;

    RecordFormat format_;
    dbn::Schema schema_;
    std::string dataset_;
    dbn::TimeText times_;
    std::unique_ptr<replay::DbnFileWriter> file_;  // of DBN
    std::unique_ptr<replay::ByteSink> text_;       // of the others
    fmt::memory_buffer buffer_;
    std::uint64_t records_ = 0;
    std::uint64_t first_time_ = dbn::kUndefTimestamp;
    std::uint64_t last_time_ = 0;
    std::map<std::uint32_t, Seen> seen_;  // by instrument id
    Seen* last_seen_ = nullptr;
    std::uint32_t last_id_ = 0;
    std::uint64_t day_begin_ = 1;  // of last_date_, ns UTC
    std::uint64_t day_end_ = 0;
    std::uint32_t date_ = 0;
};

}  // namespace millrace::tools
