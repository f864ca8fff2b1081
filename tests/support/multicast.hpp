// Multicast over loopback for tests: groups that no other test is likely to use, and who sends to them.
#pragma once

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <chrono>
#include <cstdint>
#include <cstring>
#include <random>
#include <span>
#include <string>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103  // Linux 4.18
#endif

#include "millrace/core/error.hpp"
#include "millrace/feed/net/receive_config.hpp"
#include "millrace/feed/net/socket.hpp"

namespace millrace::test {

// Of a network of their own, chosen at random: `group(n)` for any n below 250, all on one port.
class SomeGroups {
  public:
    SomeGroups() {
        std::random_device random;
        net_ = "239.255." + std::to_string(random() % 254 + 1) + ".";
        port_ = static_cast<std::uint16_t>(20'000 + random() % 10'000);
    }
    [[nodiscard]] GroupConfig group(int number) const { return {net_ + std::to_string(number + 1), port_}; }

  private:
    std::string net_;
    std::uint16_t port_ = 0;
};

class LoopbackSender {
  public:
    explicit LoopbackSender(const char* interface = "lo") : socket_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
        ip_mreqn by{};
        by.imr_ifindex = static_cast<int>(if_nametoindex(interface));
        const int result = setsockopt(socket_.fd(), IPPROTO_IP, IP_MULTICAST_IF, &by, sizeof(by));
        MILLRACE_VERIFY(result == 0);
    }
    void send(const GroupConfig& to, std::span<const std::uint8_t> bytes) const {
        const sockaddr_in address = address_of(to);
        const auto sent = sendto(socket_.fd(), bytes.data(), bytes.size(), 0,
                                 reinterpret_cast<const sockaddr*>(&address), sizeof(address));
        MILLRACE_VERIFY(sent == static_cast<ssize_t>(bytes.size()));
    }
    void send(const GroupConfig& to, const std::string& text) const {
        send(to, {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
    }
    // Datagrams of `segment` bytes, the last one perhaps shorter, that go through the kernel as one (UDP_SEGMENT).
    void send_together(const GroupConfig& to, std::string text, std::uint16_t segment) const {
        sockaddr_in address = address_of(to);
        iovec part{text.data(), text.size()};
        alignas(cmsghdr) char control[CMSG_SPACE(sizeof(segment))]{};
        msghdr message{&address, sizeof(address), &part, 1, control, sizeof(control), 0};
        cmsghdr* header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = IPPROTO_UDP;
        header->cmsg_type = UDP_SEGMENT;
        header->cmsg_len = CMSG_LEN(sizeof(segment));
        std::memcpy(CMSG_DATA(header), &segment, sizeof(segment));
        MILLRACE_VERIFY(sendmsg(socket_.fd(), &message, 0) == static_cast<ssize_t>(text.size()));
    }

  private:
    [[nodiscard]] static sockaddr_in address_of(const GroupConfig& to) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(to.port);
        inet_pton(AF_INET, to.address.c_str(), &address.sin_addr);
        return address;
    }

    net::Socket socket_;
};

// Repeats `step` until it returns true; false when that takes longer than any healthy machine needs.
template <class Step>
[[nodiscard]] bool eventually(Step&& step) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!step()) {
        if (std::chrono::steady_clock::now() > deadline) return false;
    }
    return true;
}

}  // namespace millrace::test
