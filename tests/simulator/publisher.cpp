#include "millrace/replay/simulator/publisher.hpp"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <cstring>

#include "millrace/core/clock.hpp"
#include "millrace/core/error.hpp"
#include "tests/support/catch.hpp"

using namespace millrace;
using namespace millrace::replay;

namespace {

// A socket on a port of the kernel's choice.
struct Receiver {
    net::Socket socket{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    Endpoint endpoint;

    Receiver() {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        REQUIRE(bind(socket.fd(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
        socklen_t size = sizeof(address);
        REQUIRE(getsockname(socket.fd(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
        endpoint.port = ntohs(address.sin_port);
        std::memcpy(endpoint.address.data(), &address.sin_addr, 4);
    }
    // Everything that lies in the socket: loopback delivers before the send returns.
    [[nodiscard]] std::vector<std::vector<std::uint8_t>> drain() const {
        std::vector<std::vector<std::uint8_t>> datagrams;
        for (;;) {
            std::vector<std::uint8_t> buffer(2'000);
            const ssize_t size = recv(socket.fd(), buffer.data(), buffer.size(), MSG_DONTWAIT);
            if (size < 0) return datagrams;
            buffer.resize(static_cast<std::size_t>(size));
            datagrams.push_back(buffer);
        }
    }
};

SimulatedPacket packet(LineId line, Timestamp time, std::uint8_t content) {
    return {line, time, 1, 1, false, std::vector<std::uint8_t>(content, content)};
}

const auto always = [] { return true; };

}  // namespace

TEST_CASE(
    "Publisher: without a pace all packets arrive whole and in order, each at its line's "
    "address") {
    const Receiver a;
    const Receiver b;
    Publisher publisher({a.endpoint, b.endpoint}, "lo", 0);
    for (std::uint8_t i = 1; i <= 50; ++i) {
        REQUIRE(publisher.send(packet(0, 0, i), always));
        if (i % 2 == 0) REQUIRE(publisher.send(packet(1, 0, i), always));
    }
    REQUIRE(publisher.flush(always));
    const auto on_a = a.drain();
    const auto on_b = b.drain();
    REQUIRE(on_a.size() == 50);
    REQUIRE(on_b.size() == 25);
    for (std::uint8_t i = 1; i <= 50; ++i) CHECK(on_a[i - 1U] == packet(0, 0, i).bytes);
    for (std::uint8_t i = 1; i <= 25; ++i) {
        CHECK(on_b[i - 1U] == packet(1, 0, static_cast<std::uint8_t>(2 * i)).bytes);
    }
    CHECK(publisher.sent() == 75);
    CHECK(publisher.retried() == 0);
}

TEST_CASE("Publisher: with a pace a packet leaves at once when it is due, and not before") {
    const Receiver a;
    Publisher publisher({a.endpoint}, "lo", 2);
    const Timestamp begin = MonotonicClock::now();
    REQUIRE(publisher.send(packet(0, 1'000'000'000, 1), always));
    CHECK(a.drain().size() == 1);
    REQUIRE(publisher.send(packet(0, 1'040'000'000, 2), always));
    CHECK(a.drain().size() == 1);
    CHECK(MonotonicClock::now() - begin >= 20'000'000 - 50'000);
}

TEST_CASE("Publisher: it stops waiting when told to") {
    const Receiver a;
    Publisher publisher({a.endpoint}, "lo", 1e-6);
    REQUIRE(publisher.send(packet(0, 1'000, 1), always));
    int asked = 0;
    CHECK_FALSE(publisher.send(packet(0, 1'000'000'000, 2), [&] { return ++asked < 2; }));
    CHECK(asked == 2);
    CHECK(publisher.sent() == 1);
}

TEST_CASE("Publisher: nobody listening is no failure") {
    Endpoint nobody;
    {
        const Receiver gone;
        nobody = gone.endpoint;
    }
    Publisher publisher({nobody}, "lo", 0);
    for (std::uint8_t i = 1; i <= 40; ++i) REQUIRE(publisher.send(packet(0, 0, i), always));
    REQUIRE(publisher.flush(always));
    CHECK(publisher.sent() == 40);
}

TEST_CASE("Publisher: an interface that does not exist is refused by name") {
    const Receiver a;
    CHECK_THROWS_WITH(Publisher({a.endpoint}, "no-such-if", 0), Catch::Contains("no-such-if"));
}
