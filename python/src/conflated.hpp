// The newest record of each instrument, from one writing thread to one reading thread, without
// locks.
#pragma once

#include <atomic>
#include <boost/lockfree/spsc_queue.hpp>
#include <cstdint>
#include <memory>
#include <span>

namespace millrace::python {

class ConflatedTable {
  public:
    enum class Put : std::uint8_t { fresh, replaced, full };
    enum class Got : std::uint8_t { record, superseded, none };

    ConflatedTable(std::uint32_t instruments, std::uint32_t record_bytes)
        : words_((record_bytes + 7) / 8), slots_(table_size(instruments)), mask_(slots_ - 1),
          entries_(std::make_unique<Entry[]>(slots_)),
          data_(std::make_unique<std::atomic<std::uint64_t>[]>(std::size_t{slots_} * words_)),
          changed_(slots_) {}

    // Writer. `record` has the size the table was made for, and its instrument's number at byte 4.
    Put put(std::span<const std::uint8_t> record);
    // Reader: the next instrument's newest record that was not read yet.
    Got get(std::uint8_t* record);
    [[nodiscard]] std::uint32_t record_words() const { return words_; }

  private:
    struct Entry {
        std::uint64_t key = 0;                  // writer only: instrument number + 1
        std::atomic<std::uint64_t> version{0};  // odd while the writer writes
        std::atomic<bool> unread{false};        // both: set by the writer, cleared by the reader
        std::uint64_t version_read = 0;         // reader only
    };

    static std::uint32_t table_size(std::uint32_t instruments) {
        std::uint32_t size = 64;
        while (size < 2 * instruments) size *= 2;
        return size;
    }

    std::uint32_t words_;
    std::uint32_t slots_;
    std::uint32_t mask_;
    std::uint32_t taken_ = 0;
    std::unique_ptr<Entry[]> entries_;
    std::unique_ptr<std::atomic<std::uint64_t>[]> data_;
    boost::lockfree::spsc_queue<std::uint32_t> changed_;
};

}  // namespace millrace::python
