// The best bid and offer of a symbol over several venues, each tagged with its venue and how far to trust it.
//
// One object belongs to one thread, the one whose feeds' callbacks bring the quotes. Venues count prices in
// different units; here all are in billionths. Nothing allocates after construction.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "millrace/core/digest.hpp"
#include "millrace/core/error.hpp"
#include "millrace/core/order_book.hpp"
#include "millrace/core/paged_array.hpp"
#include "millrace/core/types.hpp"
#include "millrace/feed/handler.hpp"

namespace millrace {

// Number of a venue in the list that a ConsolidatedBbo was made with.
enum class VenueNumber : std::uint8_t {};

class ConsolidatedBbo {
  public:
    static constexpr PriceScale kScale{9};
    static constexpr std::size_t kVenuesMax = 16;

    // One side of one venue, or of the best of them.
    struct Quote {
        Price price{};  // in units of kScale
        Quantity quantity = 0;  // 0: none
        VenueNumber venue{};

        [[nodiscard]] bool empty() const { return quantity == 0; }
        friend bool operator==(const Quote&, const Quote&) = default;
    };
    struct Bbo {
        // Of the books that are live, and of two at the same price the larger, then the venue listed first.
        Quote bid;
        Quote ask;
        // The worst of the symbol's books: while it is not live a better price may exist where it is not known.
        Quality quality = Quality::live;

        [[nodiscard]] bool locked() const { return both() && bid.price == ask.price; }
        [[nodiscard]] bool crossed() const { return both() && bid.price > ask.price; }
        friend bool operator==(const Bbo&, const Bbo&) = default;

      private:
        [[nodiscard]] bool both() const { return !bid.empty() && !ask.empty(); }
    };
    // What one venue shows of a symbol.
    struct VenueQuote {
        Quote bid;
        Quote ask;
        Quality quality = Quality::live;
        bool known = false;  // whether the venue has a book of the symbol at all
        SequenceNumber sequence = 0;
    };

    // Throws Error(config, memory).
    ConsolidatedBbo(std::vector<std::string> venues, std::uint32_t symbols_max)
        : venues_(std::move(venues)), symbols_max_(symbols_max), entries_(symbols_max + std::size_t{1}),
          quotes_((symbols_max + std::size_t{1}) * venues_.size()), table_(table_size(symbols_max)) {
        if (venues_.empty() || venues_.size() > kVenuesMax) {
            throw Error(ExitCode::config, "consolidated best prices: give 1 to 16 venues");
        }
    }

    // Takes what the venue's book shows now; true when the symbol's Bbo is another one than before.
    bool update(VenueNumber venue, const OrderBook& book) {
        const std::uint32_t number = find_or_make(book.symbol());
        if (number == 0) return false;
        const auto [bid, ask] = book.top();
        VenueQuote& quote = quotes_of(number)[static_cast<std::size_t>(venue)];
        quote = {scaled(bid, book.price_scale(), venue), scaled(ask, book.price_scale(), venue), book.quality(), true,
                 book.sequence()};
        const Bbo best = best_of(number);
        if (best == entries_[number].best) return false;
        entries_[number].best = best;
        return true;
    }

    // Null for symbols that no venue has named.
    [[nodiscard]] const Bbo* find(const Symbol& symbol) const {
        const std::uint32_t number = table_[slot_of(symbol)];
        return number == 0 ? nullptr : &entries_[number].best;
    }
    // By venue, in the order of the list; empty for symbols that no venue has named.
    [[nodiscard]] std::span<const VenueQuote> venues_of(const Symbol& symbol) const {
        const std::uint32_t number = table_[slot_of(symbol)];
        if (number == 0) return {};
        return {&quotes_[number * venues_.size()], venues_.size()};
    }
    [[nodiscard]] const std::string& name(VenueNumber venue) const {
        return venues_[static_cast<std::size_t>(venue)];
    }
    // Updates of symbols there was no room for, and prices too large for billionths.
    [[nodiscard]] std::uint64_t symbols_refused() const { return symbols_refused_; }
    [[nodiscard]] std::uint64_t prices_refused() const { return prices_refused_; }

