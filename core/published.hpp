// A block of values that one thread keeps changing and others read as one consistent copy.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "millrace/core/types.hpp"

namespace millrace {

// A sequence lock over 64-bit words. The writer never waits; a reader repeats while a write is under way.
template <class T>
class Published {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) % sizeof(std::uint64_t) == 0);
    static constexpr std::size_t kWords = sizeof(T) / sizeof(std::uint64_t);

  public:
    // The one writing thread. `bytes`: of the value only so much, always the same, of which readers see the rest
    // as zeroes; a multiple of 8.
    void publish(const T& value, std::size_t bytes = sizeof(T)) {
        std::array<std::uint64_t, kWords> words;
        std::memcpy(words.data(), &value, bytes);
        const std::uint64_t version = version_.load(std::memory_order_relaxed);
        version_.store(version + 1, std::memory_order_relaxed);
        // release: a reader that sees any of the new words below also sees the odd version above.
        for (std::size_t i = 0; i < bytes / sizeof(std::uint64_t); ++i) {
            words_[i].store(words[i], std::memory_order_release);
        }
        // release: pairs with the acquire load in read(); the words are visible before the even version.
        version_.store(version + 2, std::memory_order_release);
    }

    // Any thread.
    [[nodiscard]] T read() const {
        std::array<std::uint64_t, kWords> words;
        for (;;) {
            // acquire: pairs with the last store of publish().
            const std::uint64_t before = version_.load(std::memory_order_acquire);
            // acquire: pairs with the word stores, and keeps the second look at the version below them.
            for (std::size_t i = 0; i < kWords; ++i) words[i] = words_[i].load(std::memory_order_acquire);
            if (before % 2 == 0 && version_.load(std::memory_order_relaxed) == before) break;
        }
        T value;
        std::memcpy(static_cast<void*>(&value), words.data(), sizeof(T));
        return value;
    }

  private:
    alignas(kCacheLine) std::atomic<std::uint64_t> version_{0};  // writer writes, readers read; odd: being written
    std::array<std::atomic<std::uint64_t>, kWords> words_{};     // writer writes, readers read
};

}  // namespace millrace
