// Memory that records travel in from a producer thread to Python: slabs, counted by reference, so
// that a view of one never outlives the bytes it shows.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace millrace::python {

// Rows and bytes of a slab that may be read, in one word so that they always belong together.
struct Extent {
    std::uint32_t rows = 0;
    std::uint32_t bytes = 0;

    [[nodiscard]] std::uint64_t packed() const { return std::uint64_t{bytes} << 32 | rows; }
    [[nodiscard]] static Extent of(std::uint64_t packed) {
        return {static_cast<std::uint32_t>(packed), static_cast<std::uint32_t>(packed >> 32)};
    }
};

class SlabPool;

// The producer fills it front to back and never touches what it has published.
struct Slab {
    std::uint8_t* bytes = nullptr;
    std::size_t capacity = 0;
    SlabPool* pool = nullptr;
    std::uint64_t first_row = 0;  // its first row's number in the channel; set before it is queued
    Slab* next = nullptr;         // in a chain of slabs that nobody uses

    // The producer publishes with release, readers acquire: the rows' bytes come before their
    // count.
    std::atomic<std::uint64_t> published{0};
    // Set by the producer (release) when it will write here no more; `published` is final then.
    std::atomic<bool> sealed{false};
    // Producer, queue, reader and every view hold one each. The last to let go retires the slab.
    std::atomic<std::uint32_t> references{0};
};

// Makes slabs and takes them back. Slabs keep their pool alive, not the other way round.
class SlabPool : public std::enable_shared_from_this<SlabPool> {
  public:
    explicit SlabPool(std::size_t slab_bytes) : slab_bytes_(slab_bytes) {}
    ~SlabPool();
    SlabPool(const SlabPool&) = delete;
    SlabPool& operator=(const SlabPool&) = delete;

    // An empty slab with memory that is there already: a retired one, or a new one. Null when
    // there is no memory. Not for the producer.
    [[nodiscard]] Slab* take();
    // From any thread; never waits.
    void retire(Slab* slab);
    // As retire(), of several; what is freed then is freed together.
    void retire_all(Slab* chain);
    // Frees what was retired and is not in use again. As take(), not for the producer.
    void trim();
    // From now on retired slabs are freed at once.
    void close();

    [[nodiscard]] std::size_t slab_bytes() const { return slab_bytes_; }
    // Slabs that hold memory at this moment.
    [[nodiscard]] std::uint64_t slabs() const { return slabs_.load(std::memory_order_relaxed); }

  private:
    void free(Slab* chain);

    std::size_t slab_bytes_;
    // A stack: any thread pushes (release), whoever takes pops all of it (acquire).
    std::atomic<Slab*> retired_{nullptr};
    Slab* taken_ =
        nullptr;  // what was popped and not used yet; who calls take() holds the channel's lock
    std::atomic<bool> closed_{false};
    std::atomic<std::uint64_t> slabs_{0};
};

inline void hold(Slab& slab) { slab.references.fetch_add(1, std::memory_order_relaxed); }
inline void let_go(Slab* slab) {
    // acq_rel: whoever retires has seen everything that the other holders did before they let go.
    if (slab->references.fetch_sub(1, std::memory_order_acq_rel) == 1) slab->pool->retire(slab);
}

// Rows of one slab, held for as long as this lives.
class SlabView {
  public:
    SlabView() = default;
    SlabView(Slab& slab, std::shared_ptr<SlabPool> pool, Extent from, Extent to)
        : pool_(std::move(pool)), slab_(&slab), from_(from), to_(to) {
        hold(slab);
    }
    SlabView(const SlabView& other)
        : pool_(other.pool_), slab_(other.slab_), from_(other.from_), to_(other.to_) {
        if (slab_ != nullptr) hold(*slab_);
    }
    SlabView(SlabView&& other) noexcept
        : pool_(std::move(other.pool_)), slab_(std::exchange(other.slab_, nullptr)),
          from_(other.from_), to_(other.to_) {}
    SlabView& operator=(SlabView other) noexcept {
        std::swap(pool_, other.pool_);
        std::swap(slab_, other.slab_);
        from_ = other.from_;
        to_ = other.to_;
        return *this;
    }
    ~SlabView() {
        if (slab_ != nullptr) let_go(slab_);
    }

    [[nodiscard]] std::uint32_t rows() const { return to_.rows - from_.rows; }
    [[nodiscard]] std::uint32_t size() const { return to_.bytes - from_.bytes; }
    [[nodiscard]] const std::uint8_t* data() const {
        return slab_ == nullptr ? nullptr : slab_->bytes + from_.bytes;
    }
    // Number of the first row in its channel.
    [[nodiscard]] std::uint64_t first_row() const {
        return slab_ == nullptr ? 0 : slab_->first_row + from_.rows;
    }

  private:
    std::shared_ptr<SlabPool> pool_;
    Slab* slab_ = nullptr;
    Extent from_;
    Extent to_;
};

}  // namespace millrace::python
