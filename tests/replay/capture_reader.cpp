#include "millrace/replay/capture_reader.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <vector>

#include "millrace/replay/capture_writer.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temp_file.hpp"

namespace {

using namespace millrace;
using namespace millrace::replay;

constexpr Timestamp kUnits = 1'234'567'890'123;

// A capture of one packet, whose time is so many units of the interface's resolution.
std::vector<std::uint8_t> capture_at(Timestamp units) {
    const test::TempFile file("resolution.pcapng");
    CaptureWriter writer(file.path(), {"A"});
    const std::array<std::uint8_t, 4> payload{1, 2, 3, 4};
    writer.write(0, units, endpoint_of("192.0.2.1", 1), endpoint_of("233.54.12.111", 2), payload);
    writer.close();
    std::ifstream in(file.path(), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

// draft-ietf-opsawg-pcapng, Interface Description Block Options, if_tsresol: a power of ten, or of two where the highest
// bit is set.
TEST_CASE("CaptureReader: times are nanoseconds, whatever an interface counts in") {
    const auto [resolution, nanoseconds] = GENERATE(table<std::uint8_t, Timestamp>({
        {9, kUnits},
        {6, kUnits * 1'000},
        {3, kUnits * 1'000'000},
        {10, kUnits / 10},
        {0x80 | 10, 1'205'632'705'198'242'187},  // 1,234,567,890,123 / 1,024 s
        {0x80 | 30, 1'149'780'945'966},          // 1,234,567,890,123 / 1,073,741,824 s
    }));
    std::vector<std::uint8_t> bytes = capture_at(kUnits);
    const std::array<std::uint8_t, 5> option{9, 0, 1, 0, 9};
    const auto at = std::search(bytes.begin(), bytes.end(), option.begin(), option.end());
    REQUIRE(at != bytes.end());
    at[4] = resolution;
    CaptureReader reader(bytes, "patched");
    Datagram datagram;
    REQUIRE(reader.next(datagram));
    CHECK(datagram.captured_at == nanoseconds);
}
