#include "millrace/feed/answer_watch.hpp"

#include "tests/support/catch.hpp"

using namespace millrace;

namespace {

constexpr Nanoseconds kTimeout = 200;

// Asks `server` at `now`, and looks when the time for an answer is over.
std::optional<std::size_t> leave_unanswered(AnswerWatch& watch, std::size_t server, Timestamp now) {
    watch.on_request(server, now);
    CHECK_FALSE(watch.silent(now + kTimeout - 1));
    const auto silent = watch.silent(now + kTimeout);
    CHECK_FALSE(watch.silent(now + 10 * kTimeout));  // once is enough
    return silent;
}

}  // namespace

TEST_CASE("AnswerWatch: a server that has never answered is silent with its first request") {
    AnswerWatch watch(2, kTimeout);
    CHECK(leave_unanswered(watch, 1, 1'000) == 1);
    CHECK(leave_unanswered(watch, 0, 5'000) == 0);
    CHECK(leave_unanswered(watch, 1, 9'000) == 1);
}

TEST_CASE("AnswerWatch: of one that has answered before, one request may get lost") {
    AnswerWatch watch(2, kTimeout);
    watch.on_request(0, 1'000);
    watch.on_answer(0);
    CHECK_FALSE(watch.silent(9'000));
    CHECK_FALSE(leave_unanswered(watch, 0, 10'000));
    CHECK(leave_unanswered(watch, 0, 20'000) == 0);
    CHECK(leave_unanswered(watch, 0, 30'000) == 0);
    watch.on_answer(0);  // late
    CHECK_FALSE(leave_unanswered(watch, 0, 40'000));
}

TEST_CASE("AnswerWatch: the answer of one server is none of another's") {
    AnswerWatch watch(2, kTimeout);
    watch.on_request(0, 1'000);
    watch.on_answer(1);
    CHECK(watch.silent(1'000 + kTimeout) == 0);
}

TEST_CASE("AnswerWatch: who was given up before its time is over is silent once half of it is") {
    AnswerWatch watch(1, kTimeout);
    watch.on_request(0, 1'000);
    CHECK_FALSE(watch.silent(1'000 + kTimeout / 2));
    CHECK_FALSE(watch.silent(1'000 + kTimeout / 2 - 1, true));
    CHECK(watch.silent(1'000 + kTimeout / 2, true) == 0);
    CHECK_FALSE(watch.silent(9'000, true));
}

TEST_CASE("AnswerWatch: a request to who is no server of the list ends the wait for the one before") {
    AnswerWatch watch(1, kTimeout);
    watch.on_request(0, 1'000);
    watch.on_request(1, 1'100);
    CHECK_FALSE(watch.silent(9'000));
}
