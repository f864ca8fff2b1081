// Records packets to a capture without holding up the thread that hands them over.
//
// The hot thread copies each packet into a ring of bytes; a thread of the recorder's own writes
// the ring to the file. When the disk cannot follow and the ring is full, packets are left out of
// the file and counted exactly. A file that can take no more is left as it is, and can be read up to there;
// what comes after is counted.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "millrace/core/memory.hpp"
#include "millrace/core/types.hpp"
#include "millrace/feed/packet.hpp"
#include "millrace/replay/capture_writer.hpp"

namespace millrace::replay {

// A line as the capture shows it: an interface of that name, and where its packets go.
struct RecordedLine {
    std::string name;
    Endpoint destination;
};

class Recorder {
  public:
    static constexpr std::size_t kRingBytes = std::size_t{64} << 20;

    // Opens the file, takes the ring's memory and starts the writing thread on `cpu` (kNotPinned:
    // on any). Throws Error(file), Error(memory) or Error(cpu). `ring_bytes` is rounded up to a
    // power of two.
    Recorder(const std::filesystem::path& path, std::vector<RecordedLine> lines, int cpu,
             std::size_t ring_bytes = kRingBytes);
    ~Recorder();
    Recorder(const Recorder&) = delete;
    Recorder& operator=(const Recorder&) = delete;

    // The handing thread. Copies the packet, or counts it as lost when there is no room for it.
    void record(const Packet& packet);

    // The handing thread, when it has no more: writes what is left and closes. Throws Error(file)
    // when the file could not take everything it was given.
    void close();

    // Packets that were handed over and found no room in the ring; after close(), all that are not in the file.
    // Any thread.
    [[nodiscard]] std::uint64_t lost() const { return lost_.load(std::memory_order_relaxed); }
    // The errno of what keeps the file from taking more; 0 while nothing does. Any thread.
    [[nodiscard]] int problem() const { return problem_.load(std::memory_order_relaxed); }
    // Packets in the file, after close().
    [[nodiscard]] std::uint64_t written() const { return writer_.written(); }

  private:
    // Before each packet in the ring, which is filled up to a multiple of eight bytes.
    struct Header {
        std::uint32_t bytes;  // of the payload; kWrap: nothing follows until the ring's end
        std::uint32_t line;
        Timestamp received_at;
    };
    static constexpr std::uint32_t kWrap = 0xffffffff;

    [[nodiscard]] std::uint8_t* at(std::uint64_t position) {
        return static_cast<std::uint8_t*>(memory_.data()) + (position & mask_);
    }
    void lose(std::uint64_t packets);
    void write_all();
    [[nodiscard]] bool write_next();

    std::vector<RecordedLine> lines_;
    CaptureWriter writer_;  // the writing thread's, until it was joined
    MappedMemory memory_;
    std::uint64_t mask_;

    // Positions count bytes and never wrap; the ring holds [emptied_, filled_).
    // filled_ and closing_: the handing thread writes, the writing thread reads. emptied_: the
    // other way round. The rest is the handing thread's alone.
    alignas(kCacheLine) std::atomic<std::uint64_t> filled_{0};
    std::atomic<bool> closing_{false};
    std::uint64_t emptied_seen_ = 0;  // last value read of emptied_
    std::atomic<std::uint64_t> lost_{0};  // the handing thread writes, any reads
    alignas(kCacheLine) std::atomic<std::uint64_t> emptied_{0};
    std::atomic<int> problem_{0};  // the writing thread writes, the handing one after the join; any reads
    std::thread thread_;
};

}  // namespace millrace::replay
