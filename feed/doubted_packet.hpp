// A packet that says what one packet alone is not believed, kept until another one bears it out. Memory is taken
// at the start.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "millrace/core/types.hpp"
#include "millrace/feed/framing/frame.hpp"

namespace millrace {

class DoubtedPacket {
  public:
    // Throws std::bad_alloc.
    void reserve(std::size_t bytes_max) { bytes_.resize(bytes_max); }

    // Copies the packet in. False when it is longer than what was reserved.
    [[nodiscard]] bool keep(LineId line, Timestamp received_at, const Frame& frame) {
        if (frame.blocks.size() > bytes_.size()) return false;
        if (!frame.blocks.empty()) std::memcpy(bytes_.data(), frame.blocks.data(), frame.blocks.size());
        line_ = line;
        received_at_ = received_at;
        frame_ = frame;
        frame_.blocks = std::span(bytes_).first(frame.blocks.size());
        kept_ = true;
        return true;
    }
    [[nodiscard]] bool kept() const { return kept_; }
    // What it was stays readable until the next one is kept.
    void let_go() { kept_ = false; }

    [[nodiscard]] LineId line() const { return line_; }
    [[nodiscard]] Timestamp received_at() const { return received_at_; }
    [[nodiscard]] const Frame& frame() const { return frame_; }

  private:
    std::vector<std::uint8_t> bytes_;
    Frame frame_;
    Timestamp received_at_ = 0;
    LineId line_ = 0;
    bool kept_ = false;
};

}  // namespace millrace
