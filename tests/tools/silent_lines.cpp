#include "silent_lines.hpp"

#include "tests/support/catch.hpp"

using namespace millrace;

namespace {

constexpr Nanoseconds kSecond = 1'000'000'000;
using Lines = std::vector<std::string>;

FeedConfig two_lines(const std::string& interface, Nanoseconds quiet) {
    FeedConfig config;
    config.name = "f";
    config.lines.push_back({"A", {{"239.255.0.1", 26477}}, interface, {}, {}, {}});
    config.lines.push_back({"B", {}, {}, GroupConfig{"192.0.2.1", 7}, {}, {}});
    config.session.quality.quiet_ns = quiet;
    return config;
}

std::vector<LineStats> packets(std::uint64_t a, std::uint64_t b) {
    std::vector<LineStats> stats(2);
    stats[0].decoded[LineCounter::arbitrated] = a;
    stats[1].decoded[LineCounter::arbitrated] = b;
    return stats;
}

}  // namespace

TEST_CASE("SilentLines: a line that falls silent is told of once, and once when it is heard again") {
    const FeedConfig config = two_lines("lo", 3 * kSecond);
    tools::SilentLines lines(config);
    CHECK(lines.look(1 * kSecond, packets(1, 1)).empty());
    CHECK(lines.look(3 * kSecond, packets(1, 2)).empty());
    CHECK(lines.look(4 * kSecond, packets(1, 3)) ==
          Lines{"f: line A 239.255.0.1:26477 on lo is silent for 3 s; does the exchange still send, is the interface "
                "up?"});
    CHECK(lines.look(5 * kSecond, packets(1, 3)).empty());
    CHECK(lines.look(8 * kSecond, packets(2, 3)) ==
          Lines{"f: line A is heard again",
                "f: line B from 192.0.2.1:7 is silent for 3 s; does the exchange still send?"});
    CHECK(lines.look(9 * kSecond, packets(3, 4)) == Lines{"f: line B is heard again"});
}

TEST_CASE("SilentLines: an interface that is gone is named") {
    const FeedConfig config = two_lines("nosuch0", 1 * kSecond);
    tools::SilentLines lines(config);
    CHECK(lines.look(1 * kSecond, packets(1, 1)).empty());
    CHECK(lines.look(2 * kSecond, packets(1, 2)) ==
          Lines{"f: line A 239.255.0.1:26477 on nosuch0 is silent for 1 s; interface nosuch0 is gone, and the line goes "
                "on when it is back"});
}

TEST_CASE("SilentLines: nothing is told of lines never heard, of short pauses, and where silence is no fault") {
    const FeedConfig never_silent = two_lines("lo", 0);
    const FeedConfig soon_silent = two_lines("lo", 1'000'000);
    tools::SilentLines none(never_silent);
    tools::SilentLines soon(soon_silent);
    for (Timestamp now = kSecond; now < 100 * kSecond; now += kSecond / 2) {
        CHECK(none.look(now, packets(1, 1)).empty());
        CHECK(soon.look(now, packets(0, static_cast<std::uint64_t>(now))).empty());
    }
}
