// What a session does to get back what it missed, and to find out whether it can be trusted: the part of
// Session that is seldom at work. Included by session.hpp alone.
#pragma once

#include "millrace/feed/session.hpp"

namespace millrace {

template <class Venue, BookHandler Handler>
std::optional<RecoveryRequest> Session<Venue, Handler>::next_request(Timestamp now) {
    Sink sink{*this};
    std::optional<RecoveryRequest> request;
    watch_gap(now, sink);
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
    watch_.look(now, [&](LineId line) { return arbiter_.line(line)[LineCounter::arbitrated]; });
    tell();
    watch_snapshot(now);
    if (join_at_ != 0) join_snapshot();
    repair_suspects();
    if (!request) ask_again(now, request);
    if (repair_ != Repair::none && !flows_ && recovery_.all_servers_failed()) let_flow();
    return request;
}

template <class Venue, BookHandler Handler>
void Session<Venue, Handler>::ask_again(Timestamp now, std::optional<RecoveryRequest>& request) {
    RecoveryRequest ask;
    // What was shown meanwhile, the snapshot has to hold.
    const SequenceNumber from = flows_ ? std::max(repair_from_, arbiter_.next_expected()) : repair_from_;
    switch (recovery_.ask_snapshot(arbiter_.session(), from, now, ask)) {
        case GapRecovery::Advice::ask:
            request = ask;
            if (std::exchange(flows_, false)) begin_repair(repair_, from);
            break;
        case GapRecovery::Advice::give_up: join_at_ = 0; break;
        case GapRecovery::Advice::wait: break;
    }
}

template <class Venue, BookHandler Handler>
void Session<Venue, Handler>::lines_differ(SequenceNumber sequence, std::uint16_t key) {
    differ_to_ = std::max(differ_to_, sequence);
    context_.count(FaultCounter::lines_differ);
    if (planted(Bug::difference_ignored)) return;
    bool known = kHasKeys;
    if constexpr (kHasKeys) {
        for (const std::uint16_t either : {copies_.first_key(), key}) {
            if (OrderBook* book = builder_.book_of_key(either)) context_.suspect(*book);
            known = known && builder_.is_named(either);
        }
    }
    // The book may be one that is still to come: its messages may be held, and its name with them.
    if (!known && !planted(Bug::unnamed_difference_ignored)) context_.distrust_all(Quality::suspect);
    // What waits for a snapshot may be the wrong copy: the snapshot has to reach beyond it.
    if (repair_ != Repair::none) repair_more(arbiter_.next_expected());
}

// Packets' times may stand still or go back, when the host's clock is set: a gap does not wait for them.
template <class Venue, BookHandler Handler>
void Session<Venue, Handler>::watch_gap(Timestamp now, Sink& sink) {
    if (!arbiter_.gap_open() || arbiter_.overdue()) return;
    if (gap_seen_ != arbiter_.gaps().total()) {
        gap_seen_ = arbiter_.gaps().total();
        gap_seen_at_ = now;
    }
    if (now - gap_seen_at_ <= 2 * config_.reorder_window_ns || planted(Bug::window_never_ends)) return;
    if (config_.recovery.enabled()) arbiter_.declare_overdue();
    else arbiter_.give_up_missing(sink);
}

// From here on the books concerned wait for a snapshot that holds everything before `from`.
template <class Venue, BookHandler Handler>
void Session<Venue, Handler>::begin_repair(Repair repair, SequenceNumber from) {
    settle_log();
    if (repair == Repair::some && context_.distrusts_new_books()) {
        repair = Repair::all;
        if (repair_ != Repair::all) first_gap_ = arbiter_.gaps().total() - (arbiter_.gap_open() ? 1 : 0);
    }
    if (repair_ == Repair::some && repair == Repair::all) {
        // What has been taken of the snapshot so far is too little.
        join_at_ = 0;
        recovery_.want_another_snapshot();
    }
    repair_ = std::max(repair, repair_);
    // A wrong copy may still be on its way to the books, out of what is held.
    repair_from_ = std::max(from, differ_to_ + 1);
    if (join_at_ != 0 && join_at_ < repair_from_) {
        join_at_ = 0;
        recovery_.snapshot_failed(RecoveryCounter::snapshots_too_old, false);
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
bool Session<Venue, Handler>::log_message(std::span<const std::uint8_t> message, SequenceNumber sequence,
                                          bool last_in_packet) {
    if (log_.push({sequence, context_.header.received_at, last_in_packet, message})) {
        logged_to_ = sequence;
        return true;
    }
    // No room: a snapshot has to reach beyond this message too.
    ++recovery_.counters()[RecoveryCounter::backlog_full];
    const EventHeader header = context_.header;
    begin_repair(repair_, sequence + 1);
    context_.header = header;
    if (!recovery_.snapshot_begun()) return false;
    give_up_logged({sequence, sequence}, 1);
    return true;
}

template <class Venue, BookHandler Handler>
void Session<Venue, Handler>::settle_log() {
    if (log_.size() == 0) return;
    if (!recovery_.snapshot_begun()) {
        // Contradictions are to be expected now.
        if (repair_ == Repair::all) context_.distrust_all(Quality::recovering);
        apply_log();
        if constexpr (HasOnPacketEnd<Handler>) handler_.on_packet_end();
        return;
    }
    const SequenceRange waited{log_.front().sequence, logged_to_};
    const std::uint64_t messages = log_.size();
    log_.clear();
    give_up_logged(waited, messages);
}

// Of a single book's repair the messages are counted, and not named: all others of that range were shown.
template <class Venue, BookHandler Handler>
void Session<Venue, Handler>::give_up_logged(SequenceRange range, std::uint64_t messages) {
    messages_[MessageCounter::given_up] += messages;
    given_up_in_repair_ += messages;
    if (repair_ != Repair::all) return;
    arbiter_.note_given_up(range);
    handler_.on_gap(range);
}

// Every server has failed. Until one is asked again messages go to the books, which say that they are not exact.
template <class Venue, BookHandler Handler>
void Session<Venue, Handler>::let_flow() {
    settle_log();
    if (repair_ == Repair::all) context_.distrust_all(Quality::recovering);
    flows_ = true;
}

template <class Venue, BookHandler Handler>
void Session<Venue, Handler>::apply_log() {
    while (log_.size() != 0) {
        const MessageLog::Entry entry = log_.front();
        context_.header = {};
        context_.header.sequence = entry.sequence;
        context_.header.received_at = entry.received_at;
        context_.last_in_packet = entry.last_in_packet;
        count(builder_.apply(entry.message, {}));
        log_.pop_front();
    }
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
    if (repair_ == Repair::some && renames(message)) {
        // Messages went to another book than they were about: no snapshot of some of them makes that good.
        context_.fault(FaultCounter::renamed_instrument);
        return repair_more(arbiter_.next_expected());
    }
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
    const bool too_old = next < repair_from_ && !planted(Bug::stale_snapshot_accepted);
    if (too_old) return recovery_.snapshot_failed(RecoveryCounter::snapshots_too_old, false);
    join_at_ = next;
    complete_at_.reset();
    signs_to_join_ = std::numeric_limits<std::uint64_t>::max();
    recovery_.snapshot_waits();
    join_snapshot();
}

template <class Venue, BookHandler Handler>
void Session<Venue, Handler>::on_snapshot_failed(std::uint32_t id, ServerProblem why) {
    if (!recovery_.snapshot_current(id)) return;
    recovery_.snapshot_failed(RecoveryCounter::snapshots_refused, why != ServerProblem::not_yet);
}

template <class Venue, BookHandler Handler>
void Session<Venue, Handler>::watch_snapshot(Timestamp now) {
    if (join_at_ == 0) return;
    if (!complete_at_) complete_at_ = now;
    const bool waits = signs_to_join_ == std::numeric_limits<std::uint64_t>::max();
    if (waits && now - *complete_at_ > config_.reorder_window_ns) signs_to_join_ = arbiter_.signs() + 1;
}

// A snapshot may be ahead of the lines: it is joined when these have come as far.
template <class Venue, BookHandler Handler>
void Session<Venue, Handler>::join_snapshot() {
    if (arbiter_.next_expected() < join_at_ && !planted(Bug::snapshot_joined_early)) return;
    if (is_of_another_session()) return;
    if (repair_ == Repair::all && join_at_ > repair_from_) handler_.on_gap({repair_from_, join_at_ - 1});
    context_.note_snapshot(join_at_);
    const SequenceNumber covered = join_at_ + (planted(Bug::join_skips_one) ? 1 : 0) -
                                   (planted(Bug::join_repeats_one) ? 1 : 0);
    while (log_.size() != 0 && log_.front().sequence < covered) {
        ++messages_[MessageCounter::superseded];
        log_.pop_front();
    }
    if (planted(Bug::log_forgotten)) {
        messages_[MessageCounter::superseded] += log_.size();
        log_.clear();
    }
    messages_[MessageCounter::superseded] += given_up_in_repair_;
    messages_[MessageCounter::given_up] -= std::exchange(given_up_in_repair_, 0);
    const bool all = std::exchange(repair_, Repair::none) == Repair::all;
    join_at_ = 0;
    apply_log();
    if constexpr (HasOnPacketEnd<Handler>) handler_.on_packet_end();
    context_.end_repair();
    recovery_.snapshot_joined();
    if (all) arbiter_.heal_gaps(first_gap_);
}

}  // namespace millrace
