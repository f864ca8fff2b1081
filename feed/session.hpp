// The one path from packets to book events: framing, arbitration, decoding, books, handler.
//
// A session is a function of packets. It opens no socket, reads no clock, starts no thread, takes no lock,
// throws nothing, logs nothing and allocates nothing after construction. Live capture, replay, simulation,
// fuzzing and benchmarks all drive this code.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <utility>

#include "millrace/core/planted.hpp"
#include "millrace/feed/book_context.hpp"
#include "millrace/feed/counters.hpp"
#include "millrace/feed/framing/frame.hpp"
#include "millrace/feed/gap_recovery.hpp"
#include "millrace/feed/handler.hpp"
#include "millrace/feed/line_arbiter.hpp"
#include "millrace/feed/message_log.hpp"
#include "millrace/feed/packet.hpp"
#include "millrace/feed/session_config.hpp"
#include "millrace/feed/symbol_directory.hpp"

namespace millrace {

// What became of one message.
enum class Applied : std::uint8_t { delivered, filtered, unknown, malformed };

// `handler` is borrowed and must outlive the session; its callbacks run inside on_packet, on_records,
// on_time and finish.
template <class Venue, BookHandler Handler>
class Session {
  public:
    // Takes all memory it will ever use. Throws Error(memory).
    Session(const SessionConfig& config, Handler& handler)
        : store_(config.limits), directory_(config.symbols, config.limits.books), arbiter_(config),
          context_(store_, directory_, handler, config.limits.books), builder_(context_), handler_(handler),
          config_(config), recovery_(config.recovery),
          log_(recovery_.has_snapshots() ? config.recovery.backlog_bytes : 0) {}
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    // One datagram of one line. `packet.line` must be below SessionConfig::lines, or recovery_line() for
    // what a retransmission server sent.
    void on_packet(const Packet& packet) {
        LineCounters& line = arbiter_.line(packet.line);
        line[LineCounter::bytes] += packet.bytes.size();
        const Frame frame = Venue::Framing::parse(packet.bytes);
        if (frame.kind == FrameKind::malformed ||
            frame.first_sequence > std::numeric_limits<SequenceNumber>::max() - frame.count - 1) {
            ++line[LineCounter::malformed];
            return;
        }
        ++line[LineCounter::arbitrated];
        on_frame(packet.line, packet.received_at, frame);
    }

    // A packet that on_packet will be given soon. Brings what it touches into the cache and changes nothing;
    // whoever has packets waiting calls this for the next one before on_packet for the one before it.
    void expect(std::span<const std::uint8_t> packet) const {
        if constexpr (requires { Venue::Framing::kHeaderBytes; }) {
            if (packet.size() <= Venue::Framing::kHeaderBytes) return;
            Walker walker(packet.subspan(Venue::Framing::kHeaderBytes));
            for (std::uint32_t i = 0; i < kLookWindow && walker.has_next(); ++i) builder_.expect(walker.next());
        }
    }

    // A run of messages from a source that numbers them by counting (BinaryFILE, SoupBinTCP): `count`
    // length-prefixed messages in `blocks`, the first of which is number `first`.
    void on_records(SequenceNumber first, std::uint32_t count, std::span<const std::uint8_t> blocks,
                    Timestamp received_at)
        requires WalksRecords<typename Venue::Framing>
    {
        arbiter_.line(0)[LineCounter::bytes] += blocks.size();
        on_frame(0, received_at, Frame{FrameKind::data, SessionKey{}, first, count, blocks});
    }

    // ---- recovery: pulled by whoever has clock and sockets ----

    // What should be asked of a server now, if anything. To be called again and again, at least every few
    // milliseconds while a feed is live: waiting ends and silence shows only here. `now` is a clock that
    // does not go back. Answers come back by on_packet, on the recovery line, and by on_snapshot_...
    [[nodiscard]] std::optional<RecoveryRequest> next_request(Timestamp now);
    [[nodiscard]] LineId recovery_line() const { return static_cast<LineId>(config_.lines); }

