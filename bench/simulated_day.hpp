// The stream all book and decode benchmarks run on: a simulated day, packed as on the wire, in memory.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "millrace/core/types.hpp"
#include "millrace/replay/simulator/market.hpp"

namespace millrace::bench {

// Packets of one line without faults, one after the other behind their lengths.
class SimulatedDay {
  public:
    // Made once per process: `messages` of trading, from $MILLRACE_BENCH_MESSAGES or 20 million.
    static const SimulatedDay& get(bool sparse_references = false);

    template <class Use>
    void for_each_packet(Use&& use) const {
        std::size_t at = 0;
        for (const std::uint32_t size : sizes_) {
            use(std::span<const std::uint8_t>(&bytes_[at], size));
            at += size;
        }
    }
    [[nodiscard]] std::uint64_t messages() const { return messages_; }
    [[nodiscard]] std::uint64_t packets() const { return sizes_.size(); }
    [[nodiscard]] std::uint64_t reference_max() const { return reference_max_; }
    [[nodiscard]] const replay::StreamShape& shape() const { return shape_; }
    [[nodiscard]] std::uint32_t symbols() const { return static_cast<std::uint32_t>(final_.size() / 2); }
    // The market's own best price at the end of the day; bids at 2 i, asks at 2 i + 1.
    [[nodiscard]] const replay::Market::Best& final_best(std::uint32_t symbol, bool bid) const {
        return final_[2 * symbol + (bid ? 0 : 1)];
    }
    // One line for reports: what the stream looks like.
    [[nodiscard]] std::string describe() const;

  private:
    explicit SimulatedDay(bool sparse_references);

    std::vector<std::uint8_t> bytes_;
    std::vector<std::uint32_t> sizes_;
    std::uint64_t messages_ = 0;
    std::uint64_t reference_max_ = 0;
    replay::StreamShape shape_;
    std::vector<replay::Market::Best> final_;
};

}  // namespace millrace::bench
