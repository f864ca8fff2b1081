// The simulated host's memory: what core/memory.cpp maps and touches, here exactly as large as asked for,
// so that a seed costs little and an address sanitizer sees every byte beyond an array.
#include "millrace/core/memory.hpp"

#include <cstring>
#include <new>

namespace millrace {

std::string_view name(PageKind) { return "simulated"; }

namespace {

constexpr std::size_t kAlign = 128;  // a book's, the strictest

}  // namespace

void MappedMemory::map(std::size_t bytes, HugePages) {
    mapped_ = capacity_ = committed_ = (bytes + kAlign - 1) / kAlign * kAlign + (bytes == 0 ? kAlign : 0);
    base_ = data_ = ::operator new(capacity_, std::align_val_t{kAlign});
    std::memset(data_, 0, capacity_);
}

MappedMemory::MappedMemory(std::size_t bytes, HugePages wish) { map(bytes, wish); }

MappedMemory MappedMemory::reserve(std::size_t cap, HugePages wish, std::size_t) { return MappedMemory(cap, wish); }

MappedMemory::~MappedMemory() {
    if (base_ != nullptr) ::operator delete(base_, std::align_val_t{kAlign});
}

bool MappedMemory::commit(std::size_t bytes) { return bytes <= capacity_; }

void MappedMemory::give_back(std::size_t) {}

bool MappedMemory::lock() { return true; }

}  // namespace millrace
