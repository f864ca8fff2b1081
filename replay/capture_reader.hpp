// Reads any capture: pcap, pcapng, BinaryFILE or DBN, plain, gzip or zstd, whatever the file is called.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/core/types.hpp"
#include "millrace/replay/byte_source.hpp"
#include "millrace/replay/dbn_blocks.hpp"
#include "millrace/feed/net/link_layer.hpp"

namespace millrace::replay {

enum class CaptureFormat : std::uint8_t { pcap, pcapng, binaryfile, dbn };
[[nodiscard]] std::string_view name(CaptureFormat format);

// One UDP payload. Spans are valid until the next call of the reader, or as long as it where its payloads_stay().
struct Datagram {
    std::uint64_t frame = 0;      // number of the captured frame in the file, from 1
    Timestamp captured_at = 0;    // ns since the Unix epoch
    std::uint32_t interface = 0;  // pcapng: index of the interface, over all sections; pcap: 0
    Endpoint source;
    Endpoint destination;
    std::span<const std::uint8_t> payload;
    bool truncated = false;
};

// A run of BinaryFILE (or DBN) records: `count` messages behind 16-bit lengths, the first of which is number `first`.
struct Records {
    SequenceNumber first = 1;
    std::uint32_t count = 0;
    std::span<const std::uint8_t> blocks;
};

struct CaptureCounters {
    std::uint64_t frames = 0;     // all captured frames
    std::uint64_t datagrams = 0;  // handed out
    std::uint64_t other = 0;      // no UDP
    std::uint64_t fragments = 0;
    std::uint64_t malformed = 0;  // headers that contradict themselves
    std::uint64_t truncated = 0;  // datagrams of which the capture kept less than was sent
};

// After construction nothing throws: a damaged file ends early, and damage() says where and why.
class CaptureReader {
  public:
    // Throws Error(file) when it cannot be read, Error(format) when it is no capture.
    explicit CaptureReader(const std::filesystem::path& path);
    // The same from bytes that outlive the reader; `title` stands for the file in messages.
    CaptureReader(std::span<const std::uint8_t> memory, std::string title);

    [[nodiscard]] CaptureFormat format() const { return format_; }
    // Records without packets around them.
    [[nodiscard]] bool holds_records() const {
        return format_ == CaptureFormat::binaryfile || format_ == CaptureFormat::dbn;
    }
    [[nodiscard]] const std::string& title() const { return title_; }

    // pcap, pcapng: the next datagram; false at the end.
    [[nodiscard]] bool next(Datagram& datagram);
    // Plain files are mapped.
    [[nodiscard]] bool payloads_stay() const { return source_.stays(); }
    // BinaryFILE: the next run of whole records; false at the end. DBN: the same, of version 3, with
    // a symbol-mapping record for each instrument that the metadata names, where its meaning begins.
    [[nodiscard]] bool next_records(Records& records);

    [[nodiscard]] const CaptureCounters& counters() const { return counters_; }
    // One clause, empty when the file ended where a file may end.
    [[nodiscard]] const std::string& damage() const { return damage_; }
    // For progress: how far in the file on disk, and its size (0 where unknown).
    [[nodiscard]] std::uint64_t bytes_read() const {
        return dbn_ != nullptr ? dbn_->bytes_read() : source_.file_position();
    }
    [[nodiscard]] std::uint64_t bytes_total() const {
        return dbn_ != nullptr ? dbn_->bytes_total() : source_.file_size();
    }
    // pcapng's if_name; empty where there is none. Interfaces that stand before the first packet are known
    // after construction, others when a packet behind them was read.
    [[nodiscard]] std::string_view interface_name(std::uint32_t interface) const {
        return interface < interfaces_.size() ? std::string_view(interfaces_[interface].name) : std::string_view{};
    }

  private:
    struct Interface {
        std::uint32_t link_type = 0;
        std::uint64_t units_per_second = 1'000'000;
        std::int64_t offset_seconds = 0;
        std::string name;
    };
    struct Block {
        std::uint32_t type = 0;
        std::span<const std::uint8_t> body;
    };
    struct RawFrame {
        Timestamp at = 0;
        std::uint32_t interface = 0;
        std::span<const std::uint8_t> bytes;
    };

    void detect();
    [[nodiscard]] bool next_dbn_records(Records& records);
    [[nodiscard]] bool looks_like_records(std::span<const std::uint8_t> head) const;
    [[nodiscard]] bool next_frame(RawFrame& frame);
    [[nodiscard]] bool next_pcap_frame(RawFrame& frame);
    [[nodiscard]] bool next_pcapng_frame(RawFrame& frame);
    [[nodiscard]] bool next_block(Block& block);
    void read_interfaces();
    [[nodiscard]] bool on_section(std::span<const std::uint8_t> head);
    void on_interface(std::span<const std::uint8_t> body);
    [[nodiscard]] bool on_packet(std::uint32_t type, std::span<const std::uint8_t> body, RawFrame& frame) const;
    [[nodiscard]] std::uint16_t u16(std::span<const std::uint8_t> bytes, std::size_t at) const;
    [[nodiscard]] std::uint32_t u32(std::span<const std::uint8_t> bytes, std::size_t at) const;
    void end(std::string_view why);

    ByteSource source_;
    std::string title_;
    CaptureFormat format_ = CaptureFormat::pcap;
    bool swapped_ = false;         // the file's byte order is not the host's
    Nanoseconds unit_ns_ = 1000;   // pcap: of the fraction of a second
    std::vector<Interface> interfaces_;
    std::size_t section_begin_ = 0;  // pcapng: first interface of the present section
    SequenceNumber next_record_ = 1;
    std::size_t consume_next_ = 0;   // of what the last call handed out
    bool ended_ = false;
    CaptureCounters counters_;
    std::string damage_;
    std::unique_ptr<DbnBlocks> dbn_;  // null for other formats
};

}  // namespace millrace::replay
