#include "slab.hpp"

#include <sys/mman.h>

#include <new>

#include "disposal.hpp"

namespace millrace::python {

Slab* SlabPool::take() {
    // acquire: pairs with the release in retire_all().
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

namespace {

void unmap(Slab* chain) {
    while (chain != nullptr) {
        Slab* slab = std::exchange(chain, chain->next);
        munmap(slab->bytes, slab->capacity);
        delete slab;
    }
}

}  // namespace

void SlabPool::free(Slab* chain) {
    constexpr std::size_t kHereAtMost = std::size_t{2} << 20;  // some 100 us
    std::uint64_t count = 0;
    for (const Slab* slab = chain; slab != nullptr; slab = slab->next) ++count;
    slabs_.fetch_sub(count, std::memory_order_relaxed);
    if (count * slab_bytes_ <= kHereAtMost) unmap(chain);
    else dispose([chain] { unmap(chain); });
}

void SlabPool::retire(Slab* slab) {
    slab->next = nullptr;
    retire_all(slab);
}

void SlabPool::retire_all(Slab* chain) {
    if (chain == nullptr) return;
    // acquire: pairs with close(), so that what it has emptied is not filled again for long; a
    // slab that slips in all the same is freed with the pool.
    if (closed_.load(std::memory_order_acquire)) return free(chain);
    Slab* last = chain;
    while (last->next != nullptr) last = last->next;
    last->next = retired_.load(std::memory_order_relaxed);
    // release: the slabs' fields come before the slabs themselves; pairs with take().
    while (!retired_.compare_exchange_weak(last->next, chain, std::memory_order_release,
                                           std::memory_order_relaxed)) {
    }
}

void SlabPool::trim() {
    free(std::exchange(taken_, nullptr));
    free(retired_.exchange(nullptr, std::memory_order_acquire));  // pairs with retire_all()
}

void SlabPool::close() {
    closed_.store(true, std::memory_order_release);
    trim();
}

SlabPool::~SlabPool() { close(); }

}  // namespace millrace::python
