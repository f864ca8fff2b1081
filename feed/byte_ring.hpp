// Byte strings of any length in memory taken at the start, handed out in a ring and given back in any
// order. What is given back out of turn is free again once everything before it is.
#pragma once

#include <cstdint>
#include <span>

#include "millrace/core/paged_array.hpp"

namespace millrace {

class ByteRing {
  public:
    static constexpr std::uint64_t kNone = ~std::uint64_t{0};

    // Throws Error(memory). Strings of up to `bytes` less a header of 8 fit, while the ring is empty.
    explicit ByteRing(std::size_t bytes) : memory_((bytes + 7) / 8 * 8) {}

    // Position of a new string of `bytes`, or kNone when there is no room.
    [[nodiscard]] std::uint64_t take(std::size_t bytes) {
        const std::uint64_t need = sizeof(Header) + (bytes + 7) / 8 * 8;
        const std::uint64_t capacity = memory_.size();
        const std::uint64_t to_wrap = capacity == 0 ? 0 : capacity - tail_ % capacity;
        const std::uint64_t skipped = need > to_wrap ? to_wrap : 0;
        if (head_ == tail_ && skipped != 0 && need <= capacity) {
            head_ = tail_ += skipped;
        } else if (tail_ + skipped + need - head_ > capacity) {
            return kNone;
        } else if (skipped != 0) {
            header(tail_) = {static_cast<std::uint32_t>(skipped), kFree};
            tail_ += skipped;
        }
        const std::uint64_t position = tail_;
        header(position) = {static_cast<std::uint32_t>(need), kTaken};
        tail_ += need;
        return position;
    }
    void give_back(std::uint64_t position) {
        header(position).state = kFree;
        while (head_ != tail_ && header(head_).state == kFree) head_ += header(head_).bytes;
    }
    [[nodiscard]] std::uint8_t* at(std::uint64_t position) {
        return &memory_[position % memory_.size() + sizeof(Header)];
    }
    [[nodiscard]] const std::uint8_t* at(std::uint64_t position) const {
        return &memory_[position % memory_.size() + sizeof(Header)];
    }
    void clear() { head_ = tail_ = 0; }
    [[nodiscard]] std::size_t capacity() const { return memory_.size(); }
    [[nodiscard]] std::size_t used() const { return tail_ - head_; }

  private:
    struct Header {
        std::uint32_t bytes;  // to the next header
        std::uint32_t state;
    };
    static constexpr std::uint32_t kFree = 0;
    static constexpr std::uint32_t kTaken = 1;

    [[nodiscard]] Header& header(std::uint64_t position) {
        return *reinterpret_cast<Header*>(&memory_[position % memory_.size()]);
    }

    PagedArray<std::uint8_t> memory_;
    std::uint64_t head_ = 0;  // positions count bytes and never wrap; the ring holds [head_, tail_)
    std::uint64_t tail_ = 0;
};

}  // namespace millrace
