// The market on the wire: says what it does as a venue would, numbers the messages and packs them for
// each line. A function of its config: no clock, no socket.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "millrace/replay/simulator/fault_schedule.hpp"
#include "millrace/replay/simulator/market.hpp"
#include "millrace/replay/simulator/venue_wire.hpp"

namespace millrace::replay {

struct ExchangeConfig {
    MarketConfig market;
    std::string venue = "nasdaq-itch50";
    std::string session = "MILLRACE01";      // Nasdaq: at most 10 characters
    std::uint32_t packet_bytes_max = 1'400;  // at least 130
    std::vector<LineFaults> lines{2};        // one entry a line
    bool repacketise = false;                // every second line cuts its packets differently
    bool never_on_all = true;                // see FaultSchedule
    std::uint64_t fault_seed = 0;            // 0: made from the market's
};

class Exchange {
  public:
    using Message = std::span<const std::uint8_t>;

    // `output` is given the packets that come through, `on_message` every message, once. Throws
    // Error(usage) when the config makes no sense.
    Exchange(const ExchangeConfig& config, FaultSchedule::Output output,
             std::function<void(Message)> on_message = {});

    // Sends the packets of the next burst of messages, and heartbeats where the market was quiet;
    // false after the end of the session.
    [[nodiscard]] bool step();
    // After the end, at this time of the market: the marks of an exchange that has nothing more to say.
    void repeat_end(Timestamp time) { send_mark(true, time); }

    [[nodiscard]] const Market& market() const { return market_; }
    [[nodiscard]] const FaultSchedule& faults() const { return faults_; }
    [[nodiscard]] SequenceNumber next_sequence() const { return next_.first; }
    // Messages by their first byte.
    [[nodiscard]] const std::array<std::uint64_t, 256>& by_type() const { return by_type_; }
    [[nodiscard]] Timestamp time() const { return burst_end_; }

  private:
    // Messages in one piece, each from its offset to the next one's.
    struct Burst {
        std::vector<std::uint8_t> bytes;
        std::vector<std::size_t> ends;

        void clear();
        void append(Message message);
    };

    void append(Message of_market);
    [[nodiscard]] bool collect_burst();
    void send(LineId line, std::size_t packet_bytes);
    void send_mark(bool end, Timestamp time);

    ExchangeConfig config_;
    Market market_;
    FaultSchedule faults_;
    std::function<void(Message)> on_message_;
    std::unique_ptr<VenueWire> wire_;
    VenueWire::Place next_;
    std::array<std::uint64_t, 256> by_type_{};
    Burst burst_;
    Timestamp burst_end_ = 0;            // when its last message came, and its packets leave
    std::vector<std::uint8_t> pending_;  // the first message of the next burst
    Timestamp pending_time_ = 0;
    std::vector<std::uint8_t> buffer_;
    SimulatedPacket packet_;
};

}  // namespace millrace::replay
