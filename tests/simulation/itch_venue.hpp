// How the simulated exchange's events look on Nasdaq's wire: TotalView-ITCH 5.0 in MoldUDP64 1.00, written
// by hand from the fact sheets' offsets. Shares nothing with the layouts under test. A venue's adapter has
// these members; the simulation knows nothing else of a venue.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/feed/venues/nasdaq_itch50/venue.hpp"
#include "tests/simulation/exchange.hpp"
#include "tests/simulation/place.hpp"

namespace millrace::sim {

struct ItchVenue {
    using Production = venues::NasdaqItch50;
    static constexpr Dialect kDialect{};

    [[nodiscard]] static std::string symbol(std::uint32_t number) { return "SYM" + std::to_string(number); }

    // Appends one message of a day.
    static void encode(const Event& event, std::uint32_t day, std::uint32_t symbols, Bytes& out);

    // ---- packets ----
    static void begin_packet(const Place& place, Bytes& out) {
        const std::string session = session_name(place.session);
        out.assign(session.begin(), session.end());
        put(out, place.first, 8);
        put(out, 0, 2);
    }
    static void append(Bytes& packet, std::span<const std::uint8_t> message) {
        put(packet, message.size(), 2);
        packet.insert(packet.end(), message.begin(), message.end());
        if (++packet[19] == 0) ++packet[18];
    }
    static constexpr bool kEndsByPacket = true;
    static void end_of_session(const Place& place, Bytes& out) {
        begin_packet(place, out);
        out[18] = out[19] = 0xff;
    }
    // The same text on the first ten bytes of a session key, zeroes behind.
    [[nodiscard]] static std::string session_name(std::uint32_t day) {
        std::string name = "SIM0000000";
        for (std::size_t at = 9; day > 0; day /= 10) name[at--] = static_cast<char>('0' + day % 10);
        return name;
    }

    [[nodiscard]] static SessionKey session_key(std::uint32_t day) {
        SessionKey key;
        const std::string name = session_name(day);
        std::copy(name.begin(), name.end(), key.text.begin());
        return key;
    }
    [[nodiscard]] static std::uint32_t session_of(const SessionKey& key) {
        std::uint32_t day = 0;
        for (std::size_t i = 3; i < 10; ++i) day = day * 10 + static_cast<std::uint32_t>(key.text[i] - '0');
        return day;
    }

    // ---- snapshots: GLIMPSE 5.0 over SoupBinTCP ----
    static constexpr bool kRecovers = true;
    // The day whose snapshot a request is for; none where it is no such request. A login for message 1 of whatever
    // session is current.
    [[nodiscard]] static std::optional<std::uint32_t> snapshot_session(std::span<const std::uint8_t> request,
                                                                   std::uint32_t today);
    // All that a server sends: the books after message `sequence`, the orders of each in any order.
    static void snapshot(const Day& day, std::uint64_t sequence, std::uint32_t symbols, Bytes& out);
    static void refuse(Bytes& out) { soup(out, 'J', Bytes{'S'}); }

    // ---- corruption: each changes a packet so that its kind of check must notice ----
    static constexpr std::size_t kHeader = 20;
    // The packet's lengths no longer add up.
    static void break_framing(Bytes& packet, Rng& rng);
    // One message becomes shorter than its type; false where the packet has no such message.
    [[nodiscard]] static bool break_length(Bytes& packet, Rng& rng);
    // The sequence number lies far ahead.
    static void break_header(Bytes& packet, Rng& rng);
    // One message parses, and is wrong. Returns which of the packet's it is; no number where none can be.
    [[nodiscard]] static std::optional<std::uint32_t> falsify(Bytes& packet, Rng& rng);
    // One message's type becomes one that does not exist.
    [[nodiscard]] static std::optional<std::uint32_t> break_type(Bytes& packet, Rng& rng);
    // One message says something that cannot be: an order nobody has, no shares, no such side.
    [[nodiscard]] static bool break_range(Bytes& packet, Rng& rng);

  private:
    static void put(Bytes& out, std::uint64_t value, int bytes) {
        for (int i = bytes - 1; i >= 0; --i) out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
    }
    static void put_text(Bytes& out, std::string text, std::size_t width) {
        text.resize(width, ' ');
        out.insert(out.end(), text.begin(), text.end());
    }
    static void soup(Bytes& out, char type, const Bytes& payload) {
        put(out, payload.size() + 1, 2);
        out.push_back(static_cast<std::uint8_t>(type));
        out.insert(out.end(), payload.begin(), payload.end());
    }
    static constexpr std::string_view kBookTypes = "AFECXDU";
    // Where a random message of the packet begins that has one of these types; 0 when there is none.
    [[nodiscard]] static std::size_t pick(const Bytes& packet, Rng& rng, std::string_view types = kBookTypes);
    [[nodiscard]] static std::uint32_t index_of(const Bytes& packet, std::size_t message);
};

}  // namespace millrace::sim
