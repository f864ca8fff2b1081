// The text that a client of DBN's live protocol and its gateway exchange before records flow
// (fact sheet, section 15). Functions of bytes; the gateway has the sockets.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "millrace/feed/streams/dbn/layouts.hpp"
#include "millrace/feed/streams/dbn/record_maker.hpp"

namespace millrace::streams {

// What a gateway has to offer.
struct LiveOffer {
    std::string dataset;
    dbn::SchemaSet schemas;
};

// What a client asks for in one line.
struct Subscription {
    dbn::Schema schema = dbn::Schema::mixed;
    bool by_id = false;  // the symbols are instrument ids
    bool all = false;
    std::vector<std::string> symbols;
};

// One client's side of the conversation: lines in, answers out.
class LiveConversation {
  public:
    static constexpr std::size_t kLineMax = 64 << 10;  // bytes; 500 symbols fit
    static constexpr std::size_t kSymbolsMax = 200'000;  // in all subscriptions of a client
    static constexpr std::uint32_t kHeartbeatSeconds = 30;

    // `challenge` is what the client signs; `session` the number it is told.
    LiveConversation(const LiveOffer& offer, std::string_view challenge, std::uint64_t session);

    // Takes bytes from the client. Then greeting and answers, if any, are at the end of `out`.
    void receive(std::string_view bytes, std::string& out);

    [[nodiscard]] const std::string& greeting() const { return greeting_; }
    // True from the client's start_session on: then records may be sent, and no text any more.
    [[nodiscard]] bool started() const { return state_ == State::started; }
    // The client is to be told `problem()` and hung up on: once started, by a record. What is wrong
    // with a subscription waits for the start, since before it there is no word for it.
    [[nodiscard]] bool over() const {
        return !problem_.empty() && state_ != State::authenticated;
    }
    [[nodiscard]] const std::string& problem() const { return problem_; }
    [[nodiscard]] std::uint32_t heartbeat_seconds() const { return heartbeat_seconds_; }
    // New subscriptions since the last call.
    [[nodiscard]] std::vector<Subscription> take_subscriptions() {
        return std::exchange(subscribed_, {});
    }

  private:
    enum class State : std::uint8_t { wants_auth, authenticated, started, refused };

    void on_line(std::string_view line, std::string& out);
    void on_auth(std::string_view line, std::string& out);
    void on_subscribe(std::string_view line);

    const LiveOffer& offer_;
    std::string greeting_;
    std::uint64_t session_;
    State state_ = State::wants_auth;
    std::string line_;  // what came of the next one
    std::string problem_;
    std::uint32_t heartbeat_seconds_ = kHeartbeatSeconds;
    std::vector<Subscription> subscribed_;
    std::size_t symbols_ = 0;
};

}  // namespace millrace::streams
