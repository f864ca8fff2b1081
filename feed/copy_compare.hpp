// Whether the second copy of a message is the same as the first, by a hash of its bytes, for recent messages.
// No checksum covers payloads on these feeds: two lines that differ are all that tells of a wrong one.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <span>

#include "millrace/core/digest.hpp"
#include "millrace/core/paged_array.hpp"
#include "millrace/core/types.hpp"

namespace millrace {

class CopyCompare {
  public:
    // Remembers so many messages, rounded up to a power of two; 0: none. Throws Error(memory).
    explicit CopyCompare(std::uint32_t messages)
        : bits_(messages == 0 ? 0U : static_cast<unsigned>(std::bit_width(std::bit_ceil(messages) - 1))),
          seen_(messages == 0 ? 0 : std::size_t{1} << bits_) {}

    [[nodiscard]] bool enabled() const { return seen_.size() != 0; }

    // Takes a copy of message `sequence`; `key` says what it is about. False when it differs from the first
    // copy, whose key is then `first_key()`.
    [[nodiscard]] bool same(SequenceNumber sequence, std::span<const std::uint8_t> message, std::uint16_t key) {
        Seen& seen = seen_[sequence & (seen_.size() - 1)];
        const auto round = static_cast<std::uint16_t>((sequence >> bits_) + 1);
        const auto hash = static_cast<std::uint32_t>(hash_of(message));
        const auto newer = static_cast<std::int16_t>(round - seen.round);
        if (newer > 0) {
            seen = {hash, key, round};
            return true;
        }
        if (newer < 0 || seen.hash == hash) return true;
        first_key_ = seen.key;
        return false;
    }
    [[nodiscard]] std::uint16_t first_key() const { return first_key_; }
    void forget() {
        if (enabled()) std::memset(static_cast<void*>(seen_.data()), 0, seen_.size() * sizeof(Seen));
    }

    // Messages of 16 to 48 bytes, which nearly all are, in three pieces that may overlap, whatever their length: no branch
    // depends on it.
    [[nodiscard]] static std::uint64_t hash_of(std::span<const std::uint8_t> message) {
        const std::size_t size = message.size();
        const std::uint64_t hash = size * digest::kFirst;
        if (size < 16) [[unlikely]] {
            std::array<std::uint8_t, 16> padded{};
            if (size != 0) std::memcpy(padded.data(), message.data(), size);
            return hash + mix(padded.data(), 0);
        }
        const std::uint64_t ends = hash + mix(message.data(), 0) + mix(&message[size - 16], 1);
        if (size <= 48) [[likely]] return ends + mix(&message[std::min<std::size_t>(16, size - 16)], 2);
        std::uint64_t middle = 0;
        for (std::size_t at = 16; at + 16 < size; at += 16) middle += mix(&message[at], at);
        return ends + middle;
    }

  private:
    struct Seen {
        std::uint32_t hash;
        std::uint16_t key;
        std::uint16_t round;  // how often the ring had gone round, plus one; 0: nothing yet
    };

    // Sixteen bytes, and which of the message's they are. Adding the second factor keeps a zero in the first from hiding it.
    [[nodiscard]] static std::uint64_t mix(const std::uint8_t* at, std::uint64_t piece) {
        std::uint64_t words[2];
        std::memcpy(words, at, sizeof(words));
        return digest::fold(words[0] ^ (digest::kSecond + piece * digest::kThird), words[1] ^ digest::kFirst) + words[1];
    }

    unsigned bits_;
    PagedArray<Seen> seen_;  // by the low bits of the sequence number
    std::uint16_t first_key_ = 0;
};

}  // namespace millrace
