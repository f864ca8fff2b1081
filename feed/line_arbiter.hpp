// Makes one gapless stream of messages out of several lines that carry the same numbered messages.
//
// The first copy of a message wins, whichever line brings it and however the lines cut their packets.
// A packet that comes too early is copied into a window until the missing messages arrive by any line.
// When the window's time or room runs out, the missing range is given up and named to the sink; or, where
// messages can be asked for again, it is `overdue` and waited for until whoever asks gives it up. Lines
// number messages from 1 (MoldUDP64 1.00, "Downstream Packet"; IEX-TP "First Message Sequence Number").
//
// A packet may be damaged, or strayed from elsewhere. One that alone speaks of another session, or of numbers far
// ahead, or of numbers that do not agree with its byte offset, is kept until another one says the same, and a session
// is not left while it goes on.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "millrace/core/planted.hpp"
#include "millrace/core/types.hpp"
#include "millrace/feed/counters.hpp"
#include "millrace/feed/doubted_packet.hpp"
#include "millrace/feed/framing/frame.hpp"
#include "millrace/feed/held_packets.hpp"
#include "millrace/feed/line_streams.hpp"
#include "millrace/feed/session_config.hpp"

namespace millrace {

// What the arbiter hands on: `count` messages numbered from `first`, length-prefixed in `blocks`.
struct MessageRun {
    SequenceNumber first = 1;
    std::uint32_t count = 0;
    std::uint32_t skip = 0;  // leading messages of `blocks` that were delivered before; `first` is after them
    std::span<const std::uint8_t> blocks;
    Timestamp received_at = 0;
};

template <class S>
concept ArbiterSink = requires(S& sink, const MessageRun& run, SequenceRange missing) {
    sink.on_run(run);
    sink.on_given_up(missing);
    sink.on_new_session();   // or a stream that began anew under the same session
    sink.on_contradiction();  // sequence numbers go on where byte offsets do not
};
// A sink that has messages of its own waiting settles them before a gap behind them is given up.
template <class S>
concept SettlingSink = requires(S& sink) { sink.on_giving_up(); };
// A sink may also want every copy of messages that is not handed on, or not yet, to compare it.
template <class S>
concept CopySink = requires(S& sink, LineId line, SequenceNumber first, std::uint32_t count,
                            std::span<const std::uint8_t> blocks) { sink.on_copy(line, first, count, blocks); };

// By how much a line was ahead of the next one, sampled: one message at a time is watched for its second copy.
struct LineLead {
    std::uint64_t samples = 0;
    Nanoseconds sum_ns = 0;
    Nanoseconds max_ns = 0;
};

// Sequence numbers one line skipped, so that a late packet is told from a second copy.
class LineLoss {
  public:
    // Returns how many of the messages [first, end) fill holes of this line.
    std::uint64_t fill(SequenceNumber first, SequenceNumber end);
    void skip(SequenceNumber first, SequenceNumber end);
    // Calls `each(SequenceRange)` with the holes, as far as they lie in the range.
    template <class Each>
    void holes_in(SequenceRange range, Each&& each) const {
        if (range.first > last_hole_) return;
        for (std::size_t i = 0; i < count_; ++i) {
            const SequenceRange part{std::max(holes_[i].first, range.first), std::min(holes_[i].last, range.last)};
            if (!part.empty()) each(part);
        }
    }
    [[nodiscard]] SequenceNumber next() const { return next_; }
    void advance(SequenceNumber next) { next_ = std::max(next_, next); }
    void reset() { *this = {}; }

  private:
    static constexpr std::size_t kHolesMax = 64;  // when more are open the oldest counts as lost for good

    SequenceNumber next_ = 1;
    SequenceNumber last_hole_ = 0;  // no hole lies behind it
    std::size_t count_ = 0;
    std::array<SequenceRange, kHolesMax> holes_{};
};

class LineArbiter {
  public:
    explicit LineArbiter(const SessionConfig& config);

    // One well-formed frame of one line. Calls the sink with what became deliverable, in order.
    template <ArbiterSink Sink>
    void on_frame(LineId line, Timestamp received_at, const Frame& frame, Sink& sink);

    // Time has come this far: no packet received before `now` is still to come.
    template <ArbiterSink Sink>
    void on_time(Timestamp now, Sink& sink);

