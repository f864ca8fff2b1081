// Every counter of a feed, declared once: name, and what it counts. The ledgers, the JSON summary, metrics
// and docs read these tables.
//
// Two ledgers must close at any moment. Packets, per line:
//     received = arbitrated + malformed + truncated + queue_full + in flight
// and messages:
//     decoded = delivered + duplicate + filtered + unknown + malformed + held + superseded + stray +
//               given_up
// What never arrived (line loss, kernel drops) stands apart: it is in no balance.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

#include "millrace/core/types.hpp"

namespace millrace {

struct CounterInfo {
    std::string_view name;
    std::string_view unit;
    std::string_view meaning;
};

template <class Counter, std::size_t N>
class CounterBlock {
  public:
    [[nodiscard]] std::uint64_t& operator[](Counter counter) { return values_[static_cast<std::size_t>(counter)]; }
    [[nodiscard]] std::uint64_t operator[](Counter counter) const { return values_[static_cast<std::size_t>(counter)]; }
    [[nodiscard]] static constexpr std::size_t size() { return N; }
    friend bool operator==(const CounterBlock&, const CounterBlock&) = default;

  private:
    std::array<std::uint64_t, N> values_{};
};

// ---- by line, on the decoding side ----

enum class LineCounter : std::uint8_t {
    arbitrated, malformed, bytes, messages, heartbeats, lost, duplicate, first, only, stray, excess, excess_bytes
};
inline constexpr std::array<CounterInfo, 12> kLineCounters{{
    {"arbitrated", "packets", "well-formed packets handed to the arbiter"},
    {"malformed", "packets", "packets whose framing does not hold together"},
    {"bytes", "bytes", "payload of all packets of this line"},
    {"messages", "messages", "messages in well-formed packets"},
    {"heartbeats", "packets", "packets without messages"},
    {"lost", "messages", "sequence numbers that this line skipped and never brought later"},
    {"duplicate", "messages", "messages that had been delivered before this copy came"},
    {"first", "messages", "messages that this line brought first"},
    {"only", "messages", "messages that this line brought and every other one skipped"},
    {"stray", "messages", "messages of packets of another session, far ahead, or misplaced, that nothing bore out"},
    {"excess", "packets", "well-formed packets with bytes behind their last message"},
    {"excess_bytes", "bytes", "of packets, behind their last message: no protocol says what they are"},
}};
using LineCounters = CounterBlock<LineCounter, kLineCounters.size()>;

// ---- messages of a feed ----

enum class MessageCounter : std::uint8_t {
    decoded, delivered, duplicate, filtered, unknown, malformed, held, superseded, stray, given_up
};
inline constexpr std::array<CounterInfo, 10> kMessageCounters{{
    {"decoded", "messages", "messages in well-formed packets of all lines"},
    {"delivered", "messages", "messages applied, each once"},
    {"duplicate", "messages", "copies of messages that were delivered or given up before"},
    {"filtered", "messages", "messages about instruments nobody subscribed to"},
    {"unknown", "messages", "messages of a type this version does not know"},
    {"malformed", "messages", "messages shorter than their type, or with a side or price that cannot be"},
    {"held", "messages", "messages waiting behind a gap or for a snapshot at this moment"},
    {"superseded", "messages", "messages that waited for a snapshot which contained them"},
    {"stray", "messages", "messages of packets of another session, far ahead, or misplaced, that nothing bore out"},
    {"given_up", "messages", "messages that waited for a snapshot, and had to be dropped before one contained them"},
}};
using MessageCounters = CounterBlock<MessageCounter, kMessageCounters.size()>;

// Zero whenever it is read between two packets.
[[nodiscard]] inline std::int64_t balance(const MessageCounters& c) {
    using enum MessageCounter;
    return static_cast<std::int64_t>(c[decoded]) -
           static_cast<std::int64_t>(c[delivered] + c[duplicate] + c[filtered] + c[unknown] + c[malformed] + c[held] +
                                     c[superseded] + c[stray] + c[given_up]);
}

// ---- contradictions: why a book is suspect ----

enum class FaultCounter : std::uint8_t {
    unknown_order, foreign_order, duplicate_order, bad_quantity, orders_full, levels_full, books_full,
    unknown_instrument, renamed_instrument, stream_offset, event_split, lines_differ, crossed, level_total
};
inline constexpr std::array<CounterInfo, 14> kFaultCounters{{
    {"unknown_order", "messages", "about an order that does not rest in any book"},
    {"foreign_order", "messages", "about an order that rests in another book"},
    {"duplicate_order", "messages", "adding an order that rests already"},
    {"bad_quantity", "messages", "adding nothing, or taking more than an order holds"},
    {"orders_full", "messages", "refused because limits.orders is reached"},
    {"levels_full", "messages", "refused because limits.levels is reached"},
    {"books_full", "instruments", "without a book because limits.instruments is reached"},
    {"unknown_instrument", "messages", "about an instrument the directory has not named"},
    {"renamed_instrument", "messages", "that give an instrument's number to another one"},
    {"stream_offset", "packets", "whose byte offset does not go on where their sequence number does"},
    {"event_split", "messages", "of a transaction shown in parts, because too many were incomplete at once"},
    {"lines_differ", "messages", "of which two copies are not the same"},
    {"crossed", "updates", "that left a book crossed or locked in continuous trading"},
    {"level_total", "levels", "that emptied with a total other than zero"},
}};
using FaultCounters = CounterBlock<FaultCounter, kFaultCounters.size()>;

// ---- what recovery did ----

enum class RecoveryCounter : std::uint8_t {
    requests, unanswered, retransmission_failed, snapshots_requested, snapshots_refused, snapshots_timed_out,
    snapshots_too_old, snapshots_joined, snapshot_messages, snapshot_malformed, backlog_full, restarts
};
inline constexpr std::array<CounterInfo, 12> kRecoveryCounters{{
    {"requests", "requests", "retransmission requests handed to the network"},
    {"unanswered", "requests", "of these, not answered in time"},
    {"retransmission_failed", "gaps", "not filled by retransmission within its limits"},
    {"snapshots_requested", "snapshots", "asked for"},
    {"snapshots_refused", "snapshots", "refused, cut off or damaged"},
    {"snapshots_timed_out", "snapshots", "that made no progress in time"},
    {"snapshots_too_old", "snapshots", "that did not reach to the end of the gap"},
    {"snapshots_joined", "snapshots", "joined to the live stream"},
    {"snapshot_messages", "messages", "of snapshots that were applied"},
    {"snapshot_malformed", "messages", "of snapshots, unknown or shorter than their type"},
    {"backlog_full", "times", "recovery.backlog_bytes was reached; a later snapshot is needed"},
    {"restarts", "times", "the stream began anew under the same session"},
}};
using RecoveryCounters = CounterBlock<RecoveryCounter, kRecoveryCounters.size()>;

// ---- gaps ----

enum class GapEnd : std::uint8_t {
    open, same_line, other_line, given_up, session_end, retransmitted, snapshot
};
inline constexpr std::array<std::string_view, 7> kGapEndNames{
    "open", "same_line", "other_line", "given_up", "session_end", "retransmitted", "snapshot"};
[[nodiscard]] constexpr std::string_view name(GapEnd end) { return kGapEndNames[static_cast<std::size_t>(end)]; }

// Sequence numbers that were missing when a later one arrived, and how that ended.
struct Gap {
    SequenceRange missing;
    GapEnd ended = GapEnd::open;
    LineId noticed_by = 0;     // line of the packet that came too early
    LineId filled_by = 0;      // line of the packet that completed it
    Timestamp opened_at = 0;   // receive time of the packet that revealed it
    Timestamp ended_at = 0;
};

// The most recent gaps in full, all of them as totals.
class GapLog {
  public:
    static constexpr std::size_t kKept = 4096;

