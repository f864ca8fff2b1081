// The market on the wire: numbers the market's messages and packs them into MoldUDP64 packets for
// each line. A function of its config: no clock, no socket.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "millrace/replay/simulator/fault_schedule.hpp"
#include "millrace/replay/simulator/market.hpp"

namespace millrace::replay {

struct ExchangeConfig {
    MarketConfig market;
    std::string session = "MILLRACE01";      // at most 10 characters
    std::uint32_t packet_bytes_max = 1'400;  // at least 100
    std::vector<LineFaults> lines{2};        // one entry a line
    bool repacketise = false;                // every second line cuts its packets differently
    bool never_on_all = true;                // see FaultSchedule
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

    [[nodiscard]] const Market& market() const { return market_; }
    [[nodiscard]] const FaultSchedule& faults() const { return faults_; }
    [[nodiscard]] SequenceNumber next_sequence() const { return next_; }
    [[nodiscard]] Timestamp time() const { return burst_end_; }

  private:
    // Messages in one piece, each from its offset to the next one's.
    struct Burst {
        std::vector<std::uint8_t> bytes;
        std::vector<std::size_t> ends;

        void clear();
        void append(Message message);
    };

    [[nodiscard]] Message next_message();
    [[nodiscard]] bool collect_burst();
    void send(LineId line, std::size_t packet_bytes);
    void send_mark(bool end, Timestamp time);

    ExchangeConfig config_;
    Market market_;
    FaultSchedule faults_;
    std::function<void(Message)> on_message_;
    SequenceNumber next_ = 1;
    Burst burst_;
    Timestamp burst_end_ = 0;            // when its last message came, and its packets leave
    std::vector<std::uint8_t> pending_;  // the first message of the next burst
    Timestamp pending_time_ = 0;
    std::vector<std::uint8_t> buffer_;
    SimulatedPacket packet_;
};

}  // namespace millrace::replay
