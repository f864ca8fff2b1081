// The stream all book and decode benchmarks run on: a simulated day, packed as on the wire, in memory.
// Making it takes longer than a benchmark, so the build makes it once (see make_day.cpp) into files.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "millrace/core/memory.hpp"
#include "millrace/core/types.hpp"
#include "millrace/replay/simulator/market.hpp"

namespace millrace::bench {

// Packets of one line without faults, one after the other.
class SimulatedDay {
  public:
    static constexpr std::uint64_t kMessages = 20'000'000;  // of trading

    // The day of $MILLRACE_BENCH_MESSAGES messages, or of kMessages. Loaded from beside the program when
    // it lies there, else made. Once per process.
    static const SimulatedDay& get(bool sparse_references = false);
    static SimulatedDay make(std::uint64_t messages, bool sparse_references, std::uint32_t symbols = 8'000);

    void save(const std::string& path) const;

    template <class Use>
    void for_each_packet(Use&& use) const {
        const auto* at = static_cast<const std::uint8_t*>(bytes_.data());
        for (const std::uint32_t size : sizes_) {
            use(std::span<const std::uint8_t>(at, size));
            at += size;
        }
    }
    [[nodiscard]] std::uint64_t messages() const { return facts_.messages; }
    [[nodiscard]] std::uint64_t packets() const { return sizes_.size(); }
    [[nodiscard]] std::span<const std::uint32_t> packet_sizes() const { return sizes_; }
    // All packets, without anything between them.
    [[nodiscard]] const std::uint8_t* bytes() const { return static_cast<const std::uint8_t*>(bytes_.data()); }
    [[nodiscard]] std::uint64_t reference_max() const { return facts_.reference_max; }
    [[nodiscard]] std::uint32_t live_orders_peak() const { return facts_.live_orders_peak; }
    [[nodiscard]] std::uint32_t symbols() const { return static_cast<std::uint32_t>(final_.size() / 2); }
    // Every field of every message, added up byte by byte from the run-time layouts.
    [[nodiscard]] std::uint64_t sum_of_fields() const { return facts_.sum_of_fields; }
    // The market's own best price at the end of the day.
    [[nodiscard]] const replay::Market::Best& final_best(std::uint32_t symbol, bool bid) const {
        return final_[2 * symbol + (bid ? 0 : 1)];
    }
    // One line for reports: what the stream looks like.
    [[nodiscard]] const std::string& shape() const { return shape_; }

  private:
    struct Facts {
        std::uint64_t messages = 0;
        std::uint64_t bytes = 0;
        std::uint64_t packets = 0;
        std::uint64_t reference_max = 0;
        std::uint64_t sum_of_fields = 0;
        std::uint64_t symbols = 0;
        std::uint64_t shape_bytes = 0;
        std::uint32_t live_orders_peak = 0;
        std::uint32_t unused = 0;
    };
    [[nodiscard]] bool load(const std::string& path);
    void see(std::span<const std::uint8_t> message);

    Facts facts_;
    MappedMemory bytes_;
    std::vector<std::uint32_t> sizes_;
    std::vector<replay::Market::Best> final_;
    std::string shape_;
};

}  // namespace millrace::bench
