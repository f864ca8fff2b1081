// What happens to the packets of redundant lines on their way: loss, duplication, reordering, by
// seed. A function of packets and a seed: no clock, no socket.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <vector>

#include "millrace/core/random.hpp"
#include "millrace/core/types.hpp"

namespace millrace::replay {

// Probabilities are per packet.
struct LineFaults {
    double loss = 0;
    double duplicate = 0;
    double reorder = 0;  // a packet falls behind up to `reorder_packets` later ones of its line
    std::uint32_t reorder_packets = 4;
    double burst = 0;  // a loss goes on to the next packet with this probability
};

struct LineFaultCounts {
    std::uint64_t packets = 0;  // offered
    std::uint64_t lost = 0;
    std::uint64_t lost_messages = 0;
    std::uint64_t duplicated = 0;
    std::uint64_t reordered = 0;
};

struct SimulatedPacket {
    LineId line = 0;
    Timestamp time = 0;
    SequenceNumber first = 0;
    std::uint32_t count = 0;
    bool spared = false;  // heartbeats and ends of session, which no fault touches
    std::vector<std::uint8_t> bytes;
};

class FaultSchedule {
  public:
    using Output = std::function<void(const SimulatedPacket&)>;

    // `never_on_all`: a message that one line lost is not lost on another one, and a single line
    // loses nothing. Throws Error(usage) when a fault is no probability.
    FaultSchedule(std::uint64_t seed, std::vector<LineFaults> lines, bool never_on_all,
                  Output output);

    void offer(const SimulatedPacket& packet);
    // Sends what reordering still holds back.
    void flush();
    [[nodiscard]] const LineFaultCounts& counts(LineId line) const { return lines_[line].counts; }

  private:
    struct Late {
        std::uint64_t due = 0;  // after so many packets of the line
        SimulatedPacket packet;
    };
    struct Line {
        LineFaults faults;
        LineFaultCounts counts;
        Random random;
        bool in_burst = false;
        std::vector<Late> late;
        std::deque<SequenceRange> lost;  // recent ones
    };

    [[nodiscard]] bool loses(Line& line, const SimulatedPacket& packet);
    [[nodiscard]] bool others_lost(const Line& line, const SimulatedPacket& packet) const;
    void release(Line& line, bool all);

    std::vector<Line> lines_;
    bool never_on_all_;
    Output output_;
};

}  // namespace millrace::replay
