// One stream of records from a feed's producer thread to one consumer in Python.
//
// The producer appends records to slabs and publishes them a packet at a time; it takes no lock,
// makes no system call but to wake a consumer that said it waits, and never touches Python. The
// consumer takes rows as views of slabs and gives an empty slab for each that it takes, so that
// what the user keeps is never missing from the producer's memory.
#pragma once

#include <atomic>
#include <bitset>
#include <boost/lockfree/spsc_queue.hpp>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "bell.hpp"
#include "conflated.hpp"
#include "millrace/core/types.hpp"
#include "millrace/feed/streams/dbn/records.hpp"
#include "slab.hpp"

namespace millrace::python {

// What happens to a record when the consumer has not taken enough of those before it.
enum class Overflow : std::uint8_t {
    block,        // the producer waits
    drop_oldest,  // the oldest slab of rows that nobody took is thrown away, and counted
    conflate,     // only the newest record of each instrument is kept; replaced ones are counted
};

struct ChannelConfig {
    std::bitset<256> record_types;
    Overflow overflow = Overflow::block;
    std::size_t slab_bytes = std::size_t{256} << 10;
    std::uint32_t slabs_min = 3;
    std::uint32_t slabs_max = 256;
    std::uint64_t skip_rows = 0;     // so many rows are counted and not delivered: resumption
    bool lockstep = false;           // the producer goes on only while rows are asked for
    std::uint32_t instruments = 0;   // conflate: room for so many
    std::uint32_t record_bytes = 0;  // of each record, where all are of one type; 0: of several
    Nanoseconds quiet = 60'000'000'000;  // memory that was of no use for so long is given back
};

// What a channel has done; read from any thread.
struct ChannelCounters {
    std::uint64_t produced = 0;   // rows that came in, without the skipped ones
    std::uint64_t delivered = 0;  // rows that were taken
    std::uint64_t dropped = 0;    // rows thrown away to make room
    std::uint64_t conflated = 0;  // rows replaced by a newer one
    std::uint64_t discarded =
        0;  // rows that came when the consumer had closed, or the feed was stopping
    std::uint64_t skipped = 0;
    std::uint64_t slabs = 0;  // that hold memory now
    std::uint64_t grows = 0;
    std::uint64_t shrinks = 0;
};

// What the consumer got.
struct Taken {
    SlabView view;
    std::uint64_t up_to = 0;  // rows of the channel that were taken or replaced by now, from its first
    std::uint64_t lost_before =
        0;  // rows dropped between the last taken row and the first of these
};

class RecordChannel {
  public:
    explicit RecordChannel(const ChannelConfig& config);
    ~RecordChannel();
    RecordChannel(const RecordChannel&) = delete;
    RecordChannel& operator=(const RecordChannel&) = delete;

    // Takes the first slabs, which takes time: not for an event loop. Before the first append().
    void provide();

    // ---- producer ----

    [[nodiscard]] bool wants(std::uint8_t record_type) const {
        return config_.record_types[record_type];
    }
    // False when there is no room and the policy is to wait for some.
    [[nodiscard]] bool append(std::span<const std::uint8_t> record) {
        if (closed_.load(std::memory_order_relaxed)) return count(discarded_), true;
        if (skip_left_ != 0) return --skip_left_, count(skipped_), true;
        if (conflated_ != nullptr) return append_conflated(record), true;
        if (current_ == nullptr || written_.bytes + record.size() > current_->capacity)
            [[unlikely]] {
            if (!next_slab(record.size())) return false;
        }
        copy(record, current_->bytes + written_.bytes);
        written_.bytes += static_cast<std::uint32_t>(record.size());
        ++written_.rows;
        ++rows_;
        return true;
    }
    void discard() { count(discarded_); }
    // There is no room for a packet's records, and the policy is to wait for some.
    [[nodiscard]] bool full() const {
        if (config_.overflow != Overflow::block || closed_.load(std::memory_order_relaxed))
            return false;
        if (current_ != nullptr && written_.bytes + kPacketRoom <= current_->capacity)
            return false;
        return !const_cast<FreeSlabs&>(free_).read_available();
    }
    // Shows the consumer what was appended, and wakes it when that is what it waits for.
    void publish() {
        if (rows_ == rows_shown_) return;
        rows_shown_ = rows_;
        if (current_ != nullptr) {
            current_->published.store(written_.packed(), std::memory_order_release);
        }
        // seq_cst, as in arm(): of a row that comes while the consumer arms, one side sees the
        // other.
        rows_published_.store(rows_, std::memory_order_seq_cst);
        if (rows_ >= wake_at_.load(std::memory_order_seq_cst)) wake();
    }
    // Rows that came in so far.
    [[nodiscard]] std::uint64_t rows() const { return rows_; }
    // Rows that were taken before the last take(), so that whoever took them is done with them or
    // has them in hand.
    [[nodiscard]] std::uint64_t handed_out() const {
        return handed_out_.load(std::memory_order_relaxed);
    }
    [[nodiscard]] bool closed() const { return closed_.load(std::memory_order_relaxed); }
    // A lockstep channel whose consumer has not asked for more.
    [[nodiscard]] bool parked() const {
        return config_.lockstep && !closed_.load(std::memory_order_relaxed) &&
               rows_ >= asked_.load(std::memory_order_acquire);
    }
    // Ends the slab, so that what comes next is not in one batch with what came before.
    void seal();
    // Nothing more will come.
    void end();

