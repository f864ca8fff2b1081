// Bugs planted on purpose, for the simulation to catch (tests/simulation). `planted(...)` is false at compile
// time in every build but the simulation's own, where a test switches one bug on at a time.
#pragma once

#include <cstdint>

namespace millrace {

enum class Bug : std::uint8_t {
    none,
    // line arbiter
    gap_skipped, window_never_ends, window_at_once, straggler_restarts, session_keeps_sequence, held_dropped,
    held_never_released, drop_counted_twice, lost_one_short, first_counted_short,
    jump_believed,
    // session
    gap_without_quality, gap_untold, sequence_off_by_one, run_skips_one_less, books_survive_session,
    log_survives_session, lines_swapped, packet_counted_twice, decoded_one_short, malformed_ignored,
    // recovery
    same_server_again, request_storm, request_off_by_one, snapshot_asked_once, stale_snapshot_accepted,
    snapshot_joined_early, join_skips_one, join_repeats_one, difference_ignored, unnamed_difference_ignored,
    queue_doubt_forgotten, log_forgotten, snapshot_on_top, repair_does_not_wait,
    recovering_for_ever, restart_unnoticed, end_for_good,
    // what venues share
    fault_without_quality, stray_message_ignored, quality_untold, state_survives_session, update_without_sequence,
    halt_ignored, top_change_untold,
    // book builder
    execution_twice, cancel_sets, printable_ignored, unprinted_execution_ignored, trade_side_flipped,
    any_side_is_ask, half_event_shown, half_event_survives_session, half_event_survives_snapshot,
    whole_event_stands_behind,
    // book store
    ghost_level_after_reset, replace_keeps_old, replace_on_other_side, level_total_drifts, digest_drifts,
    empty_level_stays, asks_upside_down,
    // consumer ring
    ring_off_by_one_at_wrap, ring_drop_counted_twice, ring_resync_untold, conflated_keeps_older,
};

#ifdef MILLRACE_PLANTED_BUGS
extern Bug planted_bug;  // the test's switch
[[nodiscard]] inline bool planted(Bug bug) { return planted_bug == bug; }
#else
[[nodiscard]] constexpr bool planted(Bug) { return false; }
#endif

}  // namespace millrace
