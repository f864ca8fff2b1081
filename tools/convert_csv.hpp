// CSV files to normalised records.
#pragma once

#include <string>
#include <vector>

#include "millrace/core/error.hpp"
#include "millrace/feed/streams/dbn/text.hpp"

namespace millrace::tools {

struct CsvConversion {
    std::string input;
    std::string output;
    dbn::Schema schema = dbn::Schema::mbo;
    std::string dataset;
    // What to do with a row that does not fit: "stop", "skip", or the file that it is copied to.
    std::string bad_rows = "stop";
    dbn::TimeText times = dbn::TimeText::rfc3339;
    std::vector<std::string> symbols;  // these alone; empty: all
};

[[nodiscard]] bool is_csv(const std::string& file);
[[nodiscard]] ExitCode convert_csv(const CsvConversion& what);

}  // namespace millrace::tools
