// The rows of a CSV file, plain or compressed, one after the other, with their bytes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "millrace/feed/streams/csv/csv_reader.hpp"
#include "millrace/replay/byte_source.hpp"

namespace millrace::replay {

class CsvRows {
  public:
    // Throws Error(file) when the file cannot be read.
    explicit CsvRows(const std::filesystem::path& file, char separator = ',')
        : source_(file), splitter_(separator) {}

    // False at the end, and for what damage left of a row. `good` is false for a row whose quotes
    // are wrong.
    [[nodiscard]] bool next(bool& good) {
        using Step = streams::CsvSplitter::Step;
        source_.consume(std::exchange(size_, 0));
        for (std::size_t want = std::size_t{1} << 16;; want *= 2) {
            const auto seen = source_.peek(std::min(want, ByteSource::kPeekMax));
            if (seen.empty()) return false;
            text_ = {reinterpret_cast<const char*>(seen.data()), seen.size()};
            const bool last = seen.size() < want;
            const Step step = splitter_.next(text_, last, size_);
            if (step == Step::need_more && !last) continue;
            if (step == Step::need_more) size_ = text_.size();
            good = step == Step::row;
            const bool whole = good && text_[size_ - 1] == '\n';
            if (!whole && size_ == text_.size() && !source_.damage().empty()) return false;
            ++number_;
            return true;
        }
    }

    // Of the present row; valid until next().
    [[nodiscard]] const std::vector<std::string>& cells() const { return splitter_.cells(); }
    [[nodiscard]] std::string_view text() const { return text_.substr(0, size_); }
    [[nodiscard]] std::uint64_t number() const { return number_; }  // from 1
    [[nodiscard]] const ByteSource& source() const { return source_; }

  private:
    ByteSource source_;
    streams::CsvSplitter splitter_;
    std::string_view text_;
    std::size_t size_ = 0;
    std::uint64_t number_ = 0;
};

}  // namespace millrace::replay
