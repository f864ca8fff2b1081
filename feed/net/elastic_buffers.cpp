#include "millrace/feed/net/elastic_buffers.hpp"

#include <algorithm>

namespace millrace::net {

void BufferPolicy::note_rate(const Sample& sample) {
    const Nanoseconds passed = sample.now - last_at_;
    if (last_at_ != 0 && passed > 0) {
        const double rate = static_cast<double>(sample.received - last_received_) / static_cast<double>(passed);
        const double left = 1 - static_cast<double>(std::min(passed, kMemory)) / static_cast<double>(kMemory);
        peak_rate_ = std::max(rate, peak_rate_ * left);
    }
    last_at_ = sample.now;
    last_received_ = sample.received;
}

std::uint32_t BufferPolicy::wanted(const Sample& sample) {
    note_rate(sample);
    auto needed = static_cast<std::uint64_t>(2 * peak_rate_ * static_cast<double>(kStall));
    if (sample.peak_in_use > sample.buffers / 2) needed = std::max<std::uint64_t>(needed, 2 * sample.buffers);
    at_cap_ = needed > most_;
    if (needed > sample.buffers / 4 || sample.peak_in_use > sample.buffers / 4 || busy_at_ == 0) busy_at_ = sample.now;
    if (needed > sample.buffers) return static_cast<std::uint32_t>(std::min<std::uint64_t>(needed, most_));
    if (sample.now - busy_at_ < shrink_after_) return sample.buffers;
    busy_at_ = sample.now;  // the next half has to be as quiet for as long
    return std::max(sample.buffers / 2, least_);
}

void ElasticBuffers::look(Timestamp now, std::uint64_t received) {
    if (retiring_) {
        // acquire: pairs with the store in come_home().
        if (!home_.load(std::memory_order_acquire)) return;
        home_.store(false, std::memory_order_relaxed);
        arena_.shrink_to(retired_to_);
        retiring_ = false;
    }
    const std::uint32_t buffers = arena_.usable();
    const std::uint32_t wanted =
        policy_.wanted({now, received, peak_in_use_.exchange(0, std::memory_order_relaxed), buffers});
    note_cap(!grow_to(wanted) || policy_.at_cap());
    const std::uint32_t kept = arena_.kept_of(wanted);
    if (kept < buffers && orders_.push({What::retire, kept})) {
        retiring_ = true;
        retired_to_ = kept;
    }
}

bool ElasticBuffers::grow_to(std::uint32_t wanted) {
    while (arena_.usable() < wanted && orders_.has_room()) {
        if (!arena_.grow()) return false;
        static_cast<void>(orders_.push({What::grant, arena_.usable()}));
    }
    return true;
}

void ElasticBuffers::note_cap(bool reached) {
    if (reached && !was_at_cap_) static_cast<void>(orders_.push({What::cap_reached, arena_.usable()}));
    was_at_cap_ = reached;
}

void ElasticBuffers::obey(const Order& order, ReceiveCounters& counters) {
    switch (order.what) {
        case What::cap_reached: ++counters[ReceiveCounter::buffers_cap]; return;
        case What::grant: ++counters[ReceiveCounter::grants]; break;
        case What::retire:
            ++counters[ReceiveCounter::retired];
            away_ = added_ - order.buffers;
            added_ = order.buffers;
            break;
    }
    limit_ = order.buffers;
    counters[ReceiveCounter::buffers] = limit_;
}

}  // namespace millrace::net
