// The independent decode beside an IEX capture, a line a message or heartbeat, read as the capture is.
#pragma once

#include <zlib.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "millrace/core/wire.hpp"
#include "tests/support/catch.hpp"

namespace millrace::test {

class OracleLine {
  public:
    explicit OracleLine(std::string text) : text_(std::move(text)) {}

    [[nodiscard]] bool heartbeat() const { return text_.find("\"n\":null") != std::string::npos; }
    // Of a field of header, message header or body, wherever it stands; `found` tells whether it does.
    [[nodiscard]] std::string value(std::string_view name, bool& found) const {
        const std::string key = '"' + std::string(name) + "\":";
        std::size_t at = text_.find(key);
        found = at != std::string::npos;
        if (!found) return {};
        at += key.size();
        const bool quoted = text_[at] == '"';
        const std::size_t from = at + (quoted ? 1 : 0);
        return text_.substr(from, text_.find_first_of(quoted ? "\"" : ",}", from) - from);
    }
    [[nodiscard]] std::string value(std::string_view name) const {
        bool found = false;
        std::string value = this->value(name, found);
        CAPTURE(text_, name);
        REQUIRE(found);
        return value;
    }
    [[nodiscard]] std::uint64_t number(std::string_view name) const { return std::stoull(value(name)); }
    [[nodiscard]] std::uint64_t sequence() const { return number("firstmessagesequencenumber") + number("i") - 1; }
    [[nodiscard]] std::uint64_t time() const {
        std::string text = value("t");
        return std::stoull(text.erase(text.find('.'), 1));
    }
    // Fields of the body, of which a set of bits counts as one.
    [[nodiscard]] std::size_t fields() const {
        std::size_t depth = 0;
        std::size_t count = 0;
        for (std::size_t i = text_.find("\"b\":") + 4; i < text_.size(); ++i) {
            if (text_[i] == '{') ++depth;
            if (text_[i] == '}') --depth;
            if (text_[i] == ':' && depth == 1) ++count;
        }
        return count;
    }
    [[nodiscard]] const std::string& text() const { return text_; }

  private:
    std::string text_;
};

class Oracle {
  public:
    explicit Oracle(const std::filesystem::path& path) : file_(gzopen(path.c_str(), "rb")) {
        REQUIRE(file_ != nullptr);  // reads plain files as they are
        gzbuffer(file_, 1U << 18);
    }
    ~Oracle() { gzclose(file_); }
    Oracle(const Oracle&) = delete;
    Oracle& operator=(const Oracle&) = delete;

    // False after the last one.
    [[nodiscard]] bool next(OracleLine& line) {
        std::string text;
        char piece[4096];
        while (gzgets(file_, piece, sizeof(piece)) != nullptr) {
            text += piece;
            if (text.back() == '\n') break;
        }
        line = OracleLine(text);
        return !text.empty();
    }

  private:
    gzFile file_;
};

namespace oracle {

inline std::string letters(std::string_view name) {
    std::string out(name);
    std::erase(out, '_');
    return out;
}

// The bits that the decoder names, where it tells them one by one.
inline std::string bits(const OracleLine& line, const std::string& name) {
    static const std::map<std::string, unsigned> kBits{
        {"marketsession", 0x40},        {"symbolavailability", 0x80}, {"etp", 0x20},
        {"whenissued", 0x40},           {"testsecurity", 0x80},       {"singlepricecrosstrade", 0x08},
        {"tradethroughexempt", 0x10},   {"oddlot", 0x20},             {"extendedhours", 0x40},
        {"intermarketsweep", 0x80},     {"priority", 0x01}};
    const std::size_t begin = line.text().find('"' + name + "\":{");
    REQUIRE(begin != std::string::npos);
    const OracleLine inside(line.text().substr(begin + name.size() + 3, line.text().find('}', begin) - begin));
    unsigned sum = 0;
    bool found = false;
    for (const auto& [bit, mask] : kBits) {
        if (inside.value(bit, found) == "1") sum += mask;
    }
    const std::string raw = inside.value("_raw", found);
    if (found) CHECK(std::stoul(raw, nullptr, 16) == sum);
    return std::to_string(sum);
}

// What `millrace dump --json` should print for the field, from what the other decoder made of it.
inline std::string as_dumped(const OracleLine& line, const wire::FieldLayout& field) {
    const std::string name = letters(field.name);
    if (name.ends_with("flags") && name != "eventflags") return bits(line, name);
    bool found = false;
    std::string value = line.value(name, found);
    if (!found && name == "orderid") value = line.value("orderidreference");
    else if (!found) value = line.value(name);
    if (name == "extensionnumber") {  // the decoder takes this byte for text
        return std::to_string(value.empty() ? 0U : static_cast<unsigned char>(value[0]));
    }
    if (field.kind == wire::FieldKind::text) {
        value.erase(value.find_last_not_of(' ') + 1);
        return '"' + value + '"';
    }
    if (field.kind != wire::FieldKind::price) return value;
    const std::size_t point = value.find('.');
    const std::size_t decimals = point == std::string::npos ? 0 : value.size() - point - 1;
    if (point == std::string::npos) value += '.';
    return '"' + value + std::string(field.decimals - decimals, '0') + '"';
}

}  // namespace oracle

}  // namespace millrace::test
