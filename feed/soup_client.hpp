// The client's side of a SoupBinTCP connection: bytes in, bytes out, time as an argument. It opens no socket;
// whoever does asks what to do next. Login and its refusals, heartbeats both ways, silence, reconnection with
// a growing and jittered pause, and going on with the next sequence number are decided here.
//
// `now` is any clock that does not go back.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "millrace/core/random.hpp"
#include "millrace/core/types.hpp"
#include "millrace/feed/counters.hpp"
#include "millrace/feed/framing/soupbintcp.hpp"
#include "millrace/feed/server_problem.hpp"

namespace millrace {

struct SoupClientConfig {
    std::string username;
    std::string password;
    std::string session;             // blank: the current one
    SequenceNumber first = 1;        // the first message wanted; 0: only what is new
    bool next_session = false;       // after the end of a session the next one is waited for, from message `first` on
    bool tell_timeout = false;       // SoupBinTCP 4.1: names the silence after which the server may hang up
    Nanoseconds heartbeat_ns = 1'000'000'000;      // says something at least so often
    Nanoseconds timeout_ns = 15'000'000'000;       // silence after which the connection is dead
    Nanoseconds connect_timeout_ns = 5'000'000'000;  // for connecting, and again for the answer to the login
    Nanoseconds retry_ns = 250'000'000;            // pause before connecting again; doubles up to ...
    Nanoseconds retry_max_ns = 30'000'000'000;
};

enum class SoupCounter : std::uint8_t { connects, logins, refused, timed_out, cut, broken, messages, unsequenced };
inline constexpr std::array<CounterInfo, 8> kSoupCounters{{
    {"connects", "times", "a connection was opened"},
    {"logins", "times", "the server accepted the login"},
    {"refused", "times", "the server rejected the login, or offered what was not asked for"},
    {"timed_out", "times", "the server was silent for too long"},
    {"cut", "times", "the connection ended before the session did, or could not be opened"},
    {"broken", "times", "what came was no SoupBinTCP"},
    {"messages", "messages", "sequenced messages received"},
    {"unsequenced", "messages", "unsequenced messages received, and passed over"},
}};
using SoupCounters = CounterBlock<SoupCounter, kSoupCounters.size()>;

template <class S>
concept SoupSink = requires(S& sink, std::string_view session, SequenceNumber n, std::span<const std::uint8_t> m) {
    sink.on_login(session, n);  // the next message is number n of this session
    sink.on_message(n, m);
    sink.on_heartbeat(n);       // the next message is still number n
    sink.on_end(n);             // of the session: n will not come
};

class SoupClient {
  public:
    enum class State : std::uint8_t { waiting, connecting, logging_in, live, ended, rejected };

    SoupClient(const SoupClientConfig& config, std::uint64_t seed)
        : config_(config), session_(config.session), next_(config.first), random_(seed) {}

    // ---- what the I/O side should do ----

    [[nodiscard]] State state() const { return state_; }
    // Open a connection now; then call on_connecting, and on_connected or on_closed.
    [[nodiscard]] bool wants_connection(Timestamp now) const { return state_ == State::waiting && now >= retry_at_; }
    // Close the connection; then call on_closed.
    [[nodiscard]] bool wants_close() const { return wants_close_; }
    // Bytes to send; tell how many were taken.
    [[nodiscard]] std::span<const std::uint8_t> output() const {
        return std::span(out_).subspan(out_sent_);
    }
    void sent(std::size_t bytes, Timestamp now);

    // ---- what happened ----

    void on_connecting(Timestamp now);
    void on_connected(Timestamp now);
    void on_closed(Timestamp now);
    template <SoupSink Sink>
    void on_bytes(std::span<const std::uint8_t> bytes, Timestamp now, Sink& sink) {
        heard_at_ = now;
        reader_.read(bytes, [&](const soup::Packet& packet) {
            take(packet, sink);
            return !wants_close_;
        });
        if (reader_.broken()) fail(SoupCounter::broken);
    }
    // Lets heartbeats fall due and silence show.
    void on_time(Timestamp now);
    // Says goodbye, where there is a connection, and connects no more.
    void log_out();

    [[nodiscard]] SequenceNumber next() const { return next_; }
    [[nodiscard]] const std::string& session() const { return session_; }
    [[nodiscard]] const SoupCounters& counters() const { return counters_; }
    // The session has ended, and the next one has not begun: the server may well be away.
    [[nodiscard]] bool between_sessions() const { return !ended_session_.empty(); }
    // What was wrong with the server last; none since it accepted the login.
    [[nodiscard]] ServerProblem problem() const { return problem_; }

  private:
    template <SoupSink Sink>
    void take(const soup::Packet& packet, Sink& sink) {
        if (packet.type == soup::kLoginAccepted && state_ == State::logging_in) {
            if (accept(packet.payload)) sink.on_login(session_, next_);
        } else if (packet.type == soup::kLoginRejected && state_ == State::logging_in) {
            reject(packet.payload);
        } else if (state_ != State::live) {
            if (packet.type != soup::kDebug) fail(SoupCounter::broken);
        } else if (packet.type == soup::kSequencedData) {
            ++counters_[SoupCounter::messages];
            sink.on_message(next_++, packet.payload);
        } else if (packet.type == soup::kServerHeartbeat) {
            sink.on_heartbeat(next_);
        } else if (packet.type == soup::kEndOfSession) {
            sink.on_end(next_);
            end_session();
        } else if (packet.type == soup::kUnsequencedData) {
            ++counters_[SoupCounter::unsequenced];
        }
    }
    [[nodiscard]] bool accept(std::span<const std::uint8_t> payload);
    void reject(std::span<const std::uint8_t> payload);
    void end_session();
    void fail(SoupCounter why);
    void refuse(ServerProblem why);
    void say(char type, std::span<const std::uint8_t> payload = {});

    SoupClientConfig config_;
    std::string session_;
    std::string ended_session_;  // config.next_session: it is not entered again
    SequenceNumber next_;
    Random random_;
    State state_ = State::waiting;
    bool wants_close_ = false;
    std::uint32_t failures_ = 0;  // in a row
    Timestamp retry_at_ = 0;
    Timestamp since_ = 0;     // when the state was entered
    Timestamp heard_at_ = 0;
    Timestamp said_at_ = 0;
    soup::PacketReader reader_;
    std::vector<std::uint8_t> out_;
    std::size_t out_sent_ = 0;
    SoupCounters counters_;
    ServerProblem problem_ = ServerProblem::none;
};

}  // namespace millrace
