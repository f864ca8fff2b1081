#include "tests/hot_path/allocation_counter.hpp"

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdlib>

// What needs the counter is tagged [no-sanitizer].
#include "tests/support/other_allocator.hpp"

namespace {

// All threads write and read them; they order nothing else.
std::atomic<bool> counting{false};
std::atomic<std::uint64_t> counted{0};
std::atomic<bool> chosen_alone{false};
thread_local bool exempt = false;
thread_local bool chosen = false;

#ifndef MILLRACE_OTHER_ALLOCATOR
void note() {
    if (!counting.load(std::memory_order_relaxed) || exempt) return;
    if (chosen_alone.load(std::memory_order_relaxed) && !chosen) return;
    counted.fetch_add(1, std::memory_order_relaxed);
}
#endif

}  // namespace

namespace millrace::test {

void count_allocations(bool on) { counting.store(on, std::memory_order_relaxed); }
void count_this_thread_alone(bool alone) {
    chosen = alone;
    chosen_alone.store(alone, std::memory_order_relaxed);
}
void exempt_this_thread() { exempt = true; }
std::uint64_t allocations() { return counted.load(std::memory_order_relaxed); }
void reset_allocations() { counted.store(0, std::memory_order_relaxed); }

}  // namespace millrace::test

#ifndef MILLRACE_OTHER_ALLOCATOR

// glibc's own, under the names it exports for this purpose. operator new ends in malloc.
extern "C" {
void* __libc_malloc(std::size_t bytes);
void* __libc_calloc(std::size_t count, std::size_t bytes);
void* __libc_realloc(void* old, std::size_t bytes);
void* __libc_memalign(std::size_t alignment, std::size_t bytes);

void* malloc(std::size_t bytes) noexcept {
    note();
    return __libc_malloc(bytes);
}
void* calloc(std::size_t count, std::size_t bytes) noexcept {
    note();
    return __libc_calloc(count, bytes);
}
void* realloc(void* old, std::size_t bytes) noexcept {
    note();
    return __libc_realloc(old, bytes);
}
void* memalign(std::size_t alignment, std::size_t bytes) noexcept {
    note();
    return __libc_memalign(alignment, bytes);
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) noexcept {
    note();
    return __libc_memalign(alignment, bytes);
}
int posix_memalign(void** out, std::size_t alignment, std::size_t bytes) noexcept {
    note();
    *out = __libc_memalign(alignment, bytes);
    return *out == nullptr ? ENOMEM : 0;
}
}

#endif