  private:
    struct Entry {
        Symbol symbol;
        Bbo best;
    };

    [[nodiscard]] static std::size_t table_size(std::uint32_t symbols) {
        std::size_t size = 64;
        while (size < 2 * (std::size_t{symbols} + 1)) size *= 2;
        return size;
    }
    [[nodiscard]] std::size_t slot_of(const Symbol& symbol) const {
        const std::size_t mask = table_.size() - 1;
        std::size_t at = digest::keyed({1, 0}, symbol).content >> 32 & mask;
        while (table_[at] != 0 && entries_[table_[at]].symbol != symbol) at = (at + 1) & mask;
        return at;
    }
    // 0 when there is no room.
    [[nodiscard]] std::uint32_t find_or_make(const Symbol& symbol) {
        std::uint32_t& number = table_[slot_of(symbol)];
        if (number != 0) return number;
        if (symbols_ == symbols_max_) {
            ++symbols_refused_;
            return 0;
        }
        number = ++symbols_;
        entries_[number] = {symbol, {}};
        return number;
    }

    [[nodiscard]] std::span<VenueQuote> quotes_of(std::uint32_t number) {
        return {&quotes_[number * venues_.size()], venues_.size()};
    }
    [[nodiscard]] Quote scaled(const Level& level, PriceScale scale, VenueNumber venue) {
        if (level.empty()) return {};
        std::int64_t price = value(level.price);
        for (auto i = static_cast<unsigned>(scale); i < static_cast<unsigned>(kScale); ++i) {
            if (__builtin_mul_overflow(price, std::int64_t{10}, &price)) {
                ++prices_refused_;
                return {};
            }
        }
        return {Price{price}, level.quantity, venue};
    }
    [[nodiscard]] Bbo best_of(std::uint32_t number) {
        Bbo best;
        for (const VenueQuote& quote : quotes_of(number)) {
            if (!quote.known) continue;
            best.quality = worst(best.quality, quote.quality);
            if (quote.quality != Quality::live) continue;
            if (better(quote.bid, best.bid, Side::bid)) best.bid = quote.bid;
            if (better(quote.ask, best.ask, Side::ask)) best.ask = quote.ask;
        }
        return best;
    }
    [[nodiscard]] static bool better(const Quote& a, const Quote& b, Side side) {
        if (a.empty() || b.empty()) return !a.empty();
        if (a.price != b.price) return (a.price > b.price) == (side == Side::bid);
        return a.quantity > b.quantity;
    }

    std::vector<std::string> venues_;
    std::uint32_t symbols_max_;
    std::uint32_t symbols_ = 0;
    std::uint64_t symbols_refused_ = 0;
    std::uint64_t prices_refused_ = 0;
    PagedArray<Entry> entries_;       // by number, from 1
    PagedArray<VenueQuote> quotes_;   // by number, then by venue
    PagedArray<std::uint32_t> table_; // of numbers, by symbol; at most half of it is taken
};

// The handler of one venue's feed: hands its best prices to a ConsolidatedBbo, and says to `listener` what
// changed, by on_bbo(symbol, bbo). Both are borrowed.
template <class Listener>
class BboFeed : IgnoreOthers {
  public:
    BboFeed(ConsolidatedBbo& bbo, VenueNumber venue, Listener& listener)
        : bbo_(bbo), venue_(venue), listener_(listener) {}

    void on_book(const OrderBook& book, const BookUpdate& update) {
        if (update.top_changed || update.action == BookAction::clear) take(book);
    }
    void on_quality(const OrderBook& book, Quality) { take(book); }
    using IgnoreOthers::on_gap, IgnoreOthers::on_status, IgnoreOthers::on_trade;

  private:
    void take(const OrderBook& book) {
        if (bbo_.update(venue_, book)) listener_.on_bbo(book.symbol(), *bbo_.find(book.symbol()));
    }

    ConsolidatedBbo& bbo_;
    VenueNumber venue_;
    Listener& listener_;
};

}  // namespace millrace
