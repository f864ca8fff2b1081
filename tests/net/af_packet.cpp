// Packet sockets do what the network stack would have done: of what comes by, only whole and sound datagrams to the
// line's groups pass, and what is wrong with the others is counted. The checks run over packets built by hand, and
// over frames put on loopback as they are.
#include "millrace/feed/net/af_packet_receiver.hpp"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <sys/wait.h>
#include <unistd.h>

#include <random>

#include "millrace/core/error.hpp"
#include "millrace/feed/net/receiver.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/multicast.hpp"

using namespace millrace;
using namespace millrace::net;
using millrace::test::eventually;
using millrace::test::LoopbackSender;
using millrace::test::SomeGroups;
using Packet = std::vector<std::uint8_t>;

namespace {

PacketLine some_line() {
    PacketLine line;
    line.groups.push_back(endpoint_of("239.255.7.1", 26'477));
    return line;
}
const PacketLine kLine = some_line();

void put16(Packet& packet, std::size_t at, std::size_t number) {
    packet[at] = static_cast<std::uint8_t>(number >> 8);
    packet[at + 1] = static_cast<std::uint8_t>(number);
}

// RFC 791's header checksum, over `words` 16-bit words.
void seal(Packet& packet, std::size_t words = 10) {
    put16(packet, 10, 0);
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < 2 * words; i += 2) sum += static_cast<std::uint32_t>(packet[i] << 8 | packet[i + 1]);
    while (sum > 0xffff) sum = sum % 0x10000 + sum / 0x10000;
    put16(packet, 10, 0xffff - sum);
}

// IPv4 and UDP around `text`, without a checksum of UDP.
Packet datagram(const std::string& text, const std::string& group = "239.255.7.1", std::uint16_t port = 26'477) {
    Packet packet(28);
    packet[0] = 0x45;
    put16(packet, 2, 28 + text.size());
    packet[8] = 1;
    packet[9] = 17;
    inet_pton(AF_INET, "127.0.0.1", &packet[12]);
    inet_pton(AF_INET, group.c_str(), &packet[16]);
    put16(packet, 20, 4'000);
    put16(packet, 22, port);
    put16(packet, 24, 8 + text.size());
    packet.insert(packet.end(), text.begin(), text.end());
    seal(packet);
    return packet;
}

PacketVerdict verdict(const Packet& packet, bool checked = false) {
    // Exactly as long as it is, so that a read behind it is found.
    const Packet exact(packet);
    UdpDatagram out;
    return inspect(kLine, exact, checked, out);
}

}  // namespace

TEST_CASE("packet rings: a datagram to the line's group passes, with or without options and padding") {
    UdpDatagram out;
    const Packet plain = datagram("hello");
    REQUIRE(inspect(kLine, plain, false, out) == PacketVerdict::datagram);
    CHECK(std::string(out.payload.begin(), out.payload.end()) == "hello");

    Packet padded = plain;
    padded.resize(46, 0xee);
    REQUIRE(inspect(kLine, padded, false, out) == PacketVerdict::datagram);
    CHECK(out.payload.size() == 5);

    Packet options = plain;
    options.insert(options.begin() + 20, {1, 1, 1, 0});
    options[0] = 0x46;
    put16(options, 2, options.size());
    seal(options, 12);
    REQUIRE(inspect(kLine, options, false, out) == PacketVerdict::datagram);
    CHECK(std::string(out.payload.begin(), out.payload.end()) == "hello");
}

TEST_CASE("packet rings: what is to another group, port or protocol is foreign") {
    CHECK(verdict(datagram("x", "239.255.7.2")) == PacketVerdict::foreign);
    CHECK(verdict(datagram("x", "239.255.7.1", 26'478)) == PacketVerdict::foreign);
    Packet tcp = datagram("x");
    tcp[9] = 6;
    seal(tcp);
    CHECK(verdict(tcp) == PacketVerdict::foreign);
}

TEST_CASE("packet rings: fragments to the group are fragments, the first one and later ones") {
    for (const std::size_t place : {0x2000U, 0x2001U, 0x0001U, 0x1fffU}) {
        CAPTURE(place);
        Packet packet = datagram("x");
        put16(packet, 6, place);
        seal(packet);
        CHECK(verdict(packet) == PacketVerdict::fragment);
    }
    Packet whole = datagram("x");
    put16(whole, 6, 0x4000);  // do not fragment
    seal(whole);
    CHECK(verdict(whole) == PacketVerdict::datagram);
}

TEST_CASE("packet rings: lengths and checksums that cannot be are malformed") {
    const auto with = [](std::size_t at, std::size_t number, bool resealed = true) {
        Packet packet = datagram("hello");
        put16(packet, at, number);
        if (resealed) seal(packet);
        return packet;
    };
    CHECK(verdict(with(2, 0)) == PacketVerdict::malformed);       // IP: no length
    CHECK(verdict(with(2, 19)) == PacketVerdict::malformed);      // shorter than its header
    CHECK(verdict(with(2, 27)) == PacketVerdict::malformed);      // than UDP's
    CHECK(verdict(with(2, 34)) == PacketVerdict::malformed);      // longer than the frame
    CHECK(verdict(with(24, 0)) == PacketVerdict::malformed);      // UDP: no length
    CHECK(verdict(with(24, 7)) == PacketVerdict::malformed);
    CHECK(verdict(with(24, 14)) == PacketVerdict::malformed);     // longer than IP's
    CHECK(verdict(with(10, 0x1234, false)) == PacketVerdict::malformed);  // IP's checksum
    CHECK(verdict(with(26, 0x1234)) == PacketVerdict::malformed);         // UDP's
    for (std::size_t size = 0; size < 33; ++size) {
        Packet cut = datagram("hello");
        cut.resize(size);
        CAPTURE(size);
        CHECK(verdict(cut) != PacketVerdict::datagram);
    }
}

TEST_CASE("packet rings: UDP's checksum is verified where the kernel has not, over an odd length as well") {
    // By RFC 768: the complement of 7f00+0001 + efff+0701 + 0011 + 000d (addresses, protocol, length), 0fa0+676d+000d
    // and 6865+6c6c+6f00, with the carries added in.
    Packet packet = datagram("hello");
    put16(packet, 26, 0xcef2);
    CHECK(verdict(packet) == PacketVerdict::datagram);
    packet[30] ^= 1;
    CHECK(verdict(packet) == PacketVerdict::malformed);
    CHECK(verdict(packet, true) == PacketVerdict::datagram);
}

TEST_CASE("packet rings: no bytes at all lead outside the packet") {
    std::mt19937 random(7);
    std::size_t passed = 0;
    for (int i = 0; i < 200'000; ++i) {
        Packet packet = datagram(std::string(random() % 40, 'x'));
        for (unsigned n = random() % 4; n > 0; --n) {
            packet[random() % packet.size()] = static_cast<std::uint8_t>(random());
        }
        if (random() % 2 == 0) seal(packet);
        if (random() % 4 == 0) packet.resize(random() % (packet.size() + 1));
        if (random() % 8 == 0 && !packet.empty()) packet[0] = static_cast<std::uint8_t>(0x60 | random() % 16);
        if (verdict(packet) == PacketVerdict::datagram) ++passed;
    }
    CHECK(passed > 10'000);
}

namespace {

// Puts IP packets on loopback in frames of its own making.
class FrameSender {
  public:
    FrameSender() : socket_(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)) {}
    void send(const Packet& packet, const Packet& tag = {}) const {
        Packet frame(12);
        frame.insert(frame.end(), tag.begin(), tag.end());
        frame.insert(frame.end(), {0x08, 0x00});
        frame.insert(frame.end(), packet.begin(), packet.end());
        sockaddr_ll to{};
        to.sll_family = AF_PACKET;
        to.sll_protocol = htons(ETH_P_IP);
        to.sll_ifindex = static_cast<int>(if_nametoindex("lo"));
        const auto sent = sendto(socket_.fd(), frame.data(), frame.size(), 0, reinterpret_cast<const sockaddr*>(&to),
                                 sizeof(to));
        MILLRACE_VERIFY(sent == static_cast<ssize_t>(frame.size()));
    }

  private:
    Socket socket_;
};

// A line by a packet ring, and what it was handed.
struct Ring {
    explicit Ring(const GroupConfig& group, std::uint32_t buffers = 64)
        : receiver({{"A", {group}, "lo", {}, {}, {}}}, 0, 1, config(buffers), Backend::af_packet) {}
    static ReceiveConfig config(std::uint32_t buffers) {
        ReceiveConfig config;
        config.buffers = buffers;
        config.buffer_bytes = 512;
        return config;
    }
    void poll() {
        receiver.poll([&](const Received& received) {
            const auto bytes = receiver.bytes(received);
            texts.emplace_back(bytes.begin(), bytes.end());
            if (keep) kept.push_back(received.buffer);
            else receiver.release(received.buffer);
        });
    }
    [[nodiscard]] bool wait_for(std::size_t count) {
        return eventually([&] { return poll(), texts.size() >= count; });
    }
    std::uint64_t count(ReceiveCounter counter) { return receiver.counters(0)[counter]; }

    Receiver receiver;
    std::vector<std::string> texts;
    std::vector<std::uint32_t> kept;
    bool keep = false;
};

bool refused() {
    if (af_packet_refusal().empty()) return false;
    WARN("skipped: this host refuses af_packet");
    return true;
}

}  // namespace

TEST_CASE("packet rings: of hostile frames on the wire each is counted as what it is, and those after it arrive") {
    if (refused()) return;
    const SomeGroups groups;
    const GroupConfig group = groups.group(0);
    Ring ring(group);
    const FrameSender sender;
    const auto good = [&](const std::string& text) { return datagram(text, group.address, group.port); };
    sender.send(good("one"));
    Packet fragment = good("part");
    put16(fragment, 6, 0x2000);
    seal(fragment);
    sender.send(fragment);
    put16(fragment, 6, 0x0010);
    seal(fragment);
    sender.send(fragment);
    Packet lying = good("lying");
    put16(lying, 24, 200);
    sender.send(lying);
    Packet unsealed = good("unsealed");
    put16(unsealed, 10, 0x4242);
    sender.send(unsealed);
    sender.send(good("tagged"), {0x81, 0x00, 0x00, 0x07});
    sender.send(datagram("elsewhere", groups.group(1).address, group.port));
    sender.send(Packet{0x45});
    sender.send(good("two"));
    REQUIRE(ring.wait_for(2));
    ring.poll();
    CHECK(ring.texts == std::vector<std::string>{"one", "two"});
    CHECK(ring.count(ReceiveCounter::received) == 2);
    CHECK(ring.count(ReceiveCounter::fragments) == 2);
    CHECK(ring.count(ReceiveCounter::bad_frames) == 2);
    CHECK(ring.count(ReceiveCounter::vlan_frames) == 1);
    CHECK(ring.count(ReceiveCounter::kernel_drops) == 0);
}

TEST_CASE("packet rings: without a free frame the kernel drops, to the datagram, and a frame is handed over once") {
    if (refused()) return;
    const SomeGroups groups;
    Ring ring(groups.group(0), 16);
    const LoopbackSender sender;
    ring.keep = true;
    for (int i = 0; i < 25; ++i) sender.send(groups.group(0), std::to_string(i));
    REQUIRE(ring.wait_for(16));
    for (int i = 0; i < 10; ++i) ring.poll();
    CHECK(ring.texts.size() == 16);
    CHECK(ring.count(ReceiveCounter::no_buffers) > 0);
    for (const std::uint32_t buffer : ring.kept) ring.receiver.release(buffer);
    ring.keep = false;
    sender.send(groups.group(0), "after");
    REQUIRE(ring.wait_for(17));
    CHECK(ring.texts.back() == "after");
    CHECK(ring.count(ReceiveCounter::received) == 17);
    CHECK(ring.count(ReceiveCounter::kernel_drops) == 9);
}

TEST_CASE("packet rings: who may not open one gets another backend and is told why, or exit code 8 if so asked") {
    if (geteuid() != 0) {
        WARN("skipped: only root can become somebody who may not");
        return;
    }
    const pid_t child = fork();
    if (child == 0) {
        if (setresuid(65'534, 65'534, 65'534) != 0) _exit(1);
        ReceiveConfig config;
        config.backend = Backend::af_packet;
        const BackendChoice choice = choose_backend(config);
        if (choice.backend == Backend::af_packet) _exit(2);
        if (choice.reason.find("packet socket: Operation not permitted; run with CAP_NET_RAW") != 0) _exit(3);
        config.require_backend = true;
        try {
            static_cast<void>(choose_backend(config));
            _exit(4);
        } catch (const Error& error) {
            _exit(error.code() == ExitCode::backend ? 0 : 5);
        }
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
}
