// A CSV file, split and converted by a thread of its own ahead of whoever takes its rows.
#pragma once

#include <unistd.h>

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <variant>
#include <vector>

#include "millrace/replay/csv_rows.hpp"

namespace millrace::python {

// What a column's text is read as before Python sees it.
enum class CsvKind : std::uint8_t { text, integer, real };

struct CsvCell {
    std::size_t at = 0;  // in its chunk's text
    std::size_t size = 0;
    // Of a column of numbers; nothing where the text is none that this reader knows, which Python
    // then decides on.
    std::variant<std::monostate, std::int64_t, double> number;
};

struct CsvRow {
    std::uint64_t line = 0;  // at which it begins, from 1
    std::size_t first_cell = 0;
    std::size_t cells = 0;
    bool quotes_match = true;
};

// Rows one after the other, good and bad.
struct CsvChunk {
    std::string text;
    std::vector<CsvCell> cells;
    std::vector<CsvRow> rows;

    [[nodiscard]] std::string_view text_of(const CsvCell& cell) const {
        return std::string_view(text).substr(cell.at, cell.size);
    }
};

struct CsvConfig {
    std::string path;
    char separator = ',';
    std::uint64_t rows_ahead = 4096;  // at most so many are read and not taken
    std::uint64_t skip = 0;           // rows behind the header that are passed over
};

// All but the constructor from any thread, one at a time. In the child of a fork, where its thread
// is not, it must be left alone: see foreign().
class CsvFile {
  public:
    // Reads the header. Throws Error(file), or Error(format) for one that makes no sense.
    explicit CsvFile(const CsvConfig& config);
    ~CsvFile();
    CsvFile(const CsvFile&) = delete;
    CsvFile& operator=(const CsvFile&) = delete;

    [[nodiscard]] const std::string& path() const { return config_.path; }
    // Empty for a file without a byte.
    [[nodiscard]] const std::vector<std::string>& columns() const { return columns_; }
    void start(std::vector<CsvKind> kinds);
    void close();
    [[nodiscard]] bool foreign() const;

    // Rows that can be taken, and all that ever could.
    [[nodiscard]] std::uint64_t ready() const;
    [[nodiscard]] std::uint64_t read_count() const;
    // Nothing more will come but what is ready.
    [[nodiscard]] bool ended() const;
    // Why reading ended before the end of the content; empty when it did not.
    [[nodiscard]] std::string damage() const;
    // False when there is nothing to take now.
    [[nodiscard]] bool take(CsvChunk& chunk);

    // Asks to be woken (the event descriptor becomes readable) when there is something to take, or
    // at the end. False, and nothing asked, when that is so already.
    [[nodiscard]] bool arm(std::uint64_t rows);
    void disarm();
    [[nodiscard]] int event() const { return event_; }

  private:
    static constexpr std::uint64_t kChunkRows = 1024;
    static constexpr std::size_t kChunkBytes = std::size_t{1} << 20;

    void read();
    void read_header();
    void add_row(CsvChunk& chunk, bool quotes_match);
    // Waits while too much is ahead. False when nobody wants more.
    [[nodiscard]] bool put(CsvChunk& chunk);
    void wake();

    CsvConfig config_;
    std::vector<std::string> columns_;
    std::vector<CsvKind> kinds_;
    int event_ = -1;
    const int process_ = getpid();

    // The thread's once it runs.
    replay::CsvRows rows_;
    std::uint64_t line_ = 1;

    mutable std::mutex mutex_;
    std::condition_variable room_;
    std::deque<CsvChunk> chunks_;
    std::uint64_t waiting_ = 0;  // rows in chunks_
    std::uint64_t count_ = 0;    // rows that ever were
    std::string damage_;
    bool armed_ = false;
    bool ended_ = false;
    bool closed_ = false;
    std::thread* thread_ = nullptr;  // leaked in the child of a fork
};

}  // namespace millrace::python
