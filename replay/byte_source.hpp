// A file as a run of bytes: mapped where it is plain, decompressed as it is read where it is gzip or zstd.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "millrace/core/types.hpp"

namespace millrace::replay {

class ByteSource {
  public:
    // Throws Error(file) when the path cannot be read.
    explicit ByteSource(const std::filesystem::path& path);
    // Bytes that outlive the source.
    explicit ByteSource(std::span<const std::uint8_t> memory);
    ~ByteSource();
    ByteSource(ByteSource&&) noexcept;
    ByteSource& operator=(ByteSource&&) noexcept;

    // At least `bytes` bytes from the present position, or all that are left; not consumed. The span is
    // valid until the next call. `bytes` is at most kPeekMax.
    static constexpr std::size_t kPeekMax = std::size_t{32} << 20;
    [[nodiscard]] std::span<const std::uint8_t> peek(std::size_t bytes) {
        if (end_ - at_ < bytes && stream_ != nullptr) fill(bytes);
        return {data_ + at_, end_ - at_};
    }
    // What was peeked stays where it is until the source ends: true where the bytes are all in memory.
    [[nodiscard]] bool stays() const { return stream_ == nullptr; }
    // Requires that so many were peeked.
    void consume(std::size_t bytes) { at_ += bytes; }

    // Bytes consumed of the content, and read of the file as it lies on disk.
    [[nodiscard]] std::uint64_t position() const { return discarded_ + at_; }
    [[nodiscard]] std::uint64_t file_position() const;
    [[nodiscard]] std::uint64_t file_size() const { return file_size_; }  // 0 where unknown
    // Why reading ended before the end of the content; empty when it did not.
    [[nodiscard]] const std::string& damage() const { return damage_; }

  private:
    class Stream;
    void fill(std::size_t bytes);

    const std::uint8_t* data_ = nullptr;
    std::size_t at_ = 0;
    std::size_t end_ = 0;
    std::uint64_t discarded_ = 0;
    std::uint64_t file_size_ = 0;
    std::unique_ptr<Stream> stream_;    // null where the bytes are all in memory
    std::vector<std::uint8_t> buffer_;  // what the stream has delivered and nobody consumed
    void* map_ = nullptr;
    std::size_t map_bytes_ = 0;
    std::string damage_;
};

}  // namespace millrace::replay
