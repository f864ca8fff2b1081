// The handler's side of the stranger's project, compiled without exceptions and without RTTI.
#include "strategy.hpp"

#include <millrace/feed.hpp>

namespace {

struct Best : millrace::IgnoreOthers {
    millrace::Top top;
    void on_book(const millrace::OrderBook& book, const millrace::BookUpdate&) {
        top = book.top();
    }
    using IgnoreOthers::on_gap;
    using IgnoreOthers::on_quality;
    using IgnoreOthers::on_status;
    using IgnoreOthers::on_trade;
};

}  // namespace

// All of it compiles on this side, not only what is called below.
template class millrace::FeedHandler<millrace::venues::NasdaqItch50, Best>;

std::int64_t best_prices_of(std::span<const std::uint8_t> packet) {
    millrace::SessionConfig config;
    config.limits = {16, 1024, 1024};
    Best best;
    millrace::Session<millrace::venues::NasdaqItch50, Best> session(config, best);
    session.on_packet({0, 0, packet});
    return value(best.top.bid.price) * value(best.top.ask.price);
}