    // Nothing more will come: gives up what is missing and delivers what is held. Of a packet that is all there is of a
    // stream nothing is left to doubt: it came late.
    template <ArbiterSink Sink>
    void finish(Sink& sink) {
        if (known_end() == 1 && doubt_about_jump_.open) {
            use_kept(doubt_about_jump_, [&](LineId of, Timestamp at, const Frame& kept) { take(of, at, kept, sink); });
        }
        give_up_all(GapEnd::open, sink);
    }

    // ---- where missing messages can be asked for (SessionConfig::recovery) ----

    // A gap is open and its window is over. What arrives is held until the gap is filled or given up.
    [[nodiscard]] bool overdue() const { return overdue_; }
    // The window is over by another clock than that of the packets.
    void declare_overdue() { overdue_ = gap_ != nullptr; }
    // What has to come before anything else can be delivered; empty without a gap.
    [[nodiscard]] SequenceRange missing() const { return {next_, std::min(known_end_, first_held()) - 1}; }
    // Gives up `missing()`, and delivers what was held up by it. Needs an open gap.
    template <ArbiterSink Sink>
    void give_up_missing(Sink& sink) {
        give_up(missing().last + 1, GapEnd::given_up, sink);
    }
    // The line that brings what was asked for again, behind the feed's own lines.
    [[nodiscard]] bool is_recovery_line(LineId line) const { return recovers_ && line + 1U == lines_.size(); }
    // Messages that were handed on, and that the sink had to drop.
    void note_given_up(SequenceRange range) {
        gaps_.open({range, GapEnd::given_up, 0, 0, now_, now_});
        gaps_.count_end(GapEnd::given_up);
    }
    // The gaps from number `first` of the log on that were given up are made good by a snapshot.
    void heal_gaps(std::uint64_t first) { gaps_.heal(first, now_); }

    [[nodiscard]] SequenceNumber next_expected() const { return next_; }
    // Messages before this one are known to exist.
    [[nodiscard]] SequenceNumber known_end() const { return std::max(known_end_, next_); }
    [[nodiscard]] const SessionKey& session() const { return session_; }
    [[nodiscard]] bool in_session() const { return in_session_; }
    [[nodiscard]] bool gap_open() const { return gap_ != nullptr; }
    // Sessions entered, and how often the stream began anew under one of them.
    [[nodiscard]] std::uint64_t sessions() const { return sessions_; }
    [[nodiscard]] std::uint64_t restarts() const { return streams_.restarts() + restarts_; }
    // An end of session was announced, and no message has come that it says would not.
    [[nodiscard]] bool ended() const {
        return ended_at_ != 0 && (known_end() <= ended_at_ || planted(Bug::end_for_good));
    }
    // Packets of the feed's lines that showed the present session to be what they carry: no copies of others.
    [[nodiscard]] std::uint64_t signs() const { return signs_; }
    [[nodiscard]] std::uint64_t messages_held() const { return messages_held_; }
    [[nodiscard]] std::uint64_t messages_duplicate() const { return messages_duplicate_; }
    // Of packets that nothing has borne out so far.
    [[nodiscard]] std::uint64_t messages_stray() const { return messages_stray_; }
    [[nodiscard]] std::uint64_t messages_lost() const { return messages_lost_; }
    [[nodiscard]] std::size_t line_count() const { return lines_.size(); }
    [[nodiscard]] const LineCounters& line(LineId line) const { return lines_[line].counters; }
    [[nodiscard]] LineCounters& line(LineId line) { return lines_[line].counters; }
    [[nodiscard]] const LineLead& lead(LineId line) const { return lines_[line].lead; }
    [[nodiscard]] const GapLog& gaps() const { return gaps_; }

  private:
    struct Line {
        LineCounters counters;
        LineLoss loss;
        LineLead lead;
        Timestamp behind_at = 0;   // when it last brought what lies behind its own end, and nothing since; 0: it has
        Nanoseconds behind_ns = 0;  // for how long it has done so
        bool seen = false;          // it has brought something, ever
        std::uint64_t end_offset = Frame::kNoOffset;  // of message loss.next(), where that is known

        void begin_stream() {
            loss.reset();
            end_offset = Frame::kNoOffset;
        }
    };

