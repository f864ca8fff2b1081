// A feed's lines as their receivers counted them, for a summary.
#pragma once

#include <vector>

#include "millrace/feed/feed.hpp"
#include "summary.hpp"

namespace millrace::tools {

[[nodiscard]] inline std::vector<LineSummary> summarise(const std::vector<LineStats>& stats) {
    using net::ReceiveCounter;
    std::vector<LineSummary> lines;
    for (const LineStats& of : stats) {
        LineSummary& line = lines.emplace_back();
        line.name = of.name;
        line.received = of.received[ReceiveCounter::received];
        line.truncated = of.received[ReceiveCounter::truncated];
        line.queue_full = of.received[ReceiveCounter::queue_full];
        line.in_flight = of.in_flight;
        line.kernel = of.received[ReceiveCounter::kernel_drops];
        line.no_buffers = of.received[ReceiveCounter::no_buffers];
        for (std::size_t i = 0; i < net::kReceiveCounters.size(); ++i) {
            line.receiver.emplace_back(net::kReceiveCounters[i].name, of.received[static_cast<ReceiveCounter>(i)]);
        }
        line.receiver.emplace_back("link_downs", of.link_downs);
    }
    return lines;
}

}  // namespace millrace::tools
