// Sends a simulated exchange's packets by UDP, each line to its own group, at the market's own pace.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "millrace/core/types.hpp"
#include "millrace/feed/net/socket.hpp"
#include "millrace/replay/link_layer.hpp"
#include "millrace/replay/simulator/fault_schedule.hpp"

namespace millrace::replay {

class Publisher {
  public:
    // One destination a line. Multicast leaves by `interface` and goes no further than its network. Throws
    // Error(interface, resource).
    Publisher(const std::vector<Endpoint>& destinations, const std::string& interface, double time_scale);

    // Waits until the packet is due and sends it. False when `keep_on` said no while waiting.
    [[nodiscard]] bool send(const SimulatedPacket& packet, const std::function<bool()>& keep_on);

    [[nodiscard]] std::uint64_t sent() const { return sent_; }
    // Sends the kernel refused for want of memory and took at another try.
    [[nodiscard]] std::uint64_t retried() const { return retried_; }
    // The longest that a packet went out behind its time, ns.
    [[nodiscard]] Nanoseconds latest() const { return latest_; }

  private:
    std::vector<net::Socket> sockets_;
    double time_scale_;  // 0: as fast as it goes
    Timestamp last_time_ = 0;
    double due_ = 0;     // monotonic
    std::uint64_t sent_ = 0;
    std::uint64_t retried_ = 0;
    Nanoseconds latest_ = 0;
};

}  // namespace millrace::replay
