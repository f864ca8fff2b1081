#include "live_table.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <numeric>

#include "books_csv.hpp"

namespace millrace::tools {

namespace {

std::string side_text(const Level& level, PriceScale scale, bool size_first) {
    if (level.empty()) return fmt::format("{:>20}", "-");
    const std::string price = price_text(level.price, scale);
    return size_first ? fmt::format("{:>8}{:>12}", level.quantity, price)
                      : fmt::format("{:>12}{:>8}", price, level.quantity);
}

}  // namespace

void LiveHandler::choose_busiest() {
    // A copy, since the counts move meanwhile and sorting needs one order.
    std::vector<std::uint64_t> counts(instruments_max_);
    for (std::size_t i = 0; i < counts.size(); ++i)
        counts[i] = updates_[i].load(std::memory_order_relaxed);
    std::vector<std::uint32_t> numbers(instruments_max_);
    std::iota(numbers.begin(), numbers.end(), 0U);
    const auto shown = static_cast<std::ptrdiff_t>(std::min(wanted_.size(), numbers.size()));
    std::partial_sort(numbers.begin(), numbers.begin() + shown, numbers.end(),
                      [&](std::uint32_t a, std::uint32_t b) {
                          return counts[a] != counts[b] ? counts[a] > counts[b] : a < b;
                      });
    wanted_.fill(~std::uint32_t{0});
    std::copy_n(numbers.begin(), shown, wanted_.begin());
}

LiveTable::LiveTable() : terminal_(isatty(STDERR_FILENO) == 1) {}

std::vector<std::string> LiveTable::lines(const FeedPage& feed, double messages_per_second) {
    std::vector<std::string> out;
    out.push_back(fmt::format("{}  {} books  {} messages  {:.0f}/s  {} packets  {} gaps",
                              feed.name, feed.page.books, feed.page.messages, messages_per_second,
                              feed.page.packets, feed.page.gaps));
    out.push_back(fmt::format("{:<8}{:>8}{:>12}{:>12}{:>8}{:>10}  {}", "symbol", "size", "bid",
                              "ask", "size", "trades", "quality"));
    for (std::size_t i = 0; i < feed.page.row_count; ++i) {
        const BookRow& row = feed.page.rows[i];
        const PriceScale scale{static_cast<std::uint8_t>(row.scale)};
        out.push_back(fmt::format("{:<8}{}{}{:>10}  {}", row.symbol.view(),
                                  side_text(row.top.bid, scale, true),
                                  side_text(row.top.ask, scale, false), row.trades,
                                  name(static_cast<Quality>(row.quality))));
    }
    return out;
}

void LiveTable::draw(const std::vector<FeedPage>& feeds, Timestamp now) {
    if (!terminal_) return;
    messages_seen_.resize(feeds.size());
    const double seconds = drawn_at_ == 0 ? 0 : static_cast<double>(now - drawn_at_) / 1e9;
    std::string text = lines_drawn_ == 0 ? "" : fmt::format("\x1b[{}A", lines_drawn_);
    lines_drawn_ = 0;
    for (std::size_t i = 0; i < feeds.size(); ++i) {
        const std::uint64_t fresh = feeds[i].page.messages - messages_seen_[i];
        messages_seen_[i] = feeds[i].page.messages;
        const double rate = seconds > 0 ? static_cast<double>(fresh) / seconds : 0;
        for (const std::string& line : lines(feeds[i], rate)) {
            text += "\x1b[K" + line + "\n";
            ++lines_drawn_;
        }
    }
    std::fputs(text.c_str(), stderr);
    drawn_at_ = now;
}

}  // namespace millrace::tools
