// IEX's simulated servers without sockets, against the clients: what is asked for comes back, and a snapshot
// joined to the rest of the day gives the books of the whole day, queues and all.
#include <vector>

#include "millrace/feed/session.hpp"
#include "millrace/feed/venues/iex/venue.hpp"
#include "millrace/replay/simulator/iex_servers.hpp"
#include "millrace/replay/simulator/market.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/hex.hpp"

using namespace millrace;
using namespace millrace::replay;
using Bytes = std::vector<std::uint8_t>;

namespace {

constexpr const char* kSession = "DAY";

SentMessages short_day(const std::string& venue, std::uint64_t seed, std::uint64_t messages = 20'000) {
    MarketConfig config;
    config.seed = seed;
    config.symbols = 12;
    config.messages = messages;
    config.peak_orders = 2'000;
    Market market(config);
    const auto wire = make_wire(venue, kSession);
    SentMessages day;
    for (auto message = market.next(); !message.empty(); message = market.next()) {
        wire->encode(message, [&](auto m) { day.store.append(m); });
    }
    day.ended = true;
    return day;
}

VenueServersConfig servers_of(std::string_view venue) {
    VenueServersConfig config;
    config.venue = venue;
    config.session = kSession;
    config.token = "TOKEN";
    return config;
}

IexTpStream stream_of(IexFeed feed) {
    IexTpStream stream{};
    stream.message_protocol_id.set(iex_protocol(feed));
    stream.channel_id.set(1);
    stream.session_id.set(iex_session_id(kSession));
    return stream;
}
SessionKey key_of(const IexTpStream& stream) {
    SessionKey key;
    std::memcpy(key.text.data(), &stream, sizeof(stream));
    return key;
}
Bytes request_for(IexFeed feed, SequenceNumber first, std::uint16_t count) {
    RecoveryRequest request;
    request.first = first;
    request.count = count;
    request.session = key_of(stream_of(feed));
    Bytes out;
    venues::iex::Recovery().write_request(request, out);
    return out;
}

// Checks that packets hold the messages from `next` on, at the right place in the stream.
struct Expecting {
    const MessageStore& store;
    SequenceNumber next;
    std::size_t packets = 0;
    void operator()(std::span<const std::uint8_t> packet) {
        const Frame frame = IexTp<0x8004>::parse(packet);
        REQUIRE(frame.kind != FrameKind::malformed);
        REQUIRE(frame.first_sequence == next);
        REQUIRE(frame.stream_offset == store.offset(next));
        BlockWalker<wire::ByteOrder::little> walker(frame.blocks);
        for (std::uint32_t i = 0; i < frame.count; ++i, ++next) {
            const auto got = walker.next();
            REQUIRE(Bytes(got.begin(), got.end()) == Bytes(store[next].begin(), store[next].end()));
        }
        ++packets;
    }
};

// Messages [first, end) of the store, one packet each.
template <class VenueSession>
void send(VenueSession& session, IexFeed feed, const MessageStore& store, SequenceNumber first, SequenceNumber end,
          Timestamp at) {
    Bytes room(1'400);
    IexTpPacketBuilder builder(room, {iex_protocol(feed), 1, iex_session_id(kSession)});
    for (SequenceNumber n = first; n < end; ++n) {
        builder.begin(n, store.offset(n));
        REQUIRE(builder.append(store[n]));
        session.on_packet({0, at, builder.finish(at + 1)});
    }
}

// Carries bytes both ways until neither side has any.
void exchange_bytes(SnapshotClient& client, ServerConnection& server, SnapshotSink& sink) {
    for (bool any = true; any;) {
        const Bytes up(client.output().begin(), client.output().end());
        client.sent(up.size(), 0);
        server.on_bytes(up, 0);
        server.on_time(0);
        const Bytes down(server.output().begin(), server.output().end());
        server.sent(down.size());
        client.on_bytes(down, 0, sink);
        any = !up.empty() || !down.empty();
    }
    for (int i = 0; i < 1'000 && client.state() == SnapshotClient::State::going; ++i) client.hand_over(1'000, sink);
}

template <class VenueSession>
struct Joining final : SnapshotSink {
    Joining(VenueSession& s, std::uint32_t i) : session(s), id(i) {}
    void on_snapshot_message(std::span<const std::uint8_t> message) override {
        session.on_snapshot_message(id, message);
    }
    void on_snapshot_end(SequenceNumber next) override { session.on_snapshot_end(id, next); }

    VenueSession& session;
    std::uint32_t id;
};

SessionConfig books(std::uint8_t snapshots) {
    SessionConfig config;
    config.lines = 1;
    config.limits = {64, 20'000, 20'000};
    config.recovery.snapshot_servers = snapshots;
    config.recovery.backlog_bytes = 1 << 20;
    return config;
}

template <class Venue>
void check_joins(IexFeed feed, std::uint64_t seed) {
    using VenueSession = Session<Venue, NullHandler>;
    const SentMessages day = short_day(std::string(Venue::kId), seed);
    NullHandler handler;
    VenueSession whole(books(0), handler);
    send(whole, feed, day.store, 1, day.store.next(), 0);
    REQUIRE(whole.quality() == Quality::live);
    for (const SequenceNumber join : {day.store.next() / 3, day.store.next() / 2, day.store.next() - 50}) {
        IexServers servers(feed, servers_of(Venue::kId));
        SentMessages sent;
        const auto tell = [&](SequenceNumber end) {
            for (SequenceNumber n = sent.store.next(); n < end; ++n) {
                sent.store.append(day.store[n]);
                servers.apply(day.store[n]);
            }
        };
        tell(join);
        VenueSession late(books(1), handler);
        // Sees a few messages before the one that the snapshot goes on with.
        send(late, feed, day.store, join - 3, join + 2, 0);
        send(late, feed, day.store, join + 2, join + 3, 1'000'000'000);
        const auto request = late.next_request(0);
        REQUIRE(request);
        REQUIRE(request->kind == RecoveryRequest::Kind::snapshot);
        late.on_snapshot_begin(request->id);
        Joining<VenueSession> joining(late, request->id);
        SnapshotLogin login;
        login.token = "TOKEN";
        venues::iex::SnapClient client(*request, login);
        const auto server = servers.snapshot(sent, 0);
        REQUIRE(server);
        client.on_connecting(0);
        client.on_connected(0);
        exchange_bytes(client, *server, joining);
        // A server waits with its answer for the end of a transaction.
        for (SequenceNumber end = join + 1; client.state() != SnapshotClient::State::done; ++end) {
            REQUIRE(end < join + 9);
            tell(end);
            exchange_bytes(client, *server, joining);
        }
        send(late, feed, day.store, join + 3, day.store.next(), 1'000'000'000);
        CHECK(late.quality() == Quality::live);
        CHECK(late.digest().text() == whole.digest().text());
        CHECK(late.faults()[FaultCounter::unknown_order] == 0);
        CHECK(balance(late.messages()) == 0);
    }
}

}  // namespace

TEST_CASE("IexServers: the specification's example of a request is two ranges, and what is none is refused") {
    IexTpStream stream{};
    const Bytes example = test::from_hex(
        "01 01 0480 01000000 00008742 02000000 3430000000000000 3e30000000000000 d5dd000000000000 dfdd000000000000");
    std::memcpy(&stream, &example[2], sizeof(stream));
    const auto ranges = parse_iex_request(example, stream);
    REQUIRE(ranges);
    CHECK(*ranges == std::vector<SequenceRange>{{12'340, 12'350}, {56'789, 56'799}});
    const auto refused = [&](std::size_t at, std::uint8_t value) {
        Bytes bytes = example;
        bytes[at] = value;
        return !parse_iex_request(bytes, stream);
    };
    CHECK(refused(0, 2));      // another version
    CHECK(refused(1, 2));      // of bytes
    CHECK(refused(8, 1));      // another session
    CHECK(refused(12, 3));     // more ranges than there are
    CHECK(refused(16, 0x3f));  // ends before it begins
    CHECK(refused(33, 0));     // not behind the one before it
    for (std::size_t size = 0; size < example.size(); ++size) {
        CHECK_FALSE(parse_iex_request(std::span(example).first(size), stream));
    }
}

TEST_CASE("IexServers: a request by UDP is answered by as many packets as it takes, or by silence") {
    const SentMessages day = short_day("iex-deep", 3, 3'000);
    IexServers servers(IexFeed::deep, servers_of("iex-deep"));
    Expecting expecting{day.store, 100};
    servers.answer(request_for(IexFeed::deep, 100, 1'000), day.store, std::ref(expecting));
    CHECK(expecting.next == 1'100);
    CHECK(expecting.packets > 10);
    const auto silent = [&](const Bytes& request) {
        bool any = false;
        servers.answer(request, day.store, [&](auto) { any = true; });
        return !any;
    };
    CHECK(silent(request_for(IexFeed::deep, 100, 1'001)));
    CHECK(silent(request_for(IexFeed::deep, day.store.next() - 1, 2)));
    CHECK(silent(request_for(IexFeed::deep_plus, 100, 1)));
    CHECK(silent(Bytes(15)));
    // A request for nothing is a test of the way, and answered by where the stream is.
    Bytes test = request_for(IexFeed::deep, 1, 1);
    test.resize(sizeof(IexTpRequest));
    test[12] = 0;
    Expecting at_end{day.store, day.store.next()};
    servers.answer(test, day.store, std::ref(at_end));
    CHECK(at_end.packets == 1);
}

TEST_CASE("IexServers: a request by TCP may be for more than there is, and is answered up to that") {
    const SentMessages day = short_day("iex-deep", 4, 6'000);
    IexServers servers(IexFeed::deep, servers_of("iex-deep"));
    for (const std::uint16_t count : {std::uint16_t{5'000}, std::uint16_t{60'000}}) {
        const auto server = servers.gap_fill(day, 0);
        server->on_bytes(request_for(IexFeed::deep, 500, count), 0);
        venues::iex::SegmentCutter cutter;
        Expecting expecting{day.store, 500};
        for (int i = 0; i < 100 && (!server->wants_close() || !server->output().empty()); ++i) {
            server->on_time(0);
            const Bytes down(server->output().begin(), server->output().end());
            server->sent(down.size());
            REQUIRE(cutter.on_bytes(down, 1'400, std::ref(expecting)));
        }
        CHECK(server->wants_close());
        CHECK(expecting.next == std::min<SequenceNumber>(500U + count, day.store.next()));
    }
    const auto foreign = servers.gap_fill(day, 0);
    foreign->on_bytes(request_for(IexFeed::deep_plus, 1, 1), 0);
    CHECK(foreign->wants_close());
    const auto silent = servers.gap_fill(day, 0);
    silent->on_time(9'999'999'999);
    CHECK_FALSE(silent->wants_close());
    silent->on_time(10'000'000'000);
    CHECK(silent->wants_close());
}

TEST_CASE("IexServers: snapshots of DEEP and DEEP+ joined anywhere in the day give the books of the whole day") {
    const auto seed = GENERATE(1U, 2U, 3U);
    check_joins<venues::IexDeep>(IexFeed::deep, seed);
    check_joins<venues::IexDeepPlus>(IexFeed::deep_plus, seed);
}

TEST_CASE("IexServers: SNAP refuses a wrong token, session or channel, and what it has not yet") {
    const SentMessages day = short_day("iex-deep", 5, 500);
    IexServers servers(IexFeed::deep, servers_of("iex-deep"));
    const auto refusal = [&](auto&& change) {
        auto request = snap_message<SnapRequest>();
        request.token.set("TOKEN");
        request.channel_id.set(1);
        request.session_id.set(iex_session_id(kSession));
        change(request);
        const auto server = servers.snapshot(day, 0);
        server->on_bytes(raw_bytes(request), 0);
        server->on_time(0);
        const auto out = server->output();
        REQUIRE(out.size() >= sizeof(SnapError));
        return out[2] == 'e' ? static_cast<char>(out[3]) : ' ';
    };
    CHECK(refusal([](SnapRequest&) {}) == ' ');
    CHECK(refusal([](SnapRequest& r) { r.token.set("WRONG"); }) == 'A');
    CHECK(refusal([](SnapRequest& r) { r.channel_id.set(2); }) == 'C');
    CHECK(refusal([](SnapRequest& r) { r.session_id.set(1); }) == 'S');
    CHECK(refusal([&](SnapRequest& r) { r.minimum_sequence.set(day.store.next()); }) == 'R');
    CHECK(refusal([](SnapRequest& r) { r.type.set('q'); }) == 'U');
    CHECK(IexServers(IexFeed::tops, servers_of("iex-tops")).snapshot(day, 0) == nullptr);
}
