// A session that asks servers for what no line brought, its handler's log, and what is sent to it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "millrace/feed/session.hpp"
#include "millrace/feed/venues/nasdaq_itch50/venue.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/itch_packets.hpp"

namespace millrace::test::recovery {

using venues::NasdaqItch50;
using Kind = RecoveryRequest::Kind;

struct Recorder {
    std::vector<std::string> log;

    void on_book(const OrderBook& book, const BookUpdate& u) {
        log.push_back("book " + std::string(book.symbol().view()) + " " + std::to_string(u.sequence) +
                      (u.action == BookAction::clear ? " clear" : " " + std::to_string(value(u.order))) +
                      (u.from_snapshot ? " snapshot" : "") +
                      (book.quality() == Quality::live ? "" : " " + std::string(name(book.quality()))));
    }
    void on_trade(const OrderBook&, const Trade&) {}
    void on_status(const OrderBook&, const TradingStatus&) {}
    void on_quality(const OrderBook& book, Quality quality) {
        log.push_back("quality " + std::string(book.symbol().view()) + " " + std::string(name(quality)));
    }
    void on_gap(SequenceRange missing) {
        log.push_back("gap " + std::to_string(missing.first) + "-" + std::to_string(missing.last));
    }
    [[nodiscard]] std::vector<std::string> take() { return std::exchange(log, {}); }
};

using Log = std::vector<std::string>;

inline constexpr Nanoseconds kMs = 1'000'000;

inline SessionConfig recovering(std::uint8_t retransmit, std::uint8_t snapshot) {
    SessionConfig config;
    config.limits = {8, 1000, 1000};
    config.reorder_window_packets = 8;
    config.reorder_window_ns = 1000;
    config.quality = QualityConfig::live();
    config.quality.crossed = true;
    config.recovery.retransmit_servers = retransmit;
    config.recovery.snapshot_servers = snapshot;
    config.recovery.hold_bytes = 20'000;
    config.recovery.backlog_bytes = 4'000;
    config.recovery.attempts = 1;
    config.recovery.answer_timeout_ns = 10 * kMs;
    config.recovery.request_interval_ns = 0;
    config.recovery.snapshot_retry_ns = 5 * kMs;
    config.recovery.snapshot_timeout_ns = 50 * kMs;
    return config;
}

inline Message add_a(std::uint64_t id) { return add(1, id, 'B', 10, "A", 100); }

struct Fixture {
    explicit Fixture(const SessionConfig& config) : session(config, recorder) {}
    void send(const std::vector<std::uint8_t>& packet, Timestamp at = 0, LineId line = 0) {
        session.on_packet({line, at, packet});
        CHECK(balance(session.messages()) == 0);
    }
    // Of instrument A, and shown to be missing by two packets behind it.
    void miss_message_2() {
        send(packet(1, {directory(1, "A")}), 0);
        send(packet(3, {add_a(101)}), 0);
        send(packet(4, {add_a(102)}), 2000);
    }
    void answer(const std::vector<std::uint8_t>& packet) { send(packet, 0, session.recovery_line()); }
    [[nodiscard]] std::optional<RecoveryRequest> ask(Timestamp now) {
        asked_at = now;
        const auto request = session.next_request(now);
        CHECK(balance(session.messages()) == 0);
        return request;
    }
    void snapshot(std::uint32_t id, const std::vector<Message>& messages, SequenceNumber next) {
        session.on_snapshot_begin(id);
        for (const Message& m : messages) session.on_snapshot_message(id, m);
        session.on_snapshot_end(id, next);
        go_on();
    }
    // The reorder window goes by, and then the lines show that their session goes on.
    void go_on() {
        static_cast<void>(ask(asked_at));
        static_cast<void>(ask(asked_at + 1'001));
        send(packet(session.arbiter().known_end(), {}));
    }
    [[nodiscard]] std::uint64_t count(RecoveryCounter counter) const { return session.recovery()[counter]; }
    Recorder recorder;
    Session<NasdaqItch50, Recorder> session;
    Timestamp asked_at = 0;
};

inline std::uint32_t next_id(const std::optional<RecoveryRequest>& request) { return request ? request->id : 0; }

}  // namespace millrace::test::recovery
