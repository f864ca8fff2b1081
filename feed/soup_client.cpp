#include "millrace/feed/soup_client.hpp"

#include <algorithm>

namespace millrace {

void SoupClient::say(char type, std::span<const std::uint8_t> payload) { soup::append_packet(out_, type, payload); }

void SoupClient::sent(std::size_t bytes, Timestamp now) {
    out_sent_ += bytes;
    said_at_ = now;
    if (out_sent_ < out_.size()) return;
    out_.clear();
    out_sent_ = 0;
}

void SoupClient::on_connecting(Timestamp now) {
    state_ = State::connecting;
    since_ = now;
    wants_close_ = false;
    ++counters_[SoupCounter::connects];
}

void SoupClient::on_connected(Timestamp now) {
    state_ = State::logging_in;
    since_ = heard_at_ = said_at_ = now;
    reader_.reset();
    out_.clear();
    out_sent_ = 0;
    soup::LoginRequest login{};
    login.username.set(config_.username);
    login.password.set(config_.password);
    login.session.set(session_);
    soup::set_number(login.sequence_number, next_);
    soup::set_number(login.heartbeat_timeout, static_cast<std::uint64_t>(config_.timeout_ns / 1'000'000));
    const std::size_t bytes = config_.tell_timeout ? sizeof(login) : soup::kLoginRequest40;
    say(soup::kLoginRequest, soup::as_bytes(login, bytes));
}

bool SoupClient::accept(std::span<const std::uint8_t> payload) {
    if (payload.size() < sizeof(soup::LoginAccepted)) {
        fail(SoupCounter::broken);
        return false;
    }
    soup::LoginAccepted accepted;
    std::memcpy(&accepted, payload.data(), sizeof(accepted));
    const auto number = soup::parse_number(accepted.sequence_number.raw);
    const std::string session(soup::trimmed(accepted.session));
    const bool same_session = session_.empty() || session == session_;
    if (between_sessions() && session == ended_session_) {
        end_session();
        return false;
    }
    // The server's number counts. One below what was asked for would repeat messages.
    if (!number || !same_session || *number < next_) {
        refuse(ServerProblem::session);
        return false;
    }
    session_ = session;
    ended_session_.clear();
    next_ = *number;
    state_ = State::live;
    failures_ = 0;
    ++counters_[SoupCounter::logins];
    problem_ = ServerProblem::none;
    return true;
}

void SoupClient::reject(std::span<const std::uint8_t> payload) {
    const char why = payload.empty() ? ' ' : static_cast<char>(payload[0]);
    if (why == soup::kNotAuthorised) {
        refuse(ServerProblem::login);
        state_ = State::rejected;
        return;
    }
    // The session is over: what there is now begins at 1, unless the config insists.
    if (config_.session.empty()) {
        session_.clear();
        next_ = std::min<SequenceNumber>(config_.first, 1);
    }
    refuse(ServerProblem::session);
}

// The server may go on serving a session that has ended, until the next one begins.
void SoupClient::end_session() {
    state_ = State::ended;
    wants_close_ = true;
    if (!config_.next_session || !config_.session.empty()) return;
    if (!session_.empty()) ended_session_ = session_;
    session_.clear();
    next_ = std::min<SequenceNumber>(config_.first, 1);
}

void SoupClient::fail(SoupCounter why) {
    if (wants_close_) return;
    ++counters_[why];
    problem_ = why == SoupCounter::broken            ? ServerProblem::nonsense
               : state_ == State::connecting ? ServerProblem::unreachable
                                                     : ServerProblem::silent;
    wants_close_ = true;
}

void SoupClient::refuse(ServerProblem why) {
    fail(SoupCounter::refused);
    problem_ = why;
}

void SoupClient::on_closed(Timestamp now) {
    const bool ended = state_ == State::ended;
    if ((ended && !between_sessions()) || state_ == State::rejected) {
        wants_close_ = false;
        return;
    }
    if (!wants_close_ && !ended) {
        ++counters_[SoupCounter::cut];
        problem_ = state_ == State::connecting ? ServerProblem::unreachable : ServerProblem::cut;
    }
    wants_close_ = false;
    state_ = State::waiting;
    const Nanoseconds pause = std::min(config_.retry_ns << std::min(failures_, 16U), config_.retry_max_ns);
    ++failures_;
    // Between half the pause and all of it, so that clients cut off together do not come back together.
    retry_at_ = now + pause / 2 +
                static_cast<Nanoseconds>(random_.below(static_cast<std::uint64_t>(pause / 2) + 1));
}

void SoupClient::on_time(Timestamp now) {
    switch (state_) {
        case State::connecting:
            if (now - since_ >= config_.connect_timeout_ns) fail(SoupCounter::timed_out);
            break;
        case State::logging_in:
            if (now - since_ >= config_.connect_timeout_ns) fail(SoupCounter::timed_out);
            break;
        case State::live:
            if (now - heard_at_ >= config_.timeout_ns) fail(SoupCounter::timed_out);
            if (now - said_at_ >= config_.heartbeat_ns && output().empty()) say(soup::kClientHeartbeat);
            break;
        case State::waiting:
        case State::ended:
        case State::rejected: break;
    }
}

void SoupClient::log_out() {
    if (state_ == State::live) say(soup::kLogoutRequest);
    state_ = State::ended;
    ended_session_.clear();
}

}  // namespace millrace
