// Any bytes as one ITCH message: written out as people and programs see it, and applied to a book.
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "millrace/feed/session.hpp"
#include "millrace/feed/venues/nasdaq_itch50/venue.hpp"
#include "tools/dump_format.hpp"

namespace {

using namespace millrace;
using ItchSession = Session<venues::NasdaqItch50, NullHandler>;

SessionConfig small() {
    SessionConfig config;
    config.lines = 1;
    config.limits = {4, 64, 32};
    config.reorder_window_packets = 2;
    config.datagram_bytes_max = 512;
    return config;
}

}  // namespace

// The input is a run of messages, each behind one byte of length.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    NullHandler handler;
    ItchSession session(small(), handler);
    SequenceNumber sequence = 1;
    fmt::memory_buffer text;
    while (size > 0) {
        const std::size_t length = std::min<std::size_t>(data[0], size - 1);
        const std::span<const std::uint8_t> message(data + 1, length);
        if (const auto* layout = venues::NasdaqItch50::layout(message); layout != nullptr && layout->fits(message)) {
            tools::dump_text(text, {1, 2, sequence}, *layout, message);
            tools::dump_json(text, {{}, {}, sequence}, *layout, message);
        } else {
            tools::dump_json(text, {1, 2, sequence}, std::string_view("unknown"), message);
        }
        text.clear();
        std::uint8_t block[2 + 255] = {0, static_cast<std::uint8_t>(length)};
        if (length > 0) std::memcpy(block + 2, message.data(), length);
        session.on_records(sequence++, 1, {block, length + 2}, 0);
        data += 1 + length;
        size -= 1 + length;
    }
    session.finish();
    if (balance(session.messages()) != 0) std::abort();
    return 0;
}
