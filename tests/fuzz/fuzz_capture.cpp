// Any bytes as a capture file: read to the end, whatever the format they pretend to be.
#include <cstdint>

#include "millrace/core/error.hpp"
#include "millrace/replay/capture_reader.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace millrace::replay;
    try {
        CaptureReader reader({data, size}, "input");
        std::uint64_t sum = 0;
        if (reader.holds_records()) {
            Records records;
            while (reader.next_records(records)) {
                for (const std::uint8_t byte : records.blocks) sum += byte;
            }
        } else {
            Datagram datagram;
            while (reader.next(datagram)) {
                for (const std::uint8_t byte : datagram.payload) sum += byte;
                sum += reader.interface_name(datagram.interface).size();
            }
        }
        const volatile std::uint64_t kept = sum + reader.damage().size();
        static_cast<void>(kept);
    } catch (const millrace::Error&) {
        // No capture: said so.
    }
    return 0;
}
