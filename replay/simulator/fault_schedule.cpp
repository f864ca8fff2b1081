#include "millrace/replay/simulator/fault_schedule.hpp"

#include <algorithm>
#include <utility>

#include "millrace/core/error.hpp"

namespace millrace::replay {

namespace {
constexpr std::size_t kLostRemembered = 256;  // far more than lines are apart
}

FaultSchedule::FaultSchedule(std::uint64_t seed, std::vector<LineFaults> lines, bool never_on_all,
                             Output output)
    : never_on_all_(never_on_all), output_(std::move(output)) {
    for (std::size_t i = 0; i < lines.size(); ++i) {
        for (const double share :
             {lines[i].loss, lines[i].duplicate, lines[i].reorder, lines[i].burst}) {
            if (share >= 0 && share <= 1) continue;
            throw Error(ExitCode::usage,
                        "simulated line: not a probability; give faults from 0 to 1");
        }
        lines_.push_back({lines[i], {}, Random(Random::mix(seed + i)), false, {}, {}});
    }
}

// True when any part of the packet was lost on another line, or there is no other, so that losing
// it here could lose it for good.
bool FaultSchedule::others_lost(const Line& line, const SimulatedPacket& packet) const {
    if (lines_.size() == 1) return true;
    const SequenceNumber last = packet.first + packet.count - 1;
    for (const Line& other : lines_) {
        if (&other == &line) continue;
        for (const SequenceRange& range : other.lost) {
            if (range.first <= last && packet.first <= range.last) return true;
        }
    }
    return false;
}

bool FaultSchedule::loses(Line& line, const SimulatedPacket& packet) {
    const bool wanted = line.random.chance(line.in_burst ? line.faults.burst : line.faults.loss);
    line.in_burst = wanted && line.faults.burst > 0;
    if (!wanted || (never_on_all_ && others_lost(line, packet))) return false;
    ++line.counts.lost;
    line.counts.lost_messages += packet.count;
    line.lost.push_back({packet.first, packet.first + packet.count - 1});
    if (line.lost.size() > kLostRemembered) line.lost.pop_front();
    return true;
}

void FaultSchedule::offer(const SimulatedPacket& packet) {
    Line& line = lines_[packet.line];
    ++line.counts.packets;
    if (packet.spared) {
        release(line, true);
        output_(packet);
        return;
    }
    if (!loses(line, packet)) {
        const bool again = line.random.chance(line.faults.duplicate);
        if (line.random.chance(line.faults.reorder)) {
            ++line.counts.reordered;
            const std::uint64_t most = std::max(line.faults.reorder_packets, 1U);
            const std::uint64_t behind = 1 + line.random.below(most);
            line.late.push_back({line.counts.packets + behind, packet});
        } else {
            output_(packet);
        }
        if (again) {
            ++line.counts.duplicated;
            output_(packet);
        }
    }
    release(line, false);
}

void FaultSchedule::release(Line& line, bool all) {
    std::size_t kept = 0;
    for (Late& late : line.late) {
        if (all || late.due <= line.counts.packets) output_(late.packet);
        else std::swap(line.late[kept++], late);
    }
    line.late.resize(kept);
}

void FaultSchedule::flush() {
    for (Line& line : lines_) release(line, true);
}

}  // namespace millrace::replay
