#include "millrace/feed/streams/dbn/metadata.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "millrace/feed/streams/dbn/gateway_records.hpp"

namespace millrace::dbn {

namespace {

constexpr std::size_t kPrefix = 8;      // magic, version, length
constexpr std::size_t kFixedEnd = 112;  // of the part that no list follows
constexpr std::size_t kLengthMin = 100;
constexpr std::size_t kLengthMax = std::size_t{16} << 20;

[[nodiscard]] std::size_t symbol_length(std::uint8_t version) {
    return version == 1 ? kSymbolLengthV1 : kSymbolLength;
}

class Writer {
  public:
    template <class T>
    void number(T value) {
        for (std::size_t i = 0; i < sizeof(T); ++i) {
            bytes_.push_back(static_cast<std::uint8_t>(static_cast<std::uint64_t>(value) >> 8 * i));
        }
    }
    void text(std::string_view text, std::size_t size) {
        for (std::size_t i = 0; i < size; ++i) {
            const bool inside = i < text.size() && i + 1 < size;
            bytes_.push_back(inside ? static_cast<std::uint8_t>(text[i]) : std::uint8_t{0});
        }
    }
    void texts(const std::vector<std::string>& list, std::size_t size) {
        number(static_cast<std::uint32_t>(list.size()));
        for (const std::string& entry : list) text(entry, size);
    }
    void zeroes(std::size_t count) { bytes_.insert(bytes_.end(), count, 0); }
    [[nodiscard]] std::vector<std::uint8_t>& bytes() { return bytes_; }

  private:
    std::vector<std::uint8_t> bytes_;
};

// Reads from bytes that may end anywhere: past the end it returns zeroes and says so.
class Cursor {
  public:
    explicit Cursor(std::span<const std::uint8_t> bytes) : rest_(bytes) {}
    [[nodiscard]] bool good() const { return good_; }

    template <class T>
    [[nodiscard]] T number() {
        std::uint64_t value = 0;
        const auto from = take(sizeof(T));
        for (std::size_t i = 0; i < from.size(); ++i) value |= std::uint64_t{from[i]} << 8 * i;
        return static_cast<T>(value);
    }
    [[nodiscard]] std::string text(std::size_t size) {
        const auto from = take(size);
        const auto end = std::find(from.begin(), from.end(), 0);
        return {from.begin(), end};
    }
    void texts(std::vector<std::string>& out, std::size_t size) {
        const std::size_t count = this->count(size);
        for (std::size_t i = 0; i < count && good_; ++i) out.push_back(text(size));
    }
    // A list's count, refused where its entries cannot all be there.
    [[nodiscard]] std::size_t count(std::size_t entry_bytes_min) {
        const auto count = number<std::uint32_t>();
        good_ = good_ && count <= rest_.size() / entry_bytes_min;
        return good_ ? count : 0;
    }
    void skip(std::size_t bytes) { static_cast<void>(take(bytes)); }

  private:
    [[nodiscard]] std::span<const std::uint8_t> take(std::size_t bytes) {
        if (bytes > rest_.size()) good_ = false;
        if (!good_) return {};
        const auto taken = rest_.first(bytes);
        rest_ = rest_.subspan(bytes);
        return taken;
    }

