// The recovery thread against servers over loopback that do not do what was asked of them: each is named by what is
// wrong with it.
#include "millrace/feed/net/recovery_client.hpp"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "millrace/core/clock.hpp"
#include "millrace/feed/framing/soupbintcp.hpp"
#include "tests/feed/recovery_fixture.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/multicast.hpp"
#include "tests/support/network.hpp"

using namespace millrace;
using namespace millrace::test;
using namespace millrace::test::recovery;
using net::Socket;

namespace {

constexpr std::uint32_t kBufferBytes = 2'048;

// On a port of the kernel's choice.
Socket listen_somewhere(int type) { return net::listen_at({"127.0.0.1", 0}, type); }
GroupConfig address_of(const Socket& socket) { return {"127.0.0.1", port_of(socket)}; }

bool waits(const Socket& socket, int ms = 20'000) {
    pollfd polled{socket.fd(), POLLIN, 0};
    return ::poll(&polled, 1, ms) == 1;
}

// A session that misses a message, and what fetches it.
class Feed {
  public:
    Feed(const RecoveryServers& servers, const SessionConfig& config)
        : fixture_(config), client_(NasdaqItch50::recovery_protocol(), servers, config.recovery,
                                    fixture_.session.recovery_line(), kBufferBytes) {
        fixture_.miss_message_2();
    }
    bool step() {
        if (const auto request = fixture_.session.next_request(MonotonicClock::now())) client_.ask(*request);
        return client_.deliver(fixture_.session, [this](const net::Received& received, auto bytes) {
            fixture_.session.on_packet({received.line, received.received_at, bytes});
        }) != 0;
    }
    [[nodiscard]] bool wait_for(ServerProblem problem) {
        return eventually([&] {
            step();
            return client_.problems().times(0, problem) != 0;
        });
    }
    [[nodiscard]] std::uint64_t times(ServerProblem problem) const { return client_.problems().times(0, problem); }
    [[nodiscard]] std::uint64_t problems() const {
        std::uint64_t sum = 0;
        for (std::size_t p = 1; p < kServerProblems.size(); ++p) sum += times(static_cast<ServerProblem>(p));
        return sum;
    }
    [[nodiscard]] std::uint64_t count(RecoveryCounter counter) const { return fixture_.count(counter); }
    [[nodiscard]] bool balances() const { return balance(fixture_.session.messages()) == 0; }

  private:
    Fixture fixture_;
    net::RecoveryClient client_;
};

// Accepts one connection and one login, and says `messages`, by GLIMPSE.
Socket serve_snapshot(const Socket& listener, const std::vector<Message>& messages) {
    if (!waits(listener)) return {};
    Socket peer(accept(listener.fd(), nullptr, nullptr));
    std::vector<std::uint8_t> login(soup::kHead + sizeof(soup::LoginRequest));
    if (recv(peer.fd(), login.data(), login.size(), 0) <= 0) return {};
    soup::LoginAccepted accepted{};
    accepted.session.set("S");
    soup::set_number(accepted.sequence_number, 1);
    std::vector<std::uint8_t> out;
    soup::append_packet(out, soup::kLoginAccepted, soup::as_bytes(accepted));
    for (const Message& message : messages) soup::append_packet(out, soup::kSequencedData, message);
    MILLRACE_VERIFY(send(peer.fd(), out.data(), out.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(out.size()));
    return peer;
}

}  // namespace

TEST_CASE("RecoveryClient: a snapshot server whose messages are none of the venue is named, once a snapshot") {
    Message cut = add_a(7);
    cut.pop_back();
    const auto& [messages, refused] = GENERATE_COPY(
        std::pair(std::vector{directory(1, "A"), cut, cut}, 1U),                                   // too short
        std::pair(std::vector{directory(1, "A"), Message(20, '?'), Message(20, '?')}, 0U),         // of no type
        std::pair(std::vector{directory(1, "A"), Message(kBufferBytes + 1, 'A')}, 1U));            // too long
    const Socket listener = listen_somewhere(SOCK_STREAM);
    RecoveryServers servers;
    servers.snapshot = {address_of(listener)};
    SessionConfig config = recovering(0, 1);
    config.recovery.snapshot_timeout_ns = config.recovery.snapshot_retry_ns = 3'600'000'000'000;  // one snapshot is all
    config.recovery.snapshot_retry_max_ns = config.recovery.snapshot_retry_ns;
    Feed feed(servers, config);
    feed.step();
    const Socket peer = serve_snapshot(listener, messages);
    REQUIRE(peer.fd() >= 0);
    REQUIRE(feed.wait_for(ServerProblem::nonsense));
    CHECK(feed.problems() == 1);
    CHECK(feed.count(RecoveryCounter::snapshots_refused) == refused);
    CHECK(feed.balances());
}

TEST_CASE("RecoveryClient: a retransmission server that answers with what is no packet is named") {
    const Socket server = listen_somewhere(SOCK_DGRAM);
    RecoveryServers servers;
    servers.retransmit = {address_of(server)};
    SessionConfig config = recovering(1, 0);
    config.recovery.answer_timeout_ns = config.recovery.retransmit_ns = 3'600'000'000'000;
    Feed feed(servers, config);
    feed.step();
    REQUIRE(waits(server));
    sockaddr_in from{};
    socklen_t size = sizeof(from);
    std::array<char, 64> request{};
    CHECK(recvfrom(server.fd(), request.data(), request.size(), 0, reinterpret_cast<sockaddr*>(&from), &size) == 20);
    const std::string nonsense = "who is there?";
    CHECK(sendto(server.fd(), nonsense.data(), nonsense.size(), 0, reinterpret_cast<const sockaddr*>(&from), size) > 0);
    REQUIRE(feed.wait_for(ServerProblem::nonsense));
    CHECK(feed.problems() == 1);
    CHECK(feed.balances());
}

TEST_CASE("RecoveryClient: a retransmission server that says nothing is named silent, once for each request") {
    const Socket server = listen_somewhere(SOCK_DGRAM);
    RecoveryServers servers;
    servers.retransmit = {address_of(server)};
    SessionConfig config = recovering(1, 0);
    config.recovery.attempts = 1;
    Feed feed(servers, config);
    REQUIRE(feed.wait_for(ServerProblem::silent));
    // The gap is given up with its only request, so that there are no others.
    REQUIRE(eventually([&] {
        feed.step();
        return feed.count(RecoveryCounter::retransmission_failed) == 1;
    }));
    CHECK(feed.count(RecoveryCounter::requests) == 1);
    CHECK(feed.problems() == 1);
    CHECK(feed.balances());
}

TEST_CASE("RecoveryClient: who asks again after silence says of the request before that nothing came of it") {
    const Socket server = listen_somewhere(SOCK_DGRAM);
    RecoveryServers servers;
    servers.retransmit = {address_of(server)};
    RecoveryConfig config;
    config.answer_timeout_ns = 200'000'000;
    net::RecoveryClient client(NasdaqItch50::recovery_protocol(), servers, config, 1, kBufferBytes);
    RecoveryRequest request;
    request.first = request.count = 1;
    client.ask(request);
    REQUIRE(waits(server));
    // The request has been out for half the time that an answer may take, and the next one is before all of it is over.
    std::this_thread::sleep_for(std::chrono::nanoseconds(config.answer_timeout_ns / 2));
    request.after_silence = true;
    client.ask(request);
    CHECK(eventually([&] { return client.problems().times(0, ServerProblem::silent) == 2; }));
}
