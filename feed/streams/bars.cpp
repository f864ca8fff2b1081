#include "millrace/feed/streams/bars.hpp"

#include <algorithm>

#include "millrace/core/error.hpp"

namespace millrace::streams {

namespace {
constexpr Nanoseconds kDay = Nanoseconds{86'400} * 1'000'000'000;
}

BarBuilder::BarBuilder(Nanoseconds interval) : interval_(static_cast<std::uint64_t>(interval)) {
    if (interval < 1 || kDay % interval != 0) {
        throw Error(ExitCode::usage, "an interval of " + std::to_string(interval) +
                                         " ns does not divide a day; take 1 s, 1 min, 1 h");
    }
}

void BarBuilder::add(const dbn::Trade& trade, std::uint64_t record) {
    const std::int64_t price = trade.price.value();
    const std::uint32_t size = trade.size.value();
    const std::uint64_t at = trade.ts_event.value();
    if (price == dbn::kUndefPrice || size == 0 || size == dbn::kUndefSize ||
        at == dbn::kUndefTimestamp) {
        ++passed_over_;
        return;
    }
    const Key key{trade.instrument_id.value(), at - at % interval_};
    const Order order{trade.sequence.value(), record};
    if (latest_ == nullptr || latest_key_ != key) {
        const auto [place, fresh] = open_.try_emplace(key);
        if (fresh) {
            place->second = {
                {key.start, key.instrument, 0, price, price, price, price, 0, 0}, order, order, 0};
        }
        latest_ = &place->second;
        latest_key_ = key;
    }
    Open& open = *latest_;
    Bar& bar = open.bar;
    if (order < open.first) {
        open.first = order;
        bar.open = price;
    }
    if (order >= open.last) {
        open.last = order;
        bar.close = price;
    }
    bar.high = std::max(bar.high, price);
    bar.low = std::min(bar.low, price);
    bar.volume += size;
    ++bar.trades;
    open.turnover += static_cast<Wide>(price) * size;
}

std::vector<Bar> BarBuilder::bars() const {
    std::vector<Bar> out;
    out.reserve(open_.size());
    for (const auto& [key, open] : open_) {
        Bar bar = open.bar;
        const auto volume = static_cast<Wide>(bar.volume);
        Wide average = open.turnover / volume;
        if (open.turnover % volume < 0) --average;  // division rounds to zero, the definition down
        bar.vwap = static_cast<std::int64_t>(average);
        out.push_back(bar);
    }
    std::sort(out.begin(), out.end(), [](const Bar& a, const Bar& b) {
        return a.instrument != b.instrument ? a.instrument < b.instrument : a.start < b.start;
    });
    return out;
}

}  // namespace millrace::streams
