#include "millrace/replay/simulator/exchange.hpp"

#include <algorithm>
#include <utility>

#include "millrace/feed/framing/moldudp64.hpp"

namespace millrace::replay {

namespace {
constexpr Nanoseconds kTogether = 10'000;             // messages this close travel together
constexpr std::size_t kBurstMax = 64;
constexpr Nanoseconds kHeartbeat = 1'000'000'000;     // MoldUDP64: about one a second when idle
constexpr int kEndsOfSession = 3;
}  // namespace

Exchange::Exchange(const ExchangeConfig& config, FaultSchedule::Output output)
    : config_(config), market_(config.market),
      faults_(config.market.seed ^ 0x6c696e6573ULL, config.lines, config.never_on_all, std::move(output)) {}

void Exchange::send_mark(bool end, Timestamp time) {
    std::vector<std::uint8_t> buffer(sizeof(MoldUdp64Header));
    MoldUdp64PacketBuilder builder(buffer, config_.session);
    builder.begin(next_);
    const auto bytes = end ? builder.end_of_session(next_) : builder.finish();
    for (std::size_t line = 0; line < config_.lines.size(); ++line) {
        faults_.offer({static_cast<LineId>(line), time, next_, 0, true, {bytes.begin(), bytes.end()}});
    }
}

void Exchange::send(LineId line, std::uint32_t packet_bytes) {
    std::vector<std::uint8_t> buffer(packet_bytes);
    MoldUdp64PacketBuilder builder(buffer, config_.session);
    SequenceNumber first = burst_first_;
    builder.begin(first);
    const auto ship = [&] {
        const std::uint32_t count = builder.count();
        const auto bytes = builder.finish();
        faults_.offer({line, market_.time(), first, count, false, {bytes.begin(), bytes.end()}});
        first += count;
        builder.begin(first);
    };
    for (const auto& message : burst_) {
        if (builder.append(message)) continue;
        ship();
        static_cast<void>(builder.append(message));  // a packet holds any one message
    }
    ship();
}

bool Exchange::step() {
    if (pending_.empty()) {
        const auto message = market_.next();
        if (message.empty()) {
            faults_.flush();
            for (int i = 0; i < kEndsOfSession; ++i) send_mark(true, market_.time());
            return false;
        }
        pending_.assign(message.begin(), message.end());
        pending_time_ = market_.time();
    }
    if (sent_at_ != 0) {
        // Beyond a few heartbeats a simulated silence tells nothing new.
        const std::int64_t marks = std::min<std::int64_t>((pending_time_ - sent_at_) / kHeartbeat, 3);
        for (std::int64_t i = 1; i <= marks; ++i) send_mark(false, sent_at_ + i * kHeartbeat);
    }
    burst_.clear();
    burst_first_ = next_;
    Timestamp last = pending_time_;
    burst_.push_back(std::exchange(pending_, {}));
    while (burst_.size() < kBurstMax) {
        const auto message = market_.next();
        if (message.empty()) break;
        if (market_.time() - last > kTogether) {
            pending_.assign(message.begin(), message.end());
            pending_time_ = market_.time();
            break;
        }
        last = market_.time();
        burst_.emplace_back(message.begin(), message.end());
    }
    next_ += burst_.size();
    sent_at_ = last;
    for (std::size_t line = 0; line < config_.lines.size(); ++line) {
        const bool other_cut = config_.repacketise && line % 2 == 1;
        send(static_cast<LineId>(line), other_cut ? config_.packet_bytes_max / 3 : config_.packet_bytes_max);
    }
    return true;
}

}  // namespace millrace::replay
