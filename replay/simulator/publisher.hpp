// Sends a simulated exchange's packets by UDP, each line to its own group, at the market's own
// pace.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "millrace/core/types.hpp"
#include "millrace/feed/net/socket.hpp"
#include "millrace/feed/net/link_layer.hpp"
#include "millrace/replay/simulator/fault_schedule.hpp"

namespace millrace::replay {

// When what a simulated market says is due: as its own clock has it, but for long silences, which are cut short.
class MarketPace {
  public:
    using KeepOn = std::function<bool()>;

    // A `time_scale` of 1 keeps the market's pace, 2 is twice as fast, 0 as fast as it goes.
    explicit MarketPace(double time_scale) : time_scale_(time_scale) {}

    // Waits for what the market says at `time`. False when `keep_on` said no meanwhile.
    [[nodiscard]] bool wait_until_due(Timestamp time, const KeepOn& keep_on);
    [[nodiscard]] bool waits() const { return time_scale_ > 0; }
    // The longest that something was behind its time, ns.
    [[nodiscard]] Nanoseconds latest() const { return latest_; }

  private:
    double time_scale_;
    Timestamp last_time_ = 0;
    double due_ = 0;  // monotonic
    Nanoseconds latest_ = 0;
};

class Publisher {
  public:
    using KeepOn = MarketPace::KeepOn;

    // One destination a line. Multicast leaves by `interface` and goes no further than its
    // network. `time_scale` is that of MarketPace. Throws Error(interface, resource).
    Publisher(const std::vector<Endpoint>& destinations, const std::string& interface,
              double time_scale);

    // Waits until the packet is due and sends it; as fast as it goes, packets of a line leave a
    // few at a time. False when `keep_on` said no while waiting.
    [[nodiscard]] bool send(const SimulatedPacket& packet, const KeepOn& keep_on);
    // Sends what waits for company.
    [[nodiscard]] bool flush(const KeepOn& keep_on);

    [[nodiscard]] std::uint64_t sent() const { return sent_; }
    // Sends the kernel refused for want of memory and took at another try.
    [[nodiscard]] std::uint64_t retried() const { return retried_; }
    // The longest that a packet went out behind its time, ns.
    [[nodiscard]] Nanoseconds latest() const { return pace_.latest(); }

  private:
    struct Line {
        net::Socket socket;
        std::vector<std::vector<std::uint8_t>> packets;
        std::size_t waiting = 0;  // the first of `packets`
    };

    [[nodiscard]] bool flush(Line& line, const KeepOn& keep_on);

    std::vector<Line> lines_;
    MarketPace pace_;
    std::uint64_t sent_ = 0;
    std::uint64_t retried_ = 0;
};

}  // namespace millrace::replay
