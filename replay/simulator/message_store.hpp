// Every message of a session, by its number: what servers of old messages serve from.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "millrace/core/types.hpp"

namespace millrace::replay {

class MessageStore {
  public:
    void append(std::span<const std::uint8_t> message) {
        bytes_.insert(bytes_.end(), message.begin(), message.end());
        ends_.push_back(bytes_.size());
    }
    // The number that the next message will have.
    [[nodiscard]] SequenceNumber next() const { return ends_.size() + 1; }
    [[nodiscard]] bool holds(SequenceNumber sequence) const { return sequence >= 1 && sequence < next(); }
    // Needs holds(sequence). Valid until the next append.
    [[nodiscard]] std::span<const std::uint8_t> operator[](SequenceNumber sequence) const {
        const std::size_t begin = sequence == 1 ? 0 : ends_[sequence - 2];
        return std::span(bytes_).subspan(begin, ends_[sequence - 1] - begin);
    }
    // Bytes of the messages before that one and of their 16-bit lengths: where it lies in a stream of blocks. As
    // operator[], or of the next message to come.
    [[nodiscard]] std::uint64_t offset(SequenceNumber sequence) const {
        return (sequence == 1 ? 0 : ends_[sequence - 2]) + 2 * (sequence - 1);
    }

  private:
    std::vector<std::uint8_t> bytes_;
    std::vector<std::size_t> ends_;
};

}  // namespace millrace::replay
