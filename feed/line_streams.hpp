// Streams that begin anew under one session, and the place of a stream in bytes.
//
// IEX-TP names a session once a day, and yet its numbers start over under the same name when the sender
// does. The time of sending tells such a restart from a late copy: on one line, a lower sequence number that
// was sent later than anything before it begins a new stream. Framings without that time have sessions
// that tell, and never come here.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "millrace/core/types.hpp"
#include "millrace/feed/framing/frame.hpp"

namespace millrace {

enum class StreamStep : std::uint8_t {
    same,     // of the stream that its line is in
    restart,  // the first packet of a new stream
    join,     // the line's first packet of a stream that another line began
    old,      // sent before the present stream began
};

class LineStreams {
  public:
    // Takes the packet of a line: whether its sequence number lies below what the line has brought, and when
    // it was sent.
    [[nodiscard]] StreamStep step(LineId line, bool goes_back, Timestamp sent_at) {
        Line& l = lines_[line];
        const bool begins = goes_back && sent_at > l.sent_at;
        const bool behind = l.stream != stream_;
        if (!begins && sent_at < began_at_) return StreamStep::old;
        if (!behind && !begins) {
            note_time(l, sent_at);
            return StreamStep::same;
        }
        if (!behind) {
            ++stream_;
            ++restarts_;
            began_at_ = sent_at;
        }
        l = {stream_, sent_at, false};
        return behind ? StreamStep::join : StreamStep::restart;
    }

    // Whether that packet would be a restart.
    [[nodiscard]] bool begins(LineId line, bool goes_back, Timestamp sent_at) const {
        const Line& l = lines_[line];
        return goes_back && sent_at > l.sent_at && l.stream == stream_;
    }

    void enter_session() {
        stream_ = 0;
        began_at_ = 0;
        lines_ = {};
    }

    [[nodiscard]] std::uint64_t restarts() const { return restarts_; }

  private:
    struct Line {
        std::uint64_t stream = 0;
        Timestamp sent_at = 0;  // the latest of this stream
        bool leapt = false;     // the last packet said that it was sent long after that
    };
    // A damaged time far ahead would hide every restart after it, so that one packet alone does not put it there.
    static void note_time(Line& l, Timestamp sent_at) {
        constexpr Nanoseconds kLong = 60'000'000'000;
        const bool leaps = l.sent_at != 0 && sent_at / 2 - l.sent_at / 2 > kLong / 2;
        if (!leaps || l.leapt) l.sent_at = std::max(l.sent_at, sent_at);
        l.leapt = leaps && !l.leapt;
    }

    std::uint64_t stream_ = 0;  // number of the present one in its session
    Timestamp began_at_ = 0;    // when its first packet seen was sent
    std::uint64_t restarts_ = 0;
    std::array<Line, kLinesMax + 1> lines_{};  // one more than a feed has, for what is asked for again
};

// Whether messages `a` and `b` of one stream can lie at these bytes of it; true where the framing does not tell.
[[nodiscard]] inline bool can_lie(SequenceNumber a, std::uint64_t a_offset, SequenceNumber b, std::uint64_t b_offset) {
    if (a_offset == Frame::kNoOffset || b_offset == Frame::kNoOffset) return true;
    if (a > b) {
        std::swap(a, b);
        std::swap(a_offset, b_offset);
    }
    return a_offset <= b_offset && can_take(b - a, b_offset - a_offset);
}

// Where the next message lies in the stream of bytes, where the framing tells.
class StreamOffset {
  public:
    [[nodiscard]] std::uint64_t next() const { return next_; }
    // A packet of `bytes` at `offset`, `is_next` when its first message is the one expected. False when the
    // offset is not.
    [[nodiscard]] bool agrees(bool is_next, std::uint64_t offset, std::size_t bytes) {
        if (offset == Frame::kNoOffset) return true;
        const bool agrees = !is_next || next_ == Frame::kNoOffset || next_ == offset;
        next_ = offset + bytes;
        return agrees;
    }
    void forget() { next_ = Frame::kNoOffset; }

  private:
    std::uint64_t next_ = 0;
};

}  // namespace millrace
