// The handler of `millrace live`: measures latency, counts trades and updates by book, and hands a
// page of books to whoever draws the table; and makes records for the sinks, where there are any.
// Runs on the decoder thread; the drawing thread only asks.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "millrace/core/clock.hpp"
#include "millrace/core/histogram.hpp"
#include "millrace/core/published.hpp"
#include "millrace/feed/counters.hpp"
#include "millrace/feed/handler.hpp"
#include "sinks.hpp"

namespace millrace::tools {

// A book as the table shows it.
struct BookRow {
    Symbol symbol;
    Top top;
    std::uint64_t trades = 0;
    std::uint64_t updates = 0;
    std::uint32_t quality = 0;  // a Quality
    std::uint32_t scale = 0;    // a PriceScale
};

struct BookPage {
    static constexpr std::size_t kRows = 12;
    std::array<BookRow, kRows> rows{};
    std::uint64_t row_count = 0;
    std::uint64_t messages = 0;  // delivered so far
    std::uint64_t packets = 0;   // arbitrated so far, all lines
    std::uint64_t gaps = 0;
    std::uint64_t books = 0;
};

class LiveHandler {
  public:
    explicit LiveHandler(std::size_t instruments_max)
        : instruments_max_(instruments_max), updates_(std::make_unique<Count[]>(instruments_max)),
          trades_(instruments_max) {}

    // Before the feed starts. `sinks` is borrowed.
    void send_to(Sinks& sinks, const dbn::MakerConfig& config) { maker_.emplace(config, sinks); }

    void on_book(const OrderBook& book, const BookUpdate& update) {
        if (maker_) maker_->on_book(book, update);
        Count& count = updates_[value(book.instrument())];
        count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
        if (update.last_in_packet && update.received_at != 0) {
            latency_.record(SystemClock::now() - update.received_at);
        }
    }
    void on_trade(const OrderBook& book, const Trade& trade) {
        if (maker_) maker_->on_trade(book, trade);
        ++trades_[value(book.instrument())];
    }
    void on_status(const OrderBook& book, const TradingStatus& status) {
        if (maker_) maker_->on_status(book, status);
    }
    void on_imbalance(const OrderBook& book, const Imbalance& imbalance) {
        if (maker_) maker_->on_imbalance(book, imbalance);
    }
    void on_instrument(const OrderBook& book, const InstrumentDetails& details) {
        if (maker_) maker_->on_instrument(book, details);
    }
    void on_packet_end() {
        if (maker_) maker_->on_packet_end();
    }
    void on_quality(const OrderBook&, Quality) {}
    void on_gap(SequenceRange) {}

    // From the kernel's receipt of a packet to the callback for its last message that changed a
    // book. Of the decoder thread, or after it ended.
    [[nodiscard]] const Histogram& latency() const { return latency_; }

    // Decoder thread, between two polls: answers the drawing thread if it asked.
    template <class Session>
    void serve_page(const Session& session) {
        // acquire: pairs with turn_page(); the numbers of the books wanted are visible.
        if (!asked_.load(std::memory_order_acquire)) return;
        BookPage page;
        for (const std::uint32_t number : wanted_) {
            if (number >= session.books().size()) continue;
            const OrderBook& book = session.books()[number];
            BookRow& row = page.rows[page.row_count++];
            row.symbol = book.symbol();
            row.top = book.top();
            row.trades = trades_[number];
            row.updates = updates_[number].load(std::memory_order_relaxed);
            row.quality = static_cast<std::uint32_t>(book.quality());
            row.scale = static_cast<std::uint32_t>(book.price_scale());
        }
        for (std::size_t i = 0; i < session.arbiter().line_count(); ++i) {
            page.packets +=
                session.arbiter().line(static_cast<LineId>(i))[LineCounter::arbitrated];
        }
        page.messages = session.messages()[MessageCounter::delivered];
        page.gaps = session.arbiter().gaps().total();
        page.books = session.books().size();
        page_.publish(page);
        // release: pairs with the acquire load in turn_page(), which may now choose other books.
        asked_.store(false, std::memory_order_release);
    }

    // Drawing thread: the last page, and asks for the next one, of the busiest books as of now.
    [[nodiscard]] BookPage turn_page() {
        // acquire: pairs with the release store in serve_page().
        if (!asked_.load(std::memory_order_acquire)) {
            choose_busiest();
            // release: pairs with the acquire load in serve_page().
            asked_.store(true, std::memory_order_release);
        }
        return page_.read();
    }

  private:
    using Count = std::atomic<std::uint64_t>;
    void choose_busiest();

    std::optional<dbn::DbnMaker<Sinks>> maker_;  // decoder only
    std::size_t instruments_max_;
    std::unique_ptr<Count[]> updates_;   // by instrument; decoder writes, drawing thread reads
    std::vector<std::uint64_t> trades_;  // by instrument; decoder only
    Histogram latency_;                  // decoder only
    // Numbers of the books wanted: the drawing thread writes while asked_ is false, the decoder
    // reads while true.
    std::array<std::uint32_t, BookPage::kRows> wanted_{};
    Published<BookPage> page_;                            // decoder writes, drawing thread reads
    alignas(kCacheLine) std::atomic<bool> asked_{false};  // drawing thread sets, decoder clears
};
static_assert(BookHandler<LiveHandler>);

}  // namespace millrace::tools
