#include "millrace/replay/simulator/soup_server.hpp"

#include <algorithm>

namespace millrace::replay {

void SoupServer::on_bytes(std::span<const std::uint8_t> bytes, Timestamp now) {
    heard_at_ = now;
    reader_.read(bytes, [&](const soup::Packet& packet) {
        if (packet.type == soup::kLoginRequest && !live_) log_in(packet.payload);
        if (packet.type == soup::kLogoutRequest) closing_ = true;
        return !closing_;
    });
    if (reader_.broken()) closing_ = true;
}

void SoupServer::refuse(char why) {
    const auto reason = static_cast<std::uint8_t>(why);
    say(soup::kLoginRejected, {&reason, 1});
    closing_ = true;
}

void SoupServer::log_in(std::span<const std::uint8_t> payload) {
    soup::LoginRequest login{};
    if (payload.size() != soup::kLoginRequest40 && payload.size() != sizeof(login)) return refuse(soup::kNotAuthorised);
    login.heartbeat_timeout.set("");
    std::memcpy(&login, payload.data(), payload.size());
    const bool known = login.username.value() == config_.username && login.password.value() == config_.password;
    if (!known && !(config_.username.empty() && config_.password.empty())) return refuse(soup::kNotAuthorised);
    const std::string_view session = soup::trimmed(login.session);
    if (!session.empty() && session != config_.session) return refuse(soup::kSessionNotAvailable);
    const auto first = soup::parse_number(login.sequence_number.raw);
    if (!first) return refuse(soup::kNotAuthorised);
    if (const auto timeout = soup::parse_number(login.heartbeat_timeout.raw)) {
        timeout_ns_ = static_cast<Nanoseconds>(*timeout) * 1'000'000;
    }
    next_ = *first == 0 ? source_.next() : std::min<SequenceNumber>(*first, source_.next());
    soup::LoginAccepted accepted{};
    const std::string padded = std::string(10 - std::min<std::size_t>(config_.session.size(), 10), ' ') + config_.session;
    accepted.session.set(padded);
    soup::set_number(accepted.sequence_number, next_);
    say(soup::kLoginAccepted, soup::as_bytes(accepted));
    live_ = true;
}

void SoupServer::on_time(Timestamp now) {
    if (now - heard_at_ >= timeout_ns_) closing_ = true;
    if (!live_ || closing_) return;
    while (next_ < source_.next() && out_.size() < kOutputMax) say(soup::kSequencedData, source_.message(next_++));
    if (source_.ended() && next_ == source_.next()) {
        say(soup::kEndOfSession);
        closing_ = true;
    }
    if (!output().empty()) said_at_ = now;
    if (now - said_at_ < config_.heartbeat_ns) return;
    say(soup::kServerHeartbeat);
    said_at_ = now;
}

void SoupServer::sent(std::size_t bytes) {
    out_sent_ += bytes;
    if (out_sent_ < out_.size()) return;
    out_.clear();
    out_sent_ = 0;
}

}  // namespace millrace::replay
