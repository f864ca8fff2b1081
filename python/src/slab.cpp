#include "slab.hpp"

#include <sys/mman.h>

#include <new>

namespace millrace::python {

Slab* SlabPool::take() {
    // acquire: pairs with the release in retire().
    if (taken_ == nullptr) taken_ = retired_.exchange(nullptr, std::memory_order_acquire);
    if (taken_ != nullptr) {
        Slab* slab = taken_;
        taken_ = slab->next;
        slab->published.store(0, std::memory_order_relaxed);
        slab->sealed.store(false, std::memory_order_relaxed);
        return slab;
    }
    // Touched now, so that the producer meets no page fault.
    void* memory = mmap(nullptr, slab_bytes_, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED) return nullptr;
    auto* slab = new (std::nothrow) Slab;
    if (slab == nullptr) {
        munmap(memory, slab_bytes_);
        return nullptr;
    }
    slab->bytes = static_cast<std::uint8_t*>(memory);
    slab->capacity = slab_bytes_;
    slab->pool = this;
    slabs_.fetch_add(1, std::memory_order_relaxed);
    return slab;
}

void SlabPool::free(Slab* slab) {
    munmap(slab->bytes, slab->capacity);
    delete slab;
    slabs_.fetch_sub(1, std::memory_order_relaxed);
}

void SlabPool::retire(Slab* slab) {
    // acquire: pairs with close(), so that what it has emptied is not filled again for long; a
    // slab that slips in all the same is freed with the pool.
    if (closed_.load(std::memory_order_acquire)) return free(slab);
    slab->next = retired_.load(std::memory_order_relaxed);
    // release: the slab's fields come before the slab itself; pairs with take().
    while (!retired_.compare_exchange_weak(slab->next, slab, std::memory_order_release,
                                           std::memory_order_relaxed)) {
    }
}

void SlabPool::trim() {
    // acquire: pairs with the release in retire().
    Slab* lists[] = {std::exchange(taken_, nullptr),
                     retired_.exchange(nullptr, std::memory_order_acquire)};
    for (Slab* slab : lists) {
        while (slab != nullptr) free(std::exchange(slab, slab->next));
    }
}

void SlabPool::close() {
    closed_.store(true, std::memory_order_release);
    trim();
}

SlabPool::~SlabPool() { close(); }

}  // namespace millrace::python
