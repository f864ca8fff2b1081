// What can go wrong in the simulation, by kind, and how much of it a seed draws.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "tests/simulation/rng.hpp"

namespace millrace::sim {

enum class Fault : std::uint8_t {
    loss, burst_loss, duplication, reordering, truncation, line_down, both_down, late_join, rollover, clock_step,
    full_ring, corrupt_framing, corrupt_length, corrupt_type, corrupt_range, limits, late_retransmission,
    partial_retransmission, refused_retransmission, stale_snapshot, refused_snapshot, cut_snapshot, slow_consumer, wrong_payload,
    corrupt_header, interface_flap, silence, restart, false_end
};
inline constexpr std::array<std::string_view, 29> kFaultNames{
    "loss", "burst_loss", "duplication", "reordering", "truncation", "line_down", "both_down", "late_join",
    "rollover", "clock_step", "full_ring", "corrupt_framing", "corrupt_length", "corrupt_type", "corrupt_range",
    "limits", "late_retransmission", "partial_retransmission", "refused_retransmission", "stale_snapshot",
    "refused_snapshot", "cut_snapshot", "slow_consumer", "wrong_payload", "corrupt_header", "interface_flap",
    "silence", "restart", "false_end"};
inline constexpr std::size_t kFaults = kFaultNames.size();

using FaultCounts = std::array<std::uint64_t, kFaults>;
using FaultMask = std::uint32_t;
[[nodiscard]] constexpr FaultMask bit(Fault fault) { return FaultMask{1} << static_cast<unsigned>(fault); }
inline constexpr FaultMask kAllFaults = (FaultMask{1} << kFaults) - 1;

// Which kinds a seed has, and how strongly: some seeds are quiet, few have everything.
struct FaultPlan {
    std::array<std::uint32_t, kFaults> chance{};  // per mille, by packet or by step; 0: not in this seed

    FaultPlan(std::uint64_t seed, FaultMask allowed) {
        Rng rng(seed, 2);
        const std::uint64_t share = rng.between(0, 600);  // of the kinds, per mille
        for (std::size_t i = 0; i < kFaults; ++i) {
            const bool on = rng.per_mille(share);
            const auto strength = static_cast<std::uint32_t>(rng.between(1, kStrongest[i]));
            if (on && (allowed >> i & 1) != 0) chance[i] = strength;
        }
    }
    [[nodiscard]] std::uint32_t of(Fault fault) const { return chance[static_cast<std::size_t>(fault)]; }
    [[nodiscard]] bool has(Fault fault) const { return of(fault) != 0; }

  private:
    static constexpr std::array<std::uint32_t, kFaults> kStrongest{150, 30, 150, 200, 30, 15, 10, 1000, 15, 15,
                                                                   15, 30, 30, 30, 30, 1000, 400, 600, 500, 400, 400,
                                                                   400, 30, 20, 20, 10, 10, 8, 15};
};

}  // namespace millrace::sim
