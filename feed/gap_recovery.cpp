#include "millrace/feed/gap_recovery.hpp"

#include <algorithm>
#include <utility>

#include "millrace/core/planted.hpp"

namespace millrace {

void GapRecovery::begin_gap(Timestamp now) {
    if (gap_open_) return;
    gap_open_ = true;
    asked_ = false;
    unanswered_ = 0;
    gap_since_ = now;
}

// Looks whether the request that is under way was answered, which shows in that less is missing. An answer that
// takes several packets is waited for up to its end, as long as they come.
void GapRecovery::look_for_answer(SequenceRange missing, Timestamp now) {
    if (missing.first != answered_to_) {
        answered_to_ = missing.first;
        answered_at_ = now;
        unanswered_ = 0;
        const bool more = missing.first > asked_for_.first && missing.first <= asked_for_.last;
        asked_ = config_.answers_in_parts && more;
        return;
    }
    if (now - answered_at_ < config_.answer_timeout_ns) return;
    asked_ = false;
    after_silence_ = true;
    ++unanswered_;
    ++counters_[RecoveryCounter::unanswered];
    if (planted(Bug::same_server_again)) return;
    server_ = static_cast<std::uint8_t>((server_ + 1U) % config_.retransmit_servers);
}

GapRecovery::Advice GapRecovery::retransmit(const SessionKey& session, SequenceRange missing, Timestamp now,
                                            RecoveryRequest& request) {
    if (config_.retransmit_servers == 0) return Advice::give_up;
    begin_gap(now);
    if (asked_) look_for_answer(missing, now);
    const bool too_late = now - gap_since_ >= config_.retransmit_ns;
    if (asked_ && !too_late) return Advice::wait;
    const bool too_long = has_snapshots() && missing.size() > config_.gap_messages_max;
    if (too_long || too_late || unanswered_ >= config_.attempts * config_.retransmit_servers) {
        ++counters_[RecoveryCounter::retransmission_failed];
        gap_ended();
        return Advice::give_up;
    }
    const Nanoseconds pause = planted(Bug::request_storm) ? 0 : config_.request_interval_ns;
    if (ever_asked_ && now - asked_at_ < pause) return Advice::wait;
    asked_ = ever_asked_ = true;
    asked_at_ = answered_at_ = now;
    answered_to_ = missing.first;
    const auto most = std::min<std::uint64_t>(config_.request_messages_max, 65'534);
    const std::uint64_t count = std::min<std::uint64_t>(missing.size(), most);
    asked_for_ = {missing.first, missing.first + count - 1};
    request = {RecoveryRequest::Kind::retransmit, server_, static_cast<std::uint16_t>(count), 0,
               planted(Bug::request_off_by_one) ? missing.first + 1 : missing.first, session,
               std::exchange(after_silence_, false)};
    ++counters_[RecoveryCounter::requests];
    return Advice::ask;
}

GapRecovery::Advice GapRecovery::ask_snapshot(const SessionKey& session, SequenceNumber from, Timestamp now,
                                              RecoveryRequest& request) {
    looked_at_ = now;
    switch (snapshot_) {
        case Snapshot::none: return Advice::wait;
        case Snapshot::asked:
        case Snapshot::loading:
        case Snapshot::waiting:
            if (progressed_) progressed_at_ = now;
            progressed_ = false;
            if (now - progressed_at_ < config_.snapshot_timeout_ns) return Advice::wait;
            snapshot_failed(RecoveryCounter::snapshots_timed_out);
            return Advice::give_up;
        case Snapshot::wanted: break;
    }
    if (now < paused_until_) return Advice::wait;
    if (ever_joined_ && now - joined_at_ < config_.snapshot_retry_ns) return Advice::wait;
    snapshot_ = Snapshot::asked;
    progressed_ = false;
    progressed_at_ = now;
    request = {RecoveryRequest::Kind::snapshot, snapshot_server_, 0, ++snapshot_id_, from, session};
    ++counters_[RecoveryCounter::snapshots_requested];
    return Advice::ask;
}

// The first time at once: then servers are not asked as fast as they answer.
void GapRecovery::want_another_snapshot() {
    const bool under_way = snapshot_ != Snapshot::none && snapshot_ != Snapshot::wanted;
    if (under_way && ++outdone_ > 1) paused_until_ = std::max(paused_until_, looked_at_ + pause_after(outdone_ - 1));
    snapshot_ = Snapshot::wanted;
}

bool GapRecovery::snapshot_begins(std::uint32_t id) {
    if (snapshot_ != Snapshot::asked || id != snapshot_id_) return false;
    snapshot_ = Snapshot::loading;
    progressed_ = true;
    return true;
}

void GapRecovery::snapshot_failed(RecoveryCounter why, bool has_none) {
    if (snapshot_ == Snapshot::none || snapshot_ == Snapshot::wanted) return;
    ++counters_[why];
    ++failures_;
    without_ = has_none ? without_ + 1 : 0;
    snapshot_ = planted(Bug::snapshot_asked_once) ? Snapshot::none : Snapshot::wanted;
    snapshot_server_ = static_cast<std::uint8_t>((snapshot_server_ + 1U) % config_.snapshot_servers);
    paused_until_ = looked_at_ + pause_after(failures_);
}

Nanoseconds GapRecovery::pause_after(std::uint32_t times) const {
    return std::min(config_.snapshot_retry_ns << std::min(times - 1, 16U), config_.snapshot_retry_max_ns);
}

void GapRecovery::snapshot_joined() {
    ++counters_[RecoveryCounter::snapshots_joined];
    snapshot_ = Snapshot::none;
    failures_ = without_ = outdone_ = 0;
    paused_until_ = 0;
    ever_joined_ = true;
    joined_at_ = looked_at_;
}

void GapRecovery::reset() {
    gap_ended();
    snapshot_ = Snapshot::none;
    failures_ = without_ = outdone_ = 0;
    paused_until_ = 0;
}

}  // namespace millrace
