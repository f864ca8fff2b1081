// The one path from packets to book events: framing, arbitration, decoding, books, handler.
//
// A session is a function of packets. It opens no socket, reads no clock, starts no thread, takes no lock,
// throws nothing, logs nothing and allocates nothing after construction. Live capture, replay, simulation,
// fuzzing and benchmarks all drive this code.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <span>

#include "millrace/core/planted.hpp"
#include "millrace/feed/book_context.hpp"
#include "millrace/feed/counters.hpp"
#include "millrace/feed/framing/frame.hpp"
#include "millrace/feed/handler.hpp"
#include "millrace/feed/line_arbiter.hpp"
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
          context_(store_, directory_, handler), builder_(context_), handler_(handler),
          last_sequence_(config.last_sequence) {}
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    // One datagram of one line. `packet.line` must be below SessionConfig::lines.
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

    // A run of messages from a source that numbers them by counting (BinaryFILE, SoupBinTCP): `count`
    // length-prefixed messages in `blocks`, the first of which is number `first`.
    void on_records(SequenceNumber first, std::uint32_t count, std::span<const std::uint8_t> blocks,
                    Timestamp received_at) {
        arbiter_.line(0)[LineCounter::bytes] += blocks.size();
        on_frame(0, received_at, Frame{FrameKind::data, SessionKey{}, first, count, blocks});
    }

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
        now[MessageCounter::held] = arbiter_.messages_held();
        return now;
    }
    // Messages that were applied, filtered, unknown or malformed, by `Venue::type_index`.
    [[nodiscard]] const std::array<std::uint64_t, 256>& by_type() const { return by_type_; }

  private:
    // Messages looked at ahead of the one being applied, so that their cache misses overlap.
    static constexpr std::uint32_t kWindow = 32;
    using Walker = typename Venue::Framing::Walker;
    using Builder = typename Venue::template Builder<Handler>;

    struct Sink {
        Session& session;
        void on_run(const MessageRun& run) { session.apply_run(run); }
        void on_given_up(SequenceRange missing) {
            if (!planted(Bug::gap_untold)) session.handler_.on_gap(missing);
            if (!planted(Bug::gap_without_quality)) session.context_.degrade_all(Quality::recovering);
        }
        void on_new_session() {
            session.builder_.reset();
            if (!planted(Bug::books_survive_session)) session.context_.reset_books();
        }
        void on_contradiction() {
            session.context_.fault(FaultCounter::stream_offset);
            session.context_.degrade_all(Quality::suspect);
        }
    };

    void on_frame(LineId line, Timestamp received_at, const Frame& frame) {
        arbiter_.line(line)[LineCounter::messages] += frame.count;
        arbiter_.line(line)[LineCounter::heartbeats] += frame.count == 0 ? 1 : 0;
        messages_[MessageCounter::decoded] += frame.count;
        Sink sink{*this};
        arbiter_.on_frame(line, received_at, frame, sink);
    }

    void apply_run(const MessageRun& run) {
        Walker walker(run.blocks);
        const std::uint32_t skip = run.skip > 0 && planted(Bug::run_skips_one_less) ? run.skip - 1 : run.skip;
        for (std::uint32_t i = 0; i < skip; ++i) walker.next();
        context_.header.received_at = run.received_at;
        std::array<std::span<const std::uint8_t>, kWindow> window;
        std::array<typename Builder::Hint, kWindow> hints;
        SequenceNumber sequence = run.first;
        for (std::uint32_t left = run.count; left > 0;) {
            const std::uint32_t n = left < kWindow ? left : kWindow;
            for (std::uint32_t i = 0; i < n; ++i) {
                window[i] = walker.next();
                hints[i] = kNoSlot;
            }
            look_ahead<0>(window, hints, n);
            for (std::uint32_t i = 0; i < n; ++i) apply(window[i], hints[i], sequence++, left - i == 1);
            left -= n;
        }
    }

    template <int Step>
    void look_ahead(std::span<const std::span<const std::uint8_t>> window,
                    std::span<typename Builder::Hint> hints, std::uint32_t n) const {
        for (std::uint32_t i = 0; i < n; ++i) builder_.template look_ahead<Step>(window[i], hints[i]);
        if constexpr (Step + 1 < Builder::kLookSteps) look_ahead<Step + 1>(window, hints, n);
    }

    void apply(std::span<const std::uint8_t> message, typename Builder::Hint hint, SequenceNumber sequence,
               bool last_in_packet) {
        ++by_type_[Venue::type_index(message)];
        if (sequence > last_sequence_) {
            ++messages_[MessageCounter::filtered];
            return;
        }
        context_.header.sequence = planted(Bug::sequence_off_by_one) ? sequence + 1 : sequence;
        context_.last_in_packet = last_in_packet;
        switch (builder_.apply(message, hint)) {
            case Applied::delivered: ++messages_[MessageCounter::delivered]; break;
            case Applied::filtered: ++messages_[MessageCounter::filtered]; break;
            case Applied::unknown: ++messages_[MessageCounter::unknown]; break;
            case Applied::malformed: ++messages_[MessageCounter::malformed]; break;
        }
    }

    BookStore store_;
    SymbolDirectory directory_;
    LineArbiter arbiter_;
    BookContext<Handler> context_;
    Builder builder_;
    Handler& handler_;
    SequenceNumber last_sequence_;
    MessageCounters messages_;
    std::array<std::uint64_t, 256> by_type_{};
};

}  // namespace millrace
