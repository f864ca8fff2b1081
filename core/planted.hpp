// Bugs planted on purpose, for the simulation to catch (tests/simulation). `planted(...)` is false at compile
// time in every build but the simulation's own, where a test switches one bug on at a time.
#pragma once

#include <cstdint>

namespace millrace {

enum class Bug : std::uint8_t {
    none,
    // session
    gap_without_quality, gap_untold, sequence_off_by_one, run_skips_one_less, books_survive_session,
    // what venues share
    fault_without_quality, quality_untold, ghost_level_after_reset, update_without_sequence,
    // book builder
    execution_twice, replace_keeps_old, replace_on_other_side, state_survives_session, cancel_sets,
    printable_ignored,
};

#ifdef MILLRACE_PLANTED_BUGS
extern Bug planted_bug;  // the test's switch
[[nodiscard]] inline bool planted(Bug bug) { return planted_bug == bug; }
#else
[[nodiscard]] constexpr bool planted(Bug) { return false; }
#endif

}  // namespace millrace