    std::span<const std::uint8_t> rest_;
    bool good_ = true;
};

void read_mappings(Cursor& in, std::size_t length, std::vector<SymbolMappings>& out) {
    const std::size_t mappings = in.count(length + 4);
    for (std::size_t i = 0; i < mappings && in.good(); ++i) {
        SymbolMappings& mapping = out.emplace_back();
        mapping.raw_symbol = in.text(length);
        const std::size_t intervals = in.count(length + 8);
        for (std::size_t k = 0; k < intervals && in.good(); ++k) {
            MappingInterval& interval = mapping.intervals.emplace_back();
            interval.start_date = in.number<std::uint32_t>();
            interval.end_date = in.number<std::uint32_t>();
            interval.symbol = in.text(length);
        }
    }
}

// The part up to the lists; the offsets of version 1 differ by its record count.
std::size_t read_fixed(Cursor& in, Metadata& out) {
    out.dataset = in.text(16);
    out.schema = in.number<std::uint16_t>();
    out.start = in.number<std::uint64_t>();
    out.end = in.number<std::uint64_t>();
    out.limit = in.number<std::uint64_t>();
    if (out.version == 1) out.record_count = in.number<std::uint64_t>();
    out.stype_in = in.number<std::uint8_t>();
    out.stype_out = in.number<std::uint8_t>();
    out.ts_out = in.number<std::uint8_t>() != 0;
    if (out.version == 1) {
        in.skip(47);
        return kSymbolLengthV1;
    }
    const auto length = in.number<std::uint16_t>();
    in.skip(53);
    return length;
}

}  // namespace

bool looks_like_dbn(std::span<const std::uint8_t> bytes) {
    return bytes.size() >= 4 && std::memcmp(bytes.data(), "DBN", 3) == 0 && bytes[3] >= 1 &&
           bytes[3] <= kVersion;
}

std::vector<std::uint8_t> encode(const Metadata& metadata) {
    const std::uint8_t version = metadata.version;
    const std::size_t length = symbol_length(version);
    Writer out;
    for (const char c : std::string_view("DBN")) out.number(static_cast<std::uint8_t>(c));
    out.number(version);
    out.number(std::uint32_t{0});  // length, set below
    out.text(metadata.dataset, 16);
    out.number(metadata.schema);
    out.number(metadata.start);
    out.number(metadata.end);
    out.number(metadata.limit);
    if (version == 1) out.number(metadata.record_count);
    out.number(metadata.stype_in);
    out.number(metadata.stype_out);
    out.number(static_cast<std::uint8_t>(metadata.ts_out));
    if (version > 1) out.number(static_cast<std::uint16_t>(length));
    out.zeroes(version == 1 ? 47 : 53);
    out.number(std::uint32_t{0});  // schema definition, unused
    out.texts(metadata.symbols, length);
    out.texts(metadata.partial, length);
    out.texts(metadata.not_found, length);
    out.number(static_cast<std::uint32_t>(metadata.mappings.size()));
    for (const SymbolMappings& mapping : metadata.mappings) {
        out.text(mapping.raw_symbol, length);
        out.number(static_cast<std::uint32_t>(mapping.intervals.size()));
        for (const MappingInterval& interval : mapping.intervals) {
            out.number(interval.start_date);
            out.number(interval.end_date);
            out.text(interval.symbol, length);
        }
    }
    // Version 3 keeps the records that follow on multiples of 8.
    if (version >= 3) out.zeroes((8 - out.bytes().size() % 8) % 8);
    const auto size = static_cast<std::uint32_t>(out.bytes().size() - kPrefix);
    std::memcpy(&out.bytes()[4], &size, sizeof(size));
    return std::move(out.bytes());
}

MetadataResult parse_metadata(std::span<const std::uint8_t> bytes, Metadata& out) {
    out = {};
    if (bytes.size() < kPrefix) return {Parse::need_more, kPrefix, ""};
    if (!looks_like_dbn(bytes)) {
        const bool magic = std::memcmp(bytes.data(), "DBN", 3) == 0;
        return {Parse::malformed, 0, magic ? "a version of DBN this build does not know"
                                           : "does not begin as DBN does"};
    }
    Cursor prefix(bytes.subspan(4, 4));
    const auto length = prefix.number<std::uint32_t>();
    if (length < kLengthMin) return {Parse::malformed, 0, "metadata shorter than DBN's shortest"};
    if (length > kLengthMax) return {Parse::malformed, 0, "metadata longer than 16 MiB"};
    if (bytes.size() - kPrefix < length) return {Parse::need_more, kPrefix + length, ""};
    out.version = bytes[3];
    Cursor in(bytes.subspan(kPrefix, length));
    const std::size_t symbol_bytes = read_fixed(in, out);
    static_assert(kFixedEnd == kPrefix + kLengthMin + 4);
    const auto schema_definition = in.number<std::uint32_t>();
    if (schema_definition != 0) return {Parse::malformed, 0, "a schema definition, which DBN has not"};
    if (symbol_bytes == 0) return {Parse::malformed, 0, "a symbol length of zero"};
    in.texts(out.symbols, symbol_bytes);
    in.texts(out.partial, symbol_bytes);
    in.texts(out.not_found, symbol_bytes);
    read_mappings(in, symbol_bytes, out.mappings);
    if (!in.good()) return {Parse::malformed, 0, "a list in the metadata that its length cannot hold"};
    return {Parse::ok, kPrefix + length, ""};
}

}  // namespace millrace::dbn
