// The simulated exchange's servers without sockets, against the clients: what is asked for comes back, and a
// snapshot joined to the rest of the day gives the books of the whole day.
#include <optional>

#include "millrace/feed/glimpse_client.hpp"
#include "millrace/feed/session.hpp"
#include "millrace/feed/venues/nasdaq_itch50/venue.hpp"
#include "millrace/replay/simulator/market.hpp"
#include "millrace/replay/simulator/message_store.hpp"
#include "millrace/replay/simulator/retransmit_server.hpp"
#include "millrace/replay/simulator/snapshot_books.hpp"
#include "millrace/replay/simulator/soup_server.hpp"
#include "tests/support/catch.hpp"

using namespace millrace;
using namespace millrace::replay;
using Bytes = std::vector<std::uint8_t>;
using NasdaqSession = Session<venues::NasdaqItch50, NullHandler>;

namespace {

MessageStore short_day(std::uint64_t seed) {
    MarketConfig config;
    config.seed = seed;
    config.symbols = 12;
    config.messages = 20'000;
    config.peak_orders = 2'000;
    Market market(config);
    MessageStore store;
    for (auto message = market.next(); !message.empty(); message = market.next()) store.append(message);
    return store;
}

SessionConfig books(std::uint8_t snapshots) {
    SessionConfig config;
    config.limits = {64, 20'000, 20'000};
    config.recovery.snapshot_servers = snapshots;
    config.recovery.backlog_bytes = 1 << 20;
    return config;
}

// Messages [first, end) of the store, one packet each.
void send(NasdaqSession& session, const MessageStore& store, SequenceNumber first, SequenceNumber end,
          Timestamp at = 0) {
    Bytes buffer(2'000);
    MoldUdp64PacketBuilder builder(buffer, "DAY");
    for (SequenceNumber n = first; n < end; ++n) {
        builder.begin(n);
        REQUIRE(builder.append(store[n]));
        session.on_packet({0, at, builder.finish()});
    }
}

Bytes request_for(std::string_view session, SequenceNumber first, std::uint16_t count) {
    MoldUdp64Request request{};
    request.session.set(session);
    request.sequence_number.set(first);
    request.message_count.set(count);
    const auto bytes = wire::bytes_of(request);
    return {bytes.begin(), bytes.end()};
}

}  // namespace

TEST_CASE("RetransmitServer: sends what is asked for, as much as fits a packet, and else is silent") {
    MessageStore store;
    for (std::uint8_t i = 1; i <= 20; ++i) store.append(Bytes(30, i));
    RetransmitServer server("DAY", 20 + 5 * 32);
    Frame frame = MoldUdp64::parse(server.reply(request_for("DAY", 4, 3), store));
    CHECK(frame.first_sequence == 4);
    CHECK(frame.count == 3);
    frame = MoldUdp64::parse(server.reply(request_for("DAY", 4, 65'534), store));
    CHECK(frame.count == 5);
    frame = MoldUdp64::parse(server.reply(request_for("DAY", 19, 10), store));
    CHECK(frame.count == 2);
    CHECK(frame.blocks[2] == 19);
    CHECK(server.reply(request_for("DAY", 0, 1), store).empty());
    CHECK(server.reply(request_for("DAY", 21, 1), store).empty());
    CHECK(server.reply(request_for("DAY", 1, 0), store).empty());
    CHECK(server.reply(request_for("OTHER", 1, 1), store).empty());
    CHECK(server.reply(Bytes(19), store).empty());
}

TEST_CASE("snapshot: joined anywhere in the day to the rest of it, the books are those of the whole day") {
    const MessageStore store = short_day(GENERATE(1U, 2U, 3U));
    NullHandler handler;
    NasdaqSession whole(books(0), handler);
    send(whole, store, 1, store.next());
    REQUIRE(whole.quality() == Quality::live);
    for (const SequenceNumber join : {store.next() / 3, store.next() / 2, store.next() - 5}) {
        SnapshotBooks truth;
        for (SequenceNumber n = 1; n < join; ++n) truth.apply(store[n]);
        NasdaqSession late(books(1), handler);
        // Joins a few messages before the one that the snapshot goes on with.
        send(late, store, join - 3, join + 2, 0);
        send(late, store, join + 2, join + 3, 1'000'000'000);
        const auto request = late.next_request(0);
        REQUIRE(request);
        late.on_snapshot_begin(request->id);
        const auto snapshot = truth.snapshot(join);
        for (std::size_t i = 0; i + 1 < snapshot.size(); ++i) late.on_snapshot_message(request->id, snapshot[i]);
        late.on_snapshot_end(request->id, *soup::parse_number({reinterpret_cast<const char*>(snapshot.back().data()) + 1, 20}));
        // Until the lines have had time to contradict it, it may be of a session that has yet to begin.
        CHECK(late.quality() == Quality::recovering);
        for (const Timestamp now : {0, 1'000'000'000}) CHECK_FALSE(late.next_request(now));
        send(late, store, join + 3, store.next(), 2'000'000'000);
        CHECK(late.quality() == Quality::live);
        CHECK(late.digest().text() == whole.digest().text());
        CHECK(late.faults()[FaultCounter::unknown_order] == 0);
        CHECK(balance(late.messages()) == 0);
    }
}

namespace {

struct Collected {
    std::vector<Bytes> messages;
    std::vector<SequenceNumber> numbers;
    bool ended = false;
    void on_login(std::string_view, SequenceNumber) {}
    void on_message(SequenceNumber n, std::span<const std::uint8_t> m) {
        numbers.push_back(n);
        messages.emplace_back(m.begin(), m.end());
    }
    void on_heartbeat(SequenceNumber) {}
    void on_end(SequenceNumber) { ended = true; }
};

SoupSource source_of(const MessageStore& store, const bool& ended) {
    return {[&] { return store.next(); }, [&](SequenceNumber n) { return store[n]; }, [&] { return ended; }};
}

// Carries bytes both ways until neither side has any.
void exchange_bytes(SoupClient& client, SoupServer& server, Timestamp now, Collected& collected) {
    Bytes up;
    Bytes down;
    for (bool any = true; any;) {
        up.assign(client.output().begin(), client.output().end());
        client.sent(up.size(), now);
        if (!up.empty()) server.on_bytes(up, now);
        server.on_time(now);
        down.assign(server.output().begin(), server.output().end());
        server.sent(down.size());
        if (!down.empty()) client.on_bytes(down, now, collected);
        any = !up.empty() || !down.empty();
    }
}

}  // namespace

TEST_CASE("SoupServer: a client cut off again and again gets every message once, and the end") {
    MessageStore store;
    bool ended = false;
    SoupServerConfig config;
    config.session = "DAY";
    config.username = "user";
    config.password = "secret";
    SoupClientConfig login;
    login.username = "user";
    login.password = "secret";
    SoupClient client(login, 7);
    Collected collected;
    Timestamp now = 0;
    for (int round = 0; round < 20; ++round) {
        while (!client.wants_connection(now)) now += 1'000'000;
        client.on_connecting(now);
        client.on_connected(now);
        SoupServer server(config, source_of(store, ended), now);
        for (int i = 0; i < 50; ++i) store.append(Bytes(static_cast<std::size_t>(round + i), 'x'));
        exchange_bytes(client, server, now, collected);
        ended = round == 19;
        if (ended) exchange_bytes(client, server, now, collected);
        client.on_closed(now);
    }
    REQUIRE(collected.messages.size() == 1000);
    for (SequenceNumber n = 1; n <= 1000; ++n) {
        REQUIRE(collected.numbers[n - 1] == n);
        REQUIRE(collected.messages[n - 1] == Bytes(store[n].begin(), store[n].end()));
    }
    CHECK(collected.ended);
    CHECK(client.state() == SoupClient::State::ended);
}

TEST_CASE("SoupServer: refuses who may not come in, and hangs up on who is silent") {
    MessageStore store;
    bool ended = false;
    SoupServerConfig config;
    config.session = "DAY";
    config.username = "user";
    config.password = "secret";
    SoupClientConfig login;
    login.username = "user";
    login.password = "wrong";
    SoupClient client(login, 7);
    client.on_connecting(0);
    client.on_connected(0);
    SoupServer server(config, source_of(store, ended), 0);
    Collected collected;
    exchange_bytes(client, server, 0, collected);
    CHECK(client.state() == SoupClient::State::rejected);
    CHECK(server.wants_close());
    SoupServer silent(config, source_of(store, ended), 0);
    silent.on_time(14'999'999'999);
    CHECK_FALSE(silent.wants_close());
    silent.on_time(15'000'000'000);
    CHECK(silent.wants_close());
}
