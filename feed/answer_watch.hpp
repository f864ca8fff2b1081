// Notices which retransmission servers leave requests unanswered. A function of what it is told: no socket, no clock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "millrace/core/types.hpp"

namespace millrace {

// Of a server that has left two requests in a row unanswered it is said, since one may get lost; of one that has
// never answered, at once. `now` is any clock that does not go back.
class AnswerWatch {
  public:
    // Requests are waited for so long.
    AnswerWatch(std::size_t servers, Nanoseconds timeout_ns) : timeout_ns_(timeout_ns), unanswered_(servers, 1) {}

    // Servers are numbered from 0; what is told of others is passed over.
    void on_request(std::size_t server, Timestamp now) {
        asked_.reset();
        if (server < unanswered_.size()) asked_ = server;
        asked_at_ = now;
    }
    void on_answer(std::size_t server) {
        unanswered_[server] = 0;
        if (asked_ == server) asked_.reset();
    }
    // The server of which it is to be said now that it is silent, once for each request that it leaves unanswered.
    // `given_up`: whoever asked has waited long enough for the last answer, some of it before on_request was called.
    [[nodiscard]] std::optional<std::size_t> silent(Timestamp now, bool given_up = false) {
        if (!asked_ || now - asked_at_ < timeout_ns_ / (given_up ? 2 : 1)) return std::nullopt;
        const std::size_t server = *asked_;
        asked_.reset();
        if (++unanswered_[server] < 2) return std::nullopt;
        return server;
    }

  private:
    Nanoseconds timeout_ns_;
    std::vector<std::uint32_t> unanswered_;  // by server, in a row; from 1 on before its first answer
    std::optional<std::size_t> asked_;       // this server's answer is waited for, ...
    Timestamp asked_at_ = 0;                 // ... since then
};

}  // namespace millrace
