// Prints a symbol's best prices whenever they have changed, while its book can be trusted.
//     strategy feed.toml
#include <millrace/feed.hpp>

#include <csignal>
#include <cstdio>
#include <string>

namespace {

volatile std::sig_atomic_t running = 1;

double dollars(millrace::Price price) { return static_cast<double>(value(price)) / 1e4; }

struct Watcher : millrace::IgnoreOthers {
    void on_book(const millrace::OrderBook& book, const millrace::BookUpdate& update) {
        if (!update.top_changed || book.quality() != millrace::Quality::live) return;
        const auto [bid, ask] = book.top();
        std::printf("%s %.4f x %.4f\n", std::string(book.symbol().view()).c_str(),
                    dollars(bid.price), dollars(ask.price));
    }
    void on_gap(millrace::SequenceRange missing) { std::printf("%zu missing\n", missing.size()); }
    using IgnoreOthers::on_quality, IgnoreOthers::on_status, IgnoreOthers::on_trade;
};

}  // namespace

int main(int argc, char** argv) try {
    std::signal(SIGINT, [](int) { running = 0; });
    Watcher watcher;
    millrace::FeedHandler<millrace::venues::NasdaqItch50, Watcher> feed{
        millrace::load_config(argc > 1 ? argv[1] : "feed.toml"), watcher};
    while (running != 0) {
        if (feed.poll() == 0) feed.idle();
    }
} catch (const millrace::Error& error) {
    std::fprintf(stderr, "strategy: %s\n", error.what());
    return static_cast<int>(error.code());
}
