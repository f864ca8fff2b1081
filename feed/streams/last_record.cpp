#include "millrace/feed/streams/last_record.hpp"

#include <cstring>
#include <string_view>

#include "millrace/feed/streams/dbn/codec.hpp"

namespace millrace::streams {

namespace {

std::string_view text_of(std::span<const std::uint8_t> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

std::string last_record(std::span<const std::uint8_t> payload) {
    const std::string_view text = text_of(payload);
    constexpr std::size_t kPrelude = 8;  // of DBN's metadata, of which it tells the length
    if (text.substr(0, 3) != "DBN" || text.size() < kPrelude) {
        const std::string_view lines = text.substr(0, text.find_last_not_of('\n') + 1);
        return std::string(lines.substr(lines.rfind('\n') + 1));
    }
    wire::u32le length;
    std::memcpy(&length, payload.data() + kPrelude / 2, sizeof(length));
    const auto metadata = payload.first(kPrelude + length.value());
    std::span<const std::uint8_t> last;
    dbn::RecordView record;
    for (auto rest = payload.subspan(metadata.size());
         dbn::next_record(rest, record) == dbn::Step::record;
         rest = rest.subspan(record.bytes().size()))
        last = record.bytes();
    return std::string(text_of(metadata)).append(text_of(last));
}

}  // namespace millrace::streams
