#include "arrow.hpp"

#include <cerrno>
#include <cstring>
#include <memory>
#include <unordered_map>
#include <vector>

#include "millrace/feed/streams/dbn/records.hpp"

namespace millrace::python {

namespace {

using wire::FieldKind;
using wire::FieldLayout;
using wire::MessageLayout;

// ---- schema ----

struct SchemaParts {
    std::string format;
    std::string name;
    std::vector<std::unique_ptr<ArrowSchema>> owned;
    std::vector<ArrowSchema*> children;
    std::unique_ptr<ArrowSchema> dictionary;
};

void release_schema(ArrowSchema* schema) {
    auto* parts = static_cast<SchemaParts*>(schema->private_data);
    for (ArrowSchema* child : parts->children) {
        if (child->release != nullptr) child->release(child);
    }
    if (parts->dictionary != nullptr && parts->dictionary->release != nullptr) {
        parts->dictionary->release(parts->dictionary.get());
    }
    schema->release = nullptr;
    delete parts;
}

void fill(ArrowSchema& out, std::unique_ptr<SchemaParts> parts, std::int64_t flags) {
    for (const auto& child : parts->owned) parts->children.push_back(child.get());
    out = {};
    out.format = parts->format.c_str();
    out.name = parts->name.c_str();
    out.flags = flags;
    out.n_children = static_cast<std::int64_t>(parts->children.size());
    out.children = parts->children.data();
    out.dictionary = parts->dictionary.get();
    out.release = release_schema;
    out.private_data = parts.release();
}

std::unique_ptr<ArrowSchema> leaf(std::string format, std::string_view name) {
    auto parts = std::make_unique<SchemaParts>();
    parts->format = std::move(format);
    parts->name = name;
    auto out = std::make_unique<ArrowSchema>();
    fill(*out, std::move(parts), kArrowNullable);
    return out;
}

std::unique_ptr<ArrowSchema> symbol_schema() {
    auto parts = std::make_unique<SchemaParts>();
    parts->format = "i";
    parts->name = "symbol";
    parts->dictionary = leaf("u", "");
    auto out = std::make_unique<ArrowSchema>();
    fill(*out, std::move(parts), kArrowNullable);
    return out;
}

bool shown(const FieldLayout& field) {
    return field.name != "length" && field.name.front() != '_';
}

std::string format_of(const FieldLayout& field, const ArrowOptions& options) {
    if (field.kind == FieldKind::text) return "u";
    if (field.kind == FieldKind::timestamp) return "tsn:UTC";
    if (field.kind == FieldKind::price && options.float_prices) return "g";
    switch (field.size) {
        case 1: return field.is_signed ? "c" : "C";
        case 2: return field.is_signed ? "s" : "S";
        case 4: return field.is_signed ? "i" : "I";
        default: return field.is_signed ? "l" : "L";
    }
}

// ---- arrays ----

struct ArrayParts {
    std::vector<std::uint8_t> validity, values, text;
    std::vector<std::int32_t> offsets;
    std::vector<const void*> buffers;
    std::vector<std::unique_ptr<ArrowArray>> owned;
    std::vector<ArrowArray*> children;
    std::unique_ptr<ArrowArray> dictionary;
    std::int64_t nulls = 0;
};

void release_array(ArrowArray* array) {
    auto* parts = static_cast<ArrayParts*>(array->private_data);
    for (ArrowArray* child : parts->children) {
        if (child->release != nullptr) child->release(child);
    }
    if (parts->dictionary != nullptr && parts->dictionary->release != nullptr) {
        parts->dictionary->release(parts->dictionary.get());
    }
    array->release = nullptr;
    delete parts;
}

void fill(ArrowArray& out, std::unique_ptr<ArrayParts> parts, std::int64_t length) {
    for (const auto& child : parts->owned) parts->children.push_back(child.get());
    out = {};
    out.length = length;
    out.null_count = parts->nulls;
    out.n_buffers = static_cast<std::int64_t>(parts->buffers.size());
    out.n_children = static_cast<std::int64_t>(parts->children.size());
    out.buffers = parts->buffers.data();
    out.children = parts->children.data();
    out.dictionary = parts->dictionary.get();
    out.release = release_array;
    out.private_data = parts.release();
}

const void* validity_of(const ArrayParts& parts) {
    return parts.nulls == 0 ? nullptr : parts.validity.data();
}

void set_null(ArrayParts& parts, std::size_t row, std::size_t rows) {
    if (parts.validity.empty()) parts.validity.assign((rows + 7) / 8, 0xFF);
    parts.validity[row / 8] =
        static_cast<std::uint8_t>(parts.validity[row / 8] & ~(1U << (row % 8)));
    ++parts.nulls;
}

// Copies one field of every record into a column; `undefined` values become null.
template <class From, class To, class Convert>
void copy_column(ArrayParts& parts, const SlabView& rows, const FieldLayout& field, From undefined,
                 Convert convert) {
    const std::size_t count = rows.rows();
    const std::size_t stride = count == 0 ? 0 : rows.size() / count;
    parts.values.resize(count * sizeof(To));
    const std::uint8_t* at = rows.data() + field.offset;
    for (std::size_t i = 0; i < count; ++i, at += stride) {
        From value;
        std::memcpy(&value, at, sizeof(value));
        if (value == undefined) set_null(parts, i, count);
        const To converted = convert(value);
        std::memcpy(parts.values.data() + i * sizeof(To), &converted, sizeof(converted));
    }
}

template <class T>
void copy_plain(ArrayParts& parts, const SlabView& rows, const FieldLayout& field) {
    const std::size_t count = rows.rows();
    const std::size_t stride = count == 0 ? 0 : rows.size() / count;
    parts.values.resize(count * sizeof(T));
    const std::uint8_t* at = rows.data() + field.offset;
    for (std::size_t i = 0; i < count; ++i, at += stride) {
        std::memcpy(parts.values.data() + i * sizeof(T), at, sizeof(T));
    }
}

void copy_text(ArrayParts& parts, const SlabView& rows, const FieldLayout& field) {
    const std::size_t count = rows.rows();
    const std::size_t stride = count == 0 ? 0 : rows.size() / count;
    parts.offsets.reserve(count + 1);
    parts.offsets.push_back(0);
    const auto* at = reinterpret_cast<const char*>(rows.data()) + field.offset;
    for (std::size_t i = 0; i < count; ++i, at += stride) {
        for (std::size_t c = 0, size = strnlen(at, field.size); c < size; ++c) {
            // Arrow's text is UTF-8; DBN's is ASCII, and anything else did not come from a venue.
            parts.text.push_back(
                static_cast<unsigned char>(at[c]) < 0x80 ? static_cast<std::uint8_t>(at[c]) : '?');
        }
        parts.offsets.push_back(static_cast<std::int32_t>(parts.text.size()));
    }
}

void copy_field(ArrayParts& parts, const SlabView& rows, const FieldLayout& field,
                const ArrowOptions& options) {
    const auto same = [](auto value) { return value; };
    if (field.kind == FieldKind::text) return copy_text(parts, rows, field);
    if (field.kind == FieldKind::timestamp) {
        return copy_column<std::uint64_t, std::uint64_t>(parts, rows, field, dbn::kUndefTimestamp,
                                                         same);
    }
    if (field.kind == FieldKind::price && options.float_prices) {
        return copy_column<std::int64_t, double>(
            parts, rows, field, dbn::kUndefPrice,
            [](std::int64_t price) { return static_cast<double>(price) / 1e9; });
    }
    if (field.kind == FieldKind::price) {
        return copy_column<std::int64_t, std::int64_t>(parts, rows, field, dbn::kUndefPrice, same);
    }
    switch (field.size) {
        case 1: return copy_plain<std::uint8_t>(parts, rows, field);
        case 2: return copy_plain<std::uint16_t>(parts, rows, field);
        case 4: return copy_plain<std::uint32_t>(parts, rows, field);
        default: return copy_plain<std::uint64_t>(parts, rows, field);
    }
}

std::unique_ptr<ArrowArray> column(const SlabView& rows, const FieldLayout& field,
                                   const ArrowOptions& options) {
    auto parts = std::make_unique<ArrayParts>();
    copy_field(*parts, rows, field, options);
    if (field.kind == FieldKind::text) {
        if (parts->text.empty()) parts->text.push_back(0);
        parts->buffers = {nullptr, parts->offsets.data(), parts->text.data()};
    } else {
        parts->buffers = {validity_of(*parts), parts->values.data()};
    }
    auto out = std::make_unique<ArrowArray>();
    fill(*out, std::move(parts), rows.rows());
    return out;
}

std::unique_ptr<ArrowArray> text_array(const std::vector<std::string_view>& texts) {
    auto parts = std::make_unique<ArrayParts>();
    parts->offsets.push_back(0);
    for (const std::string_view text : texts) {
        parts->text.insert(parts->text.end(), text.begin(), text.end());
        parts->offsets.push_back(static_cast<std::int32_t>(parts->text.size()));
    }
    if (parts->text.empty()) parts->text.push_back(0);
    parts->buffers = {nullptr, parts->offsets.data(), parts->text.data()};
    auto out = std::make_unique<ArrowArray>();
    fill(*out, std::move(parts), static_cast<std::int64_t>(texts.size()));
    return out;
}

std::unique_ptr<ArrowArray> symbol_column(const SlabView& rows, const SymbolOf& symbol_of) {
    auto parts = std::make_unique<ArrayParts>();
    const std::size_t count = rows.rows();
    const std::size_t stride = count == 0 ? 0 : rows.size() / count;
    parts->values.resize(count * sizeof(std::int32_t));
    std::unordered_map<std::uint32_t, std::int32_t> places;
    std::vector<std::string_view> texts;
    for (std::size_t i = 0; i < count; ++i) {
        std::uint32_t instrument = 0;
        std::memcpy(&instrument, rows.data() + i * stride + 4, sizeof(instrument));
        const auto [place, fresh] =
            places.try_emplace(instrument, static_cast<std::int32_t>(texts.size()));
        if (fresh) {
            const std::string_view text = symbol_of(instrument);
            if (text.empty()) place->second = -1;
            else texts.push_back(text);
        }
        if (place->second < 0) set_null(*parts, i, count);
        const std::int32_t index = std::max(place->second, 0);
        std::memcpy(parts->values.data() + i * sizeof(index), &index, sizeof(index));
    }
    parts->dictionary = text_array(texts);
    parts->buffers = {validity_of(*parts), parts->values.data()};
    auto out = std::make_unique<ArrowArray>();
    fill(*out, std::move(parts), static_cast<std::int64_t>(count));
    return out;
}

// ---- stream ----

struct StreamParts {
    ArrowSchema schema;
    ArrowArray array;
};

int copy_schema(const ArrowSchema& from, ArrowSchema& to) {
    auto parts = std::make_unique<SchemaParts>();
    parts->format = from.format;
    parts->name = from.name;
    for (std::int64_t i = 0; i < from.n_children; ++i) {
        parts->owned.push_back(std::make_unique<ArrowSchema>());
        copy_schema(*from.children[i], *parts->owned.back());
    }
    if (from.dictionary != nullptr) {
        parts->dictionary = std::make_unique<ArrowSchema>();
        copy_schema(*from.dictionary, *parts->dictionary);
    }
    fill(to, std::move(parts), from.flags);
    return 0;
}

int stream_schema(ArrowArrayStream* stream, ArrowSchema* out) {
    return copy_schema(static_cast<StreamParts*>(stream->private_data)->schema, *out);
}
int stream_next(ArrowArrayStream* stream, ArrowArray* out) {
    ArrowArray& array = static_cast<StreamParts*>(stream->private_data)->array;
    *out = array;  // handed over; a released array means the end
    array.release = nullptr;
    return 0;
}
const char* stream_error(ArrowArrayStream*) { return nullptr; }
void release_stream(ArrowArrayStream* stream) {
    auto* parts = static_cast<StreamParts*>(stream->private_data);
    if (parts->schema.release != nullptr) parts->schema.release(&parts->schema);
    if (parts->array.release != nullptr) parts->array.release(&parts->array);
    stream->release = nullptr;
    delete parts;
}

}  // namespace

void export_schema(const MessageLayout& layout, const ArrowOptions& options, ArrowSchema& out) {
    auto parts = std::make_unique<SchemaParts>();
    parts->format = "+s";
    for (const FieldLayout& field : layout.fields) {
        if (!shown(field)) continue;
        parts->owned.push_back(leaf(format_of(field, options), field.name));
        if (options.symbols && field.name == "instrument_id")
            parts->owned.push_back(symbol_schema());
    }
    fill(out, std::move(parts), 0);
}

void export_array(const MessageLayout& layout, const ArrowOptions& options, const SlabView& rows,
                  const SymbolOf& symbol_of, ArrowArray& out) {
    auto parts = std::make_unique<ArrayParts>();
    for (const FieldLayout& field : layout.fields) {
        if (!shown(field)) continue;
        parts->owned.push_back(column(rows, field, options));
        if (options.symbols && field.name == "instrument_id") {
            parts->owned.push_back(symbol_column(rows, symbol_of));
        }
    }
    parts->buffers = {nullptr};
    fill(out, std::move(parts), rows.rows());
}

void export_stream(ArrowSchema&& schema, ArrowArray&& array, ArrowArrayStream& out) {
    out = {stream_schema, stream_next, stream_error, release_stream,
           new StreamParts{schema, array}};
}

}  // namespace millrace::python
