// Preallocated receive buffers, named by index. Nothing is copied out of them: what travels between
// threads is the index.
#pragma once

#include <cstdint>

#include "millrace/core/memory.hpp"

namespace millrace {

class PacketArena {
  public:
    // Maps and touches all buffers. Throws Error(memory).
    PacketArena(std::uint32_t buffers, std::uint32_t buffer_bytes, HugePages pages)
        : memory_(std::size_t{buffers} * buffer_bytes, pages), buffers_(buffers), buffer_bytes_(buffer_bytes) {}

    [[nodiscard]] std::uint8_t* operator[](std::uint32_t buffer) const {
        return static_cast<std::uint8_t*>(memory_.data()) + std::size_t{buffer} * buffer_bytes_;
    }
    [[nodiscard]] std::uint32_t buffers() const { return buffers_; }
    [[nodiscard]] std::uint32_t buffer_bytes() const { return buffer_bytes_; }
    [[nodiscard]] PageKind pages() const { return memory_.pages(); }

  private:
    MappedMemory memory_;
    std::uint32_t buffers_;
    std::uint32_t buffer_bytes_;
};

}  // namespace millrace
