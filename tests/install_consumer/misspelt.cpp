// Must not compile: on_trades is no callback, and on_trade is neither declared nor ignored by
// name.
#include <millrace/feed.hpp>

struct Misspelt : millrace::IgnoreOthers {
    void on_book(const millrace::OrderBook&, const millrace::BookUpdate&) {}
    void on_trades(const millrace::OrderBook&, const millrace::Trade&) {}
    using IgnoreOthers::on_gap;
    using IgnoreOthers::on_quality;
    using IgnoreOthers::on_status;
};

using Wrong = millrace::Session<millrace::venues::NasdaqItch50, Misspelt>;
