// The one path from packets to book events: framing, arbitration, decoding, books, handler.
//
// A session is a function of packets. It opens no socket, reads no clock, starts no thread, takes no lock,
// throws nothing, logs nothing and allocates nothing after construction. Live capture, replay, simulation,
// fuzzing and benchmarks all drive this code.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <new>
#include <optional>
#include <span>
#include <utility>

#include "millrace/core/planted.hpp"
#include "millrace/core/prefetch.hpp"
#include "millrace/feed/book_context.hpp"
#include "millrace/feed/copy_compare.hpp"
#include "millrace/feed/counters.hpp"
#include "millrace/feed/framing/frame.hpp"
#include "millrace/feed/gap_recovery.hpp"
#include "millrace/feed/handler.hpp"
#include "millrace/feed/line_arbiter.hpp"
#include "millrace/feed/line_watch.hpp"
#include "millrace/feed/message_log.hpp"
#include "millrace/feed/packet.hpp"
#include "millrace/feed/server_problem.hpp"
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
        : store_(config.limits, detail_of<Handler>()), directory_(config.symbols, config.limits.books),
          arbiter_(config), context_(store_, directory_, handler, config.limits.books), builder_(context_),
          handler_(handler), config_(config), recovery_(for_venue<Venue>(config.recovery)),
          log_(recovery_.has_snapshots() ? config.recovery.backlog_bytes : 0),
          watch_(config.lines, config.quality.quiet_ns),
          copies_(config.lines > 1 || config.recovery.enabled() ? config.quality.compare_messages : 0) {
        context_.watch_crossed(config.quality.crossed);
    }
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    // One datagram of one line. `packet.line` must be below SessionConfig::lines, or recovery_line() for
    // what a retransmission server sent.
    void on_packet(const Packet& packet) { on_packets({&packet, 1}); }

    // Packets that wait, oldest first: on_packet for each of them, but the cache misses of several packets
    // overlap. Their bytes stay where they are until this returns.
    void on_packets(std::span<const Packet> packets) {
        on_packets(packets, [](const Packet&) {});
    }
    // The same; each packet is shown to `before` just before it is handled.
    template <class Before>
    void on_packets(std::span<const Packet> packets, Before&& before) {
        while (!packets.empty()) {
            const std::size_t n = look_at_packets(packets);
            for (std::size_t i = 0; i < n; ++i) {
                looked_at_ = &looked_[i];
                before(packets[i]);
                on_parsed(packets[i], looked_[i].frame);
            }
            looked_at_ = nullptr;
            packets = packets.subspan(n);
        }
    }

    // A run of messages from a source that numbers them by counting (BinaryFILE, SoupBinTCP): `count`
    // length-prefixed messages in `blocks`, the first of which is number `first`.
    void on_records(SequenceNumber first, std::uint32_t count, std::span<const std::uint8_t> blocks,
                    Timestamp received_at)
        requires WalksRecords<typename Venue::Framing>
    {
        arbiter_.line(0)[LineCounter::bytes] += blocks.size();
        on_frame(0, received_at, Frame{FrameKind::data, SessionKey{}, first, count, 0, blocks});
    }

    // ---- recovery: pulled by whoever has clock and sockets ----

    // What should be asked of a server now, if anything. To be called again and again, at least every few
    // milliseconds while a feed is live: waiting ends and silence shows only here. `now` is a clock that
    // does not go back. Answers come back by on_packet, on the recovery line, and by on_snapshot_...
    [[nodiscard]] std::optional<RecoveryRequest> next_request(Timestamp now);
    [[nodiscard]] LineId recovery_line() const { return static_cast<LineId>(config_.lines); }

    // The snapshot asked for as `id` begins; it brings messages; it ends, and live messages go on with
    // `next`; or it cannot be had. Answers to earlier requests are ignored. `progress` says that bytes came which
    // are no messages yet.
    void on_snapshot_begin(std::uint32_t id);
    void on_snapshot_progress(std::uint32_t id) {
        if (recovery_.snapshot_current(id)) recovery_.snapshot_progressed();
    }
    void on_snapshot_message(std::uint32_t id, std::span<const std::uint8_t> message);
    void on_snapshot_end(std::uint32_t id, SequenceNumber next);
    void on_snapshot_failed(std::uint32_t id, ServerProblem why = ServerProblem::cut);

    [[nodiscard]] const RecoveryCounters& recovery() const { return recovery_.counters(); }
    // The feed contradicted itself, and the policy says that nothing is applied any more.
    [[nodiscard]] bool stopped() const { return stopped_; }
    // Whether a line has been quiet for too long, while it was looked at, and how often.
    [[nodiscard]] bool silent(LineId line) const { return watch_.silent(line); }
    [[nodiscard]] std::uint64_t silences(LineId line) const { return watch_.silences(line); }
    // The venue said that nothing more will come, by its framing or by a message.
    [[nodiscard]] bool ended() const {
        if constexpr (requires { builder_.ended(); }) return arbiter_.ended() || builder_.ended();
        else return arbiter_.ended();
    }
    // Every snapshot server has failed, and none has been asked again since: messages go to books that say that they
    // are not exact.
    [[nodiscard]] bool without_servers() const { return flows_; }
    // Messages are missing that are being fetched, or a snapshot is.
    [[nodiscard]] bool recovering() const { return arbiter_.overdue() || repair_ != Repair::none; }

    // No packet received before `now` is still to come. Lets waiting for a missing message time out.
    void on_time(Timestamp now) {
        Sink sink{*this};
        arbiter_.on_time(now, sink);
    }

    // Nothing more will come: what is missing is given up, what is held is delivered, and what waits for a snapshot
    // is shown on books that say that they are not exact.
    void finish() {
        Sink sink{*this};
        arbiter_.finish(sink);
        settle_log();
        if constexpr (requires { builder_.finish(); }) builder_.finish();
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
        now[MessageCounter::stray] = arbiter_.messages_stray();
        now[MessageCounter::held] = arbiter_.messages_held() + log_.size();
        return now;
    }
    // Messages that were applied, filtered, unknown or malformed, by `Venue::type_index`.
    [[nodiscard]] const std::array<std::uint64_t, 256>& by_type() const { return by_type_; }

  private:
    using Walker = typename Venue::Framing::Walker;
    using Builder = typename Venue::template Builder<Handler>;
    using Hint = typename Builder::Hint;
    static constexpr bool kHasKeys = requires(std::span<const std::uint8_t> m) { Builder::key_of(m); };

    struct Sink {
        Session& session;
        void on_run(const MessageRun& run) { session.apply_run(run); }
        void on_giving_up() { session.settle_log(); }
        void on_given_up(SequenceRange missing) { session.give_up(missing); }
        void on_new_session() { session.begin_session(); }
        void on_copy(LineId, SequenceNumber first, std::uint32_t count, std::span<const std::uint8_t> blocks) {
            if (session.copies_.enabled()) session.compare_all(first, count, blocks);
        }
        void on_contradiction() { session.lose_place(); }
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
    // Bytes are missing, or too many, between messages whose numbers follow each other. A snapshot that is being
    // taken does not make good what came to light after it began.
    void lose_place() {
        context_.fault(FaultCounter::stream_offset);
        if (repair_ != Repair::none) repair_more(arbiter_.next_expected());
    }
    void begin_session() {
        if (!planted(Bug::log_survives_session)) settle_log();
        repair_ = Repair::none;
        flows_ = false;
        given_up_in_repair_ = 0;
        join_at_ = 0;
        differ_to_ = 0;
        recovery_.reset();
        recovery_.counters()[RecoveryCounter::restarts] = arbiter_.restarts();
        copies_.forget();
        builder_.reset();
        if (!planted(Bug::books_survive_session)) context_.reset_books();
    }
    void watch_gap(Timestamp now, Sink& sink);
    void begin_repair(Repair repair, SequenceNumber from);
    void repair_suspects();
    void repair_more(SequenceNumber from) {
        join_at_ = 0;
        recovery_.want_another_snapshot();
        begin_repair(repair_, from);
    }
    void ask_again(Timestamp now, std::optional<RecoveryRequest>& request);
    void join_snapshot();
    // A snapshot that names no session (GLIMPSE) may be of one that the lines have not brought yet. No packet is
    // later than the reorder window: what comes of the present session after that was sent after the snapshot was made.
    void watch_snapshot(Timestamp now);
    [[nodiscard]] bool is_of_another_session() const {
        return recovery_means<Venue>().glimpse && arbiter_.signs() < signs_to_join_;
    }
    void apply_log();
    // The log cannot wait for the snapshot that was to contain it: it is shown on the books as they are, or, where
    // these are being made, given up.
    void settle_log();
    void give_up_logged(SequenceRange range, std::uint64_t messages);
    void let_flow();
    // False when the message is to be applied at once.
    [[nodiscard]] bool log_message(std::span<const std::uint8_t> message, SequenceNumber sequence,
                                   bool last_in_packet);
    [[nodiscard]] bool waits_for_snapshot(std::span<const std::uint8_t> message) const {
        if (flows_) return false;
        if (repair_ == Repair::all) return !planted(Bug::repair_does_not_wait);
        const OrderBook* book = book_named_by(message);
        return book != nullptr && context_.in_repair(*book);
    }
    // The book a message is about. Venues without snapshots need not tell.
    [[nodiscard]] const OrderBook* book_named_by(std::span<const std::uint8_t> message) const {
        if constexpr (requires { builder_.book_named_by(message); }) return builder_.book_named_by(message);
        else return nullptr;
    }
    // Whether it contradicts what the feed has said of which instrument is which.
    [[nodiscard]] bool renames(std::span<const std::uint8_t> message) const {
        if constexpr (requires { builder_.renames(message); }) return builder_.renames(message);
        else return false;
    }

    // Compares a copy of a message with the first one, or remembers it as that.
    void compare(SequenceNumber sequence, std::span<const std::uint8_t> message) {
        std::uint16_t key = 0;
        if constexpr (kHasKeys) key = Builder::key_of(message);
        if (!copies_.same(sequence, message, key)) [[unlikely]] lines_differ(sequence, key);
    }
    void compare_all(SequenceNumber first, std::uint32_t count, std::span<const std::uint8_t> blocks) {
        Walker walker(blocks);
        for (std::uint32_t i = 0; i < count; ++i) compare(first + i, walker.next());
    }
    // Nobody knows which copy is right: what either is about is suspect.
    void lines_differ(SequenceNumber sequence, std::uint16_t key);

    // What of a packet stands in the window already.
    struct Looked {
        Frame frame;
        std::uint32_t first = 0;
        std::uint32_t count = 0;
    };

    // Looks at the first packets, until there are enough messages in the window. Returns how many packets.
    std::size_t look_at_packets(std::span<const Packet> packets) {
        SequenceNumber next = arbiter_.next_expected();
        std::uint32_t used = 0;
        std::size_t n = 0;
        while (n < packets.size() && n < kLookPackets && used < kLookWindow) {
            if (n + 2 < packets.size()) prefetch_all(packets[n + 2].bytes);
            Looked& looked = looked_[n];
            // Where it is to lie, since copying what was just written in pieces would have to wait for it.
            ::new (static_cast<void*>(&looked.frame)) Frame(parse(packets[n].bytes, std::span(window_).subspan(used)));
            looked.first = used;
            // A second copy is not worth a look.
            const SequenceNumber end = looked.frame.first_sequence + looked.frame.count;
            if (looked.frame.kind == FrameKind::data && end > next) {
                next = end;
                used += std::min(looked.frame.count, kLookRoom - used);
            }
            looked.count = used - looked.first;
            ++n;
        }
        look_ahead(std::span(window_.data(), used), std::span(hints_.data(), used));
        return n;
    }
    // Reads a packet, and lists its messages, as many as there is room for.
    [[nodiscard, gnu::always_inline]] static Frame parse(std::span<const std::uint8_t> packet,
                                                         std::span<MessageBytes> room) {
        if constexpr (requires { Venue::Framing::parse(packet, room); }) {
            return Venue::Framing::parse(packet, room);
        } else {
            const Frame frame = Venue::Framing::parse(packet);
            if (frame.kind != FrameKind::data) return frame;
            Walker walker(frame.blocks);
            const std::size_t n = std::min<std::size_t>(frame.count, room.size());
            for (std::size_t i = 0; i < n; ++i) room[i] = walker.next();
            return frame;
        }
    }

    void on_parsed(const Packet& packet, const Frame& frame) {
        const bool swapped = planted(Bug::lines_swapped) && packet.line < 2;
        LineCounters& line = arbiter_.line(swapped ? static_cast<LineId>(1 - packet.line) : packet.line);
        line[LineCounter::bytes] += packet.bytes.size();
        if (frame.kind == FrameKind::malformed ||
            frame.first_sequence > std::numeric_limits<SequenceNumber>::max() - frame.count - 1) {
            ++line[LineCounter::malformed];
            return;
        }
        line[LineCounter::arbitrated] += planted(Bug::packet_counted_twice) ? 2U : 1U;
        if (frame.excess != 0) [[unlikely]] {
            ++line[LineCounter::excess];
            line[LineCounter::excess_bytes] += frame.excess;
        }
        on_frame(packet.line, packet.received_at, frame);
    }

    void on_frame(LineId line, Timestamp received_at, const Frame& frame) {
        arbiter_.line(line)[LineCounter::messages] += frame.count;
        arbiter_.line(line)[LineCounter::heartbeats] += frame.count == 0 ? 1 : 0;
        messages_[MessageCounter::decoded] += planted(Bug::decoded_one_short) ? frame.count / 2 : frame.count;
        if (!arbiter_.is_recovery_line(line)) watch_.heard();
        if (told_ == Quality::stale) tell();
        Sink sink{*this};
        arbiter_.on_frame(line, received_at, frame, sink);
        if (told_ != Quality::live) tell();
        if (join_at_ != 0) join_snapshot();
        if (context_.suspects() != 0 && !stopped_ && config_.quality.suspect == SuspectPolicy::stop) {
            stopped_ = true;
            context_.stop();
        }
    }
    // Tells what holds for all books. Nothing is delivered while something is overdue, nor in silence, so
    // that it is told in time.
    void tell() {
        told_ = worst(arbiter_.overdue() ? Quality::recovering : Quality::live,
                      watch_.all_silent() && !ended() ? Quality::stale : Quality::live);
        if (!planted(Bug::recovering_for_ever) || told_ != Quality::live) context_.set_overlay(told_);
    }

    void apply_run(const MessageRun& run) {
        context_.header = {};
        context_.header.received_at = run.received_at;
        const std::uint32_t skip = run.skip > 0 && planted(Bug::run_skips_one_less) ? run.skip - 1 : run.skip;
        const bool looked = looked_at_ != nullptr && looked_at_->frame.blocks.data() == run.blocks.data();
        const std::uint32_t done = looked ? apply_looked(run, skip) : 0;
        if (done < run.count) apply_rest(run, skip + done, done);
        if constexpr (HasOnPacketEnd<Handler>) handler_.on_packet_end();
    }
    // Applies what stands in the window already. Returns how many messages that were.
    std::uint32_t apply_looked(const MessageRun& run, std::uint32_t skip) {
        const std::uint32_t count = looked_at_->count > skip ? std::min(looked_at_->count - skip, run.count) : 0;
        const std::uint32_t first = looked_at_->first + skip;
        apply_all(std::span(window_).subspan(first, count), std::span(hints_).subspan(first, count), run, 0);
        return count;
    }
    // What stands in no window: the run's messages from number `done` on, behind `skip` others of its blocks.
    [[gnu::noinline]] void apply_rest(const MessageRun& run, std::uint32_t skip, std::uint32_t done) {
        Walker walker(run.blocks);
        for (std::uint32_t i = 0; i < skip; ++i) walker.next();
        while (done < run.count) {
            const std::uint32_t n = std::min(run.count - done, kRestWindow);
            for (std::uint32_t i = 0; i < n; ++i) rest_window_[i] = walker.next();
            look_ahead(std::span(rest_window_.data(), n), std::span(rest_hints_.data(), n));
            apply_all(std::span(rest_window_.data(), n), std::span(rest_hints_.data(), n), run, done);
            done += n;
        }
    }
    // Messages number `done` and following of a run.
    void apply_all(std::span<const MessageBytes> messages, std::span<const Hint> hints, const MessageRun& run,
                   std::uint32_t done) {
        // What could stand in a message's way is asked for all of them at once: nothing of it comes up in between.
        const bool free = !copies_.enabled() && !stopped_ && repair_ == Repair::none &&
                          run.first + run.count - 1 <= config_.last_sequence;
        const SequenceNumber first = run.first + done;
        const std::size_t last = run.count - done - 1;
        if (free) [[likely]] return apply_free(messages, hints, first, last);
        for (std::size_t i = 0; i < messages.size(); ++i) apply(messages[i], hints[i], first + i, i == last);
    }
    void apply_free(std::span<const MessageBytes> messages, std::span<const Hint> hints, SequenceNumber first,
                    std::size_t last) {
        std::uint64_t others = 0;
        for (std::size_t i = 0; i < messages.size(); ++i) {
            const MessageBytes message = messages[i];
            ++by_type_[Venue::type_index(message)];
            const Applied applied = apply_to_books(message, hints[i], first + i, i == last);
            if (applied == Applied::delivered) [[likely]] continue;
            count(applied);
            ++others;
        }
        messages_[MessageCounter::delivered] += messages.size() - others;
    }

    // A builder looks at a whole window, or at one message after the other in steps of which each needs what
    // the one before it fetched.
    template <int Step = 0>
    void look_ahead(std::span<const MessageBytes> window, std::span<Hint> hints) {
        if constexpr (requires { builder_.look_ahead(window, hints); }) {
            builder_.look_ahead(window, hints);
        } else {
            if constexpr (Step == 0) std::fill(hints.begin(), hints.end(), Hint{});
            for (std::size_t i = 0; i < window.size(); ++i) builder_.template look_ahead<Step>(window[i], hints[i]);
            if constexpr (Step + 1 < Builder::kLookSteps) look_ahead<Step + 1>(window, hints);
        }
    }

    [[gnu::noinline]] void apply(MessageBytes message, const Hint& hint, SequenceNumber sequence, bool last_in_packet) {
        ++by_type_[Venue::type_index(message)];
        if (copies_.enabled()) compare(sequence, message);
        if (sequence > config_.last_sequence || stopped_) {
            ++messages_[MessageCounter::filtered];
            return;
        }
        if (repair_ != Repair::none && waits_for_snapshot(message) &&
            log_message(message, sequence, last_in_packet)) {
            return;
        }
        count(apply_to_books(message, hint, sequence, last_in_packet));
        // What was found out just now, the snapshot under way may not have made good.
        if (repair_ != Repair::none && !flows_ && context_.suspects() != suspects_repaired_) repair_more(sequence + 1);
    }
    [[gnu::always_inline]] Applied apply_to_books(MessageBytes message, const Hint& hint, SequenceNumber sequence,
                                                  bool last_in_packet) {
        context_.header.sequence = planted(Bug::sequence_off_by_one) ? sequence + 1 : sequence;
        context_.last_in_packet = last_in_packet;
        return builder_.apply(message, hint);
    }
    void count(Applied applied) {
        using enum MessageCounter;
        static constexpr std::array<MessageCounter, 4> kCounters{delivered, filtered, unknown, malformed};
        ++messages_[kCounters[static_cast<std::size_t>(applied)]];
        // Which book a malformed message was about, and what it did to it, is not known.
        if (applied == Applied::malformed && !planted(Bug::malformed_ignored)) [[unlikely]] {
            context_.distrust_all(Quality::suspect);
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
    bool flows_ = false;                 // no server has a snapshot: until the next request nothing waits for one
    std::uint64_t given_up_in_repair_ = 0;  // messages that the snapshot to come stands in for
    SequenceNumber differ_to_ = 0;       // the last message of which two copies are not the same
    SequenceNumber repair_from_ = 0;     // a snapshot has to hold everything before this one
    SequenceNumber logged_to_ = 0;       // the last message that was logged
    SequenceNumber join_at_ = 0;         // the snapshot that is complete holds everything before this one, ...
    std::optional<Timestamp> complete_at_;  // ... and when next_request first saw it, ...
    std::uint64_t signs_to_join_ = 0;    // ... and LineArbiter::signs() that it waits for
    std::uint64_t first_gap_ = 0;        // of the gap log, that the repair makes good
    std::uint64_t suspects_repaired_ = 0;
    LineWatch watch_;
    CopyCompare copies_;
    Quality told_ = Quality::live;  // of the feed as a whole
    bool stopped_ = false;
    std::uint64_t gap_seen_ = 0;    // number of the gap that is open, ...
    Timestamp gap_seen_at_ = 0;     // ... and when next_request first saw it
    MessageCounters messages_;
    std::array<std::uint64_t, 256> by_type_{};
    // Packets and messages that were looked at, and the packet of these that is being applied.
    static constexpr std::size_t kLookPackets = 16;
    const Looked* looked_at_ = nullptr;
    std::array<Looked, kLookPackets> looked_;
    std::array<MessageBytes, kLookRoom> window_;
    std::array<Hint, kLookRoom> hints_;
    // The same for what was held up, or is more than the window takes.
    static constexpr std::uint32_t kRestWindow = 32;
    static_assert(kRestWindow <= kLookRoom);
    std::array<MessageBytes, kRestWindow> rest_window_;
    std::array<Hint, kRestWindow> rest_hints_;
};

}  // namespace millrace

#include "millrace/feed/session_recovery.hpp"  // IWYU pragma: export
