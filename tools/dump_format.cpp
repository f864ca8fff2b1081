#include "dump_format.hpp"

#include <iterator>

namespace millrace::tools {

namespace {

using Out = fmt::memory_buffer;
using Bytes = std::span<const std::uint8_t>;

std::uint64_t number_of(const wire::FieldLayout& field, Bytes bytes) {
    std::uint64_t number = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        const std::size_t at = field.order == wire::ByteOrder::big ? i : bytes.size() - 1 - i;
        number = number << 8 | bytes[at];
    }
    return number;
}

std::int64_t signed_number_of(const wire::FieldLayout& field, Bytes bytes) {
    const auto unused_bits = static_cast<unsigned>(64 - 8 * bytes.size());
    return static_cast<std::int64_t>(number_of(field, bytes) << unused_bits) >> unused_bits;
}

Bytes trimmed(Bytes text) {
    while (!text.empty() && (text.back() == ' ' || text.back() == 0)) text = text.first(text.size() - 1);
    return text;
}

// Text as a JSON string: bytes that are not printable ASCII as \u00XX, so that any bytes give valid JSON.
void put_json_text(Out& out, Bytes text) {
    out.push_back('"');
    for (const std::uint8_t byte : text) {
        if (byte == '"' || byte == '\\') fmt::format_to(std::back_inserter(out), "\\{}", static_cast<char>(byte));
        else if (byte >= 0x20 && byte < 0x7f) out.push_back(static_cast<char>(byte));
        else fmt::format_to(std::back_inserter(out), "\\u{:04x}", byte);
    }
    out.push_back('"');
}

void put_plain_text(Out& out, Bytes text) {
    for (const std::uint8_t byte : text) {
        if (byte >= 0x20 && byte < 0x7f) out.push_back(static_cast<char>(byte));
        else fmt::format_to(std::back_inserter(out), "\\x{:02x}", byte);
    }
}

void put_price(Out& out, const wire::FieldLayout& field, Bytes bytes) {
    std::uint64_t unit = 1;
    for (unsigned i = 0; i < field.decimals; ++i) unit *= 10;
    std::uint64_t price = number_of(field, bytes);
    if (field.is_signed && signed_number_of(field, bytes) < 0) {
        out.push_back('-');
        price = 0 - static_cast<std::uint64_t>(signed_number_of(field, bytes));
    }
    fmt::format_to(std::back_inserter(out), "{}.{:0{}}", price / unit, price % unit, field.decimals);
}

void put_number(Out& out, const wire::FieldLayout& field, Bytes bytes) {
    if (field.is_signed) fmt::format_to(std::back_inserter(out), "{}", signed_number_of(field, bytes));
    else fmt::format_to(std::back_inserter(out), "{}", number_of(field, bytes));
}

void put_hex(Out& out, Bytes bytes) {
    for (const std::uint8_t byte : bytes) fmt::format_to(std::back_inserter(out), "{:02x}", byte);
}

void begin_json(Out& out, const MessagePlace& place, std::string_view name) {
    const auto put = [&](std::string_view key, const auto& value) {
        if (value) fmt::format_to(std::back_inserter(out), "\"{}\":{},", key, *value);
        else fmt::format_to(std::back_inserter(out), "\"{}\":null,", key);
    };
    out.push_back('{');
    put("frame", place.frame);
    put("time", place.time);
    if (place.channel) put("channel", place.channel);
    if (place.channel) put("session", std::optional(place.session));
    fmt::format_to(std::back_inserter(out), "\"sequence\":{},\"message\":\"{}\"", place.sequence, name);
}

void begin_text(Out& out, const MessagePlace& place, std::string_view name) {
    if (place.frame) fmt::format_to(std::back_inserter(out), "#{} ", *place.frame);
    if (place.channel) fmt::format_to(std::back_inserter(out), "{}/{:08x} ", *place.channel, place.session);
    fmt::format_to(std::back_inserter(out), "{} {}", place.sequence, name);
}

}  // namespace

void dump_text(Out& out, const MessagePlace& place, const wire::MessageLayout& layout, Bytes message) {
    begin_text(out, place, layout.name);
    for (const wire::FieldLayout& field : layout.fields) {
        if (field.kind == wire::FieldKind::reserved) continue;
        const Bytes bytes = message.subspan(field.offset, field.size);
        fmt::format_to(std::back_inserter(out), " {}=", field.name);
        if (field.kind == wire::FieldKind::text) put_plain_text(out, trimmed(bytes));
        else if (field.kind == wire::FieldKind::price) put_price(out, field, bytes);
        else put_number(out, field, bytes);
    }
}

void dump_json(Out& out, const MessagePlace& place, const wire::MessageLayout& layout, Bytes message) {
    begin_json(out, place, layout.name);
    for (const wire::FieldLayout& field : layout.fields) {
        if (field.kind == wire::FieldKind::reserved) continue;
        const Bytes bytes = message.subspan(field.offset, field.size);
        fmt::format_to(std::back_inserter(out), ",\"{}\":", field.name);
        if (field.kind == wire::FieldKind::text) {
            put_json_text(out, trimmed(bytes));
        } else if (field.kind == wire::FieldKind::price) {
            out.push_back('"');
            put_price(out, field, bytes);
            out.push_back('"');
        } else {
            put_number(out, field, bytes);
        }
    }
    out.push_back('}');
}

void dump_text(Out& out, const MessagePlace& place, std::string_view what, Bytes message) {
    begin_text(out, place, what);
    out.push_back(' ');
    put_hex(out, message);
}

void dump_json(Out& out, const MessagePlace& place, std::string_view what, Bytes message) {
    begin_json(out, place, what);
    fmt::format_to(std::back_inserter(out), ",\"bytes\":\"");
    put_hex(out, message);
    fmt::format_to(std::back_inserter(out), "\"}}");
}

}  // namespace millrace::tools