    // The snapshot asked for as `id` begins; it brings messages; it ends, and live messages go on with
    // `next`; or it cannot be had. Answers to earlier requests are ignored.
    void on_snapshot_begin(std::uint32_t id);
    void on_snapshot_message(std::uint32_t id, std::span<const std::uint8_t> message);
    void on_snapshot_end(std::uint32_t id, SequenceNumber next);
    void on_snapshot_failed(std::uint32_t id);

    [[nodiscard]] const RecoveryCounters& recovery() const { return recovery_.counters(); }
    // Messages are missing that are being fetched, or a snapshot is.
    [[nodiscard]] bool recovering() const { return arbiter_.overdue() || repair_ != Repair::none; }

    // No packet received before `now` is still to come. Lets waiting for a missing message time out.
    void on_time(Timestamp now) {
        Sink sink{*this};
        arbiter_.on_time(now, sink);
    }

    // Nothing more will come: what is missing is given up, what is held is delivered.
    void finish() {
        Sink sink{*this};
        arbiter_.finish(sink);
    }

    // The symbol's book, or null while it has none.
    [[nodiscard]] const OrderBook* book(const Symbol& symbol) const { return directory_.find(symbol, store_); }
    [[nodiscard]] std::span<const OrderBook> books() const { return store_.books(); }
    [[nodiscard]] Digest digest() const { return store_.digest(); }
    [[nodiscard]] const LineArbiter& arbiter() const { return arbiter_; }
    [[nodiscard]] const auto& builder() const { return builder_; }
    [[nodiscard]] const FaultCounters& faults() const { return context_.faults(); }
    [[nodiscard]] Quality quality() const { return context_.feed_quality(); }

    [[nodiscard]] MessageCounters messages() const {
        MessageCounters now = messages_;
        now[MessageCounter::duplicate] = arbiter_.messages_duplicate();
        now[MessageCounter::held] = arbiter_.messages_held() + log_.size();
        return now;
    }
    // Messages that were applied, filtered, unknown or malformed, by `Venue::type_index`.
    [[nodiscard]] const std::array<std::uint64_t, 256>& by_type() const { return by_type_; }

  private:
    using Walker = typename Venue::Framing::Walker;
    using Builder = typename Venue::template Builder<Handler>;

    struct Sink {
        Session& session;
        void on_run(const MessageRun& run) { session.apply_run(run); }
        void on_given_up(SequenceRange missing) { session.give_up(missing); }
        void on_new_session() { session.begin_session(); }
        void on_contradiction() {
            session.context_.fault(FaultCounter::stream_offset);
        }
    };

    // Which books are being made anew from a snapshot. Meanwhile the live messages about them wait in log_.
    enum class Repair : std::uint8_t { none, some, all };

    void give_up(SequenceRange missing) {
        if (!planted(Bug::gap_untold)) handler_.on_gap(missing);
        if (planted(Bug::gap_without_quality)) return;
        if (!recovery_.has_snapshots()) return context_.distrust_all(Quality::recovering);
        if (repair_ != Repair::all) first_gap_ = arbiter_.gaps().total() - 1;
        begin_repair(Repair::all, missing.last + 1);
    }
    void begin_session() {
        drop_log();
        repair_ = Repair::none;
        join_at_ = 0;
        recovery_.reset();
        builder_.reset();
        if (!planted(Bug::books_survive_session)) context_.reset_books();
    }
    void begin_repair(Repair repair, SequenceNumber from);
    void repair_suspects();
    void repair_more(SequenceNumber from) {
        join_at_ = 0;
        recovery_.want_another_snapshot();
        begin_repair(repair_, from);
    }
    void ask_again(Timestamp now, std::optional<RecoveryRequest>& request);
    void join_snapshot();
    // What waited is in the snapshot that is to come.
    void drop_log() {
        messages_[MessageCounter::superseded] += log_.size();
        log_.clear();
    }
    void log_message(std::span<const std::uint8_t> message, SequenceNumber sequence, bool last_in_packet);
    [[nodiscard]] bool waits_for_snapshot(std::span<const std::uint8_t> message) const {
        if (repair_ == Repair::all) return true;
        const OrderBook* book = book_named_by(message);
        return book != nullptr && context_.in_repair(*book);
    }
    // Venues without snapshots need not tell.
    [[nodiscard]] const OrderBook* book_named_by(std::span<const std::uint8_t> message) const {
        if constexpr (requires { builder_.book_named_by(message); }) return builder_.book_named_by(message);
        else return nullptr;
    }

