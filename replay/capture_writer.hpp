// Writes captures: nanosecond pcapng with one interface a line, and BinaryFILE.
#pragma once

#include <algorithm>
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
    // `called` is the name that errors give, where it is another one. Throws Error(file).
    explicit ByteSink(const std::filesystem::path& path, const std::filesystem::path& called = {});
    ~ByteSink();
    ByteSink(const ByteSink&) = delete;
    ByteSink& operator=(const ByteSink&) = delete;

    // False once the file can take no more (disk full). It then ends behind the last call whose bytes are in it whole.
    [[nodiscard]] bool write(std::span<const std::uint8_t> bytes);
    // Writes out what is buffered and closes. Throws Error(file) when not everything could be written.
    void close();

    // Calls of write() whose bytes are in the file whole, or are on their way there.
    [[nodiscard]] std::uint64_t kept() const { return kept_ + ends_.size(); }
    // The errno of what keeps the file from taking more; 0 while nothing does.
    [[nodiscard]] int problem() const { return problem_; }

  private:
    class Packer;
    [[nodiscard]] bool put(std::span<const std::uint8_t> bytes);
    [[nodiscard]] bool flush();
    void cut();

    std::string path_;
    int fd_ = -1;
    int problem_ = 0;
    std::uint64_t put_bytes_ = 0;    // that the file took
    std::uint64_t whole_bytes_ = 0;  // of these, up to the last flush that went well
    std::uint64_t kept_ = 0;         // calls of write() that are in the file
    std::vector<std::uint8_t> buffer_;
    std::vector<std::size_t> ends_;  // of each call's bytes in the buffer
    std::unique_ptr<Packer> packer_;
};

class CaptureWriter {
  public:
    // Throws Error(file).
    CaptureWriter(const std::filesystem::path& path, const std::vector<std::string>& interface_names);

    // Appends one datagram, in Ethernet, IP and UDP headers made up around it. False when the file can
    // take no more; it can then be read up to the last packet that it took.
    bool write(std::uint32_t interface, Timestamp received_at, const Endpoint& source, const Endpoint& destination,
               std::span<const std::uint8_t> payload);
    // Throws Error(file) when something was lost.
    void close();
    // Packets in the file, and those it could not take; exact once the file is closed, or takes no more.
    [[nodiscard]] std::uint64_t written() const { return sink_.kept() - std::min(sink_.kept(), headers_); }
    [[nodiscard]] std::uint64_t lost() const { return packets_ - written(); }
    // The errno of what keeps the file from taking more; 0 while nothing does.
    [[nodiscard]] int problem() const { return sink_.problem(); }

  private:
    void put16(std::uint16_t number);
    void put32(std::uint32_t number);
    void put_headers(const Endpoint& source, const Endpoint& destination, std::size_t payload_bytes);

    ByteSink sink_;
    std::vector<std::uint8_t> block_;
    std::uint64_t headers_;  // blocks before the first packet
    std::uint64_t packets_ = 0;
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
