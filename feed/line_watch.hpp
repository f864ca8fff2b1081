// Notices silence: of one line, while others go on, and of all of them. By a clock that does not go back, at
// the moments when somebody looks.
#pragma once

#include <array>
#include <cstdint>

#include "millrace/core/types.hpp"

namespace millrace {

class LineWatch {
  public:
    // `quiet_ns` 0: never silent.
    LineWatch(std::size_t lines, Nanoseconds quiet_ns) : count_(lines), quiet_ns_(quiet_ns) {}

    // `packets(line)` says how many packets the line has brought so far.
    template <class Packets>
    void look(Timestamp now, Packets&& packets) {
        if (quiet_ns_ == 0) return;
        bool any_heard = false;
        bool all_silent = true;
        for (std::size_t i = 0; i < count_; ++i) {
            Line& line = lines_[i];
            const std::uint64_t so_far = packets(static_cast<LineId>(i));
            if (so_far != line.packets || !line.watched) {
                line.watched = true;
                line.packets = so_far;
                line.heard_at = now;
                line.silent = false;
            } else if (!line.silent && now - line.heard_at >= quiet_ns_) {
                line.silent = true;
                line.silences += line.packets != 0 ? 1 : 0;
            }
            any_heard = any_heard || line.packets != 0;
            all_silent = all_silent && line.silent;
        }
        all_silent_ = any_heard && all_silent;
    }
    [[nodiscard]] bool silent(LineId line) const { return lines_[line].silent; }
    // How often a line that had been heard fell silent.
    [[nodiscard]] std::uint64_t silences(LineId line) const { return lines_[line].silences; }
    // A feed that was heard is heard no more, on any line.
    [[nodiscard]] bool all_silent() const { return all_silent_; }
    void heard() { all_silent_ = false; }

  private:
    struct Line {
        std::uint64_t packets = 0;
        std::uint64_t silences = 0;
        Timestamp heard_at = 0;
        bool watched = false;
        bool silent = false;
    };

    std::size_t count_;
    Nanoseconds quiet_ns_;
    bool all_silent_ = false;
    std::array<Line, kLinesMax> lines_{};
};

}  // namespace millrace
