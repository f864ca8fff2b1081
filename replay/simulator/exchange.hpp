// The market on the wire: numbers the market's messages and packs them into MoldUDP64 packets for each line.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "millrace/replay/simulator/fault_schedule.hpp"
#include "millrace/replay/simulator/market.hpp"

namespace millrace::replay {

struct ExchangeConfig {
    MarketConfig market;
    std::string session = "MILLRACE01";
    std::uint32_t packet_bytes_max = 1'400;
    std::vector<LineFaults> lines{2};  // one entry a line
    bool repacketise = false;          // every second line cuts its packets differently
    bool never_on_all = true;          // see FaultSchedule
};

class Exchange {
  public:
    Exchange(const ExchangeConfig& config, FaultSchedule::Output output);

    // Sends the packets of the next burst of messages, and heartbeats where the market was quiet; false
    // after the end of the session.
    [[nodiscard]] bool step();

    [[nodiscard]] const Market& market() const { return market_; }
    [[nodiscard]] const FaultSchedule& faults() const { return faults_; }
    [[nodiscard]] SequenceNumber next_sequence() const { return next_; }
    [[nodiscard]] Timestamp time() const { return market_.time(); }

  private:
    void send(LineId line, std::uint32_t packet_bytes);
    void send_mark(bool end, Timestamp time);

    ExchangeConfig config_;
    Market market_;
    FaultSchedule faults_;
    SequenceNumber next_ = 1;
    Timestamp sent_at_ = 0;
    std::vector<std::vector<std::uint8_t>> burst_;
    SequenceNumber burst_first_ = 1;
    std::vector<std::uint8_t> pending_;  // the first message of the next burst
    Timestamp pending_time_ = 0;
};

}  // namespace millrace::replay
