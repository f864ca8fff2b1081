// What a session is made with. Everything has a limit, fixed here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "millrace/core/book_store.hpp"
#include "millrace/core/types.hpp"
#include "millrace/feed/recovery_config.hpp"

namespace millrace {

struct SessionConfig {
    std::size_t lines = 2;

    // How long, and behind how many packets, the arbiter waits for a missing message before it gives the
    // message up. Time is receive time, so a capture replays with the same outcome.
    std::uint32_t reorder_window_packets = 1024;
    Nanoseconds reorder_window_ns = 100'000'000;
    std::uint32_t datagram_bytes_max = 9216;  // longer packets cannot be held and count as given up

    BookLimits limits;
    RecoveryConfig recovery;
    QualityConfig quality;

    // Messages numbered above this are counted as filtered and change nothing: books as of a sequence number.
    SequenceNumber last_sequence = std::numeric_limits<SequenceNumber>::max();

    // The symbols to keep books for; all of them when empty.
    std::vector<Symbol> symbols;
};

}  // namespace millrace
