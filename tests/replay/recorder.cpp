#include "millrace/replay/recorder.hpp"

#include <sys/resource.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <numeric>
#include <thread>

#include "millrace/core/cpu.hpp"
#include "millrace/core/error.hpp"
#include "millrace/core/random.hpp"
#include "millrace/replay/capture_reader.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temp_file.hpp"

using namespace millrace;
using replay::Recorder;

namespace {

const std::vector<replay::RecordedLine> kTwoLines{{"A", {{239, 255, 0, 1}, false, 26477}},
                                                  {"B", {{239, 255, 0, 2}, false, 26478}}};

std::vector<std::uint8_t> payload(std::uint32_t number, std::size_t size) {
    std::vector<std::uint8_t> bytes(size, static_cast<std::uint8_t>(number));
    return bytes;
}

}  // namespace

TEST_CASE("Recorder: what was handed over stands in the file, in order, line and time with it") {
    const test::TempFile file("recorded.pcapng");
    constexpr std::uint32_t kPackets = 20'000;  // many times around the small ring
    Recorder recorder(file.path(), kTwoLines, kNotPinned, 1 << 16);
    std::vector<std::uint32_t> kept;
    for (std::uint32_t i = 0; i < kPackets; ++i) {
        const std::uint64_t lost = recorder.lost();
        const auto bytes = payload(i, i * 7919 % 1400);
        recorder.record(
            {static_cast<LineId>(i % 2), static_cast<Timestamp>(1'000'000 + i), bytes});
        if (recorder.lost() == lost) kept.push_back(i);
    }
    recorder.close();
    CHECK(recorder.written() == kept.size());
    CHECK(recorder.written() + recorder.lost() == kPackets);

    replay::CaptureReader reader(file.path());
    replay::Datagram datagram;
    std::size_t found = 0;
    std::size_t wrong = 0;
    for (; reader.next(datagram); ++found) {
        const std::uint32_t i = kept.at(found);
        const auto expected = payload(i, i * 7919 % 1400);
        if (datagram.captured_at != 1'000'000 + i || datagram.interface != i % 2 ||
            !std::equal(datagram.payload.begin(), datagram.payload.end(), expected.begin(),
                        expected.end()) ||
            datagram.destination != kTwoLines[i % 2].destination) {
            ++wrong;
        }
    }
    CHECK(found == kept.size());
    CHECK(wrong == 0);
    CHECK(reader.interface_name(0) == "A");
    CHECK(reader.interface_name(1) == "B");
}

TEST_CASE(
    "Recorder: a packet that finds the ring full is counted, and the file holds all others") {
    const test::TempFile file("full.pcapng");
    Recorder recorder(file.path(), kTwoLines, kNotPinned, 4096);
    const auto too_large = payload(1, 5'000);
    const auto fits = payload(2, 100);
    recorder.record({0, 1, too_large});
    recorder.record({0, 2, fits});
    recorder.close();
    CHECK(recorder.lost() == 1);
    CHECK(recorder.written() == 1);
}

TEST_CASE("Recorder: a file that runs full says so, counts to the packet, and can be read up to there") {
    const test::TempFile file(GENERATE("limited.pcapng", "limited.pcapng.gz", "limited.pcapng.zst"));
    CAPTURE(file.path());
    rlimit before{};
    REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
    std::signal(SIGXFSZ, SIG_IGN);
    Recorder recorder(file.path(), kTwoLines, kNotPinned);
    const rlimit little{1'500'000, before.rlim_max};
    REQUIRE(setrlimit(RLIMIT_FSIZE, &little) == 0);
    Random random(1);  // what does not shrink when it is packed
    std::vector<std::uint8_t> bytes(1'000);
    constexpr std::uint64_t kPackets = 5'000;
    for (std::uint64_t i = 0; i < kPackets; ++i) {
        for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random.below(256));
        recorder.record({0, static_cast<Timestamp>(i), bytes});
    }
    // The writing thread finds it out by itself, long before the end.
    for (int i = 0; i < 2'000 && recorder.problem() == 0; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    CHECK(recorder.problem() == EFBIG);
    CHECK_THROWS_AS(recorder.close(), Error);
    REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
    std::signal(SIGXFSZ, SIG_DFL);
    CHECK(recorder.written() + recorder.lost() == kPackets);

    replay::CaptureReader reader(file.path());
    replay::Datagram datagram;
    std::uint64_t found = 0;
    for (; reader.next(datagram); ++found) CHECK(datagram.captured_at == static_cast<Timestamp>(found));
    CHECK(found == recorder.written());
    CHECK(found > 800);
}
