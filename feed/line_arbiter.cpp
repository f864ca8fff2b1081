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

LineArbiter::LineArbiter(const SessionConfig& config)
    : window_packets_(config.reorder_window_packets), window_ns_(config.reorder_window_ns),
      datagram_bytes_max_(config.datagram_bytes_max), lines_(config.lines),
      buffers_(std::size_t{config.reorder_window_packets} * config.datagram_bytes_max) {
    held_.reserve(2 * std::size_t{window_packets_} + 1);  // twice, so that the front is moved up rarely
    free_buffers_.reserve(window_packets_);
    for (std::uint32_t i = window_packets_; i > 0; --i) free_buffers_.push_back(i - 1);
}

void LineArbiter::count_on_line(LineId line, SequenceNumber first, SequenceNumber end) {
    Line& l = lines_[line];
    const SequenceNumber next = l.loss.next();
    if (first > next) {
        l.loss.skip(next, first);
        l.counters[LineCounter::lost] += first - next;
    } else if (first < next) {
        l.counters[LineCounter::lost] -= l.loss.fill(first, std::min(end, next));
    }
    l.loss.advance(end);
}

bool LineArbiter::hold(LineId line, Timestamp received_at, const Frame& frame) {
    const SequenceNumber first = frame.first_sequence;
    const SequenceNumber end = first + frame.count;
    std::size_t at = held_.size();
    while (at > held_begin_ && held_[at - 1].first > first) --at;
    for (std::size_t i = at; i > held_begin_ && held_[i - 1].first == first; --i) {
        if (held_[i - 1].end >= end) {
            drop_duplicates(line, frame.count);
            return true;
        }
    }
    if (free_buffers_.empty() || frame.blocks.size() > datagram_bytes_max_) return false;
    if (held_.size() == held_.capacity()) {
        held_.erase(held_.begin(), held_.begin() + static_cast<std::ptrdiff_t>(held_begin_));
        at -= held_begin_;
        held_begin_ = 0;
    }
    const Held held{first, end, received_at, frame.stream_offset, free_buffers_.back(),
                    static_cast<std::uint32_t>(frame.blocks.size()), line};
    free_buffers_.pop_back();
    std::memcpy(&buffers_[std::size_t{held.buffer} * datagram_bytes_max_], frame.blocks.data(), held.bytes);
    held_.insert(held_.begin() + static_cast<std::ptrdiff_t>(at), held);
    messages_held_ += frame.count;
    return true;
}

void LineArbiter::note_gap(LineId noticed_by, SequenceNumber until) {
    if (gap_ != nullptr) return;
    gap_ = &gaps_.open({{next_, until - 1}, GapEnd::open, noticed_by, 0, now_, 0});
}

void LineArbiter::end_gap(GapEnd end, LineId filled_by) {
    gap_->ended = end;
    gap_->filled_by = filled_by;
    gap_->ended_at = now_;
    gaps_.count_end(end);
    gap_ = nullptr;
}

void LineArbiter::forgive_late_join(SequenceRange missing) {
    for (Line& line : lines_) {
        line.counters[LineCounter::lost] -= line.loss.fill(missing.first, missing.last + 1);
    }
}

}  // namespace millrace
