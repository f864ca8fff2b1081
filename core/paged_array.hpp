// A fixed array on pages of its own: zeroed, touched before use, on huge pages where they are granted.
#pragma once

#include <cstddef>
#include <type_traits>

#include "millrace/core/error.hpp"
#include "millrace/core/memory.hpp"

namespace millrace {

// Elements start as all-zero bytes; T must be content with that.
template <class T>
class PagedArray {
    static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

  public:
    PagedArray() = default;
    // Throws Error(memory).
    explicit PagedArray(std::size_t count, const MemoryWish& wish = {})
        : memory_(wish.prefault ? MappedMemory(count * sizeof(T), wish.pages)
                                : MappedMemory::reserve(count * sizeof(T), wish.pages)),
          size_(count) {}

    [[nodiscard]] std::size_t size() const { return size_; }
    [[nodiscard]] T* data() { return static_cast<T*>(memory_.data()); }
    [[nodiscard]] const T* data() const { return static_cast<const T*>(memory_.data()); }
    [[nodiscard]] std::size_t bytes() const { return memory_.capacity(); }
    [[nodiscard]] PageKind pages() const { return memory_.pages(); }
    [[nodiscard]] T& operator[](std::size_t i) {
        MILLRACE_ASSERT(i < size_);
        return data()[i];
    }
    [[nodiscard]] const T& operator[](std::size_t i) const {
        MILLRACE_ASSERT(i < size_);
        return data()[i];
    }

  private:
    MappedMemory memory_;
    std::size_t size_ = 0;
};

}  // namespace millrace
