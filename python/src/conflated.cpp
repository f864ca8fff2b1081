#include "conflated.hpp"

#include <cstring>

namespace millrace::python {

ConflatedTable::Put ConflatedTable::put(std::span<const std::uint8_t> record) {
    std::uint32_t instrument;
    std::memcpy(&instrument, record.data() + 4, sizeof(instrument));
    const std::uint64_t key = std::uint64_t{instrument} + 1;
    std::uint32_t at = static_cast<std::uint32_t>(key * 0x9e3779b97f4a7c15ULL >> 32) & mask_;
    while (entries_[at].key != 0 && entries_[at].key != key) at = (at + 1) & mask_;
    Entry& entry = entries_[at];
    if (entry.key == 0) {
        if (taken_ * 2 >= slots_) return Put::full;
        ++taken_;
        entry.key = key;
    }
    // A sequence lock: release fences keep the words between the two versions (get() has the
    // acquires).
    const std::uint64_t version = entry.version.load(std::memory_order_relaxed);
    entry.version.store(version + 1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);
    std::atomic<std::uint64_t>* words = &data_[std::size_t{at} * words_];
    for (std::uint32_t i = 0; i < words_; ++i) {
        std::uint64_t word = 0;
        std::memcpy(&word, record.data() + std::size_t{i} * 8, 8);
        words[i].store(word, std::memory_order_relaxed);
    }
    entry.version.store(version + 2, std::memory_order_release);
    // acq_rel: pairs with the reader's exchange, which comes before its look at the version.
    if (entry.unread.exchange(true, std::memory_order_acq_rel)) return Put::replaced;
    changed_.push(at);
    return Put::fresh;
}

ConflatedTable::Got ConflatedTable::get(std::uint8_t* record) {
    std::uint32_t at = 0;
    if (!changed_.pop(at)) return Got::none;
    Entry& entry = entries_[at];
    entry.unread.exchange(false, std::memory_order_acq_rel);
    const std::atomic<std::uint64_t>* words = &data_[std::size_t{at} * words_];
    for (;;) {
        const std::uint64_t before = entry.version.load(std::memory_order_acquire);
        if ((before & 1) != 0) continue;  // for as long as the writer takes to copy one record
        for (std::uint32_t i = 0; i < words_; ++i) {
            const std::uint64_t word = words[i].load(std::memory_order_relaxed);
            std::memcpy(record + std::size_t{i} * 8, &word, 8);
        }
        std::atomic_thread_fence(std::memory_order_acquire);
        if (entry.version.load(std::memory_order_relaxed) != before) continue;
        // Read already, as the newer record of an earlier call: what this entry stood for is gone.
        if (before == entry.version_read) return Got::superseded;
        entry.version_read = before;
        return Got::record;
    }
}

}  // namespace millrace::python
