// Consumers behind the production rings: one that keeps up, one that is slow, and one that is slow and wants
// the newest state of each symbol only. What a ring says of its drops is held against what was pushed.
#pragma once

#include <cstdint>
#include <vector>

#include "millrace/feed/consumer_ring.hpp"
#include "tests/simulation/violation.hpp"

namespace millrace::sim {

struct Told {
    std::uint64_t number = 0;  // of all events pushed into this ring, from 1
    std::uint64_t symbol = 0;
};

class Consumer {
  public:
    Consumer(FullPolicy policy, std::size_t capacity, std::uint32_t symbols)
        : ring_(policy, capacity, symbols), newest_(symbols), seen_(symbols) {}

    // A trade: stands for itself.
    void tell() {
        if (ring_.policy() != FullPolicy::conflate) ring_.push({++pushed_, 0});
    }
    // A book of a symbol: only the newest matters to `conflate`.
    void tell(std::uint32_t symbol) {
        newest_[symbol] = ++pushed_;
        ring_.push({pushed_, symbol}, symbol);
    }

    // Takes at most `most` events.
    void work(std::uint64_t most) {
        Told told;
        for (; most > 0; --most) {
            switch (ring_.pop(told)) {
                case Popped::nothing: return;
                case Popped::event: take(told); break;
                case Popped::resync: lost_ += ring_.lost(); gap_ = true; break;
            }
        }
    }
    // Between two steps the ring's counts balance; `emptied`: and nothing is left in it.
    void check(bool emptied) const {
        const ConsumerStats stats = ring_.stats();
        if (stats.pushed != pushed_) violate("consumer: {} events pushed of {}", stats.pushed, pushed_);
        if (stats.popped != popped_) violate("consumer: {} events popped of {}", stats.popped, popped_);
        if (stats.pushed != stats.popped + stats.dropped + stats.conflated + stats.occupancy) {
            violate("consumer: pushed {} = popped {} + dropped {} + conflated {} + waiting {}", stats.pushed,
                    stats.popped, stats.dropped, stats.conflated, stats.occupancy);
        }
        if (!emptied) return;
        if (stats.occupancy != 0 || stats.dropped != lost_) {
            violate("consumer: {} dropped, {} told, {} left", stats.dropped, lost_, stats.occupancy);
        }
        for (std::size_t i = 0; ring_.policy() == FullPolicy::conflate && i < newest_.size(); ++i) {
            if (seen_[i] != newest_[i]) violate("consumer: state {} of a symbol, newest {}", seen_[i], newest_[i]);
        }
    }
    [[nodiscard]] std::uint64_t missed() const {
        const ConsumerStats stats = ring_.stats();
        return stats.dropped + stats.conflated;
    }

  private:
    void take(const Told& told) {
        ++popped_;
        if (ring_.policy() == FullPolicy::conflate) {
            if (told.number <= seen_[told.symbol] && told.number != newest_[told.symbol]) {
                violate("consumer: state {} after {}", told.number, seen_[told.symbol]);
            }
            seen_[told.symbol] = told.number;
            return;
        }
        if (told.number != popped_ + lost_) {
            violate("consumer: event {} after {} and {} dropped{}", told.number, popped_ - 1, lost_,
                    gap_ ? ", told" : "");
        }
        gap_ = false;
    }

    ConsumerRing<Told> ring_;
    std::vector<std::uint64_t> newest_;  // by symbol
    std::vector<std::uint64_t> seen_;    // by symbol
    std::uint64_t pushed_ = 0;
    std::uint64_t popped_ = 0;
    std::uint64_t lost_ = 0;
    bool gap_ = false;
};

}  // namespace millrace::sim