    void on_frame(LineId line, Timestamp received_at, const Frame& frame) {
        arbiter_.line(line)[LineCounter::messages] += frame.count;
        arbiter_.line(line)[LineCounter::heartbeats] += frame.count == 0 ? 1 : 0;
        messages_[MessageCounter::decoded] += frame.count;
        Sink sink{*this};
        arbiter_.on_frame(line, received_at, frame, sink);
        if (told_recovering_ && !arbiter_.overdue()) tell_overdue(false);
        if (join_at_ != 0) join_snapshot();
    }
    // Nothing is delivered while something is overdue, so that it is told in time.
    void tell_overdue(bool overdue) {
        told_recovering_ = overdue;
        context_.set_overlay(overdue ? Quality::recovering : Quality::live);
    }

    void apply_run(const MessageRun& run) {
        Walker walker(run.blocks);
        const std::uint32_t skip = run.skip > 0 && planted(Bug::run_skips_one_less) ? run.skip - 1 : run.skip;
        for (std::uint32_t i = 0; i < skip; ++i) walker.next();
        context_.header = {};
        context_.header.received_at = run.received_at;
        SequenceNumber sequence = run.first;
        for (std::uint32_t left = run.count; left > 0;) {
            const std::uint32_t n = left < kLookWindow ? left : kLookWindow;
            for (std::uint32_t i = 0; i < n; ++i) {
                window_[i] = walker.next();
                hints_[i] = {};
            }
            look_ahead(std::span(window_.data(), n), std::span(hints_.data(), n));
            for (std::uint32_t i = 0; i < n; ++i) apply(window_[i], hints_[i], sequence++, left - i == 1);
            left -= n;
        }
        if constexpr (HasOnPacketEnd<Handler>) handler_.on_packet_end();
    }

    // A builder looks at a whole window, or at one message after the other in steps of which each needs what
    // the one before it fetched.
    template <int Step = 0>
    void look_ahead(std::span<const std::span<const std::uint8_t>> window,
                    std::span<typename Builder::Hint> hints) const {
        if constexpr (requires { builder_.look_ahead(window, hints); }) {
            builder_.look_ahead(window, hints);
        } else {
            for (std::size_t i = 0; i < window.size(); ++i) builder_.template look_ahead<Step>(window[i], hints[i]);
            if constexpr (Step + 1 < Builder::kLookSteps) look_ahead<Step + 1>(window, hints);
        }
    }

    [[gnu::always_inline]] inline void apply(std::span<const std::uint8_t> message,
                                             const typename Builder::Hint& hint, SequenceNumber sequence,
                                             bool last_in_packet) {
        ++by_type_[Venue::type_index(message)];
        if (sequence > config_.last_sequence) {
            ++messages_[MessageCounter::filtered];
            return;
        }
        if (repair_ != Repair::none && waits_for_snapshot(message)) {
            return log_message(message, sequence, last_in_packet);
        }
        context_.header.sequence = planted(Bug::sequence_off_by_one) ? sequence + 1 : sequence;
        context_.last_in_packet = last_in_packet;
        count(builder_.apply(message, hint));
        // What was found out just now, the snapshot under way may not have made good.
        if (repair_ != Repair::none && context_.suspects() != suspects_repaired_) repair_more(sequence + 1);
    }
    void count(Applied applied) {
        switch (applied) {
            case Applied::delivered: ++messages_[MessageCounter::delivered]; break;
            case Applied::filtered: ++messages_[MessageCounter::filtered]; break;
            case Applied::unknown: ++messages_[MessageCounter::unknown]; break;
            case Applied::malformed:
                // Which book it was about, and what it did to it, is not known.
                ++messages_[MessageCounter::malformed];
                context_.distrust_all(Quality::suspect);
                break;
        }
    }

