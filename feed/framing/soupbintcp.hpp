// SoupBinTCP 3.0, 4.0 and 4.1: numbered messages over TCP. The messages carry no numbers; both sides count.
#pragma once

#include <charconv>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "millrace/core/wire.hpp"

namespace millrace::soup {

// Types of packets, as the specification names them.
inline constexpr char kDebug = '+';
inline constexpr char kLoginAccepted = 'A';
inline constexpr char kLoginRejected = 'J';
inline constexpr char kSequencedData = 'S';
inline constexpr char kUnsequencedData = 'U';  // never counted
inline constexpr char kServerHeartbeat = 'H';
inline constexpr char kEndOfSession = 'Z';
inline constexpr char kLoginRequest = 'L';
inline constexpr char kClientHeartbeat = 'R';
inline constexpr char kLogoutRequest = 'O';

inline constexpr std::size_t kHead = 3;  // length and type
inline constexpr std::size_t kPacketMax = 2 + 65'535;

// Payloads, behind length and type.
struct LoginRequest {
    wire::Alpha<6> username;
    wire::Alpha<10> password;
    wire::Alpha<10> session;           // blank: the current one
    wire::Alpha<20> sequence_number;   // 1: from the start; 0: what is newest
    wire::Alpha<5> heartbeat_timeout;  // ms; 4.1 only
};
static_assert(sizeof(LoginRequest) == 51);
inline constexpr std::size_t kLoginRequest40 = 46;  // without the last field

struct LoginAccepted {
    wire::Alpha<10> session;
    wire::Alpha<20> sequence_number;  // of the next sequenced message
};
static_assert(sizeof(LoginAccepted) == 30);

inline constexpr char kNotAuthorised = 'A';
inline constexpr char kSessionNotAvailable = 'S';

// A number in ASCII, padded with spaces on either side.
[[nodiscard]] inline std::optional<std::uint64_t> parse_number(std::span<const char> text) {
    const char* first = text.data();
    const char* last = first + text.size();
    while (first != last && (*first == ' ' || *first == '\0')) ++first;
    while (first != last && (last[-1] == ' ' || last[-1] == '\0')) --last;
    std::uint64_t number = 0;
    const auto [end, problem] = std::from_chars(first, last, number);
    if (first == last || problem != std::errc{} || end != last) return std::nullopt;
    return number;
}
// Right-justified, as the specification's examples are.
template <std::size_t N>
void set_number(wire::Alpha<N>& field, std::uint64_t number) {
    std::array<char, 20> digits;
    const auto [end, problem] = std::to_chars(digits.data(), digits.data() + digits.size(), number);
    static_cast<void>(problem);
    const auto count = static_cast<std::size_t>(end - digits.data());
    field.set("");
    const std::size_t shown = count < N ? count : N;
    std::memcpy(field.raw.data() + (N - shown), digits.data() + (count - shown), shown);
}
// Text padded on either side: sessions come left-padded, says the specification.
template <std::size_t N>
[[nodiscard]] std::string_view trimmed(const wire::Alpha<N>& field) {
    std::string_view text = field.value();
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    return text;
}

// Appends a packet. `payload` has at most 65,534 bytes.
inline void append_packet(std::vector<std::uint8_t>& out, char type, std::span<const std::uint8_t> payload = {}) {
    const std::size_t length = payload.size() + 1;
    out.push_back(static_cast<std::uint8_t>(length >> 8));
    out.push_back(static_cast<std::uint8_t>(length));
    out.push_back(static_cast<std::uint8_t>(type));
    out.insert(out.end(), payload.begin(), payload.end());
}
template <class Payload>
std::span<const std::uint8_t> as_bytes(const Payload& payload, std::size_t bytes = sizeof(Payload)) {
    return {reinterpret_cast<const std::uint8_t*>(&payload), bytes};
}

struct Packet {
    char type = 0;
    std::span<const std::uint8_t> payload;
};

// Cuts a stream of bytes into packets, however TCP cut it before.
class PacketReader {
  public:
    // A stream that is no SoupBinTCP: a packet of no bytes has no type.
    [[nodiscard]] bool broken() const { return broken_; }
    void reset() {
        kept_.clear();
        broken_ = false;
    }

    // Calls `see(const Packet&)` for every packet that is complete; it returns false to stop.
    template <class See>
    void read(std::span<const std::uint8_t> bytes, See&& see) {
        if (!kept_.empty()) {
            kept_.insert(kept_.end(), bytes.begin(), bytes.end());
            const std::size_t used = cut(kept_, see);
            kept_.erase(kept_.begin(), kept_.begin() + static_cast<std::ptrdiff_t>(used));
            return;
        }
        const std::size_t used = cut(bytes, see);
        kept_.assign(bytes.begin() + static_cast<std::ptrdiff_t>(used), bytes.end());
    }

  private:
    template <class See>
    [[nodiscard]] std::size_t cut(std::span<const std::uint8_t> bytes, See& see) {
        std::size_t at = 0;
        while (!broken_ && bytes.size() - at >= 2) {
            const std::size_t length = std::size_t{bytes[at]} << 8 | bytes[at + 1];
            broken_ = length == 0;
            if (broken_ || bytes.size() - at - 2 < length) break;
            const Packet packet{static_cast<char>(bytes[at + 2]), bytes.subspan(at + kHead, length - 1)};
            at += 2 + length;
            if (!see(packet)) break;
        }
        return at;
    }

    std::vector<std::uint8_t> kept_;  // the beginning of a packet
    bool broken_ = false;
};

}  // namespace millrace::soup
