#include "millrace/feed/soup_client.hpp"

#include <string>
#include <vector>

#include "millrace/feed/glimpse_client.hpp"
#include "tests/support/catch.hpp"

using namespace millrace;
using State = SoupClient::State;
using Bytes = std::vector<std::uint8_t>;

namespace {

constexpr Nanoseconds kSecond = 1'000'000'000;

Bytes hex(std::string_view text) {
    Bytes out;
    std::string digits;
    for (const char c : text) {
        if (c != ' ') digits += c;
    }
    for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
        out.push_back(static_cast<std::uint8_t>(std::stoul(digits.substr(i, 2), nullptr, 16)));
    }
    return out;
}

// From real captures: a login of "user", "password" for what is newest, and the answer of session
// "1689192121" with next sequence number 135.
const Bytes kLogin = hex(
    "002f 4c 757365722020 70617373776f72642020 20202020202020202020 2020202020202020202020202020202020202030");
const Bytes kAccepted = hex("001f 41 31363839313932313231 2020202020202020202020202020202020313335");
const Bytes kRejected = hex("0002 4a 41");
const Bytes kServerHeartbeat = hex("0001 48");
const Bytes kClientHeartbeat = hex("0001 52");
const Bytes kEnd = hex("0001 5a");

Bytes message(std::string_view text) {
    Bytes out;
    soup::append_packet(out, 'S', {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
    return out;
}

struct Recorder {
    std::vector<std::string> log;
    void on_login(std::string_view session, SequenceNumber next) {
        log.push_back("login " + std::string(session) + " " + std::to_string(next));
    }
    void on_message(SequenceNumber n, std::span<const std::uint8_t> m) {
        log.push_back(std::to_string(n) + " " + std::string(m.begin(), m.end()));
    }
    void on_heartbeat(SequenceNumber n) { log.push_back("heartbeat " + std::to_string(n)); }
    void on_end(SequenceNumber n) { log.push_back("end " + std::to_string(n)); }
};
using Log = std::vector<std::string>;

SoupClientConfig user() {
    SoupClientConfig config;
    config.username = "user";
    config.password = "password";
    config.first = 0;
    return config;
}

Bytes take(SoupClient& client, Timestamp now) {
    const auto output = client.output();
    Bytes bytes(output.begin(), output.end());
    client.sent(bytes.size(), now);
    return bytes;
}

struct Live {
    explicit Live(const SoupClientConfig& config = user()) : client(config, 1) {
        REQUIRE(client.wants_connection(0));
        client.on_connecting(0);
        client.on_connected(0);
    }
    void bytes(const Bytes& bytes, Timestamp now = 0) { client.on_bytes(bytes, now, recorder); }
    SoupClient client;
    Recorder recorder;
};

}  // namespace

TEST_CASE("SoupClient: logs in as the wire has it, and counts messages from where the server says") {
    Live l;
    CHECK(take(l.client, 0) == kLogin);
    l.bytes(kAccepted);
    CHECK(l.client.state() == State::live);
    l.bytes(message("one"));
    l.bytes(kServerHeartbeat);
    l.bytes(hex("0004 55 616263"));
    l.bytes(hex("0003 2b 6869"));
    l.bytes(message("two"));
    CHECK(l.recorder.log == Log{"login 1689192121 135", "135 one", "heartbeat 136", "136 two"});
    CHECK(l.client.counters()[SoupCounter::unsequenced] == 1);
    CHECK(l.client.next() == 137);
}

TEST_CASE("SoupClient: says after which silence the server may hang up, where asked to") {
    SoupClientConfig config = user();
    config.tell_timeout = true;
    Live l(config);
    const Bytes login = take(l.client, 0);
    REQUIRE(login.size() == 54);
    CHECK(login[1] == 52);
    CHECK(std::string(login.end() - 5, login.end()) == "15000");
}

TEST_CASE("SoupClient: however TCP cuts the stream, the packets are the same") {
    Bytes stream = kAccepted;
    for (const Bytes& more : {message("one"), kServerHeartbeat, message(""), message("three"), kEnd}) {
        stream.insert(stream.end(), more.begin(), more.end());
    }
    for (std::size_t cut = 1; cut <= stream.size(); ++cut) {
        Live l;
        for (std::size_t at = 0; at < stream.size(); at += cut) {
            const auto last = std::min(stream.size(), at + cut);
            l.bytes(Bytes(stream.begin() + static_cast<std::ptrdiff_t>(at), stream.begin() + static_cast<std::ptrdiff_t>(last)));
        }
        REQUIRE(l.recorder.log ==
                Log{"login 1689192121 135", "135 one", "heartbeat 136", "136 ", "137 three", "end 138"});
        REQUIRE(l.client.state() == State::ended);
    }
}

TEST_CASE("SoupClient: goes on with the next message after a cut, having waited") {
    Live l;
    static_cast<void>(take(l.client, 0));
    l.bytes(kAccepted);
    l.bytes(message("one"));
    l.client.on_closed(kSecond);
    CHECK(l.client.state() == State::waiting);
    CHECK_FALSE(l.client.wants_connection(kSecond + 124'000'000));
    CHECK(l.client.wants_connection(kSecond + 250'000'000));
    l.client.on_connecting(2 * kSecond);
    l.client.on_connected(2 * kSecond);
    const Bytes login = take(l.client, 0);
    CHECK(std::string(login.begin() + 19, login.begin() + 29) == "1689192121");
    CHECK(std::string(login.begin() + 29, login.end()) == "                 136");
    CHECK(l.client.counters()[SoupCounter::cut] == 1);
}

TEST_CASE("SoupClient: the pause doubles up to its limit, and differs from client to client") {
    SoupClientConfig config = user();
    config.retry_ns = kSecond;
    config.retry_max_ns = 4 * kSecond;
    std::vector<Timestamp> pauses;
    for (const std::uint64_t seed : {1U, 2U}) {
        SoupClient client(config, seed);
        Timestamp now = 0;
        for (int i = 0; i < 5; ++i) {
            client.on_connecting(now);
            client.on_closed(now);
            const Timestamp begin = now;
            while (!client.wants_connection(now)) now += 1'000'000;
            pauses.push_back(now - begin);
            const Nanoseconds full = std::min<Nanoseconds>(kSecond << i, 4 * kSecond);
            CHECK(pauses.back() >= full / 2);
            CHECK(pauses.back() <= full + 1'000'000);
        }
    }
    CHECK(std::vector(pauses.begin(), pauses.begin() + 5) != std::vector(pauses.begin() + 5, pauses.end()));
}

TEST_CASE("SoupClient: a login that is not authorised is not tried again") {
    Live l;
    l.bytes(kRejected);
    CHECK(l.client.state() == State::rejected);
    CHECK(l.client.wants_close());
    CHECK(l.client.problem() == ServerProblem::login);
    l.client.on_closed(0);
    CHECK_FALSE(l.client.wants_connection(1000 * kSecond));
    CHECK(l.client.counters()[SoupCounter::refused] == 1);
}

TEST_CASE("SoupClient: when its session is gone it asks for the present one from the start") {
    SoupClientConfig config = user();
    config.first = 1;
    Live l(config);
    l.bytes(kAccepted);
    l.client.on_closed(0);
    l.client.on_connecting(kSecond);
    l.client.on_connected(kSecond);
    l.bytes(hex("0002 4a 53"));
    CHECK(l.client.wants_close());
    l.client.on_closed(kSecond);
    l.client.on_connecting(3 * kSecond);
    l.client.on_connected(3 * kSecond);
    const Bytes login = take(l.client, 0);
    CHECK(std::string(login.begin() + 19, login.end()) == "                             1");
}

TEST_CASE("SoupClient: behind the end of a session the next one is waited for, where that is wanted") {
    SoupClientConfig config = user();
    config.first = 1;
    config.next_session = true;
    Live l(config);
    l.bytes(kAccepted);
    l.bytes(kEnd);
    Timestamp now = 0;
    const auto connect = [&] {
        l.client.on_closed(now);
        CHECK(l.client.between_sessions());
        while (!l.client.wants_connection(now)) now += kSecond / 8;
        l.client.on_connecting(now);
        l.client.on_connected(now);
        // Whatever there is, from its first message on.
        const Bytes login = take(l.client, now);
        CHECK(std::string(login.begin() + 19, login.end()) == "                             1");
    };
    connect();
    l.bytes(kAccepted);  // the session that has ended
    CHECK(l.client.wants_close());
    connect();
    l.client.on_closed(now);  // hung up, or away
    CHECK(l.client.counters()[SoupCounter::cut] == 1);
    connect();
    l.bytes(hex("001f 41 31363839313932313232 2020202020202020202020202020202020202031"));
    CHECK_FALSE(l.client.between_sessions());
    l.bytes(message("one"));
    CHECK(l.recorder.log == Log{"login 1689192121 135", "end 135", "login 1689192122 1", "1 one"});
    CHECK(l.client.counters()[SoupCounter::refused] == 0);
    l.bytes(kEnd);
    l.client.log_out();
    l.client.on_closed(now);
    CHECK_FALSE(l.client.wants_connection(now + 100 * kSecond));
}

TEST_CASE("SoupClient: a server that would repeat messages, or speaks of another session, is left") {
    SoupClientConfig config = user();
    config.first = 136;
    Live repeats(config);
    repeats.bytes(kAccepted);
    CHECK(repeats.client.wants_close());
    CHECK(repeats.client.counters()[SoupCounter::refused] == 1);
    config.first = 1;
    config.session = "OTHER";
    Live other(config);
    other.bytes(kAccepted);
    CHECK(other.client.wants_close());
    CHECK(other.recorder.log.empty());
}

TEST_CASE("SoupClient: heartbeats go out when it has been silent, and silence of the server ends the connection") {
    Live l;
    static_cast<void>(take(l.client, 0));
    l.bytes(kAccepted);
    l.client.on_time(kSecond - 1);
    CHECK(take(l.client, 0).empty());
    l.client.on_time(kSecond);
    CHECK(take(l.client, kSecond) == kClientHeartbeat);
    l.client.on_time(kSecond + 1);
    CHECK(take(l.client, 0).empty());
    l.bytes(kServerHeartbeat, 2 * kSecond);
    l.client.on_time(17 * kSecond - 1);
    CHECK_FALSE(l.client.wants_close());
    l.client.on_time(17 * kSecond);
    CHECK(l.client.wants_close());
    CHECK(l.client.counters()[SoupCounter::timed_out] == 1);
}

TEST_CASE("SoupClient: what is no SoupBinTCP ends the connection") {
    Live zero;
    zero.bytes(hex("0000"));
    CHECK(zero.client.wants_close());
    Live early;
    early.bytes(message("before the login"));
    CHECK(early.client.wants_close());
    Live shortened;
    shortened.bytes(hex("0003 41 3131"));
    CHECK(shortened.client.wants_close());
    CHECK(shortened.client.counters()[SoupCounter::broken] == 1);
}

namespace {

struct Snapshot final : SnapshotSink {
    void on_snapshot_message(std::span<const std::uint8_t> m) override { messages.emplace_back(m.begin(), m.end()); }
    void on_snapshot_end(SequenceNumber number) override { next = number; }

    std::vector<std::string> messages;
    SequenceNumber next = 0;
};

}  // namespace

TEST_CASE("GlimpseClient: hands over the messages and the number to go on with") {
    GlimpseClient client(user());
    client.on_connecting(0);
    client.on_connected(0);
    const auto login = client.output();
    CHECK(std::string(login.begin() + 19, login.end()) == "                             1");
    Bytes stream = hex("001f 41 31363839313932313231 2020202020202020202020202020202020202031");
    for (const Bytes& more : {message("Rone"), message("Atwo"), message("G               12345"), kEnd}) {
        stream.insert(stream.end(), more.begin(), more.end());
    }
    Snapshot snapshot;
    client.on_bytes(stream, 0, snapshot);
    CHECK(snapshot.messages == std::vector<std::string>{"Rone", "Atwo"});
    CHECK(snapshot.next == 12345);
    CHECK(client.state() == GlimpseClient::State::done);
}

TEST_CASE("GlimpseClient: a snapshot that is cut off, refused or ends without a number has failed") {
    const Bytes accepted = hex("001f 41 31363839313932313231 2020202020202020202020202020202020202031");
    for (const Bytes& rest : {message("G"), message("G       not a number"), kEnd, hex("0002 4a 41")}) {
        GlimpseClient client(user());
        client.on_connecting(0);
        client.on_connected(0);
        Snapshot snapshot;
        if (rest != hex("0002 4a 41")) client.on_bytes(accepted, 0, snapshot);
        client.on_bytes(rest, 0, snapshot);
        CHECK(client.state() == GlimpseClient::State::failed);
        CHECK((client.problem() == ServerProblem::login) == (rest == hex("0002 4a 41")));
        CHECK(snapshot.next == 0);
    }
    GlimpseClient cut(user());
    cut.on_connecting(0);
    cut.on_closed();
    CHECK(cut.state() == GlimpseClient::State::failed);
}