    BookStore store_;
    SymbolDirectory directory_;
    LineArbiter arbiter_;
    BookContext<Handler> context_;
    Builder builder_;
    Handler& handler_;
    SessionConfig config_;
    GapRecovery recovery_;
    MessageLog log_;
    Repair repair_ = Repair::none;
    SequenceNumber repair_from_ = 0;     // a snapshot has to hold everything before this one
    SequenceNumber join_at_ = 0;         // the snapshot that is complete holds everything before this one
    std::uint64_t first_gap_ = 0;        // of the gap log, that the repair makes good
    std::uint64_t suspects_repaired_ = 0;
    bool told_recovering_ = false;
    MessageCounters messages_;
    std::array<std::uint64_t, 256> by_type_{};
    // Of the window being applied; here, so that no packet has to clear them.
    std::array<std::span<const std::uint8_t>, kLookWindow> window_;
    std::array<typename Builder::Hint, kLookWindow> hints_;
};

template <class Venue, BookHandler Handler>
std::optional<RecoveryRequest> Session<Venue, Handler>::next_request(Timestamp now) {
    Sink sink{*this};
    std::optional<RecoveryRequest> request;
    while (arbiter_.overdue()) {
        RecoveryRequest ask;
        const auto advice = recovery_.retransmit(arbiter_.session(), arbiter_.missing(), now, ask);
        if (advice == GapRecovery::Advice::give_up) {
            arbiter_.give_up_missing(sink);
            continue;
        }
        if (advice == GapRecovery::Advice::ask) request = ask;
        break;
    }
    if (!arbiter_.overdue()) recovery_.gap_ended();
    if (arbiter_.overdue() != told_recovering_) tell_overdue(arbiter_.overdue());
    if (join_at_ != 0) join_snapshot();
    repair_suspects();
    if (!request) ask_again(now, request);
    return request;
}

template <class Venue, BookHandler Handler>
void Session<Venue, Handler>::ask_again(Timestamp now, std::optional<RecoveryRequest>& request) {
    RecoveryRequest ask;
    switch (recovery_.ask_snapshot(repair_from_, now, ask)) {
        case GapRecovery::Advice::ask: request = ask; break;
        case GapRecovery::Advice::give_up: join_at_ = 0; break;
        case GapRecovery::Advice::wait: break;
    }
}

// From here on the books concerned wait for a snapshot that holds everything before `from`.
template <class Venue, BookHandler Handler>
void Session<Venue, Handler>::begin_repair(Repair repair, SequenceNumber from) {
    drop_log();
    if (repair_ == Repair::some && repair == Repair::all) {
        // What has been taken of the snapshot so far is too little.
        join_at_ = 0;
        recovery_.want_another_snapshot();
    }
    repair_ = std::max(repair, repair_);
    repair_from_ = from;
    if (join_at_ != 0 && join_at_ < from) {
        join_at_ = 0;
        recovery_.snapshot_failed(RecoveryCounter::snapshots_too_old);
    }
    suspects_repaired_ = context_.suspects();
    static_cast<void>(context_.begin_repair(repair == Repair::all));
    recovery_.want_snapshot();
}

template <class Venue, BookHandler Handler>
void Session<Venue, Handler>::repair_suspects() {
    if (repair_ != Repair::none || context_.suspects() == suspects_repaired_) return;
    if (!recovery_.has_snapshots() || config_.quality.suspect != SuspectPolicy::quarantine) return;
    begin_repair(Repair::some, arbiter_.next_expected());
}

template <class Venue, BookHandler Handler>
void Session<Venue, Handler>::log_message(std::span<const std::uint8_t> message, SequenceNumber sequence,
                                          bool last_in_packet) {
    if (log_.push({sequence, context_.header.received_at, last_in_packet, message})) return;
    // No room: a snapshot has to reach beyond this message too.
    ++recovery_.counters()[RecoveryCounter::backlog_full];
    ++messages_[MessageCounter::superseded];
    begin_repair(repair_, sequence + 1);
}

template <class Venue, BookHandler Handler>
void Session<Venue, Handler>::on_snapshot_begin(std::uint32_t id) {
    if (repair_ == Repair::none || !recovery_.snapshot_begins(id)) return;
    context_.header = {};
    context_.header.from_snapshot = true;
    context_.last_in_packet = false;
    if constexpr (requires { builder_.forget_incomplete([](const OrderBook&) { return true; }); }) {
        builder_.forget_incomplete([this](const OrderBook& book) { return context_.in_repair(book); });
    }
    context_.clear_for_snapshot();
}

template <class Venue, BookHandler Handler>
void Session<Venue, Handler>::on_snapshot_message(std::uint32_t id, std::span<const std::uint8_t> message) {
    if (!recovery_.snapshot_loads(id)) return;
    recovery_.snapshot_progressed();
    const OrderBook* book = book_named_by(message);
    if (repair_ == Repair::some && (book == nullptr || !context_.in_repair(*book))) return;
    context_.header = {};
    context_.header.from_snapshot = true;
    context_.last_in_packet = false;
    const Applied applied = builder_.apply(message, {});
    const bool good = applied == Applied::delivered || applied == Applied::filtered;
    ++recovery_.counters()[good ? RecoveryCounter::snapshot_messages : RecoveryCounter::snapshot_malformed];
    if (applied == Applied::malformed) recovery_.snapshot_failed(RecoveryCounter::snapshots_refused);
}

template <class Venue, BookHandler Handler>
void Session<Venue, Handler>::on_snapshot_end(std::uint32_t id, SequenceNumber next) {
    if (!recovery_.snapshot_loads(id)) return;
    if (next < repair_from_) return recovery_.snapshot_failed(RecoveryCounter::snapshots_too_old);
    join_at_ = next;
    recovery_.snapshot_waits();
    join_snapshot();
}

template <class Venue, BookHandler Handler>
void Session<Venue, Handler>::on_snapshot_failed(std::uint32_t id) {
    if (recovery_.snapshot_current(id)) recovery_.snapshot_failed(RecoveryCounter::snapshots_refused);
}

// A snapshot may be ahead of the lines: it is joined when these have come as far.
template <class Venue, BookHandler Handler>
void Session<Venue, Handler>::join_snapshot() {
    if (arbiter_.next_expected() < join_at_) return;
    if (repair_ == Repair::all && join_at_ > repair_from_) handler_.on_gap({repair_from_, join_at_ - 1});
    context_.note_snapshot(join_at_);
    while (log_.size() != 0 && log_.front().sequence < join_at_) {
        ++messages_[MessageCounter::superseded];
        log_.pop_front();
    }
    const bool all = std::exchange(repair_, Repair::none) == Repair::all;
    join_at_ = 0;
    while (log_.size() != 0) {
        const MessageLog::Entry entry = log_.front();
        context_.header = {};
        context_.header.sequence = entry.sequence;
        context_.header.received_at = entry.received_at;
        context_.last_in_packet = entry.last_in_packet;
        count(builder_.apply(entry.message, {}));
        log_.pop_front();
    }
    context_.end_repair();
    recovery_.snapshot_joined();
    if (all) arbiter_.heal_gaps(first_gap_);
}

}  // namespace millrace