    // What one packet said alone.
    struct Doubt {
        DoubtedPacket packet;  // one that said so
        bool open = false;
        SessionKey session{};
        LineId line = 0;           // of the packet that said so last, ...
        SequenceNumber first = 0;  // ... and what it began with, ...
        std::uint32_t count = 0;   // ... and how many messages it had, ...
        Timestamp sent_at = 0;     // ... and when it was sent, where packets say so, ...
        std::uint64_t offset = 0;  // ... and at which byte
        std::uint64_t news = 0;    // news_ at that time
        Timestamp since = 0;       // for so long without a contradiction
    };

    // Whether this is the packet that is due, on a line that has brought all before it, while nothing is missing,
    // held or doubted: as nearly all packets are, where only sequence numbers say so.
    [[nodiscard]] bool is_due(LineId line, const Frame& frame) const {
        return (frame.first_sequence == next_) & (known_end_ <= next_) & (lines_[line].loss.next() == next_) &&
               frame.count != 0 && held_.empty() && frame.sent_at == 0 && frame.stream_offset == Frame::kNoOffset &&
               in_session_ && frame.session == session_ && !is_recovery_line(line);
    }
    // What take() comes to for such a packet.
    template <ArbiterSink Sink>
    [[gnu::always_inline]] void take_due(LineId line, Timestamp received_at, const Frame& frame, Sink& sink);
    // A packet of the present session and stream.
    template <ArbiterSink Sink>
    void admit(LineId line, Timestamp received_at, const Frame& frame, Sink& sink);
    // The same; its numbers are believed.
    template <ArbiterSink Sink>
    void take(LineId line, Timestamp received_at, const Frame& frame, Sink& sink);
    template <ArbiterSink Sink>
    void enter_session(const Frame& frame, Sink& sink);
    // False for what is left over from a stream that has ended.
    template <ArbiterSink Sink>
    [[nodiscard]] bool follow_stream(LineId line, const Frame& frame, Sink& sink);
    template <ArbiterSink Sink>
    void end_stream(Sink& sink);
    void count_on_line(LineId line, const Frame& frame);
    // The first packet of a line, of which nothing was known: a session may have room for more lines than there are.
    void begin_to_count(Line& line);
    // Of these messages, how many all lines that were seen have lost but this one (or all, where it is kNoLine), from
    // line `from` on; none as long as there is one line.
    [[nodiscard]] std::uint64_t lost_but_on(LineId line, SequenceRange range, LineId from = 0) const;
    // Of these messages, how many this line has brought, and every other one has lost.
    [[nodiscard]] std::uint64_t only_on(LineId line, SequenceRange range) const;
    // Says of messages that `line` has just lost that others alone have brought them, or takes it back.
    void count_others(LineId line, SequenceRange range, bool lost);
    template <ArbiterSink Sink>
    void deliver(LineId line, Timestamp received_at, SequenceNumber first, SequenceNumber end,
                 std::span<const std::uint8_t> blocks, std::uint64_t stream_offset, Sink& sink);
    // Messages from next_ on.
    template <ArbiterSink Sink>
    void hand_on(LineId line, const MessageRun& run, Sink& sink);
    template <ArbiterSink Sink>
    static void show_copy(LineId line, SequenceNumber first, std::uint64_t count,
                          std::span<const std::uint8_t> blocks, Sink& sink) {
        if constexpr (CopySink<Sink>) sink.on_copy(line, first, static_cast<std::uint32_t>(count), blocks);
    }
    template <ArbiterSink Sink>
    void check_offset(SequenceNumber first, std::uint64_t stream_offset, std::size_t bytes, Sink& sink) {
        if (!offset_.agrees(first == next_, stream_offset, bytes)) sink.on_contradiction();
    }
    template <ArbiterSink Sink>
    void drain(Sink& sink);
    template <ArbiterSink Sink>
    void give_up(SequenceNumber until, GapEnd why, Sink& sink);
    template <ArbiterSink Sink>
    void give_up_all(GapEnd why, Sink& sink);
    // Messages from `arrived` on are at hand: they are not given up.
    template <ArbiterSink Sink>
    void expire(Sink& sink, SequenceNumber arrived = std::numeric_limits<SequenceNumber>::max());
    // False when there is no room. A packet that is held already counts as duplicate.
    [[nodiscard]] bool hold(LineId line, Timestamp received_at, const Frame& frame);
    // The watched message's second copy has come, or it is time to watch another one.
    void note_lead(LineId line, Timestamp received_at, SequenceNumber first, SequenceNumber end) {
        if (watched_ < first || watched_ >= end || line == watched_line_ || watched_ == 0) return;
        LineLead& lead = lines_[watched_line_].lead;
        const Nanoseconds ahead = received_at - watched_at_;
        ++lead.samples;
        lead.sum_ns += ahead;
        lead.max_ns = std::max(lead.max_ns, ahead);
        watched_ = 0;
    }
    // Of the session before this one, and of what is known of that.
    [[nodiscard]] bool is_straggler(const Frame& frame) const {
        return in_session_ && frame.session == previous_session_ &&
               frame.first_sequence + frame.count <= previous_end_ && !planted(Bug::straggler_restarts);
    }
    // Whether this is a line's first packet of a stream that no other line has brought yet.
    [[nodiscard]] bool begins_stream(LineId line, const Frame& frame) const {
        return frame.sent_at != 0 && !is_recovery_line(line) &&
               streams_.begins(line, frame.first_sequence < lines_[line].loss.next(), frame.sent_at);
    }
    // A framing that does not say when packets were sent tells a stream that began anew under its session
    // only by a line that goes on bringing what lies behind its own end.
    [[nodiscard]] bool begins_anew(LineId line);
    // Whether this is another packet than the one before, no copy of it that came on the same line, and can be of the
    // same stream.
    [[nodiscard]] static bool is_another(const Doubt& doubt, LineId line, const Frame& frame) {
        return (line != doubt.line || frame.first_sequence != doubt.first || frame.count != doubt.count ||
                frame.sent_at != doubt.sent_at) &&
               can_lie(doubt.first, doubt.offset, frame.first_sequence, frame.stream_offset);
    }
    // Whether number and byte offset do not both fit to what the line brought last, or else to what was delivered last:
    // a damaged number would open a gap that is none, and what follows it would look like a stream that began anew.
    // Of one that by its number is the next there it is the offset that contradicts, and that is said when it is
    // delivered.
    [[nodiscard]] bool is_misplaced(LineId line, const Frame& frame) const {
        const Line& l = lines_[line];
        const bool known = l.end_offset != Frame::kNoOffset;
        const SequenceNumber next = known ? l.loss.next() : next_;
        const std::uint64_t offset = known ? l.end_offset : offset_.next();
        return frame.first_sequence != next && !can_lie(next, offset, frame.first_sequence, frame.stream_offset);
    }
    // From now on this packet is the one to be borne out; of several the one with the earliest messages is kept, and of
    // those the longest.
    void open(Doubt& doubt, LineId line, Timestamp received_at, const Frame& frame);
    // Whether another packet said the same as this one; else this one is the one to be borne out.
    [[nodiscard]] bool borne_out(Doubt& doubt, LineId line, Timestamp received_at, const Frame& frame);
    // The doubt about this packet's session, or about its stream under the present one.
    [[nodiscard]] Doubt& doubt_about(const SessionKey& session);
    // Whether the stream really is that far ahead: another packet has to say so.
    [[nodiscard]] bool believe_jump(LineId line, Timestamp received_at, const Frame& frame);
    [[nodiscard]] bool is_far_ahead(const Frame& frame) const {
        return frame.first_sequence > known_end() && frame.first_sequence - known_end() > kFarAhead;
    }
    // The packet kept for that doubt is a packet like any other after all: calls `use` with it.
    template <class Use>
    void use_kept(Doubt& doubt, Use&& use) {
        doubt.open = false;
        if (!doubt.packet.kept()) return;
        doubt.packet.let_go();
        messages_stray_ -= doubt.packet.frame().count;
        lines_[doubt.packet.line()].counters[LineCounter::stray] -= doubt.packet.frame().count;
        use(doubt.packet.line(), doubt.packet.received_at(), doubt.packet.frame());
    }
    void close(Doubt& doubt) {
        doubt.open = false;
        doubt.packet.let_go();
    }
    void count_stray(LineId line, std::uint64_t messages) {
        messages_stray_ += messages;
        lines_[line].counters[LineCounter::stray] += messages;
    }
    void drop_duplicates(LineId line, std::uint64_t messages) {
        messages_duplicate_ += planted(Bug::drop_counted_twice) ? 2 * messages : messages;
        lines_[line].counters[LineCounter::duplicate] += messages;
    }
    // Messages before `until` are missing, from next_ on. Does nothing while a gap is open.
    void note_gap(LineId noticed_by, SequenceNumber until, Timestamp since);
    void end_gap(GapEnd end, LineId filled_by);
    // Who joins a session late has not lost its beginning: takes the range out of the lines' losses.
    void forgive_late_join(SequenceRange missing);
    [[nodiscard]] SequenceNumber first_held() const {
        return held_.empty() ? std::numeric_limits<SequenceNumber>::max() : held_.front().first;
    }

