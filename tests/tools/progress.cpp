#include "progress.hpp"

#include "tests/support/catch.hpp"

using millrace::tools::Progress;

TEST_CASE("Progress: says share, rate and time left") {
    CHECK(Progress::line("replay x", 250, 1000, 3'000'000, "messages", 2.0) ==
          "replay x [#####               ]  25 %  1.5 M messages/s  6 s left");
}

TEST_CASE("Progress: without a known end it says how much was done") {
    CHECK(Progress::line("sim", 0, 0, 1'500, "messages", 3.0) ==
          "sim 1.5 k messages  500 messages/s");
}

TEST_CASE("Progress: a file that grew while it was read stays at 100 %") {
    CHECK(Progress::line("x", 3, 2, 10, "packets", 1.0) ==
          "x [####################] 100 %  10 packets/s");
}
