#include "millrace/feed/copy_compare.hpp"

#include <vector>

#include "millrace/core/random.hpp"
#include "tests/support/catch.hpp"

using namespace millrace;

namespace {
std::vector<std::uint8_t> some_message(Random& random, std::size_t size) {
    std::vector<std::uint8_t> message(size);
    for (std::uint8_t& byte : message) byte = static_cast<std::uint8_t>(random.next());
    return message;
}
}  // namespace

TEST_CASE("CopyCompare: every single bit that differs is noticed, in messages of every length") {
    Random random(1);
    CopyCompare compare(1024);
    SequenceNumber sequence = 1;
    for (std::size_t size = 1; size <= 60; ++size) {
        for (std::size_t bit = 0; bit < size * 8; ++bit, ++sequence) {
            auto message = some_message(random, size);
            REQUIRE(compare.same(sequence, message, 7));
            REQUIRE(compare.same(sequence, message, 7));
            message[bit / 8] = static_cast<std::uint8_t>(message[bit / 8] ^ (1U << bit % 8));
            REQUIRE_FALSE(compare.same(sequence, message, 9));
            REQUIRE(compare.first_key() == 7);
        }
    }
}

TEST_CASE("CopyCompare: a copy too old to compare neither differs nor displaces what is newer") {
    Random random(2);
    CopyCompare compare(8);
    const auto first = some_message(random, 20);
    const auto other = some_message(random, 20);
    CHECK(compare.same(3, first, 0));
    CHECK(compare.same(11, first, 0));
    CHECK(compare.same(3, other, 0));
    CHECK_FALSE(compare.same(11, other, 0));
    compare.forget();
    CHECK(compare.same(3, other, 0));
}

TEST_CASE("CopyCompare: a message that is longer by zeroes differs") {
    CopyCompare compare(8);
    const std::vector<std::uint8_t> zeroes(40, 0);
    for (std::size_t size = 0; size < 39; ++size) {
        CHECK(compare.same(size, std::span(zeroes).first(size), 0));
        CHECK_FALSE(compare.same(size, std::span(zeroes).first(size + 1), 0));
    }
}
