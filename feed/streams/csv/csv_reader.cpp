#include "millrace/feed/streams/csv/csv_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstring>
#include <limits>
#include <utility>

#include "millrace/core/error.hpp"

namespace millrace::streams {

namespace {

using wire::FieldKind;
using wire::FieldLayout;

template <class T>
[[nodiscard]] bool parse_whole(std::string_view text, T& number) {
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
    return problem == std::errc{} && end == text.data() + text.size() && !text.empty();
}

// The beginning of a cell, for a message of one line.
[[nodiscard]] std::string shown(const std::string& cell) {
    std::string text = cell.substr(0, 40);
    const auto is_control = [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7F'; };
    std::replace_if(text.begin(), text.end(), is_control, '?');
    return text;
}

// "-12.34" to units of 1e-9.
[[nodiscard]] bool parse_price(std::string_view text, std::int64_t& price) {
    const bool negative = !text.empty() && text.front() == '-';
    if (negative) text.remove_prefix(1);
    if (text.empty()) return false;
    const std::size_t point = text.find('.');
    std::string digits(text.substr(0, point));
    std::string_view fraction = point == std::string_view::npos ? "" : text.substr(point + 1);
    if (fraction.size() > 9 || (point != std::string_view::npos && fraction.empty())) return false;
    digits += fraction;
    digits.append(9 - fraction.size(), '0');
    std::uint64_t number = 0;
    const auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    if (!parse_whole(digits, number) || number >= most) return false;
    price = negative ? -static_cast<std::int64_t>(number) : static_cast<std::int64_t>(number);
    return true;
}

// "2020-12-28T13:00:00.000429831Z" or nanoseconds.
[[nodiscard]] bool parse_time(std::string_view text, std::uint64_t& time) {
    if (parse_whole(text, time)) return true;
    if (text.size() < 20 || text.back() != 'Z') return false;
    const std::string_view shape = "dddd-dd-ddTdd:dd:dd";
    for (std::size_t i = 0; i < shape.size(); ++i) {
        const bool digit = text[i] >= '0' && text[i] <= '9';
        if (shape[i] == 'd' ? !digit : text[i] != shape[i]) return false;
    }
    const auto part = [&](std::size_t at, std::size_t size) {
        int number = 0;
        static_cast<void>(parse_whole(text.substr(at, size), number));
        return number;
    };
    using namespace std::chrono;
    const year_month_day day{year(part(0, 4)), month(static_cast<unsigned>(part(5, 2))),
                             std::chrono::day(static_cast<unsigned>(part(8, 2)))};
    if (!day.ok() || part(0, 4) < 1970 || part(0, 4) > 2500) return false;
    if (part(11, 2) > 23 || part(14, 2) > 59 || part(17, 2) > 59) return false;
    std::uint64_t fraction = 0;
    std::string_view digits = text.substr(19, text.size() - 20);
    if (!digits.empty()) {
        if (digits.front() != '.' || digits.size() < 2 || digits.size() > 10) return false;
        std::string padded(digits.substr(1));
        padded.append(9 - padded.size(), '0');
        if (!parse_whole(padded, fraction)) return false;
    }
    const auto seconds_of_day = part(11, 2) * 3600 + part(14, 2) * 60 + part(17, 2);
    const auto seconds =
        sys_days(day).time_since_epoch().count() * std::int64_t{86'400} + seconds_of_day;
    time = static_cast<std::uint64_t>(seconds) * 1'000'000'000 + fraction;
    return true;
}

void put_bits(std::uint8_t* at, std::uint64_t bits, std::size_t size) {
    std::memcpy(at, &bits, size);
}

[[nodiscard]] bool put_integer(std::uint8_t* at, const FieldLayout& field, std::string_view text) {
    if (text.empty()) return true;
    const unsigned bits = 8U * field.size;
    if (field.is_signed) {
        std::int64_t number = 0;
        if (!parse_whole(text, number)) return false;
        const std::int64_t most = std::numeric_limits<std::int64_t>::max() >> (64 - bits);
        if (number > most || number < -most - 1) return false;
        put_bits(at, static_cast<std::uint64_t>(number), field.size);
        return true;
    }
    std::uint64_t number = 0;
    if (!parse_whole(text, number) || (bits < 64 && number >> bits != 0)) return false;
    put_bits(at, number, field.size);
    return true;
}

[[nodiscard]] bool put_cell(std::uint8_t* at, const FieldLayout& field, std::string_view text) {
    switch (field.kind) {
        case FieldKind::price: {
            std::int64_t price = dbn::kUndefPrice;
            if (!text.empty() && !parse_price(text, price)) return false;
            put_bits(at, static_cast<std::uint64_t>(price), field.size);
            return true;
        }
        case FieldKind::timestamp: {
            std::uint64_t time = dbn::kUndefTimestamp;
            if (!text.empty() && !parse_time(text, time)) return false;
            put_bits(at, time, field.size);
            return true;
        }
        case FieldKind::text:
            if (text.size() > field.size || (field.size > 1 && text.size() == field.size))
                return false;
            std::copy(text.begin(), text.end(), at);
            return true;
        case FieldKind::integer:
        case FieldKind::signed_integer: return put_integer(at, field, text);
        case FieldKind::reserved: return true;
    }
    return false;
}

}  // namespace

CsvSplitter::Step CsvSplitter::next(std::string_view text, bool last, std::size_t& size) {
    cells_.clear();
    cells_.emplace_back();
    bool quoted = false;  // inside quotes
    bool closed = false;  // behind the quotes of this cell
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (quoted) {
            if (c != '"') {
                cells_.back().push_back(c);
            } else if (i + 1 < text.size() && text[i + 1] == '"') {
                cells_.back().push_back('"');
                ++i;
            } else if (i + 1 == text.size() && !last) {
                return Step::need_more;
            } else {
                quoted = false;
                closed = true;
            }
        } else if (c == separator_) {
            cells_.emplace_back();
            closed = false;
        } else if (c == '\n' || (c == '\r' && i + 1 < text.size() && text[i + 1] == '\n')) {
            size = i + (c == '\r' ? 2 : 1);
            return Step::row;
        } else if (c == '"' && cells_.back().empty() && !closed) {
            quoted = true;
        } else if (c == '"' || closed) {
            const std::size_t end = text.find('\n', i);
            if (end == std::string_view::npos && !last) return Step::need_more;
            size = end == std::string_view::npos ? text.size() : end + 1;
            return Step::malformed;
        } else {
            cells_.back().push_back(c);
        }
    }
    if (!last || text.empty()) return Step::need_more;
    size = text.size();
    return quoted ? Step::malformed : Step::row;
}

CsvRecords::CsvRecords(dbn::Rtype rtype, const std::vector<std::string>& header,
                       std::string_view title)
    : layout_(*dbn::layout_of(rtype)), rtype_(rtype), record_(layout_.size) {
    std::size_t known = 0;
    for (std::size_t i = 0; i < header.size(); ++i) {
        const auto field =
            std::find_if(layout_.fields.begin(), layout_.fields.end(), [&](const FieldLayout& f) {
                return f.name == header[i] && f.kind != FieldKind::reserved && f.offset != 0;
            });
        if (header[i] == "symbol") symbol_column_ = i;
        if (header[i] == "rtype") rtype_column_ = i;
        const bool fits = field != layout_.fields.end();
        columns_.push_back({fits ? &*field : nullptr, header[i]});
        known += fits ? 1U : 0U;
    }
    if (known == 0) {
        throw Error(
            ExitCode::format,
            fmt::format("{}: no column of its first row is one of {} records; the first row "
                        "has to name the columns",
                        title, layout_.name));
    }
}

bool CsvRecords::parse(const std::vector<std::string>& row, dbn::RecordView& record) {
    if (row.size() != columns_.size()) {
        problem_ = fmt::format("{} cells where there are {} columns", row.size(), columns_.size());
        return false;
    }
    std::fill(record_.begin(), record_.end(), std::uint8_t{0});
    for (std::size_t i = 0; i < row.size(); ++i) {
        const FieldLayout* field = columns_[i].field;
        if (field != nullptr && !put_cell(&record_[field->offset], *field, row[i])) {
            problem_ = fmt::format("column {}: \"{}\" does not fit", columns_[i].name, shown(row[i]));
            return false;
        }
    }
    record_[0] = static_cast<std::uint8_t>(record_.size() / 4);
    // A cell of 0 is a trade's; where there is none the schema says it.
    const bool told = rtype_column_ < row.size() && !row[rtype_column_].empty();
    if (!told) record_[1] = static_cast<std::uint8_t>(rtype_);
    const wire::MessageLayout* layout = dbn::layout_of(record_[1]);
    if (layout != &layout_) {
        const std::string theirs = layout == nullptr ? std::string{} : fmt::format(", but of {}", layout->name);
        problem_ = fmt::format("rtype {} is not of {} records{}; is it another schema?", record_[1], layout_.name,
                               theirs);
        return false;
    }
    symbol_ = symbol_column_ < row.size() ? row[symbol_column_] : std::string{};
    record = dbn::RecordView(record_);
    return true;
}

}  // namespace millrace::streams
