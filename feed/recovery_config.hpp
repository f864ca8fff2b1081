// How far a feed goes to get back what it missed, and how much a book is trusted. Numbers only: where the
// servers are is known to whoever opens sockets.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "millrace/core/types.hpp"

namespace millrace {

struct RecoveryConfig {
    // Retransmission (MoldUDP64 1.00, "Request Packet"; IEX-TP, "Gap Fill"): asked for when the reorder window is over.
    std::uint8_t retransmit_servers = 0;          // asked in turn; 0: no retransmission
    std::uint32_t request_messages_max = 1'000;   // asked for at once; the venue may allow fewer
    std::uint64_t gap_messages_max = 100'000;     // longer gaps go straight to the snapshot
    std::uint32_t attempts = 3;                   // without an answer, of each server
    Nanoseconds answer_timeout_ns = 200'000'000;  // after that the next server is asked
    Nanoseconds request_interval_ns = 500'000;    // between two requests, at least
    Nanoseconds retransmit_ns = 5'000'000'000;    // for one gap, all told
    bool answers_in_parts = false;                // an answer takes as many packets as it needs; the venue's
    std::size_t hold_bytes = std::size_t{16} << 20;  // of packets that wait behind the gap

    // Snapshot (GLIMPSE 5.0, SNAP): where retransmission is refused, fails, or would take too long.
    std::uint8_t snapshot_servers = 0;              // asked in turn; 0: no snapshots
    Nanoseconds snapshot_timeout_ns = 10'000'000'000;  // without a sign of progress
    Nanoseconds snapshot_retry_ns = 1'000'000'000;     // pause after a failure; doubles up to ...
    Nanoseconds snapshot_retry_max_ns = 30'000'000'000;
    std::size_t backlog_bytes = std::size_t{64} << 20;  // of messages that wait for the snapshot

    [[nodiscard]] bool enabled() const { return retransmit_servers != 0 || snapshot_servers != 0; }
};

// By which means a venue gives back what was missed; a venue that declares no `kRecovery` has none.
struct RecoveryMeans {
    bool retransmit = false;      // asked by UDP
    bool retransmit_tcp = false;  // asked by TCP
    bool glimpse = false;         // GLIMPSE 5.0 snapshots
    bool snap = false;            // IEX's snapshots
    // A request is answered by as many packets as it takes, and not by one that holds what fits.
    bool answers_in_parts = false;
    std::uint32_t request_messages_max = 65'534;
};
template <class Venue>
[[nodiscard]] consteval RecoveryMeans recovery_means() {
    if constexpr (requires { Venue::kRecovery; }) return Venue::kRecovery;
    else return {};
}

// The config as far as the venue goes along with it.
template <class Venue>
[[nodiscard]] constexpr RecoveryConfig for_venue(RecoveryConfig config) {
    constexpr RecoveryMeans kMeans = recovery_means<Venue>();
    config.answers_in_parts = kMeans.answers_in_parts;
    config.request_messages_max = std::min(config.request_messages_max, kMeans.request_messages_max);
    return config;
}

// What happens to a book that the feed contradicted.
enum class SuspectPolicy : std::uint8_t {
    keep,        // goes on, flagged
    quarantine,  // stands still until a snapshot makes it anew, where there are snapshots
    stop,        // the session applies nothing more
};
[[nodiscard]] constexpr std::string_view name(SuspectPolicy policy) {
    switch (policy) {
        case SuspectPolicy::keep: return "keep";
        case SuspectPolicy::quarantine: return "quarantine";
        case SuspectPolicy::stop: return "stop";
    }
    return "";
}

struct QualityConfig {
    Nanoseconds quiet_ns = 0;  // without a packet a line is silent, all lines: books are stale; 0: never
    SuspectPolicy suspect = SuspectPolicy::quarantine;
    bool crossed = false;  // a crossed or locked book in continuous trading is suspect
    // Recent messages of which the second copy is compared with the first, rounded up to a power of two; 0: none.
    std::uint32_t compare_messages = 0;
    // One packet alone neither begins a session nor puts the stream far ahead, and a line that brings old
    // messages only for a second is in a stream that began anew under the same session.
    bool doubt_outliers = false;

    // What a live feed wants. A replay doubts and compares as much (Replayer::session_config); silence in a capture
    // is none of the books'.
    [[nodiscard]] static QualityConfig live() {
        QualityConfig config;
        config.quiet_ns = 3'000'000'000;
        config.compare_messages = 32'768;
        config.doubt_outliers = true;
        return config;
    }
};

}  // namespace millrace
