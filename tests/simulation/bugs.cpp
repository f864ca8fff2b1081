#include "tests/simulation/bugs.hpp"

#include <algorithm>

namespace millrace {

Bug planted_bug = Bug::none;

}  // namespace millrace

namespace millrace::sim {

namespace {

constexpr BugInfo kBugs[] = {
    {Bug::gap_skipped, "gap_skipped", "what is missing is passed over as if it had come"},
    {Bug::window_never_ends, "window_never_ends", "a gap is waited for without end"},
    {Bug::window_at_once, "window_at_once", "a gap is given up before its window is over"},
    {Bug::straggler_restarts, "straggler_restarts",
     "a late packet of the last session starts that session again"},
    {Bug::session_keeps_sequence, "session_keeps_sequence",
     "a new session goes on at the old sequence number"},
    {Bug::held_dropped, "held_dropped", "a packet that waited behind a gap is thrown away"},
    {Bug::held_never_released, "held_never_released",
     "what waited behind a gap counts as waiting for ever"},
    {Bug::drop_counted_twice, "drop_counted_twice", "a dropped copy is counted twice"},
    {Bug::lost_one_short, "lost_one_short", "of each gap one message is not counted as lost"},
    {Bug::first_counted_short, "first_counted_short",
     "of each packet only one message counts as brought first"},
    {Bug::jump_believed, "jump_believed", "one packet alone puts the stream far ahead"},
    {Bug::gap_without_quality, "gap_without_quality",
     "a gap is given up and the books stay live"},
    {Bug::gap_untold, "gap_untold", "a gap is given up and the handler is not told"},
    {Bug::sequence_off_by_one, "sequence_off_by_one",
     "events carry the sequence number of the next message"},
    {Bug::run_skips_one_less, "run_skips_one_less",
     "of an overlapping packet one message is applied twice"},
    {Bug::books_survive_session, "books_survive_session",
     "a new session does not empty the books"},
    {Bug::log_survives_session, "log_survives_session",
     "what waited for a snapshot goes on waiting in the next session"},
    {Bug::lines_swapped, "lines_swapped", "packets are counted on the other line"},
    {Bug::packet_counted_twice, "packet_counted_twice",
     "a packet handed to the arbiter is counted twice"},
    {Bug::decoded_one_short, "decoded_one_short",
     "of each packet half the messages count as decoded"},
    {Bug::malformed_ignored, "malformed_ignored",
     "a message that cannot be read changes no quality"},
    {Bug::same_server_again, "same_server_again", "a server that did not answer is asked again"},
    {Bug::request_storm, "request_storm", "requests follow each other without a pause"},
    {Bug::request_off_by_one, "request_off_by_one", "the first missing message is not asked for"},
    {Bug::snapshot_asked_once, "snapshot_asked_once",
     "after a failed snapshot no other is asked for"},
    {Bug::stale_snapshot_accepted, "stale_snapshot_accepted",
     "a snapshot older than the gap is accepted"},
    {Bug::snapshot_joined_early, "snapshot_joined_early",
     "a snapshot is joined before the lines have come as far"},
    {Bug::join_skips_one, "join_skips_one", "the first message behind a snapshot is left out"},
    {Bug::join_repeats_one, "join_repeats_one",
     "the last message in a snapshot is applied again"},
    {Bug::difference_ignored, "difference_ignored", "copies that differ change no quality"},
    {Bug::unnamed_difference_ignored, "unnamed_difference_ignored",
     "copies that differ change no quality where their instrument has not been named"},
    {Bug::queue_doubt_forgotten, "queue_doubt_forgotten",
     "a book from a snapshot says that it knows the order of its queues"},
    {Bug::log_forgotten, "log_forgotten", "what waited for a snapshot is not applied after it"},
    {Bug::snapshot_on_top, "snapshot_on_top", "a snapshot is added to what a book held before"},
    {Bug::repair_does_not_wait, "repair_does_not_wait",
     "messages are applied while a snapshot is awaited"},
    {Bug::recovering_for_ever, "recovering_for_ever",
     "a gap is filled and the books stay recovering"},
    {Bug::restart_unnoticed, "restart_unnoticed",
     "a stream that begins anew under the same session is taken for copies of the old one"},
    {Bug::end_for_good, "end_for_good", "an end of session counts though messages came that it says would not"},
    {Bug::fault_without_quality, "fault_without_quality",
     "a contradiction is counted and the book stays live"},
    {Bug::stray_message_ignored, "stray_message_ignored",
     "a message about nothing known changes no quality"},
    {Bug::quality_untold, "quality_untold",
     "a book's quality changes and the handler is not told"},
    {Bug::state_survives_session, "state_survives_session",
     "a new session keeps the trading states"},
    {Bug::update_without_sequence, "update_without_sequence",
     "a book changes and its sequence number does not"},
    {Bug::halt_ignored, "halt_ignored", "a halt is told and not kept"},
    {Bug::top_change_untold, "top_change_untold",
     "the best price changes and the update does not say so"},
    {Bug::execution_twice, "execution_twice", "an execution of 100 shares is taken off twice"},
    {Bug::cancel_sets, "cancel_sets", "a cancel's shares are taken as what remains"},
    {Bug::printable_ignored, "printable_ignored", "every priced execution counts as printable"},
    {Bug::unprinted_execution_ignored, "unprinted_execution_ignored",
     "an execution that is not to be printed leaves the book as it was"},
    {Bug::trade_side_flipped, "trade_side_flipped", "a trade names the other side"},
    {Bug::any_side_is_ask, "any_side_is_ask",
     "an order of a side that does not exist is taken as an ask"},
    {Bug::half_event_shown, "half_event_shown",
     "a transaction of several messages is shown before it is complete", "iex-deep"},
    {Bug::half_event_survives_session, "half_event_survives_session",
     "what a session left incomplete is completed in the next one", "iex-deep"},
    {Bug::half_event_survives_snapshot, "half_event_survives_snapshot",
     "what was incomplete before a snapshot is completed after it", "iex-deep"},
    {Bug::whole_event_stands_behind, "whole_event_stands_behind",
     "a book that shows a whole transaction says that it stands at its first message", "iex-deep"},
    {Bug::ghost_level_after_reset, "ghost_level_after_reset",
     "a reset leaves the asks of a book"},
    {Bug::replace_keeps_old, "replace_keeps_old", "a replaced order stays in the book"},
    {Bug::replace_on_other_side, "replace_on_other_side", "a replacement goes to the other side"},
    {Bug::level_total_drifts, "level_total_drifts",
     "a level's total loses touch with its orders"},
    {Bug::digest_drifts, "digest_drifts", "a partial execution does not change the digest"},
    {Bug::empty_level_stays, "empty_level_stays", "a level without orders stays in the book"},
    {Bug::asks_upside_down, "asks_upside_down", "the highest ask counts as the best"},
    {Bug::ring_off_by_one_at_wrap, "ring_off_by_one_at_wrap",
     "an event is written to the wrong slot where the ring wraps"},
    {Bug::ring_drop_counted_twice, "ring_drop_counted_twice",
     "events dropped for a slow consumer are counted twice"},
    {Bug::ring_resync_untold, "ring_resync_untold",
     "events are dropped and the consumer is not told"},
    {Bug::conflated_keeps_older, "conflated_keeps_older",
     "of two states of a symbol the older one is kept"},
};

}  // namespace

std::span<const BugInfo> bugs() { return kBugs; }

const BugInfo* find_bug(std::string_view name) {
    const auto found = std::find_if(std::begin(kBugs), std::end(kBugs),
                                    [&](const BugInfo& info) { return info.name == name; });
    return found == std::end(kBugs) ? nullptr : found;
}

std::optional<std::uint64_t> catch_bug(const BugInfo& info, std::uint64_t from, std::uint64_t seeds,
                                       std::string* violation, const std::function<bool()>& keep_on) {
    planted_bug = info.bug;
    const Run run = run_of(info.venue);
    std::optional<std::uint64_t> caught;
    for (std::uint64_t i = 0; i < seeds && !caught && keep_on(); ++i) {
        Options options;
        options.seed = from + i;
        const Outcome outcome = run(options);
        if (outcome.held()) continue;
        caught = options.seed;
        if (violation != nullptr) *violation = outcome.violation;
    }
    planted_bug = Bug::none;
    return caught;
}

}  // namespace millrace::sim
