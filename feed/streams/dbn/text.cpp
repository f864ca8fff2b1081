#include "millrace/feed/streams/dbn/text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstring>
#include <limits>

namespace millrace::dbn {

namespace {

using wire::FieldKind;
using wire::FieldLayout;
using Bytes = std::span<const std::uint8_t>;

constexpr std::uint32_t kUnit = 1'000'000'000;  // of prices, and of a second

// "00" to "99": digits are written in pairs, which halves the divisions.
constexpr auto kPairs = [] {
    std::array<char, 200> pairs{};
    for (std::size_t i = 0; i < 100; ++i) {
        pairs[2 * i] = static_cast<char>('0' + i / 10);
        pairs[2 * i + 1] = static_cast<char>('0' + i % 10);
    }
    return pairs;
}();

// Writes behind what a buffer holds. Room is made once a value, not once a character.
class Pen {
  public:
    explicit Pen(fmt::memory_buffer& out)
        : out_(out), at_(out.data() + out.size()), end_(out.data() + out.capacity()) {}
    ~Pen() { out_.resize(size()); }
    Pen(const Pen&) = delete;
    Pen& operator=(const Pen&) = delete;

    // What follows needs at most so many characters, until the next call.
    void room(std::size_t most) {
        if (static_cast<std::size_t>(end_ - at_) < most) grow(most);
    }
    void put(char c) { *at_++ = c; }
    void put(std::string_view text) { at_ = std::copy(text.begin(), text.end(), at_); }
    template <class Number>
    void number(Number number) {
        at_ = std::to_chars(at_, at_ + std::numeric_limits<Number>::digits10 + 2, number).ptr;
    }
    // 1e-9 fixed point without zeroes at the end.
    void price(std::int64_t price) {
        const std::uint64_t size = price < 0 ? 0 - static_cast<std::uint64_t>(price)
                                             : static_cast<std::uint64_t>(price);
        if (price < 0) put('-');
        number(size / kUnit);
        const auto fraction = static_cast<std::uint32_t>(size % kUnit);
        if (fraction == 0) return;
        put('.');
        nine_digits(fraction);
        while (at_[-1] == '0') --at_;
    }
    // The times of a record are mostly of one second, whose text is made once.
    void time(std::uint64_t nanoseconds) {
        const std::uint64_t second = nanoseconds / kUnit;
        if (second != second_) make_second(second);
        put(std::string_view(second_text_.data(), second_text_.size()));
        nine_digits(static_cast<std::uint32_t>(nanoseconds % kUnit));
        put('Z');
    }