    static constexpr LineId kNoLine = kLinesMax + 1;
    // A packet so far ahead of all others is not believed alone.
    static constexpr std::uint64_t kFarAhead = 1 << 12;
    // Sessions that are spoken of at once, beside the present one.
    static constexpr std::size_t kDoubts = 4;
    // After so many messages a second copy is not waited for any longer.
    static constexpr std::uint64_t kWatchedFor = 1'024;
    // A line that has brought nothing new for so long is in another stream. Between two packets no more than a
    // step counts: late packets may come just when the host's clock is set.
    static constexpr Nanoseconds kBehindFor = 1'000'000'000;
    static constexpr Nanoseconds kBehindStep = kBehindFor / 4;

    std::uint32_t window_packets_;
    Nanoseconds window_ns_;
    std::uint32_t datagram_bytes_max_;
    bool recovers_;
    bool doubts_;  // QualityConfig::doubt_outliers

    SessionKey session_{};
    SessionKey previous_session_{};
    bool in_session_ = false;
    SequenceNumber ended_at_ = 0;   // the message that an end of session said will not come; 0: none did
    SequenceNumber next_ = 1;       // the next message to deliver
    SequenceNumber known_end_ = 1;  // messages up to here (exclusive) are known to exist
    Timestamp now_ = 0;             // latest receive time seen; never goes back
    Gap* gap_ = nullptr;            // the open gap in `gaps_`, if any
    bool overdue_ = false;          // that gap's window is over

