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

class Publisher {
  public:
    using KeepOn = std::function<bool()>;

    // One destination a line. Multicast leaves by `interface` and goes no further than its
    // network. A `time_scale` of 1 keeps the market's pace, 2 is twice as fast, 0 as fast as it
    // goes. Throws Error(interface, resource).
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
    [[nodiscard]] Nanoseconds latest() const { return latest_; }

  private:
    struct Line {
        net::Socket socket;
        std::vector<std::vector<std::uint8_t>> packets;
        std::size_t waiting = 0;  // the first of `packets`
    };

    [[nodiscard]] bool wait_until_due(Timestamp time, const KeepOn& keep_on);
    [[nodiscard]] bool flush(Line& line, const KeepOn& keep_on);

    std::vector<Line> lines_;
    double time_scale_;
    Timestamp last_time_ = 0;
    double due_ = 0;  // monotonic
    std::uint64_t sent_ = 0;
    std::uint64_t retried_ = 0;
    Nanoseconds latest_ = 0;
};

}  // namespace millrace::replay
