#include "channel.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

#include "millrace/core/error.hpp"

namespace millrace::python {

namespace {

// Slots of the queue: more than there can be slabs in it, so that none is ever written over.
std::size_t slots_for(std::uint32_t slabs_max) {
    std::size_t slots = 8;
    while (slots < std::size_t{slabs_max} + 4) slots *= 2;
    return slots;
}

}  // namespace

RecordChannel::RecordChannel(const ChannelConfig& config)
    : config_(config), pool_(std::make_shared<SlabPool>(config.slab_bytes)),
      skip_left_(config.skip_rows), queue_(slots_for(config.slabs_max)),
      free_(slots_for(config.slabs_max)) {
    event_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (event_ < 0) {
        throw_errno(ExitCode::resource, "cannot make an event descriptor", errno,
                    "close some files or raise the limit (ulimit -n)");
    }
    if (config.overflow == Overflow::conflate) {
        conflated_ = std::make_unique<ConflatedTable>(config.instruments, config.record_bytes);
    }
}

void RecordChannel::provide() {
    const std::lock_guard lock(mutex_);
    if (conflated_ == nullptr && budget_ == 0) grant(config_.slabs_min);
}

RecordChannel::~RecordChannel() {
    close();
    if (current_ != nullptr) let_go(current_);
    Slab* unused = nullptr;
    for (Slab* slab = nullptr; free_.pop(slab); unused = slab) slab->next = unused;
    pool_->retire_all(unused);
    ::close(event_);
}

// ---- producer ----

void RecordChannel::append_conflated(std::span<const std::uint8_t> record) {
    ++rows_;
    switch (conflated_->put(record)) {
        case ConflatedTable::Put::fresh: break;
        case ConflatedTable::Put::replaced: count(conflated_count_); break;
        case ConflatedTable::Put::full: count(dropped_); break;
    }
}

void RecordChannel::seal() {
    if (current_ == nullptr) return;
    publish();
    current_->published.store(written_.packed(), std::memory_order_release);
    // release: pairs with take(); whoever sees the seal sees the final extent.
    current_->sealed.store(true, std::memory_order_release);
    let_go(current_);
    current_ = nullptr;
}

// Room for a record in a new slab. False when the policy is to wait for one.
bool RecordChannel::next_slab(std::size_t bytes) {
    MILLRACE_VERIFY(bytes <= config_.slab_bytes);
    Slab* slab = nullptr;
    if (!free_.pop(slab) && config_.overflow == Overflow::drop_oldest) slab = steal_oldest();
    if (slab == nullptr) {
        publish();
        return false;
    }
    seal();
    current_ = slab;
    written_ = {};
    slab->first_row = rows_;
    slab->published.store(0, std::memory_order_relaxed);
    slab->sealed.store(false, std::memory_order_relaxed);
    slab->references.store(2, std::memory_order_relaxed);  // the producer's, and the queue's
    const std::uint64_t tail = tail_.load(std::memory_order_relaxed);
    queue_[tail % queue_.size()].store(slab, std::memory_order_relaxed);
    tail_.store(tail + 1, std::memory_order_release);  // pairs with claim_oldest()
    return true;
}

// The oldest slab that nobody has taken, for the producer to use again; its rows are lost, and
// counted.
Slab* RecordChannel::steal_oldest() {
    for (;;) {
        std::uint64_t oldest = oldest_.load(std::memory_order_acquire);
        if (oldest + 1 >= tail_.load(std::memory_order_relaxed))
            return nullptr;  // never the present one
        Slab* slab = queue_[oldest % queue_.size()].load(std::memory_order_relaxed);
        if (!oldest_.compare_exchange_strong(oldest, oldest + 1, std::memory_order_acq_rel))
            continue;
        const Extent extent = Extent::of(slab->published.load(std::memory_order_relaxed));
        dropped_.store(dropped_.load(std::memory_order_relaxed) + extent.rows,
                       std::memory_order_relaxed);
        return slab;  // sealed, and nobody else holds it
    }
}

void RecordChannel::end() {
    if (conflated_ == nullptr) seal();
    publish();
    ended_.store(true, std::memory_order_seq_cst);
    if (wake_at_.load(std::memory_order_seq_cst) != kNever) wake();
}

void RecordChannel::wake() {
    wake_at_.store(kNever, std::memory_order_relaxed);
    const std::uint64_t one = 1;
    static_cast<void>(::write(event_, &one, sizeof(one)));
}

// ---- consumer ----

// The consumer's hold on the oldest slab in the queue; null when there is none.
Slab* RecordChannel::claim_oldest() {
    for (;;) {
        std::uint64_t oldest = oldest_.load(std::memory_order_acquire);
        if (oldest == tail_.load(std::memory_order_acquire)) return nullptr;
        Slab* slab = queue_[oldest % queue_.size()].load(std::memory_order_relaxed);
        // Fails when the producer dropped it meanwhile; then what was read here counts for
        // nothing.
        if (oldest_.compare_exchange_strong(oldest, oldest + 1, std::memory_order_acq_rel))
            return slab;
    }
}

void RecordChannel::release_hand() {
    if (hand_ != nullptr) let_go(hand_);
    hand_ = nullptr;
    read_ = {};
}

void RecordChannel::grant(std::uint32_t slabs) {
    for (; slabs > 0; --slabs) {
        Slab* slab = pool_->take();
        if (slab == nullptr) break;  // no memory: the producer has one fewer, and goes on
        free_.push(slab);
        ++budget_;
    }
    if (bell_ != nullptr) bell_->ring();  // for a producer that waits for a slab
}

// The producer gets an empty slab for each that was claimed, or has one fewer from now on.
void RecordChannel::replace_claimed() {
    --budget_;
    if (shrink_by_ == 0) return grant(1);
    if (--shrink_by_ == 0) {
        ++shrinks_;
        pool_->trim();
    }
}

Taken RecordChannel::take(std::uint32_t rows_max) {
    const std::lock_guard lock(mutex_);
    if (closed_.load(std::memory_order_relaxed)) return {};
    handed_out_.store(next_row_, std::memory_order_relaxed);
    if (conflated_ != nullptr) return take_conflated(rows_max);
    Taken taken;
    for (;;) {
        if (hand_ == nullptr) {
            hand_ = claim_oldest();
            if (hand_ == nullptr) return taken;
            replace_claimed();
        }
        // Sealed before published is read: a final extent is never taken for a passing one.
        const bool sealed = hand_->sealed.load(std::memory_order_acquire);
        Extent to = Extent::of(hand_->published.load(std::memory_order_acquire));
        if (to.rows == read_.rows) {
            if (!sealed) return taken;
            release_hand();
            continue;
        }
        const std::uint32_t rows = to.rows - read_.rows;
        if (rows > rows_max) to = extent_after(*hand_, read_, rows_max);
        taken.lost_before = hand_->first_row + read_.rows - next_row_;
        taken.view = SlabView(*hand_, pool_, read_, to);
        delivered_ += to.rows - read_.rows;
        next_row_ = taken.up_to = hand_->first_row + to.rows;
        read_ = to;
        return taken;
    }
}

Extent RecordChannel::extent_after(const Slab& slab, Extent from, std::uint32_t rows) const {
    if (config_.record_bytes != 0) {
        return {from.rows + rows, from.bytes + rows * config_.record_bytes};
    }
    for (; rows > 0; --rows) {
        from.bytes += slab.bytes[from.bytes] * 4U;  // DBN: a record begins with its size in words
        ++from.rows;
    }
    return from;
}

// Copies: the records lie in a table that the producer goes on writing to.
Taken RecordChannel::take_conflated(std::uint32_t rows_max) {
    Taken taken;
    if (hand_ == nullptr) hand_ = pool_->take();
    if (hand_ == nullptr) return taken;
    const std::uint32_t bytes = config_.record_bytes;
    hand_->first_row = delivered_;
    const std::uint64_t published = rows_published_.load(std::memory_order_acquire);
    hand_->references.store(1, std::memory_order_relaxed);
    Extent to;
    while (to.rows < rows_max && to.bytes + bytes <= hand_->capacity) {
        const ConflatedTable::Got got = conflated_->get(hand_->bytes + to.bytes);
        if (got == ConflatedTable::Got::none) {
            next_row_ = published;  // each of these was taken, or a newer one in its place
            break;
        }
        if (got == ConflatedTable::Got::superseded) {
            ++superseded_;
            continue;
        }
        to.bytes += bytes;
        ++to.rows;
    }
    taken.up_to = next_row_;
    if (to.rows == 0) return taken;
    taken.view = SlabView(*hand_, pool_, {}, to);
    delivered_ += to.rows;
    release_hand();
    return taken;
}

// Rows that were taken or will never be.
std::uint64_t RecordChannel::gone() const {
    return delivered_ + superseded_ + dropped_.load(std::memory_order_relaxed) +
           conflated_count_.load(std::memory_order_relaxed);
}

std::uint64_t RecordChannel::ready() const {
    const std::lock_guard lock(mutex_);
    const std::uint64_t gone_now = gone();
    const std::uint64_t rows = rows_published_.load(std::memory_order_seq_cst);
    return rows > gone_now ? rows - gone_now : 0;
}

bool RecordChannel::arm(std::uint64_t rows) {
    const std::lock_guard lock(mutex_);
    std::uint64_t count = 0;
    static_cast<void>(
        ::read(event_, &count, sizeof(count)));  // of a wake-up that nobody waited for
    // What is dropped after this makes the wake-up early, which is harmless: the consumer looks
    // again.
    const std::uint64_t at = gone() + rows;
    wake_at_.store(at, std::memory_order_seq_cst);
    if (rows_published_.load(std::memory_order_seq_cst) < at &&
        !ended_.load(std::memory_order_seq_cst)) {
        return true;
    }
    wake_at_.store(kNever, std::memory_order_relaxed);
    return false;
}

void RecordChannel::disarm() { wake_at_.store(kNever, std::memory_order_seq_cst); }

void RecordChannel::ask(std::uint32_t rows, Bell& bell) {
    // release: pairs with parked().
    asked_.store(rows_published_.load(std::memory_order_acquire) + rows,
                 std::memory_order_release);
    bell.ring();
}

void RecordChannel::close() {
    closed_.store(true, std::memory_order_seq_cst);
    disarm();
    const std::lock_guard lock(mutex_);
    release_hand();
    for (Slab* slab = claim_oldest(); slab != nullptr; slab = claim_oldest()) let_go(slab);
    pool_->close();
    if (bell_ != nullptr) bell_->ring();
}

void RecordChannel::adapt(Timestamp now) {
    if (conflated_ != nullptr || closed_.load(std::memory_order_relaxed)) return;
    const std::lock_guard lock(mutex_);
    const std::uint64_t queued =
        tail_.load(std::memory_order_acquire) - oldest_.load(std::memory_order_acquire);
    if (2 * queued > budget_ && config_.overflow == Overflow::drop_oldest) {
        quiet_since_ = 0;
        const std::uint32_t more = std::min(budget_, config_.slabs_max - budget_);
        if (more == 0) return;
        grant(more);
        ++grows_;
    } else if (4 * queued < budget_) {
        if (quiet_since_ == 0) quiet_since_ = now;
        if (now - quiet_since_ < config_.quiet) return;
        quiet_since_ = now;
        pool_->trim();
        if (budget_ > config_.slabs_min)
            shrink_by_ = std::min(budget_ / 2, budget_ - config_.slabs_min);
    }
}

ChannelCounters RecordChannel::counters() const {
    const std::lock_guard lock(mutex_);
    ChannelCounters out;
    out.produced = rows_published_.load(std::memory_order_acquire);
    out.delivered = delivered_;
    out.dropped = dropped_.load(std::memory_order_relaxed);
    out.conflated = conflated_count_.load(std::memory_order_relaxed) + superseded_;
    out.discarded = discarded_.load(std::memory_order_relaxed);
    out.skipped = skipped_.load(std::memory_order_relaxed);
    out.slabs = pool_->slabs();
    out.grows = grows_;
    out.shrinks = shrinks_;
    return out;
}

}  // namespace millrace::python
