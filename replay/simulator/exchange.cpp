#include "millrace/replay/simulator/exchange.hpp"

#include <algorithm>
#include <span>
#include <utility>

#include "millrace/core/error.hpp"
#include "millrace/feed/framing/moldudp64.hpp"

namespace millrace::replay {

namespace {

constexpr Nanoseconds kTogether = 10'000;  // messages this close travel together
constexpr std::size_t kBurstMax = 64;
constexpr std::size_t kPacketMin = 100;            // a header and any one message fit, even in ...
constexpr std::size_t kPacketMax = 65'507;         // ... and this is all that UDP carries
constexpr Nanoseconds kHeartbeat = 1'000'000'000;  // MoldUDP64: about one a second when idle
constexpr int kEndsOfSession = 3;

const ExchangeConfig& checked(const ExchangeConfig& config) {
    const auto refuse = [](const char* what) { throw Error(ExitCode::usage, what); };
    if (config.session.size() > 10) {
        refuse("simulated exchange: session too long; give at most 10 characters");
    }
    if (config.lines.empty() || config.lines.size() > kLinesMax) {
        refuse("simulated exchange: number of lines out of range; give 1 to 16");
    }
    if (config.packet_bytes_max < kPacketMin || config.packet_bytes_max > kPacketMax) {
        refuse("simulated exchange: packet size out of range; give 100 to 65507 bytes");
    }
    return config;
}

}  // namespace

void Exchange::Burst::clear() {
    bytes.clear();
    ends.clear();
}

void Exchange::Burst::append(Message message) {
    bytes.insert(bytes.end(), message.begin(), message.end());
    ends.push_back(bytes.size());
}

Exchange::Exchange(const ExchangeConfig& config, FaultSchedule::Output output,
                   std::function<void(Message)> on_message)
    : config_(checked(config)), market_(config.market),
      faults_(Random::mix(config.market.seed + 1), config.lines, config.never_on_all,
              std::move(output)),
      on_message_(std::move(on_message)), buffer_(config.packet_bytes_max) {}

Exchange::Message Exchange::next_message() {
    const Message message = market_.next();
    if (on_message_ && !message.empty()) on_message_(message);
    return message;
}

void Exchange::send_mark(bool end, Timestamp time) {
    MoldUdp64PacketBuilder builder(buffer_, config_.session);
    builder.begin(next_);
    const auto bytes = end ? builder.end_of_session(next_) : builder.finish();
    packet_ = {0, time, next_, 0, true, {bytes.begin(), bytes.end()}};
    for (std::size_t line = 0; line < config_.lines.size(); ++line) {
        packet_.line = static_cast<LineId>(line);
        faults_.offer(packet_);
    }
}

void Exchange::send(LineId line, std::size_t packet_bytes) {
    const std::span<std::uint8_t> room(buffer_.data(), packet_bytes);
    MoldUdp64PacketBuilder builder(room, config_.session);
    SequenceNumber first = next_;
    builder.begin(first);
    const auto ship = [&] {
        const std::uint32_t count = builder.count();
        const auto bytes = builder.finish();
        packet_.line = line;
        packet_.time = burst_end_;
        packet_.first = first;
        packet_.count = count;
        packet_.spared = false;
        packet_.bytes.assign(bytes.begin(), bytes.end());
        faults_.offer(packet_);
        first += count;
        builder.begin(first);
    };
    std::size_t at = 0;
    for (const std::size_t end : burst_.ends) {
        const Message message(&burst_.bytes[at], end - at);
        at = end;
        if (builder.append(message)) continue;
        ship();
        MILLRACE_VERIFY(builder.append(message));
    }
    ship();
}

// False at the end of the day.
bool Exchange::collect_burst() {
    burst_.clear();
    if (pending_.empty()) {
        const Message message = next_message();
        if (message.empty()) return false;
        burst_.append(message);
        burst_end_ = market_.time();
    } else {
        burst_.append(pending_);
        burst_end_ = pending_time_;
        pending_.clear();
    }
    while (burst_.ends.size() < kBurstMax) {
        const Message message = next_message();
        if (message.empty()) break;
        if (market_.time() - burst_end_ > kTogether) {
            pending_.assign(message.begin(), message.end());
            pending_time_ = market_.time();
            break;
        }
        burst_end_ = market_.time();
        burst_.append(message);
    }
    return true;
}

bool Exchange::step() {
    const Timestamp sent_at = burst_end_;
    if (!collect_burst()) {
        faults_.flush();
        for (int i = 0; i < kEndsOfSession; ++i) send_mark(true, burst_end_);
        return false;
    }
    // Beyond a few heartbeats a simulated silence tells nothing new.
    const Nanoseconds silence = sent_at == 0 ? 0 : burst_end_ - sent_at;
    const std::int64_t marks = std::min<std::int64_t>(silence / kHeartbeat, 3);
    for (std::int64_t i = 1; i <= marks; ++i) send_mark(false, sent_at + i * kHeartbeat);
    for (std::size_t line = 0; line < config_.lines.size(); ++line) {
        const bool other_cut = config_.repacketise && line % 2 == 1;
        const std::size_t size = config_.packet_bytes_max;
        send(static_cast<LineId>(line), other_cut ? std::max(size / 3, kPacketMin) : size);
    }
    next_ += burst_.ends.size();
    return true;
}

}  // namespace millrace::replay