  private:
    [[nodiscard]] std::size_t size() const { return static_cast<std::size_t>(at_ - out_.data()); }
    void grow(std::size_t most) {
        const std::size_t used = size();
        out_.resize(used);
        out_.reserve(used + most);
        at_ = out_.data() + used;
        end_ = out_.data() + out_.capacity();
    }
    static void put_pair(char* at, std::uint32_t below_100) { std::memcpy(at, &kPairs[2 * below_100], 2); }
    void four_digits(std::uint32_t number) {
        put_pair(at_, number / 100);
        put_pair(at_ + 2, number % 100);
        at_ += 4;
    }
    void nine_digits(std::uint32_t number) {
        put(static_cast<char>('0' + number / 100'000'000));
        four_digits(number / 10'000 % 10'000);
        four_digits(number % 10'000);
    }
    // "2020-12-28T13:00:00."
    void make_second(std::uint64_t second) {
        const std::chrono::sys_days day{std::chrono::days(second / 86'400)};
        const std::chrono::year_month_day date(day);
        const auto of_day = static_cast<std::uint32_t>(second % 86'400);
        const auto year = static_cast<std::uint32_t>(static_cast<int>(date.year()));  // up to 2554
        char* text = second_text_.data();
        put_pair(text, year / 100);
        put_pair(text + 2, year % 100);
        put_pair(text + 5, static_cast<unsigned>(date.month()));
        put_pair(text + 8, static_cast<unsigned>(date.day()));
        put_pair(text + 11, of_day / 3600);
        put_pair(text + 14, of_day / 60 % 60);
        put_pair(text + 17, of_day % 60);
        second_ = second;
    }

    fmt::memory_buffer& out_;
    char* at_;
    char* end_;
    std::uint64_t second_ = ~std::uint64_t{0};
    std::array<char, 20> second_text_{'0', '0', '0', '0', '-', '0', '0', '-', '0', '0',
                                      'T', '0', '0', ':', '0', '0', ':', '0', '0', '.'};
};

template <class Number>
[[nodiscard]] std::uint64_t load(const std::uint8_t* from) {
    Number number;
    std::memcpy(&number, from, sizeof(number));
    return number;
}

[[nodiscard]] std::uint64_t bits_of(Bytes record, const FieldLayout& field) {
    const std::uint8_t* from = record.data() + field.offset;
    switch (field.size) {
        case 1: return load<std::uint8_t>(from);
        case 2: return load<std::uint16_t>(from);
        case 4: return load<std::uint32_t>(from);
        case 8: return load<std::uint64_t>(from);
        default: return 0;  // no number of DBN's
    }
}

[[nodiscard]] std::int64_t signed_of(Bytes record, const FieldLayout& field) {
    const unsigned unused = 64 - 8U * field.size;
    return static_cast<std::int64_t>(bits_of(record, field) << unused) >> unused;
}

[[nodiscard]] std::string_view text_of(Bytes record, const FieldLayout& field) {
    const auto* from = reinterpret_cast<const char*>(&record[field.offset]);
    return {from, strnlen(from, field.size)};
}

// Of a text of so many bytes, whatever is in it.
[[nodiscard]] std::size_t room_for_text(std::size_t bytes) { return 6 * bytes + 2; }

void put_json_text(Pen& pen, std::string_view text) {
    constexpr std::string_view kHex = "0123456789abcdef";
    pen.put('"');
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            pen.put('\\');
            pen.put(c);
        } else if (byte < 0x20 || byte > 0x7e) {
            pen.put("\\u00");
            pen.put(kHex[byte >> 4]);
            pen.put(kHex[byte & 15]);
        } else {
            pen.put(c);
        }
    }
    pen.put('"');
}

void put_csv_text(Pen& pen, std::string_view text) {
    const bool plain = std::none_of(text.begin(), text.end(), [](char c) {
        return c == ',' || c == '"' || c == '\r' || c == '\n';
    });
    if (plain) return pen.put(text);
    pen.put('"');
    for (const char c : text) {
        if (c == '"') pen.put('"');
        pen.put(c);
    }
    pen.put('"');
}

enum class Format : std::uint8_t { json, csv };

template <Format kFormat>
void put_value(Pen& pen, Bytes record, const FieldLayout& field, TimeText times) {
    constexpr bool kJson = kFormat == Format::json;
    constexpr std::string_view kNone = kJson ? "null" : "";
    switch (field.kind) {
        case FieldKind::price: {
            const std::int64_t price = signed_of(record, field);
            return price == kUndefPrice ? pen.put(kNone) : pen.price(price);
        }
        case FieldKind::timestamp: {
            const std::uint64_t time = bits_of(record, field);
            if (time == kUndefTimestamp) return pen.put(kNone);
            if (times == TimeText::nanoseconds) return pen.number(time);
            if (kJson) pen.put('"');
            pen.time(time);
            if (kJson) pen.put('"');
            return;
        }
        case FieldKind::text: {
            const std::string_view text = text_of(record, field);
            return kJson ? put_json_text(pen, text) : put_csv_text(pen, text);
        }
        case FieldKind::integer: return pen.number(bits_of(record, field));
        case FieldKind::signed_integer: return pen.number(signed_of(record, field));
        case FieldKind::reserved: return;
    }
}

[[nodiscard]] bool shown(const FieldLayout& field) {
    return field.kind != FieldKind::reserved && field.offset != 0;
}

// Of a field's name and value, and what stands around them.
[[nodiscard]] std::size_t room_for(const FieldLayout& field) {
    constexpr std::size_t kNumber = 32;  // the longest is a time in quotes
    constexpr std::size_t kAround = 4;
    const std::size_t value = field.kind == FieldKind::text ? room_for_text(field.size) : kNumber;
    return field.name.size() + value + kAround;
}

void append_unknown(fmt::memory_buffer& out, RecordView record) {
    fmt::format_to(fmt::appender(out), "{{\"record\":\"unknown\",\"rtype\":{},\"bytes\":\"", record.rtype());
    for (const std::uint8_t byte : record.bytes()) fmt::format_to(fmt::appender(out), "{:02x}", byte);
    fmt::format_to(fmt::appender(out), "\"}}");
}

}  // namespace

void append_time(fmt::memory_buffer& out, std::uint64_t nanoseconds) {
    Pen pen(out);
    pen.room(32);
    pen.time(nanoseconds);
}

void append_json(fmt::memory_buffer& out, RecordView record, std::string_view symbol, TimeText times) {
    const wire::MessageLayout* layout = layout_of(record.rtype());
    if (layout == nullptr || record.bytes().size() < layout->size) return append_unknown(out, record);
    Pen pen(out);
    pen.room(layout->name.size() + room_for_text(symbol.size()) + 32);
    pen.put("{\"record\":\"");
    pen.put(layout->name);
    pen.put('"');
    if (!symbol.empty()) {
        pen.put(",\"symbol\":");
        put_json_text(pen, symbol);
    }
    for (const FieldLayout& field : layout->fields) {
        if (!shown(field)) continue;
        pen.room(room_for(field));
        pen.put(",\"");
        pen.put(field.name);
        pen.put("\":");
        put_value<Format::json>(pen, record.bytes(), field, times);
    }
    pen.room(1);
    pen.put('}');
}

void append_csv_header(fmt::memory_buffer& out, const wire::MessageLayout& layout) {
    for (const FieldLayout& field : layout.fields) {
        if (shown(field)) fmt::format_to(fmt::appender(out), "{},", field.name);
    }
    fmt::format_to(fmt::appender(out), "symbol");
}

void append_csv(fmt::memory_buffer& out, const wire::MessageLayout& layout, RecordView record,
                std::string_view symbol, TimeText times) {
    Pen pen(out);
    for (const FieldLayout& field : layout.fields) {
        if (!shown(field)) continue;
        pen.room(room_for(field));
        put_value<Format::csv>(pen, record.bytes(), field, times);
        pen.put(',');
    }
    pen.room(room_for_text(symbol.size()));
    put_csv_text(pen, symbol);
}

}  // namespace millrace::dbn
