// Bars of trades, defined once: open, high, low, close, volume and volume-weighted average price.
//
// Only DBN trade records count, and of them those with a price and a size. A bar's interval is
// that of UTC which holds ts_event. Open and close are the trades that come first and last by
// (sequence, record number), in whatever order they were added. The average is floor(sum of price
// x size / sum of size), in whole units of 1e-9, worked out in 128 bits.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "millrace/feed/streams/dbn/records.hpp"

namespace millrace::streams {

struct Bar {
    std::uint64_t start = 0;  // ns UTC
    std::uint32_t instrument = 0;
    std::uint32_t trades = 0;
    std::int64_t open = 0;
    std::int64_t high = 0;
    std::int64_t low = 0;
    std::int64_t close = 0;
    std::uint64_t volume = 0;
    std::int64_t vwap = 0;

    friend constexpr bool operator==(const Bar&, const Bar&) = default;
};

// Not for the hot path: it allocates for each new bar.
class BarBuilder {
  public:
    // Throws Error(usage) unless the interval is at least a nanosecond and divides a day.
    explicit BarBuilder(Nanoseconds interval);

    // `record` is the trade's number in its stream.
    void add(const dbn::Trade& trade, std::uint64_t record);

    // All bars so far, by instrument and time.
    [[nodiscard]] std::vector<Bar> bars() const;
    // Trades that count in no bar: without a price, a size or a time.
    [[nodiscard]] std::uint64_t passed_over() const { return passed_over_; }

  private:
    __extension__ using Wide = __int128;
    struct Key {
        std::uint32_t instrument;
        std::uint64_t start;
        friend bool operator==(const Key&, const Key&) = default;
    };
    struct KeyHash {
        std::size_t operator()(const Key& key) const {
            return (key.start ^ (std::uint64_t{key.instrument} << 40)) * 0x9e3779b97f4a7c15ULL >>
                   7;
        }
    };
    struct Order {
        std::uint32_t sequence;
        std::uint64_t record;
        friend auto operator<=>(const Order&, const Order&) = default;
    };
    struct Open {
        Bar bar;
        Order first;
        Order last;
        Wide turnover;
    };

    std::uint64_t interval_;
    std::unordered_map<Key, Open, KeyHash> open_;
    Open* latest_ = nullptr;  // of the trade before: most trades are in the same bar as another
    Key latest_key_{};
    std::uint64_t passed_over_ = 0;
};

}  // namespace millrace::streams
