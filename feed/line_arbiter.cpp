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
    last_hole_ = std::max(last_hole_, end - 1);
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
      lines_(config.lines + (recovers_ ? 1 : 0)), held_(hold_packets(config), hold_bytes(config)) {
    if (!doubts_) return;
    for (Doubt& doubt : doubts_about_sessions_) doubt.packet.reserve(datagram_bytes_max_);
    doubt_about_jump_.packet.reserve(datagram_bytes_max_);
}

void LineArbiter::count_on_line(LineId line, const Frame& frame) {
    if (is_recovery_line(line)) return;
    const SequenceNumber first = frame.first_sequence;
    const SequenceNumber end = first + frame.count;
    Line& l = lines_[line];
    if (!l.seen) begin_to_count(l);
    const SequenceNumber next = l.loss.next();
    if (end >= next) l.behind_at = l.behind_ns = 0;
    if (first > next) {
        l.loss.skip(next, first);
        l.counters[LineCounter::lost] += first - next;
        count_others(line, {next, first - 1}, true);
    } else if (first < std::min(next, end)) {
        l.loss.holes_in({first, std::min(end, next) - 1}, [&](SequenceRange found) {
            count_others(line, found, false);
            l.counters[LineCounter::only] += lost_but_on(line, found);
        });
        l.counters[LineCounter::lost] -= l.loss.fill(first, std::min(end, next));
    }
    l.loss.advance(end);
    if (end == l.loss.next() && frame.stream_offset != Frame::kNoOffset) {
        l.end_offset = frame.stream_offset + frame.blocks.size();
    }
    if (first < end) l.counters[LineCounter::only] += lost_but_on(line, {std::max(first, next), end - 1});
}

void LineArbiter::begin_to_count(Line& line) {
    line.seen = true;
    ++lines_seen_;
    // It may still bring what others alone have brought so far; what it has skipped is counted with its first packet.
    for (Line& each : lines_) each.counters[LineCounter::only] = 0;
}

std::uint64_t LineArbiter::lost_but_on(LineId line, SequenceRange range, LineId from) const {
    if (range.empty()) return 0;
    if (lines_seen_ < 2) return 0;
    while (from < lines_.size() && (from == line || is_recovery_line(from) || !lines_[from].seen)) ++from;
    if (from == lines_.size()) return range.size();
    std::uint64_t messages = 0;
    lines_[from].loss.holes_in(range, [&](SequenceRange lost) {
        messages += lost_but_on(line, lost, static_cast<LineId>(from + 1));
    });
    return messages;
}

std::uint64_t LineArbiter::only_on(LineId line, SequenceRange range) const {
    const SequenceRange seen{range.first, std::min(range.last, lines_[line].loss.next() - 1)};
    return lost_but_on(line, seen) - lost_but_on(kNoLine, seen);
}

void LineArbiter::count_others(LineId line, SequenceRange range, bool lost) {
    for (LineId other = 0; other < lines_.size(); ++other) {
        if (other == line || is_recovery_line(other)) continue;
        const std::uint64_t messages = only_on(other, range);
        std::uint64_t& only = lines_[other].counters[LineCounter::only];
        // A hole that was forgotten looks like messages that came.
        only = lost ? only + messages : only - std::min(only, messages);
    }
}

bool LineArbiter::begins_anew(LineId line) {
    if (is_recovery_line(line)) return false;
    Line& l = lines_[line];
    if (l.behind_at != 0) l.behind_ns += std::min(now_ - l.behind_at, kBehindStep);
    l.behind_at = now_;
    return l.behind_ns >= kBehindFor;
}

LineArbiter::Doubt& LineArbiter::doubt_about(const SessionKey& session) {
    for (Doubt& doubt : doubts_about_sessions_) {
        if (doubt.open && doubt.session == session) return doubt;
    }
    Doubt& doubt = doubts_about_sessions_[next_doubt_++ % kDoubts];
    close(doubt);
    doubt.session = session;
    return doubt;
}

void LineArbiter::open(Doubt& doubt, LineId line, Timestamp received_at, const Frame& frame) {
    if (!doubt.open) doubt.since = now_;
    doubt.open = true;
    doubt.line = line;
    doubt.first = frame.first_sequence;
    doubt.count = frame.count;
    doubt.sent_at = frame.sent_at;
    doubt.offset = frame.stream_offset;
    doubt.news = news_;
    count_stray(line, frame.count);
    // The earliest messages are worth most, and of packets that begin with the same one, those with most. Without room
    // for it, it stays where it is counted.
    const Frame& kept = doubt.packet.frame();
    const bool earlier = frame.first_sequence < kept.first_sequence;
    const bool longer = frame.first_sequence == kept.first_sequence && frame.count > kept.count;
    const bool worth_more = frame.count != 0 && (kept.count == 0 || earlier || longer);
    if (!doubt.packet.kept() || worth_more) static_cast<void>(doubt.packet.keep(line, received_at, frame));
}

// Whoever speaks of another session is contradicted by what shows that the present one goes on. One that was left
// may still be on its way for a while.
bool LineArbiter::borne_out(Doubt& doubt, LineId line, Timestamp received_at, const Frame& frame) {
    const bool left = sessions_ > 1 && frame.session == previous_session_ && frame.session != session_ &&
                      !planted(Bug::straggler_restarts);
    const bool uncontradicted = doubt.open && doubt.news == news_;
    const Nanoseconds wait = left ? kBehindFor : 0;
    if (uncontradicted && is_another(doubt, line, frame) && now_ - doubt.since >= wait) return true;
    doubt.open = uncontradicted;
    // Of the present session it was a damaged one.
    if (!uncontradicted && frame.session == session_) doubt.packet.let_go();
    open(doubt, line, received_at, frame);
    return false;
}

bool LineArbiter::believe_jump(LineId line, Timestamp received_at, const Frame& frame) {
    Doubt& doubt = doubt_about_jump_;
    const SequenceNumber first = frame.first_sequence;
    const bool near = doubt.open && now_ - doubt.since <= kBehindFor &&
                      std::max(first, doubt.first) - std::min(first, doubt.first) <= kFarAhead;
    if (planted(Bug::jump_believed) || (near && is_another(doubt, line, frame))) return true;
    if (!near) close(doubt);
    open(doubt, line, received_at, frame);
    return false;
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
