// CSV rows to DBN records: columns by name, each cell by its field's type, every bad row told of.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/core/wire.hpp"
#include "millrace/feed/streams/dbn/codec.hpp"

namespace millrace::streams {

// Splits rows as RFC 4180 has them: cells in quotes may hold commas, quotes (doubled) and line
// ends.
class CsvSplitter {
  public:
    enum class Step : std::uint8_t { row, need_more, malformed };

    explicit CsvSplitter(char separator = ',') : separator_(separator) {}

    // The row at the front of `text`; `size` is what it took, its line end included. `last`:
    // nothing more will come, so that the last row may lack its line end. malformed: `size`
    // reaches to the next line.
    [[nodiscard]] Step next(std::string_view text, bool last, std::size_t& size);
    [[nodiscard]] const std::vector<std::string>& cells() const { return cells_; }

  private:
    char separator_;
    std::vector<std::string> cells_;
};

// Times are RFC 3339 in UTC or nanoseconds since 1970; prices decimal numbers of at most 9
// decimals; an empty cell is DBN's "not given" for a price or a time, 0 or nothing for others.
class CsvRecords {
  public:
    // Records of this kind, whose columns `header` names. Columns that the record has not are
    // passed over, fields without a column are zero. Throws Error(format) when no column fits.
    CsvRecords(dbn::Rtype rtype, const std::vector<std::string>& header, std::string_view title);

    // A row's record; `problem()` says what is wrong otherwise. Valid until the next call.
    [[nodiscard]] bool parse(const std::vector<std::string>& row, dbn::RecordView& record);
    [[nodiscard]] std::string_view symbol() const { return symbol_; }
    [[nodiscard]] const std::string& problem() const { return problem_; }

  private:
    struct Column {
        const wire::FieldLayout* field = nullptr;
        std::string name;
    };
    const wire::MessageLayout& layout_;
    dbn::Rtype rtype_;
    std::vector<Column> columns_;
    std::size_t symbol_column_ = static_cast<std::size_t>(-1);
    std::size_t rtype_column_ = static_cast<std::size_t>(-1);
    std::vector<std::uint8_t> record_;
    std::string symbol_;
    std::string problem_;
};

}  // namespace millrace::streams