    Gap& open(const Gap& gap) {
        Gap& slot = gaps_[total_++ % kKept];
        slot = gap;
        return slot;
    }
    void count_end(GapEnd end) { ++ended_[static_cast<std::size_t>(end)]; }
    // Of the gaps from number `first` on (counted from 0), those given up are made good by a snapshot.
    void heal(std::uint64_t first, Timestamp now) {
        for (std::uint64_t i = std::max(first, total_ - kept()); i < total_; ++i) {
            Gap& gap = gaps_[i % kKept];
            if (gap.ended != GapEnd::given_up) continue;
            --ended_[static_cast<std::size_t>(GapEnd::given_up)];
            gap.ended = GapEnd::snapshot;
            gap.ended_at = now;
            count_end(GapEnd::snapshot);
        }
    }

    [[nodiscard]] std::uint64_t total() const { return total_; }
    [[nodiscard]] std::uint64_t ended(GapEnd end) const { return ended_[static_cast<std::size_t>(end)]; }
    [[nodiscard]] std::size_t kept() const { return total_ < kKept ? static_cast<std::size_t>(total_) : kKept; }
    // From the oldest kept one.
    [[nodiscard]] const Gap& operator[](std::size_t i) const { return gaps_[(total_ - kept() + i) % kKept]; }

  private:
    std::array<Gap, kKept> gaps_{};
    std::uint64_t total_ = 0;
    std::array<std::uint64_t, kGapEndNames.size()> ended_{};
};

}  // namespace millrace