    // ---- consumer; any thread, one at a time ----

    // At most `rows_max` rows, none when there are none.
    [[nodiscard]] Taken take(std::uint32_t rows_max);
    // Rows that can be taken.
    [[nodiscard]] std::uint64_t ready() const;
    [[nodiscard]] bool ended() const { return ended_.load(std::memory_order_acquire); }
    // Asks to be woken (the event descriptor becomes readable) when `rows` rows are there, or at
    // the end. False, and nothing asked, when that is so already.
    [[nodiscard]] bool arm(std::uint64_t rows);
    void disarm();
    [[nodiscard]] int event() const { return event_; }
    // Lets a lockstep producer make `rows` more.
    void ask(std::uint32_t rows, Bell& bell);
    void close();
    // Gives the producer more slabs while its queue fills up, and takes some back when that is
    // long past.
    void adapt(Timestamp now);

    [[nodiscard]] ChannelCounters counters() const;
    void set_bell(Bell& bell) { bell_ = &bell; }
    [[nodiscard]] const ChannelConfig& config() const { return config_; }

  private:
    using FreeSlabs = boost::lockfree::spsc_queue<Slab*>;
    // Records of packets that are handled together, nearly always.
    static constexpr std::size_t kPacketRoom = 64 << 10;
    static constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

    static void count(std::atomic<std::uint64_t>& counter) {
        counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }
    // Most records are of one size, whose copy is a few instructions.
    static void copy(std::span<const std::uint8_t> record, std::uint8_t* to) {
        constexpr std::size_t kUsual = sizeof(dbn::Mbo);
        if (record.size() == kUsual) std::memcpy(to, record.data(), kUsual);
        else std::memcpy(to, record.data(), record.size());
    }
    void append_conflated(std::span<const std::uint8_t> record);
    [[nodiscard]] bool next_slab(std::size_t bytes);
    [[nodiscard]] Slab* steal_oldest();
    void wake();
    [[nodiscard]] Slab* claim_oldest();
    void grant(std::uint32_t slabs);
    void replace_claimed();
    [[nodiscard]] std::uint64_t gone() const;
    [[nodiscard]] Extent extent_after(const Slab& slab, Extent from, std::uint32_t rows) const;
    [[nodiscard]] Taken take_conflated(std::uint32_t rows_max);
    void release_hand();

    ChannelConfig config_;
    std::shared_ptr<SlabPool> pool_;
    std::unique_ptr<ConflatedTable> conflated_;
    Bell* bell_ = nullptr;
    int event_ = -1;

    // Producer only.
    Slab* current_ = nullptr;
    Extent written_;
    std::uint64_t rows_ = 0;
    std::uint64_t rows_shown_ = 0;
    std::uint64_t skip_left_ = 0;

    // Slabs with rows, in order: the producer opens slot tail_ (release); whoever moves oldest_ on
    // by compare and swap, the consumer or a producer that drops, owns the slab in that slot.
    std::vector<std::atomic<Slab*>> queue_;
    alignas(kCacheLine) std::atomic<std::uint64_t> tail_{0};
    alignas(kCacheLine) std::atomic<std::uint64_t> oldest_{0};
    // Empty slabs: consumer side pushes under `mutex_`, producer pops.
    FreeSlabs free_;

    alignas(kCacheLine) std::atomic<std::uint64_t> rows_published_{0};  // producer writes
    alignas(kCacheLine) std::atomic<std::uint64_t> wake_at_{kNever};  // consumer sets, both clear
    std::atomic<std::uint64_t> asked_{0};                             // consumer writes
    std::atomic<std::uint64_t> handed_out_{0};                        // consumer writes
    std::atomic<bool> ended_{false};                                  // producer writes
    std::atomic<bool> closed_{false};                                 // consumer writes

    // Producer writes, anyone reads.
    std::atomic<std::uint64_t> dropped_{0}, conflated_count_{0}, discarded_{0}, skipped_{0};
    // Under `mutex_`, which the producer never takes.
    mutable std::mutex mutex_;
    Slab* hand_ = nullptr;  // the slab the consumer reads from
    Extent read_;
    std::uint64_t next_row_ = 0;  // number of the row to be taken next, had none been dropped
                                  // (conflate: those before it were taken or replaced)
    std::uint64_t delivered_ = 0;
    std::uint64_t superseded_ = 0;  // conflate: replaced while being read
    std::uint32_t budget_ = 0;      // slabs that the producer may fill before one is taken
    std::uint32_t shrink_by_ = 0;   // slabs that are not to be replaced when they are claimed
    std::uint64_t grows_ = 0, shrinks_ = 0;
    Timestamp quiet_since_ = 0;
};

}  // namespace millrace::python
