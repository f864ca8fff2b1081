// Receives lines by SoupBinTCP, and hands them over as what every other receiver does: datagrams in buffers.
// The messages are packed as MoldUDP64 would carry them, under the session and the numbers that the server
// gave, so that everything after works as on any line: arbitration with other lines, recording, replay.
//
// Buffers are numbered from kFirstBuffer, apart from those of datagram sockets.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "millrace/core/clock.hpp"
#include "millrace/feed/framing/moldudp64.hpp"
#include "millrace/feed/net/received.hpp"
#include "millrace/feed/net/receive_config.hpp"
#include "millrace/feed/net/tcp_stream.hpp"
#include "millrace/feed/soup_client.hpp"

namespace millrace::net {

class SoupReceiver {
  public:
    static constexpr std::uint32_t kFirstBuffer = 1U << 30;
    static constexpr std::uint32_t kBuffers = 1024;

    // Lines that are not SoupBinTCP are passed over. Takes memory only where one is.
    SoupReceiver(const std::vector<LineConfig>& lines, LineId first_line, std::size_t line_count,
                 std::uint32_t buffer_bytes, Backend backend);

    [[nodiscard]] bool any() const { return !lines_.empty(); }
    [[nodiscard]] static bool owns(std::uint32_t buffer) { return buffer >= kFirstBuffer; }

    template <class Sink>
    std::size_t poll(Sink&& sink) {
        std::size_t taken = 0;
        for (auto& line : lines_) taken += poll_line(*line, sink);
        return taken;
    }
    // Sleeps until something arrives, for a millisecond at most.
    void wait();
    void release(std::uint32_t buffer) { free_.push_back(buffer - kFirstBuffer); }
    [[nodiscard]] ReceiveCounters& counters(LineId line) { return counters_[line]; }
    [[nodiscard]] std::span<const std::uint8_t> bytes(const Received& received) const {
        return {(*arena_)[received.buffer - kFirstBuffer] + kBufferHead, received.length};
    }

  private:
    struct Line {
        Line(const LineConfig& config, LineId number, std::uint64_t seed);
        GroupConfig server;
        LineId id;
        SoupClient client;
        std::unique_ptr<TcpStream> stream;
        std::vector<std::vector<std::uint8_t>> packets;  // packed, waiting for buffers
    };
    // Packs messages into packets of `line`.
    class Packer;

    // Connects, reads and packs; false when there was nothing to read.
    [[nodiscard]] bool advance(Line& line);

    template <class Sink>
    std::size_t poll_line(Line& line, Sink& sink) {
        std::size_t taken = 0;
        if (line.packets.empty()) static_cast<void>(advance(line));
        while (taken < line.packets.size() && !free_.empty()) {
            const std::uint32_t buffer = free_.back();
            free_.pop_back();
            const auto& packet = line.packets[taken++];
            std::memcpy((*arena_)[buffer] + kBufferHead, packet.data(), packet.size());
            ++counters_[line.id][ReceiveCounter::received];
            counters_[line.id][ReceiveCounter::bytes] += packet.size();
            sink(Received{SystemClock::now(), kFirstBuffer + buffer, static_cast<std::uint16_t>(packet.size()),
                          line.id, 0});
        }
        if (taken < line.packets.size()) ++counters_[line.id][ReceiveCounter::no_buffers];
        line.packets.erase(line.packets.begin(), line.packets.begin() + static_cast<std::ptrdiff_t>(taken));
        return taken;
    }

    std::size_t packet_bytes_;
    Backend backend_;
    std::unique_ptr<PacketArena> arena_;
    std::vector<std::unique_ptr<Line>> lines_;
    std::vector<ReceiveCounters> counters_;
    std::vector<std::uint32_t> free_;
};

}  // namespace millrace::net
