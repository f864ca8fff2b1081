#include "millrace/core/memory.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <optional>

#include <fmt/format.h>

#include "millrace/core/error.hpp"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

namespace millrace {

std::string_view name(PageKind kind) {
    constexpr std::array<std::string_view, 4> kNames{"none", "4 KiB", "transparent huge", "huge"};
    return kNames[static_cast<std::size_t>(kind)];
}

namespace {

constexpr std::size_t round_up(std::size_t bytes, std::size_t unit) { return (bytes + unit - 1) / unit * unit; }

// Faults the range in, by the kernel where it can and by hand before Linux 5.14.
bool touch(void* from, std::size_t bytes) {
    if (madvise(from, bytes, MADV_POPULATE_WRITE) == 0) return true;
    if (errno != EINVAL) return false;
    for (std::size_t i = 0; i < bytes; i += 4096) static_cast<volatile char*>(from)[i] = 0;
    return true;
}

constexpr const char* kLess = "lower the limits or the buffers, or free memory";

[[noreturn]] void throw_no_memory(std::size_t bytes) {
    throw_errno(ExitCode::memory, fmt::format("{} MiB of memory", bytes >> 20), errno, kLess);
}

// What the kernel could give to a new process without swapping; nothing where it does not tell.
std::optional<std::size_t> available_bytes() {
    std::FILE* file = std::fopen("/proc/meminfo", "re");
    if (file == nullptr) return std::nullopt;
    std::optional<std::size_t> bytes;
    char line[128];
    while (!bytes && std::fgets(line, sizeof(line), file) != nullptr) {
        unsigned long long kib = 0;
        if (std::sscanf(line, "MemAvailable: %llu kB", &kib) == 1) bytes = std::size_t{kib} << 10;
    }
    std::fclose(file);
    return bytes;
}

// The kernel grants any mapping and kills when it is touched, so that too large a wish has to be refused here.
void refuse_too_much(std::size_t bytes) {
    constexpr std::size_t kWorthAsking = std::size_t{64} << 20;
    if (bytes < kWorthAsking) return;
    const std::optional<std::size_t> available = available_bytes();
    if (!available || bytes <= *available) return;
    throw Error(ExitCode::memory, fmt::format("{} MiB of memory, of which {} MiB are available: {}", bytes >> 20,
                                              *available >> 20, kLess));
}

}  // namespace

void MappedMemory::map(std::size_t bytes, HugePages wish) {
    capacity_ = round_up(std::max<std::size_t>(bytes, 1), bytes < kChunk ? 4096 : kChunk);
    // Small mappings gain nothing from huge pages, and would waste much of one; large ones are aligned to them.
    const bool large = capacity_ >= kChunk;
    if (large && wish == HugePages::best) {
        void* p = mmap(nullptr, capacity_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
        if (p != MAP_FAILED) {
            base_ = data_ = p;
            mapped_ = capacity_;
            pages_ = PageKind::huge;
            return;
        }
    }
    mapped_ = capacity_ + (large ? kChunk : 0);
    void* p = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) throw_no_memory(capacity_);
    base_ = p;
    const auto address = reinterpret_cast<std::uintptr_t>(p);
    data_ = reinterpret_cast<void*>(large ? round_up(address, kChunk) : address);
    pages_ = PageKind::small;
    if (large && wish != HugePages::off && madvise(data_, capacity_, MADV_HUGEPAGE) == 0) {
        pages_ = PageKind::transparent_huge;
    }
}

MappedMemory::MappedMemory(std::size_t bytes, HugePages wish) : MappedMemory() {
    map(bytes, wish);
    if (pages_ != PageKind::huge) refuse_too_much(capacity_);
    if (!commit(capacity_)) throw_no_memory(capacity_);
}

MappedMemory MappedMemory::reserve(std::size_t cap, HugePages wish, std::size_t now) {
    MappedMemory memory;
    memory.map(cap, wish);
    if (memory.pages_ != PageKind::huge) refuse_too_much(now);
    if (!memory.commit(now)) throw_no_memory(now);
    return memory;
}

MappedMemory::~MappedMemory() {
    if (base_ != nullptr) munmap(base_, mapped_);
}

bool MappedMemory::commit(std::size_t bytes) {
    const std::size_t wanted = std::min(round_up(bytes, kChunk), capacity_);
    if (bytes > capacity_) return false;
    if (wanted > committed_) {
        if (!touch(static_cast<char*>(data_) + committed_, wanted - committed_)) return false;
        committed_ = wanted;
    }
    return true;
}

void MappedMemory::give_back(std::size_t bytes) {
    const std::size_t kept = std::min(round_up(bytes, kChunk), capacity_);
    if (kept >= committed_ || madvise(static_cast<char*>(data_) + kept, committed_ - kept, MADV_DONTNEED) != 0) return;
    committed_ = kept;
}

bool MappedMemory::lock() { return mlock(data_, committed_) == 0; }

}  // namespace millrace
