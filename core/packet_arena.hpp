// Preallocated receive buffers, named by index. Nothing is copied out of them: what travels between
// threads is the index.
#pragma once

#include <algorithm>
#include <cstdint>

#include "millrace/core/memory.hpp"

namespace millrace {

class PacketArena {
  public:
    // Maps and touches all buffers. Throws Error(memory).
    PacketArena(std::uint32_t buffers, std::uint32_t buffer_bytes, HugePages pages)
        : PacketArena(buffers, buffers, buffer_bytes, pages) {}
    // Reserves addresses for `most` buffers and touches the first `usable` of them. Throws Error(memory).
    PacketArena(std::uint32_t usable, std::uint32_t most, std::uint32_t buffer_bytes, HugePages pages)
        : memory_(MappedMemory::reserve(std::size_t{most} * buffer_bytes, pages, std::size_t{usable} * buffer_bytes)),
          usable_(usable), most_(most), buffer_bytes_(buffer_bytes) {}

    [[nodiscard]] std::uint8_t* operator[](std::uint32_t buffer) const {
        return static_cast<std::uint8_t*>(memory_.data()) + std::size_t{buffer} * buffer_bytes_;
    }
    // How many there may ever be: indices are below that.
    [[nodiscard]] std::uint32_t buffers() const { return most_; }
    [[nodiscard]] std::uint32_t buffer_bytes() const { return buffer_bytes_; }
    [[nodiscard]] PageKind pages() const { return memory_.pages(); }

    // ---- one thread, which may not be a hot one ----

    // Buffers with memory behind them: the first so many.
    [[nodiscard]] std::uint32_t usable() const { return usable_; }
    // Faults in another chunk of memory; false when the host has no more, or all buffers are usable.
    [[nodiscard]] bool grow() {
        const std::size_t wanted = std::min(memory_.committed() + MappedMemory::kChunk, memory_.capacity());
        if (usable_ == most_ || !memory_.commit(wanted)) return false;
        usable_ = fit(memory_.committed());
        return true;
    }
    // How many buffers stay when all but `buffers` of them are given back: they fill their last chunk.
    [[nodiscard]] std::uint32_t kept_of(std::uint32_t buffers) const {
        const std::size_t bytes = std::size_t{buffers} * buffer_bytes_;
        return std::min(usable_, fit((bytes + MappedMemory::kChunk - 1) / MappedMemory::kChunk * MappedMemory::kChunk));
    }
    // Gives back the memory of the buffers behind the first `buffers`, which nobody may use then.
    void shrink_to(std::uint32_t buffers) {
        memory_.give_back(std::size_t{buffers} * buffer_bytes_);
        usable_ = buffers;
    }

  private:
    [[nodiscard]] std::uint32_t fit(std::size_t bytes) const {
        return static_cast<std::uint32_t>(std::min<std::size_t>(bytes / buffer_bytes_, most_));
    }

    MappedMemory memory_;
    std::uint32_t usable_;
    std::uint32_t most_;
    std::uint32_t buffer_bytes_;
};

}  // namespace millrace
