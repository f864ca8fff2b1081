// What every packet framing is reduced to: a session, a sequence number, and a run of messages.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

#include "millrace/core/error.hpp"
#include "millrace/core/types.hpp"
#include "millrace/core/wire.hpp"

namespace millrace {

enum class FrameKind : std::uint8_t { data, heartbeat, end_of_session, malformed };

// A venue's name for one numbered stream of messages, padded with zeroes.
struct alignas(std::uint64_t) SessionKey {
    std::array<char, 16> text{};
    // As two words: every packet is asked for its session.
    friend bool operator==(const SessionKey& a, const SessionKey& b) {
        return ((a.word(0) ^ b.word(0)) | (a.word(1) ^ b.word(1))) == 0;
    }

  private:
    [[nodiscard]] std::uint64_t word(std::size_t i) const {
        std::uint64_t word = 0;
        std::memcpy(&word, text.data() + i * sizeof(word), sizeof(word));
        return word;
    }
};

// A message as it lies in its packet.
using MessageBytes = std::span<const std::uint8_t>;

// A frame that is not malformed holds exactly `count` messages in `blocks`: whoever walks them need not
// check again.
struct Frame {
    FrameKind kind = FrameKind::malformed;
    SessionKey session;
    SequenceNumber first_sequence = 0;  // of the first message; without messages, of the next to come
    std::uint32_t count = 0;
    std::uint32_t excess = 0;              // bytes of the packet behind its last message, which no protocol knows
    std::span<const std::uint8_t> blocks;  // each message behind a 16-bit length that excludes itself

    // Where the framing has them: when the venue sent the packet, on the venue's clock, and where its
    // blocks lie in the stream, counted in bytes.
    static constexpr std::uint64_t kNoOffset = ~std::uint64_t{0};
    Timestamp sent_at = 0;
    std::uint64_t stream_offset = kNoOffset;
};

// Whether so many messages can take so many bytes, each behind a 16-bit length that excludes itself.
[[nodiscard]] constexpr bool can_take(std::uint64_t messages, std::uint64_t bytes) {
    constexpr std::uint64_t kBytesMin = 2;
    constexpr std::uint64_t kBytesMax = kBytesMin + 65'535;
    return messages <= bytes / kBytesMin && messages >= bytes / kBytesMax + (bytes % kBytesMax == 0 ? 0 : 1);
}

// Steps through length-prefixed messages.
template <wire::ByteOrder Order>
class BlockWalker {
    static constexpr std::size_t kPrefix = 2;

  public:
    explicit BlockWalker(std::span<const std::uint8_t> blocks) : rest_(blocks) {}

    // True while a whole message is left.
    [[nodiscard]] bool has_next() const { return rest_.size() >= kPrefix && rest_.size() - kPrefix >= length(); }

    // Requires has_next(), or blocks that were checked to hold the message.
    std::span<const std::uint8_t> next() {
        MILLRACE_ASSERT(has_next());
        const std::size_t bytes = length();
        const auto message = rest_.subspan(kPrefix, bytes);
        rest_ = rest_.subspan(kPrefix + bytes);
        return message;
    }

    [[nodiscard]] std::span<const std::uint8_t> rest() const { return rest_; }

    // Steps over `count` messages; the first of them go to `messages`, as many as it takes. False when there are fewer.
    [[nodiscard]] bool pass(std::uint32_t count, std::span<MessageBytes> messages = {}) {
        const std::size_t listed = std::min<std::size_t>(count, messages.size());
        for (std::size_t i = 0; i < listed; ++i) {
            if (!has_next()) return false;
            messages[i] = next();
        }
        for (std::size_t i = listed; i < count; ++i) {
            if (!has_next()) return false;
            next();
        }
        return true;
    }

  private:
    [[nodiscard]] std::size_t length() const {
        return wire::Number<kPrefix, Order>{{rest_[0], rest_[1]}}.value();
    }

    std::span<const std::uint8_t> rest_;
};

// Files of numbered records (BinaryFILE) prefix each with a big-endian length: only such framings can
// walk them.
template <class Framing>
concept WalksRecords = std::is_same_v<typename Framing::Walker, BlockWalker<wire::ByteOrder::big>>;

}  // namespace millrace
