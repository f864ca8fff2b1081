#include "millrace/replay/recorder.hpp"

#include <bit>
#include <chrono>
#include <cstring>

#include "millrace/core/cpu.hpp"
#include "millrace/core/error.hpp"

namespace millrace::replay {

namespace {

constexpr Endpoint kSomeSender{{127, 0, 0, 1}, false, 1};
constexpr auto kNap = std::chrono::milliseconds(1);

std::vector<std::string> names_of(const std::vector<RecordedLine>& lines) {
    std::vector<std::string> names;
    for (const RecordedLine& line : lines) names.push_back(line.name);
    return names;
}

constexpr std::uint64_t padded(std::uint64_t bytes) { return (bytes + 7) & ~std::uint64_t{7}; }

}  // namespace

Recorder::Recorder(const std::filesystem::path& path, std::vector<RecordedLine> lines, int cpu,
                   std::size_t ring_bytes)
    : lines_(std::move(lines)), writer_(path, names_of(lines_)),
      memory_(std::bit_ceil(ring_bytes)), mask_(std::bit_ceil(ring_bytes) - 1),
      thread_(start_thread("recorder", cpu, [this] { write_all(); })) {}

Recorder::~Recorder() {
    closing_.store(true, std::memory_order_release);
    if (thread_.joinable()) thread_.join();
}

void Recorder::record(const Packet& packet) {
    const std::uint64_t ring = mask_ + 1;
    const std::uint64_t need = sizeof(Header) + padded(packet.bytes.size());
    std::uint64_t position = filled_.load(std::memory_order_relaxed);
    const std::uint64_t to_end = ring - (position & mask_);
    const std::uint64_t skip = need > to_end ? to_end : 0;  // a packet lies in one piece
    if (position + skip + need - emptied_seen_ > ring) {
        // acquire: pairs with the release store in write_next(); the bytes there have been written
        // out.
        emptied_seen_ = emptied_.load(std::memory_order_acquire);
        if (position + skip + need - emptied_seen_ > ring) {
            lose(1);
            return;
        }
    }
    if (skip >= sizeof(Header)) {
        const Header wrap{kWrap, 0, 0};
        std::memcpy(at(position), &wrap, sizeof(wrap));
    }
    position += skip;
    const Header header{static_cast<std::uint32_t>(packet.bytes.size()), packet.line,
                        packet.received_at};
    std::memcpy(at(position), &header, sizeof(header));
    if (!packet.bytes.empty())
        std::memcpy(at(position) + sizeof(header), packet.bytes.data(), packet.bytes.size());
    // release: pairs with the acquire load in write_next(); the packet is visible before its
    // position.
    filled_.store(position + need, std::memory_order_release);
}

bool Recorder::write_next() {
    std::uint64_t position = emptied_.load(std::memory_order_relaxed);
    // acquire: pairs with the release store in record().
    if (position == filled_.load(std::memory_order_acquire)) return false;
    const std::uint64_t to_end = mask_ + 1 - (position & mask_);
    Header header{kWrap, 0, 0};
    if (to_end >= sizeof(Header)) std::memcpy(&header, at(position), sizeof(header));
    if (header.bytes == kWrap) {
        position += to_end;
        std::memcpy(&header, at(position), sizeof(header));
    }
    const std::span<const std::uint8_t> payload(at(position) + sizeof(header), header.bytes);
    if (!writer_.write(header.line, header.received_at, kSomeSender, lines_[header.line].destination, payload)) {
        problem_.store(writer_.problem(), std::memory_order_relaxed);
    }
    // release: pairs with the acquire load in record(); the bytes were written out before they may
    // be reused.
    emptied_.store(position + sizeof(header) + padded(header.bytes), std::memory_order_release);
    return true;
}

void Recorder::write_all() {
    for (;;) {
        // acquire: pairs with the release store in close(); what was recorded before it is found
        // below.
        const bool last_round = closing_.load(std::memory_order_acquire);
        while (write_next()) {
        }
        if (last_round) return;
        std::this_thread::sleep_for(kNap);
    }
}

void Recorder::close() {
    if (!thread_.joinable()) return;
    // release: pairs with the acquire load in write_all().
    closing_.store(true, std::memory_order_release);
    thread_.join();
    try {
        writer_.close();
    } catch (const Error&) {
        problem_.store(writer_.problem(), std::memory_order_relaxed);
        lose(writer_.lost());
        throw;
    }
}

void Recorder::lose(std::uint64_t packets) {
    lost_.store(lost_.load(std::memory_order_relaxed) + packets, std::memory_order_relaxed);
}

}  // namespace millrace::replay
