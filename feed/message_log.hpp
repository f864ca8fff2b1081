// Messages that wait for a snapshot, in sequence order, in memory taken at the start.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>

#include "millrace/core/types.hpp"
#include "millrace/feed/byte_ring.hpp"

namespace millrace {

class MessageLog {
  public:
    struct Entry {
        SequenceNumber sequence = 0;
        Timestamp received_at = 0;
        bool last_in_packet = false;
        std::span<const std::uint8_t> message;  // valid until the entry is popped
    };

    // Throws Error(memory).
    explicit MessageLog(std::size_t bytes) : ring_(bytes) {}

    // Copies the message. False when there is no room.
    [[nodiscard]] bool push(const Entry& entry) {
        const std::uint64_t position = ring_.take(sizeof(Head) + entry.message.size());
        if (position == ByteRing::kNone) return false;
        const Head head{entry.sequence, entry.received_at, ByteRing::kNone,
                        static_cast<std::uint32_t>(entry.message.size()), entry.last_in_packet};
        std::uint8_t* at = ring_.at(position);
        std::memcpy(at, &head, sizeof(head));
        if (!entry.message.empty()) std::memcpy(at + sizeof(head), entry.message.data(), entry.message.size());
        if (count_ == 0) front_ = position;
        else std::memcpy(ring_.at(back_) + offsetof(Head, next), &position, sizeof(position));
        back_ = position;
        ++count_;
        return true;
    }
    [[nodiscard]] std::uint64_t size() const { return count_; }
    [[nodiscard]] Entry front() const {
        const Head head = head_at(front_);
        return {head.sequence, head.received_at, head.last_in_packet,
                {ring_.at(front_) + sizeof(Head), head.bytes}};
    }
    void pop_front() {
        const std::uint64_t next = head_at(front_).next;
        ring_.give_back(front_);
        front_ = next;
        --count_;
    }
    void clear() {
        ring_.clear();
        count_ = 0;
    }
    [[nodiscard]] std::size_t bytes_used() const { return ring_.used(); }

  private:
    struct Head {
        SequenceNumber sequence;
        Timestamp received_at;
        std::uint64_t next;  // position of the entry behind this one
        std::uint32_t bytes;
        bool last_in_packet;
    };

    [[nodiscard]] Head head_at(std::uint64_t position) const {
        Head head;
        std::memcpy(&head, ring_.at(position), sizeof(head));
        return head;
    }

    ByteRing ring_;
    std::uint64_t front_ = 0;
    std::uint64_t back_ = 0;
    std::uint64_t count_ = 0;
};

}  // namespace millrace
