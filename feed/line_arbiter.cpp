#include "millrace/feed/line_arbiter.hpp"

namespace millrace {

std::uint64_t LineLoss::fill(SequenceNumber first, SequenceNumber end) {
    std::uint64_t filled = 0;
    SequenceRange rest;  // of the one hole that may reach beyond the filled range on both sides
    std::size_t kept = 0;
    for (std::size_t i = 0; i < count_; ++i) {
        SequenceRange hole = holes_[i];
        const SequenceNumber from = std::max(hole.first, first);
        const SequenceNumber until = std::min(hole.last + 1, end);
        if (from < until) {
            filled += until - from;
            const SequenceRange before{hole.first, from - 1};
            const SequenceRange after{until, hole.last};
            if (!before.empty() && !after.empty()) rest = after;
            hole = before.empty() ? after : before;
        }
        if (!hole.empty()) holes_[kept++] = hole;
    }
    count_ = kept;
    if (!rest.empty()) skip(rest.first, rest.last + 1);
    return filled;
}

void LineLoss::skip(SequenceNumber first, SequenceNumber end) {
    if (count_ == kHolesMax) {
        std::move(holes_.begin() + 1, holes_.end(), holes_.begin());
        --count_;
    }
    holes_[count_++] = {first, end - 1};
}

namespace {

// Room for what arrives while a gap is open: the reorder window's packets at their longest or, where
// messages are asked for again, as many bytes as that may take.
std::size_t hold_bytes(const SessionConfig& config) {
    const std::size_t window = std::size_t{config.reorder_window_packets} * (config.datagram_bytes_max + 16);
    return config.recovery.enabled() ? std::max(window, config.recovery.hold_bytes) : window;
}
std::size_t hold_packets(const SessionConfig& config) {
    constexpr std::size_t kBytesEach = 128;  // a packet of a few messages
    const std::size_t window = config.reorder_window_packets;
    return config.recovery.enabled() ? std::max(window, config.recovery.hold_bytes / kBytesEach) : window;
}

}  // namespace

LineArbiter::LineArbiter(const SessionConfig& config)
    : window_packets_(config.reorder_window_packets), window_ns_(config.reorder_window_ns),
      datagram_bytes_max_(config.datagram_bytes_max), recovers_(config.recovery.enabled()),
      doubts_(config.quality.doubt_outliers),
      lines_(config.lines + (recovers_ ? 1 : 0)), held_(hold_packets(config), hold_bytes(config)) {}

void LineArbiter::count_on_line(LineId line, SequenceNumber first, SequenceNumber end) {
    if (is_recovery_line(line)) return;
    Line& l = lines_[line];
    const SequenceNumber next = l.loss.next();
    if (end >= next) l.behind_at = l.behind_ns = 0;
    if (first > next) {
        l.loss.skip(next, first);
        l.counters[LineCounter::lost] += first - next;
    } else if (first < next) {
        l.counters[LineCounter::lost] -= l.loss.fill(first, std::min(end, next));
    }
    l.loss.advance(end);
}

bool LineArbiter::begins_anew(LineId line) {
    if (is_recovery_line(line)) return false;
    Line& l = lines_[line];
    if (l.behind_at != 0) l.behind_ns += std::min(now_ - l.behind_at, kBehindStep);
    l.behind_at = now_;
    return l.behind_ns >= kBehindFor;
}

// One packet may be damaged: unless the old session has ended, or the packet is the first of its own, another
// one has to say the same.
bool LineArbiter::believe_session(LineId line, const Frame& frame) {
    if (!doubts_ || !in_session_ || ended_ || frame.first_sequence <= 1) return true;
    const bool again = candidate_first_ != 0 && frame.session == candidate_ &&
                       (line != candidate_line_ || frame.first_sequence != candidate_first_);
    candidate_ = frame.session;
    candidate_line_ = line;
    candidate_first_ = again ? 0 : frame.first_sequence;
    return again;
}

bool LineArbiter::believe_jump(LineId line, SequenceNumber first) {
    const bool near = jump_first_ != 0 && std::max(first, jump_first_) - std::min(first, jump_first_) <= kFarAhead;
    const bool again = planted(Bug::jump_believed) || (near && (line != jump_line_ || first != jump_first_));
    jump_line_ = line;
    jump_first_ = again ? 0 : first;
    return again;
}

bool LineArbiter::hold(LineId line, Timestamp received_at, const Frame& frame) {
    const SequenceNumber first = frame.first_sequence;
    const SequenceNumber end = first + frame.count;
    if (held_.same(first, end) != nullptr) {
        drop_duplicates(line, frame.count);
        return true;
    }
    if (frame.blocks.size() > datagram_bytes_max_) return false;
    if (held_.size() >= window_packets_) {
        if (!recovers_) return false;
        declare_overdue();
    }
    if (!held_.insert({first, end, received_at, frame.stream_offset, 0, 0, line}, frame.blocks)) return false;
    messages_held_ += frame.count;
    return true;
}

void LineArbiter::note_gap(LineId noticed_by, SequenceNumber until, Timestamp since) {
    if (gap_ != nullptr) return;
    gap_ = &gaps_.open({{next_, until - 1}, GapEnd::open, noticed_by, 0, since, 0});
}

void LineArbiter::end_gap(GapEnd end, LineId filled_by) {
    gap_->ended = end;
    gap_->filled_by = filled_by;
    gap_->ended_at = now_;
    gaps_.count_end(end);
    gap_ = nullptr;
    overdue_ = false;
}

void LineArbiter::forgive_late_join(SequenceRange missing) {
    for (Line& line : lines_) {
        line.counters[LineCounter::lost] -= line.loss.fill(missing.first, missing.last + 1);
    }
}

}  // namespace millrace
