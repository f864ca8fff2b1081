#include "millrace/replay/simulator/exchange.hpp"

#include <algorithm>
#include <span>
#include <utility>

#include "millrace/core/error.hpp"

namespace millrace::replay {

namespace {

constexpr Nanoseconds kTogether = 10'000;  // messages this close travel together
constexpr std::size_t kBurstMax = 64;
constexpr std::size_t kBlockPrefix = 2;  // of every message in a packet, in every framing here
constexpr std::size_t kPacketMin = 130;            // a header and any one message fit, even in ...
constexpr std::size_t kPacketMax = 65'507;         // ... and this is all that UDP carries
constexpr Nanoseconds kHeartbeat = 1'000'000'000;  // MoldUDP64: about one a second when idle
constexpr int kEndsOfSession = 3;

const ExchangeConfig& checked(const ExchangeConfig& config) {
    const auto refuse = [](const char* what) { throw Error(ExitCode::usage, what); };
    if (config.lines.empty() || config.lines.size() > kLinesMax) {
        refuse("simulated exchange: number of lines out of range; give 1 to 16");
    }
    if (config.packet_bytes_max < kPacketMin || config.packet_bytes_max > kPacketMax) {
        refuse("simulated exchange: packet size out of range; give 130 to 65507 bytes");
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
      faults_(Random::mix(config.fault_seed != 0 ? config.fault_seed : config.market.seed + 1),
              config.lines, config.never_on_all, std::move(output)),
      on_message_(std::move(on_message)),
      wire_(make_wire(config.venue, config.session)), buffer_(config.packet_bytes_max) {}

// What the venue says of it, if anything.
void Exchange::append(Message of_market) {
    wire_->encode(of_market, [this](Message message) {
        burst_.append(message);
        ++by_type_[message[0]];
        if (on_message_) on_message_(message);
    });
}

void Exchange::send_mark(bool end, Timestamp time) {
    wire_->begin(buffer_, next_);
    const auto bytes = end ? wire_->finish_session(time) : wire_->finish(time);
    packet_ = {0, time, next_.first, 0, true, {bytes.begin(), bytes.end()}};
    for (std::size_t line = 0; line < config_.lines.size(); ++line) {
        packet_.line = static_cast<LineId>(line);
        faults_.offer(packet_);
    }
}

void Exchange::send(LineId line, std::size_t packet_bytes) {
    const std::span<std::uint8_t> room(buffer_.data(), packet_bytes);
    VenueWire::Place place = next_;
    VenueWire::Place end_place = next_;
    wire_->begin(room, place);
    const auto ship = [&] {
        const auto bytes = wire_->finish(burst_end_);
        packet_.line = line;
        packet_.time = burst_end_;
        packet_.first = place.first;
        packet_.count = static_cast<std::uint32_t>(end_place.first - place.first);
        packet_.spared = false;
        packet_.bytes.assign(bytes.begin(), bytes.end());
        faults_.offer(packet_);
        place = end_place;
        wire_->begin(room, place);
    };
    std::size_t at = 0;
    for (const std::size_t end : burst_.ends) {
        const Message message(&burst_.bytes[at], end - at);
        if (!wire_->append(message)) {
            ship();
            MILLRACE_VERIFY(wire_->append(message));
        }
        end_place = {end_place.first + 1, end_place.offset + kBlockPrefix + message.size()};
        at = end;
    }
    ship();
}

// False at the end of the day.
bool Exchange::collect_burst() {
    burst_.clear();
    if (pending_.empty()) {
        const Message message = market_.next();
        if (message.empty()) return false;
        append(message);
        burst_end_ = market_.time();
    } else {
        append(pending_);
        burst_end_ = pending_time_;
        pending_.clear();
    }
    while (burst_.ends.size() < kBurstMax) {
        const Message message = market_.next();
        if (message.empty()) break;
        if (market_.time() - burst_end_ > kTogether) {
            pending_.assign(message.begin(), message.end());
            pending_time_ = market_.time();
            break;
        }
        burst_end_ = market_.time();
        append(message);
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
    if (burst_.ends.empty()) return true;
    for (std::size_t line = 0; line < config_.lines.size(); ++line) {
        const bool other_cut = config_.repacketise && line % 2 == 1;
        const std::size_t size = config_.packet_bytes_max;
        send(static_cast<LineId>(line), other_cut ? std::max(size / 3, kPacketMin) : size);
    }
    next_.first += burst_.ends.size();
    next_.offset += burst_.bytes.size() + kBlockPrefix * burst_.ends.size();
    return true;
}

}  // namespace millrace::replay
