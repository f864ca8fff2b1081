// What a GLIMPSE server knows: every order at rest, from the messages as they were sent. Slow and plain, with
// standard containers, and none of the code of the books under test.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <unordered_map>
#include <vector>

#include "millrace/core/types.hpp"

namespace millrace::replay {

class SnapshotBooks {
  public:
    using Bytes = std::vector<std::uint8_t>;

    void apply(std::span<const std::uint8_t> message);

    // The messages of a GLIMPSE 5.0 snapshot, in its order; live messages go on with number `next`.
    [[nodiscard]] std::vector<Bytes> snapshot(SequenceNumber next) const;

  private:
    struct Order {
        Bytes add;  // the message it came by; its shares are kept up to date
        std::uint32_t shares = 0;
        std::uint64_t place = 0;  // in the order of arrival, which is that of every queue
    };

    void add(std::span<const std::uint8_t> message);
    void reduce(std::uint64_t reference, std::uint32_t shares);
    void replace(std::span<const std::uint8_t> message);

    std::map<std::uint16_t, Bytes> directory_;                  // last of each kind, by locate
    std::map<std::uint16_t, Bytes> trading_;
    std::map<std::uint16_t, Bytes> short_sale_;
    std::map<std::uint16_t, Bytes> operational_;
    Bytes event_;
    std::unordered_map<std::uint64_t, Order> orders_;           // by reference
    std::map<std::uint64_t, std::uint64_t> queue_;              // reference by place
    std::uint64_t places_ = 0;
};

}  // namespace millrace::replay
