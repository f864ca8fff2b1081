// Memory for the hot path: mapped, touched before use, on huge pages where the host grants them.
#pragma once

#include <cstddef>
#include <string_view>
#include <utility>

namespace millrace {

enum class PageKind : unsigned char { none, small, transparent_huge, huge };
[[nodiscard]] std::string_view name(PageKind kind);

// Which pages to ask for. `best` tries reserved huge pages, then transparent ones, then small ones.
enum class HugePages : unsigned char { best, transparent, off };

// How memory is taken. Without `prefault` the first touch of each page costs a fault: for sources that can wait.
struct MemoryWish {
    HugePages pages = HugePages::best;
    bool prefault = true;
};

// One anonymous mapping, zeroed. Either wholly committed and touched at construction, or reserved at its
// cap and committed chunk by chunk from the front.
class MappedMemory {
  public:
    static constexpr std::size_t kChunk = std::size_t{2} << 20;

    MappedMemory() = default;
    // Maps and touches `bytes`. Throws Error(memory).
    explicit MappedMemory(std::size_t bytes, HugePages wish = HugePages::best);
    // Reserves address space for `cap` bytes and commits the first `now` of them; commit() makes more of it usable.
    // Reserved huge pages, where the host grants them, are taken for the whole cap. Throws Error(memory).
    [[nodiscard]] static MappedMemory reserve(std::size_t cap, HugePages wish = HugePages::best, std::size_t now = 0);

    MappedMemory(MappedMemory&& other) noexcept { swap(other); }
    MappedMemory& operator=(MappedMemory&& other) noexcept {
        swap(other);
        return *this;
    }
    ~MappedMemory();

    // Touches the next chunks until at least `bytes` are usable; false when the host has no more, or the
    // cap is reached. Takes page faults: never called by a hot thread.
    [[nodiscard]] bool commit(std::size_t bytes);
    // Gives the chunks behind the first `bytes` back to the host; what they held is lost. Not for a hot thread.
    void give_back(std::size_t bytes);
    // Locks what is committed into memory; false when the limit on locked memory forbids it.
    [[nodiscard]] bool lock();

    [[nodiscard]] void* data() const { return data_; }
    [[nodiscard]] std::size_t capacity() const { return capacity_; }
    [[nodiscard]] std::size_t committed() const { return committed_; }
    [[nodiscard]] PageKind pages() const { return pages_; }

  private:
    void swap(MappedMemory& other) noexcept {
        std::swap(base_, other.base_);
        std::swap(mapped_, other.mapped_);
        std::swap(data_, other.data_);
        std::swap(capacity_, other.capacity_);
        std::swap(committed_, other.committed_);
        std::swap(pages_, other.pages_);
    }
    void map(std::size_t bytes, HugePages wish);

    void* base_ = nullptr;  // what was mapped
    std::size_t mapped_ = 0;
    void* data_ = nullptr;  // the first chunk boundary in it
    std::size_t capacity_ = 0;
    std::size_t committed_ = 0;
    PageKind pages_ = PageKind::none;
};

}  // namespace millrace
