#include "millrace/feed/streams/dbn/text.hpp"

#include <chrono>
#include <cstring>

namespace millrace::dbn {

namespace {

using wire::FieldKind;
using wire::FieldLayout;
using Bytes = std::span<const std::uint8_t>;

[[nodiscard]] std::uint64_t bits_of(Bytes record, const FieldLayout& field) {
    std::uint64_t bits = 0;
    std::memcpy(&bits, &record[field.offset], field.size);
    return bits;
}

// The field's value as a signed number; a timestamp's as its bits.
[[nodiscard]] std::int64_t number_of(Bytes record, const FieldLayout& field) {
    const unsigned unused = 64 - 8U * field.size;
    const std::uint64_t bits = bits_of(record, field) << unused;
    return field.is_signed ? static_cast<std::int64_t>(bits) >> unused
                           : static_cast<std::int64_t>(bits >> unused);
}

void append(fmt::memory_buffer& out, std::string_view text) { out.append(text.data(), text.data() + text.size()); }

template <class Number>
void append_number(fmt::memory_buffer& out, Number number) {
    const fmt::format_int text(number);
    out.append(text.data(), text.data() + text.size());
}

// With zeroes in front; `number` is below kTenTo, a power of ten that says how many digits there are.
template <std::uint32_t kTenTo>
void append_digits(fmt::memory_buffer& out, std::uint32_t number) {
    const fmt::format_int text(kTenTo + number);  // which has a 1 before them
    out.append(text.data() + 1, text.data() + text.size());
}

constexpr std::uint32_t kUnit = 1'000'000'000;  // of prices, and of a second

// 1e-9 fixed point without zeroes at the end.
void append_price(fmt::memory_buffer& out, std::int64_t price) {
    const std::uint64_t size = price < 0 ? 0 - static_cast<std::uint64_t>(price)
                                         : static_cast<std::uint64_t>(price);
    if (price < 0) out.push_back('-');
    append_number(out, size / kUnit);
    const auto fraction = static_cast<std::uint32_t>(size % kUnit);
    if (fraction == 0) return;
    out.push_back('.');
    append_digits<kUnit>(out, fraction);
    std::size_t end = out.size();
    while (out[end - 1] == '0') --end;
    out.resize(end);
}

[[nodiscard]] std::string_view text_of(Bytes record, const FieldLayout& field) {
    const auto* from = reinterpret_cast<const char*>(&record[field.offset]);
    return {from, strnlen(from, field.size)};
}

void append_json_text(fmt::memory_buffer& out, std::string_view text) {
    out.push_back('"');
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            out.push_back('\\');
            out.push_back(c);
        } else if (byte < 0x20 || byte > 0x7e) {
            fmt::format_to(fmt::appender(out), "\\u{:04x}", byte);
        } else {
            out.push_back(c);
        }
    }
    out.push_back('"');
}

void append_csv_text(fmt::memory_buffer& out, std::string_view text) {
    if (text.find_first_of(",\"\r\n") == std::string_view::npos) return append(out, text);
    out.push_back('"');
    for (const char c : text) {
        if (c == '"') out.push_back('"');
        out.push_back(c);
    }
    out.push_back('"');
}

enum class Format : std::uint8_t { json, csv };

void append_value(fmt::memory_buffer& out, Bytes record, const FieldLayout& field, Format format,
                  TimeText times) {
    const std::string_view none = format == Format::json ? "null" : "";
    switch (field.kind) {
        case FieldKind::price: {
            const std::int64_t price = number_of(record, field);
            return price == kUndefPrice ? append(out, none) : append_price(out, price);
        }
        case FieldKind::timestamp: {
            const std::uint64_t time = bits_of(record, field);
            if (time == kUndefTimestamp) return append(out, none);
            if (times == TimeText::nanoseconds) return append_number(out, time);
            if (format == Format::json) out.push_back('"');
            append_time(out, time);
            if (format == Format::json) out.push_back('"');
            return;
        }
        case FieldKind::text: {
            const std::string_view text = text_of(record, field);
            return format == Format::json ? append_json_text(out, text) : append_csv_text(out, text);
        }
        case FieldKind::integer: return append_number(out, bits_of(record, field));
        case FieldKind::signed_integer: return append_number(out, number_of(record, field));
        case FieldKind::reserved: return;
    }
}

[[nodiscard]] bool shown(const FieldLayout& field) {
    return field.kind != FieldKind::reserved && field.offset != 0;
}

}  // namespace

void append_time(fmt::memory_buffer& out, std::uint64_t nanoseconds) {
    const std::uint64_t seconds = nanoseconds / kUnit;
    const std::chrono::sys_days day{std::chrono::days(seconds / 86'400)};
    const std::chrono::year_month_day date(day);
    const auto of_day = static_cast<unsigned>(seconds % 86'400);
    // The bits reach to the year 2554.
    append_digits<10'000>(out, static_cast<std::uint32_t>(static_cast<int>(date.year())));
    out.push_back('-');
    append_digits<100>(out, static_cast<unsigned>(date.month()));
    out.push_back('-');
    append_digits<100>(out, static_cast<unsigned>(date.day()));
    out.push_back('T');
    append_digits<100>(out, of_day / 3600);
    out.push_back(':');
    append_digits<100>(out, of_day / 60 % 60);
    out.push_back(':');
    append_digits<100>(out, of_day % 60);
    out.push_back('.');
    append_digits<kUnit>(out, static_cast<std::uint32_t>(nanoseconds % kUnit));
    out.push_back('Z');
}

void append_json(fmt::memory_buffer& out, RecordView record, std::string_view symbol, TimeText times) {
    const wire::MessageLayout* layout = layout_of(record.rtype());
    if (layout == nullptr || record.bytes().size() < layout->size) {
        fmt::format_to(fmt::appender(out), "{{\"record\":\"unknown\",\"rtype\":{},\"bytes\":\"",
                       record.rtype());
        for (const std::uint8_t byte : record.bytes()) fmt::format_to(fmt::appender(out), "{:02x}", byte);
        return append(out, "\"}");
    }
    append(out, "{\"record\":\"");
    append(out, layout->name);
    out.push_back('"');
    if (!symbol.empty()) {
        append(out, ",\"symbol\":");
        append_json_text(out, symbol);
    }
    for (const FieldLayout& field : layout->fields) {
        if (!shown(field)) continue;
        append(out, ",\"");
        append(out, field.name);
        append(out, "\":");
        append_value(out, record.bytes(), field, Format::json, times);
    }
    out.push_back('}');
}

void append_csv_header(fmt::memory_buffer& out, const wire::MessageLayout& layout) {
    for (const FieldLayout& field : layout.fields) {
        if (!shown(field)) continue;
        append(out, field.name);
        out.push_back(',');
    }
    append(out, "symbol");
}

void append_csv(fmt::memory_buffer& out, const wire::MessageLayout& layout, RecordView record,
                std::string_view symbol, TimeText times) {
    for (const FieldLayout& field : layout.fields) {
        if (!shown(field)) continue;
        append_value(out, record.bytes(), field, Format::csv, times);
        out.push_back(',');
    }
    append_csv_text(out, symbol);
}

}  // namespace millrace::dbn
