// Writes captures: nanosecond pcapng with one interface a line, and BinaryFILE.
#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "millrace/core/types.hpp"
#include "millrace/feed/net/link_layer.hpp"

namespace millrace::replay {

// A file being written. Names that end in .gz or .zst are compressed.
class ByteSink {
  public:
    // Throws Error(file).
    explicit ByteSink(const std::filesystem::path& path);
    ~ByteSink();
    ByteSink(const ByteSink&) = delete;
    ByteSink& operator=(const ByteSink&) = delete;

    // False once the file can take no more (disk full); nothing of this call is promised to be kept.
    [[nodiscard]] bool write(std::span<const std::uint8_t> bytes);
    // Writes out what is buffered and closes. Throws Error(file) when not everything could be written.
    void close();

  private:
    class Packer;
    [[nodiscard]] bool put(std::span<const std::uint8_t> bytes);
    [[nodiscard]] bool flush();

    std::string path_;
    int fd_ = -1;
    int problem_ = 0;
    std::vector<std::uint8_t> buffer_;
    std::unique_ptr<Packer> packer_;
};

class CaptureWriter {
  public:
    // Throws Error(file).
    CaptureWriter(const std::filesystem::path& path, const std::vector<std::string>& interface_names);

    // Appends one datagram, in Ethernet, IP and UDP headers made up around it. False when the file can
    // take no more: such packets are counted by lost().
    bool write(std::uint32_t interface, Timestamp received_at, const Endpoint& source, const Endpoint& destination,
               std::span<const std::uint8_t> payload);
    // Throws Error(file) when something was lost, and says how much was kept.
    void close();
    [[nodiscard]] std::uint64_t written() const { return written_; }
    [[nodiscard]] std::uint64_t lost() const { return lost_; }

  private:
    void put16(std::uint16_t number);
    void put32(std::uint32_t number);
    void put_headers(const Endpoint& source, const Endpoint& destination, std::size_t payload_bytes);

    ByteSink sink_;
    std::vector<std::uint8_t> block_;
    std::uint64_t written_ = 0;
    std::uint64_t lost_ = 0;
};

// BinaryFILE 1.00: messages behind 16-bit lengths, ended by a length of zero.
class RecordFileWriter {
  public:
    explicit RecordFileWriter(const std::filesystem::path& path) : sink_(path) {}
    // False when the file can take no more.
    [[nodiscard]] bool write(std::span<const std::uint8_t> message);
    // Writes the end mark. Throws Error(file) when not everything could be written.
    void close();

  private:
    ByteSink sink_;
};

}  // namespace millrace::replay
