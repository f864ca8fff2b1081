// How the simulated exchange's events look on IEX's wire: DEEP 1.0 and DEEP+ 1.0 over IEX-TP, with gap fill and
// SNAP, written by hand from the fact sheet's offsets. Shares nothing with the layouts under test.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "millrace/feed/venues/iex/venue.hpp"
#include "tests/simulation/exchange.hpp"
#include "tests/simulation/place.hpp"

namespace millrace::sim {

// What the feeds share; they differ in the number of their protocol, and in what tells of a book.
template <std::uint16_t Protocol>
struct IexFeed {
    [[nodiscard]] static std::string symbol(std::uint32_t number) { return "SYM" + std::to_string(number); }
    static void encode(const Event& event, std::uint32_t day, std::uint32_t symbols, Bytes& out);

    // ---- packets ----
    static void begin_packet(const Place& place, Bytes& out);
    static void append(Bytes& packet, std::span<const std::uint8_t> message);
    // IEX-TP has no such mark: a heartbeat.
    static constexpr bool kEndsByPacket = false;
    static void end_of_session(const Place& place, Bytes& out) { begin_packet(place, out); }
    [[nodiscard]] static SessionKey session_key(std::uint32_t day);
    [[nodiscard]] static std::uint32_t session_of(const SessionKey& key);

    // ---- snapshots: SNAP ----
    static constexpr bool kRecovers = true;
    [[nodiscard]] static std::optional<std::uint32_t> snapshot_session(std::span<const std::uint8_t> request,
                                                                   std::uint32_t today);
    // Levels, or orders by id, with times that put them in their queues.
    static void snapshot(const Day& day, std::uint64_t sequence, std::uint32_t symbols, Bytes& out);
    static void refuse(Bytes& out);

    // ---- corruption ----
    static constexpr std::size_t kHeader = 40;
    static void break_framing(Bytes& packet, Rng& rng);
    [[nodiscard]] static bool break_length(Bytes& packet, Rng& rng);
    static void break_header(Bytes& packet, Rng& rng);
    [[nodiscard]] static std::optional<std::uint32_t> falsify(Bytes& packet, Rng& rng);
    [[nodiscard]] static std::optional<std::uint32_t> break_type(Bytes& packet, Rng& rng);
    [[nodiscard]] static bool break_range(Bytes& packet, Rng& rng);

  private:
    static void put_stream(Bytes& out, std::uint32_t day);
    // Where a random message of the packet begins that changes a book; 0 when there is none.
    [[nodiscard]] static std::size_t pick(const Bytes& packet, Rng& rng);
    [[nodiscard]] static std::uint32_t index_of(const Bytes& packet, std::size_t message);
};

struct IexDeepVenue : IexFeed<0x8004> {
    using Production = venues::IexDeep;
    static constexpr Dialect kDialect{.prints_all = true, .levels = true, .taking_orders = 'O'};
};

struct IexDeepPlusVenue : IexFeed<0x8005> {
    using Production = venues::IexDeepPlus;
    static constexpr Dialect kDialect{.modifies = true, .prints_all = true, .taking_orders = 'O'};
};

}  // namespace millrace::sim
