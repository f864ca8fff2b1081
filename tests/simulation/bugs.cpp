#include "tests/simulation/bugs.hpp"

#include <algorithm>

namespace millrace {

Bug planted_bug = Bug::none;

}  // namespace millrace

namespace millrace::sim {

namespace {

constexpr BugInfo kBugs[] = {
    {Bug::gap_without_quality, "gap_without_quality", "a gap is given up and the books stay live"},
    {Bug::gap_untold, "gap_untold", "a gap is given up and the handler is not told"},
    {Bug::sequence_off_by_one, "sequence_off_by_one", "events carry the sequence number of the next message"},
    {Bug::run_skips_one_less, "run_skips_one_less", "of an overlapping packet one message is applied twice"},
    {Bug::books_survive_session, "books_survive_session", "a new session does not empty the books"},
    {Bug::fault_without_quality, "fault_without_quality", "a contradiction is counted and the book stays live"},
    {Bug::quality_untold, "quality_untold", "a book's quality changes and the handler is not told"},
    {Bug::ghost_level_after_reset, "ghost_level_after_reset", "a reset leaves the asks of a book"},
    {Bug::update_without_sequence, "update_without_sequence", "a book changes and its sequence number does not"},
    {Bug::execution_twice, "execution_twice", "an execution of 100 shares is taken off twice"},
    {Bug::replace_keeps_old, "replace_keeps_old", "a replaced order stays in the book"},
    {Bug::replace_on_other_side, "replace_on_other_side", "a replacement goes to the other side"},
    {Bug::state_survives_session, "state_survives_session", "a new session keeps the trading states"},
    {Bug::cancel_sets, "cancel_sets", "a cancel's shares are taken as what remains"},
    {Bug::printable_ignored, "printable_ignored", "every priced execution counts as printable"},
};

}  // namespace

std::span<const BugInfo> bugs() { return kBugs; }

const BugInfo* find_bug(std::string_view name) {
    const auto found = std::find_if(std::begin(kBugs), std::end(kBugs),
                                    [&](const BugInfo& info) { return info.name == name; });
    return found == std::end(kBugs) ? nullptr : found;
}

std::optional<std::uint64_t> catch_bug(Bug bug, std::uint64_t from, std::uint64_t seeds, std::string* violation) {
    planted_bug = bug;
    std::optional<std::uint64_t> caught;
    for (std::uint64_t i = 0; i < seeds && !caught; ++i) {
        Options options;
        options.seed = from + i;
        const Outcome outcome = run_itch(options);
        if (outcome.held()) continue;
        caught = options.seed;
        if (violation != nullptr) *violation = outcome.violation;
    }
    planted_bug = Bug::none;
    return caught;
}

}  // namespace millrace::sim
