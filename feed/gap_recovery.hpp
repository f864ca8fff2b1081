// Decides what to ask for when messages are missing, whom, and when: first the messages themselves, from
// retransmission servers in turn; then a snapshot. A function of what it is told: it opens no socket and
// reads no clock. The I/O side pulls requests out of it (Session::next_request) and feeds answers back.
//
// `now` is any clock that does not go back.
#pragma once

#include <cstdint>

#include "millrace/core/types.hpp"
#include "millrace/feed/counters.hpp"
#include "millrace/feed/framing/frame.hpp"
#include "millrace/feed/recovery_config.hpp"

namespace millrace {

// What the I/O side should do now. At most one of each kind is under way; a later snapshot request takes
// the place of an earlier one.
struct RecoveryRequest {
    enum class Kind : std::uint8_t { retransmit, snapshot };
    Kind kind = Kind::retransmit;
    std::uint8_t server = 0;         // which of the configured ones
    std::uint16_t count = 0;         // retransmit: so many messages, ...
    std::uint32_t id = 0;            // snapshot: names it in the answers
    SequenceNumber first = 0;        // ... from this one on; snapshot: it must reach at least this far
    SessionKey session;
    bool after_silence = false;      // retransmit: the one before was not answered in time
};

class GapRecovery {
  public:
    enum class Advice : std::uint8_t { wait, ask, give_up };

    explicit GapRecovery(const RecoveryConfig& config) : config_(config) {}

    // ---- messages that are missing and overdue ----

    // What to do about `missing` now; on `ask`, `request` says whom for what.
    [[nodiscard]] Advice retransmit(const SessionKey& session, SequenceRange missing, Timestamp now,
                                    RecoveryRequest& request);
    // Nothing is overdue any more: filled, or given up.
    void gap_ended() { gap_open_ = asked_ = false; }

    // ---- snapshots ----

    [[nodiscard]] bool has_snapshots() const { return config_.snapshot_servers != 0; }
    // A snapshot is wanted. Where one is under way it may still do: whether it reaches far enough shows
    // when it ends.
    void want_snapshot() { snapshot_ = snapshot_ == Snapshot::none ? Snapshot::wanted : snapshot_; }
    // The one under way will not do, whatever it brings.
    void want_another_snapshot();
    // One of `session` that holds everything before `from`.
    [[nodiscard]] Advice ask_snapshot(const SessionKey& session, SequenceNumber from, Timestamp now,
                                      RecoveryRequest& request);
    // Whether an answer belongs to the snapshot that was asked for last, and moves it on.
    [[nodiscard]] bool snapshot_begins(std::uint32_t id);
    [[nodiscard]] bool snapshot_loads(std::uint32_t id) const {
        return snapshot_ == Snapshot::loading && id == snapshot_id_;
    }
    [[nodiscard]] bool snapshot_current(std::uint32_t id) const { return id == snapshot_id_; }
    void snapshot_progressed() { progressed_ = true; }
    // All of it is there, but the live stream has not come as far yet: it is waited for.
    void snapshot_waits() { snapshot_ = Snapshot::waiting; progressed_ = true; }
    // It cannot be used; another one is wanted, after a pause. `has_none`: the server gave none, and not merely
    // one that does not reach far enough.
    void snapshot_failed(RecoveryCounter why, bool has_none = true);
    // One is wanted, and every server has given none in turn.
    [[nodiscard]] bool all_servers_failed() const {
        return snapshot_ == Snapshot::wanted && without_ >= config_.snapshot_servers && has_snapshots();
    }
    // Its messages have begun to come.
    [[nodiscard]] bool snapshot_begun() const {
        return snapshot_ == Snapshot::loading || snapshot_ == Snapshot::waiting;
    }
    void snapshot_joined();
    // A new session: nothing of the old one is wanted.
    void reset();

    [[nodiscard]] const RecoveryCounters& counters() const { return counters_; }
    [[nodiscard]] RecoveryCounters& counters() { return counters_; }

  private:
    enum class Snapshot : std::uint8_t {
        none,     // none is wanted
        wanted,   // as soon as the pause is over
        asked,    // the request was handed out
        loading,  // messages come
        waiting,  // complete; the live stream has to catch up with it
    };

    void begin_gap(Timestamp now);
    // After so many failures in a row.
    [[nodiscard]] Nanoseconds pause_after(std::uint32_t times) const;
    void look_for_answer(SequenceRange missing, Timestamp now);

    RecoveryConfig config_;
    RecoveryCounters counters_;

    bool gap_open_ = false;
    bool asked_ = false;           // a request waits for its answer
    std::uint8_t server_ = 0;      // to ask next
    std::uint32_t unanswered_ = 0;  // requests in a row
    bool after_silence_ = false;    // the next request is
    SequenceRange asked_for_{};
    Timestamp asked_at_ = 0;
    SequenceNumber answered_to_ = 0;  // what was missing first when an answer last showed, or the question was put, ...
    Timestamp answered_at_ = 0;       // ... and when that was
    bool ever_asked_ = false;
    Timestamp gap_since_ = 0;

    Snapshot snapshot_ = Snapshot::none;
    bool progressed_ = false;       // since the last look
    std::uint8_t snapshot_server_ = 0;
    std::uint32_t snapshot_id_ = 0;
    std::uint32_t failures_ = 0;    // in a row
    std::uint32_t outdone_ = 0;     // snapshots in a row that would not do before they were there
    std::uint32_t without_ = 0;     // servers in a row that gave none
    bool ever_joined_ = false;
    Timestamp joined_at_ = 0;
    Timestamp looked_at_ = 0;       // when a snapshot was last thought of
    Timestamp progressed_at_ = 0;
    Timestamp paused_until_ = 0;
};

}  // namespace millrace
