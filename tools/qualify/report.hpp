// What a qualification found, and whether it can be believed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "millrace/core/digest.hpp"
#include "qualify/host.hpp"
#include "qualify/open_loop.hpp"

namespace millrace::tools {

// 1x is a twentieth of what the path can do flat out, so that 20x is all of it.
inline constexpr double kSustainedShare = 0.05;
// What the headline speaks of: a fifth of flat out, as a feed that is busy and not yet in a burst.
inline constexpr int kHeadlineMultiple = 4;

// One rate of the open loop.
struct RateRun {
    int multiple = 0;  // of the sustained rate
    OpenLoopResult result;
    std::uint64_t preemptions = 0;
};

// Over a socket, from the kernel's receipt to the last callback of the packet.
struct SocketRun {
    double packets_per_second = 0;
    std::uint64_t sent = 0;
    std::uint64_t lost = 0;
    Histogram latency;
};

struct Qualification {
    HostFacts host;
    std::string input;
    std::uint32_t input_checksum = 0;    // CRC-32 of all packets
    std::uint64_t packets_measured = 0;  // at each rate, behind the warm-up
    Digest digest;                       // of all books at the end; the same in every run
    std::int64_t balance = 0;
    // What was measured is no whole stream into exact books, or was made slow on purpose: in lines.
    std::vector<std::string> remarks;
    double clock_ns = 0;  // that reading the clock costs
    Histogram gaps;       // between two reads of the clock by a thread that does nothing else
    double flat_out = 0;  // packets a second
    double flat_out_messages = 0;
    OpenLoopResult control;  // the headline's schedule with no work to do: the jitter floor
    std::vector<RateRun> rates;
    std::vector<SocketRun> sockets;
    std::string no_sockets;  // why there are none
    double stolen_percent = 0;
    double seconds = 0;

    [[nodiscard]] const RateRun& headline() const;
    // The highest rate that is kept up with while the 99th percentile stays within ten times that of 1x.
    [[nodiscard]] const RateRun* knee() const;
    // Why the figures are not to be believed; empty when they are.
    [[nodiscard]] std::vector<std::string> doubts() const;
};

[[nodiscard]] std::string as_text(const Qualification& found);
// One object, the raw histograms in it (docs/json.md).
[[nodiscard]] std::string as_json(const Qualification& found);
// run,multiple,packets_per_second,latency_ns_up_to,packets: every bucket that has something.
[[nodiscard]] std::string as_csv(const Qualification& found);
// A page that needs nothing but itself.
[[nodiscard]] std::string as_html(const Qualification& found);

// "1.2 us", "34 ms": for people.
[[nodiscard]] std::string duration_text(double ns);

}  // namespace millrace::tools
