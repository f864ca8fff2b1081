// What is measured with: packets in memory, so that no disk and no socket is in the figures.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "millrace/feed/packet.hpp"
#include "millrace/feed/session_config.hpp"

namespace millrace::tools {

class Workload {
  public:
    // Asked now and then with what is done of how much; false gives up with Error(failure).
    using KeepOn = std::function<bool(std::uint64_t done, std::uint64_t total)>;

    // A simulated Nasdaq day of `messages`, one line without faults. Throws Error(usage).
    [[nodiscard]] static Workload simulated(std::uint64_t messages, std::uint32_t symbols, std::uint64_t seed,
                                            const KeepOn& keep_on);
    // All packets of a capture. Throws Error where it cannot be read.
    [[nodiscard]] static Workload captured(const std::string& file, const SessionConfig& session,
                                           const KeepOn& keep_on);

    [[nodiscard]] std::uint64_t packets() const { return entries_.size(); }
    [[nodiscard]] Packet packet(std::uint64_t i) const {
        const Entry& entry = entries_[i];
        return {entry.line, entry.received_at, {bytes_.data() + entry.offset, entry.size}};
    }
    // What a session over all of it is to be made with.
    [[nodiscard]] const SessionConfig& session() const { return session_; }
    // One line for reports.
    [[nodiscard]] const std::string& description() const { return description_; }
    // Why a capture ended early; empty when it did not.
    [[nodiscard]] const std::string& damage() const { return damage_; }
    // CRC-32 of all packets' bytes, one after the other.
    [[nodiscard]] std::uint32_t checksum() const { return checksum_; }

  private:
    struct Entry {
        std::size_t offset;
        Timestamp received_at;
        std::uint32_t size;
        LineId line;
    };
    void add(const Packet& packet);
    friend struct Collector;

    std::vector<std::uint8_t> bytes_;
    std::vector<Entry> entries_;
    SessionConfig session_;
    std::string description_;
    std::string damage_;
    std::uint32_t checksum_ = 0;
};

}  // namespace millrace::tools
