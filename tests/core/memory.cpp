#include "millrace/core/memory.hpp"

#include <string>

#include "millrace/core/error.hpp"
#include "tests/support/catch.hpp"

using namespace millrace;

TEST_CASE("MappedMemory: more than the machine has is refused with its exit code, before anything is touched") {
    constexpr std::size_t kFarTooMuch = std::size_t{1} << 45;
    try {
        const MappedMemory memory(kFarTooMuch);
        FAIL("32 TiB were granted");
    } catch (const Error& error) {
        CHECK(error.code() == ExitCode::memory);
        CHECK(std::string(error.what()).find("33554432 MiB") == 0);
    }
}
