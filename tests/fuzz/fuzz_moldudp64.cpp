// Any bytes as a MoldUDP64 packet: a frame that is not malformed can be walked without a further check, and each of
// its bytes is in the header, in a message or told to be in none.
#include <cstdint>
#include <cstdlib>

#include "millrace/feed/framing/moldudp64.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace millrace;
    const Frame frame = MoldUdp64::parse({data, size});
    if (frame.kind == FrameKind::malformed) return 0;
    MoldUdp64::Walker walker(frame.blocks);
    std::uint64_t sum = 0;
    for (std::uint32_t i = 0; i < frame.count; ++i) {
        const auto message = walker.next();
        if (!message.empty() && (message.data() < data || message.data() + message.size() > data + size)) std::abort();
        for (const std::uint8_t byte : message) sum += byte;
    }
    if (!walker.rest().empty() || MoldUdp64::kHeaderBytes + frame.blocks.size() + frame.excess != size) std::abort();
    const volatile std::uint64_t kept = sum;
    static_cast<void>(kept);
    return 0;
}