    SequenceNumber previous_end_ = 0;  // known_end() when the previous session was left
    std::uint64_t news_ = 0;           // packets that showed the present session to go on
    std::uint64_t signs_ = 0;          // the same of the feed's own lines, and heartbeats
    std::array<Doubt, kDoubts> doubts_about_sessions_;
    std::size_t next_doubt_ = 0;       // to be taken for another session
    Doubt doubt_about_jump_;
    std::size_t lines_seen_ = 0;
    std::uint64_t sessions_ = 0;
    std::uint64_t restarts_ = 0;

    SequenceNumber watched_ = 0;  // 0: none
    LineId watched_line_ = 0;
    Timestamp watched_at_ = 0;

    LineStreams streams_;
    StreamOffset offset_;  // of message next_

    std::vector<Line> lines_;  // the feed's own and, where messages can be asked for, the recovery line
    HeldPackets held_;
    std::uint64_t messages_held_ = 0;
    std::uint64_t messages_duplicate_ = 0;
    std::uint64_t messages_stray_ = 0;
    std::uint64_t messages_lost_ = 0;
    GapLog gaps_;
};

template <ArbiterSink Sink>
void LineArbiter::on_frame(LineId line, Timestamp received_at, const Frame& frame, Sink& sink) {
    now_ = std::max(now_, received_at);
    if (is_due(line, frame)) [[likely]] return take_due(line, received_at, frame, sink);
    const auto admit_kept = [&](LineId of, Timestamp at, const Frame& kept) { admit(of, at, kept, sink); };
    if (!in_session_ || frame.session != session_) {
        // What was asked for again may come when nobody wants it any more.
        if (is_straggler(frame)) return drop_duplicates(line, frame.count);
        if (is_recovery_line(line)) return count_stray(line, frame.count);
        Doubt* doubt = doubts_ && in_session_ ? &doubt_about(frame.session) : nullptr;
        // The end of the present session bears out the next one as well.
        if (doubt != nullptr && !ended() && !borne_out(*doubt, line, received_at, frame)) return;
        enter_session(frame, sink);
        if (doubt != nullptr) use_kept(*doubt, admit_kept);
    } else if (doubts_ && (is_misplaced(line, frame) || (frame.first_sequence > 1 && begins_stream(line, frame)))) {
        if (is_recovery_line(line)) return drop_duplicates(line, frame.count);
        Doubt& doubt = doubt_about(frame.session);
        if (!borne_out(doubt, line, received_at, frame)) return;
        use_kept(doubt, admit_kept);
    }
    admit(line, received_at, frame, sink);
}

template <ArbiterSink Sink>
inline void LineArbiter::take_due(LineId line, Timestamp received_at, const Frame& frame, Sink& sink) {
    ++news_;
    ++signs_;
    Line& l = lines_[line];
    if (!l.seen) [[unlikely]] begin_to_count(l);
    const SequenceNumber end = next_ + frame.count;
    l.behind_at = l.behind_ns = 0;
    l.loss.advance(end);
    if (lines_seen_ > 1) l.counters[LineCounter::only] += lost_but_on(line, {next_, end - 1});
    hand_on(line, {next_, frame.count, 0, frame.blocks, received_at}, sink);
}

template <ArbiterSink Sink>
void LineArbiter::admit(LineId line, Timestamp received_at, const Frame& frame, Sink& sink) {
    if (frame.sent_at != 0 && !follow_stream(line, frame, sink)) return drop_duplicates(line, frame.count);
    // Nothing is asked for again that nobody knows of: this was, of a stream that has ended.
    if (is_recovery_line(line) && frame.first_sequence >= known_end()) return count_stray(line, frame.count);
    if (doubts_ && is_far_ahead(frame)) {
        if (!believe_jump(line, received_at, frame)) return;
        use_kept(doubt_about_jump_, [&](LineId of, Timestamp at, const Frame& kept) { take(of, at, kept, sink); });
    }
    take(line, received_at, frame, sink);
}

template <ArbiterSink Sink>
void LineArbiter::take(LineId line, Timestamp received_at, const Frame& frame, Sink& sink) {
    const SequenceNumber first = frame.first_sequence;
    const SequenceNumber end = first + frame.count;
    const bool behind = frame.sent_at == 0 && end < lines_[line].loss.next();
    if (doubts_ && behind && begins_anew(line) && !planted(Bug::restart_unnoticed)) {
        ++restarts_;
        end_stream(sink);
        for (Line& l : lines_) l.begin_stream();
    }
    const bool news = end > known_end();
    const bool heartbeat = frame.count == 0 && end == known_end();
    news_ += news ? 1U : 0U;
    signs_ += (news || heartbeat) && !is_recovery_line(line) ? 1U : 0U;
    expire(sink, frame.count == 0 ? std::numeric_limits<SequenceNumber>::max() : first);
    count_on_line(line, frame);
    known_end_ = std::max(known_end_, first);
    if (frame.kind == FrameKind::end_of_session && !is_recovery_line(line)) ended_at_ = std::max(ended_at_, first);
    if (first > next_ && frame.count != 0 && planted(Bug::gap_skipped)) next_ = first;
    while (first > next_) {
        note_gap(line, first, now_);
        if (frame.count == 0) return;
        if (hold(line, received_at, frame)) {
            show_copy(line, first, frame.count, frame.blocks, sink);
            known_end_ = std::max(known_end_, end);
            return;
        }
        // No room to wait any longer: the oldest missing range is given up, until there is.
        give_up(std::min(first, first_held()), GapEnd::given_up, sink);
    }
    if (end <= next_) {
        if (end == next_ && frame.count == 0) check_offset(first, frame.stream_offset, 0, sink);
        note_lead(line, received_at, first, end);
        show_copy(line, first, frame.count, frame.blocks, sink);
        drop_duplicates(line, frame.count);
    } else {
        deliver(line, received_at, first, end, frame.blocks, frame.stream_offset, sink);
        if (known_end_ > next_ || !held_.empty()) drain(sink);
    }
}

template <ArbiterSink Sink>
void LineArbiter::enter_session(const Frame& frame, Sink& sink) {
    if (in_session_) {
        previous_session_ = session_;
        previous_end_ = known_end();
        end_stream(sink);
    }
    session_ = frame.session;
    ++sessions_;
    in_session_ = true;
    streams_.enter_session();
    for (Line& line : lines_) line.begin_stream();
}

template <ArbiterSink Sink>
bool LineArbiter::follow_stream(LineId line, const Frame& frame, Sink& sink) {
    // What was asked for again is old and yet sent late.
    if (is_recovery_line(line)) return true;
    Line& l = lines_[line];
    const StreamStep step = streams_.step(line, frame.first_sequence < l.loss.next(), frame.sent_at);
    if (step == StreamStep::old) return false;
    if (step == StreamStep::restart) end_stream(sink);
    if (step != StreamStep::same) l.begin_stream();
    return true;
}

template <ArbiterSink Sink>
void LineArbiter::end_stream(Sink& sink) {
    give_up_all(GapEnd::session_end, sink);
    close(doubt_about_jump_);
    ended_at_ = 0;
    next_ = planted(Bug::session_keeps_sequence) ? next_ : 1;
    known_end_ = 1;
    offset_ = {};
    sink.on_new_session();
}

template <ArbiterSink Sink>
void LineArbiter::deliver(LineId line, Timestamp received_at, SequenceNumber first, SequenceNumber end,
                          std::span<const std::uint8_t> blocks, std::uint64_t stream_offset, Sink& sink) {
    check_offset(first, stream_offset, blocks.size(), sink);
    const auto skip = static_cast<std::uint32_t>(next_ - first);
    const auto count = static_cast<std::uint32_t>(end - next_);
    if (skip > 0) {
        show_copy(line, first, skip, blocks, sink);
        drop_duplicates(line, skip);
    }
    hand_on(line, {next_, count, skip, blocks, received_at}, sink);
}

template <ArbiterSink Sink>
[[gnu::always_inline]] inline void LineArbiter::hand_on(LineId line, const MessageRun& run, Sink& sink) {
    lines_[line].counters[LineCounter::first] += planted(Bug::first_counted_short) ? 1 : run.count;
    if (watched_ == 0 || watched_ > next_ || next_ - watched_ >= kWatchedFor) {
        watched_ = next_;
        watched_line_ = line;
        watched_at_ = run.received_at;
    }
    next_ += run.count;
    if (gap_ != nullptr && next_ > gap_->missing.last) {
        end_gap(is_recovery_line(line)         ? GapEnd::retransmitted
                : gap_->noticed_by == line ? GapEnd::same_line
                                           : GapEnd::other_line,
                line);
    }
    sink.on_run(run);
}

// Delivers what is held and no longer early; names the next gap if something still is.
template <ArbiterSink Sink>
void LineArbiter::drain(Sink& sink) {
    while (!held_.empty() && held_.front().first <= next_) {
        const HeldPackets::Entry held = held_.front();
        const std::uint64_t count = held.end - held.first;
        if (!planted(Bug::held_never_released)) messages_held_ -= count;
        if (planted(Bug::held_dropped)) {
            held_.pop_front();
            continue;
        }
        if (held.end <= next_) {
            drop_duplicates(held.line, count);
        } else {
            deliver(held.line, held.received_at, held.first, held.end, held_.bytes_of(held), held.stream_offset,
                    sink);
        }
        held_.pop_front();
    }
    if (known_end_ > next_) {
        // What lies behind the gap came long ago, so its wait began then.
        const bool any = !held_.empty();
        note_gap(any ? held_.front().line : LineId{0}, std::min(known_end_, first_held()),
                 any ? held_.front().received_at : now_);
    }
}

// The missing range that ends before `until` will not come.
template <ArbiterSink Sink>
void LineArbiter::give_up(SequenceNumber until, GapEnd why, Sink& sink) {
    if constexpr (SettlingSink<Sink>) sink.on_giving_up();
    const SequenceRange missing{next_, until - 1};
    messages_lost_ += missing.size() - (planted(Bug::lost_one_short) ? 1 : 0);
    if (missing.first == 1) forgive_late_join(missing);
    gap_->missing = missing;
    end_gap(why, 0);
    next_ = until;
    offset_.forget();
    sink.on_given_up(missing);
    drain(sink);
}

template <ArbiterSink Sink>
void LineArbiter::expire(Sink& sink, SequenceNumber arrived) {
    while (gap_ != nullptr && arrived > next_ && now_ - gap_->opened_at > (planted(Bug::window_at_once) ? 0 : window_ns_)) {
        if (planted(Bug::window_never_ends)) return;
        if (recovers_) return declare_overdue();
        give_up(std::min({known_end_, first_held(), arrived}), GapEnd::given_up, sink);
    }
}

template <ArbiterSink Sink>
void LineArbiter::on_time(Timestamp now, Sink& sink) {
    now_ = std::max(now_, now);
    expire(sink);
}

template <ArbiterSink Sink>
void LineArbiter::give_up_all(GapEnd why, Sink& sink) {
    while (gap_ != nullptr) give_up(std::min(known_end_, first_held()), why, sink);
}

}  // namespace millrace
