// The slow, obvious reader of a simulated day: offsets by hand from the ITCH 5.0 specification,
// books in maps, and a list of everything that no exchange would send. Shares nothing with the
// simulator.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace millrace::test {

class DayChecker {
  public:
    using Bytes = std::span<const std::uint8_t>;
    // Orders by price, the first in the queue first.
    using Levels = std::map<std::uint32_t, std::list<std::uint64_t>>;

    struct Order {
        std::uint16_t locate;
        bool bid;
        std::uint32_t price;
        std::uint32_t shares;
    };
    struct Book {
        Levels bids, asks;
        std::size_t orders = 0;
        bool halted = true;  // until told otherwise
    };

    void on_message(Bytes m) {
        ++messages_;
        const std::size_t size = size_of(static_cast<char>(m[0]));
        if (size != m.size()) return complain("length");
        type_ = static_cast<char>(m[0]);
        ++by_type_[static_cast<unsigned char>(type_)];
        if (time_of(m) < time_) complain("time runs backwards");
        time_ = time_of(m);
        if (ended_) complain("message behind the last");
        const auto locate = static_cast<std::uint16_t>(number(m, 1, 2));
        const bool whole_market = type_ == 'S' || type_ == 'V' || type_ == 'W' || type_ == 'K';
        if (whole_market != (locate == 0)) complain("locate");
        if (!whole_market && type_ != 'R' && !books_.contains(locate))
            complain("symbol not introduced");
        dispatch(m, locate);
        if (continuous_ && !whole_market) check_spread(books_[locate]);
    }

    [[nodiscard]] const std::map<std::string, std::uint64_t>& complaints() const {
        return complaints_;
    }
    [[nodiscard]] const std::map<std::uint16_t, Book>& books() const { return books_; }
    [[nodiscard]] const std::unordered_map<std::uint64_t, Order>& orders() const {
        return orders_;
    }
    [[nodiscard]] std::uint64_t count(const std::string& types) const {
        std::uint64_t sum = 0;
        for (const char type : types) sum += by_type_[static_cast<unsigned char>(type)];
        return sum;
    }
    [[nodiscard]] std::uint64_t messages() const { return messages_; }
    [[nodiscard]] bool ended() const { return ended_; }
    [[nodiscard]] std::size_t peak() const { return peak_; }
    [[nodiscard]] std::uint64_t births() const { return births_; }
    [[nodiscard]] std::uint64_t last_reference() const { return last_reference_; }
    [[nodiscard]] std::uint64_t falling_references() const { return falling_; }
    [[nodiscard]] std::vector<std::size_t> levels_per_side() const {
        std::multiset<std::size_t> sorted;
        for (const auto& [locate, book] : books_) {
            sorted.insert(book.bids.size());
            sorted.insert(book.asks.size());
        }
        return {sorted.begin(), sorted.end()};
    }
    [[nodiscard]] std::uint64_t shares_at(const std::list<std::uint64_t>& queue) const {
        std::uint64_t sum = 0;
        for (const std::uint64_t reference : queue) sum += orders_.at(reference).shares;
        return sum;
    }

    [[nodiscard]] static std::uint64_t number(Bytes m, std::size_t at, std::size_t bytes) {
        std::uint64_t result = 0;
        for (std::size_t i = 0; i < bytes; ++i) result = result << 8 | m[at + i];
        return result;
    }
    [[nodiscard]] static std::uint64_t time_of(Bytes m) { return number(m, 5, 6); }

  private:
    static std::size_t size_of(char type) {
        static const std::map<char, std::size_t> kSizes{
            {'S', 12}, {'R', 39}, {'H', 25}, {'Y', 20}, {'L', 26}, {'V', 35}, {'W', 12}, {'K', 28},
            {'J', 35}, {'h', 21}, {'A', 36}, {'F', 40}, {'E', 31}, {'C', 36}, {'X', 23}, {'D', 19},
            {'U', 35}, {'P', 44}, {'Q', 40}, {'B', 19}, {'I', 50}, {'N', 20}, {'O', 48}};
        const auto found = kSizes.find(type);
        return found == kSizes.end() ? 0 : found->second;
    }

    void complain(const std::string& what) { ++complaints_[what]; }

    void dispatch(Bytes m, std::uint16_t locate) {
        switch (type_) {
            case 'S': return event(static_cast<char>(m[11]));
            case 'R':
                if (books_.contains(locate)) complain("symbol introduced twice");
                books_[locate];
                return;
            case 'H': books_[locate].halted = m[19] != 'T'; return;
            case 'A':
            case 'F':
                return add(number(m, 11, 8), locate, m[19] == 'B', number(m, 32, 4),
                           number(m, 20, 4));
            case 'U': return replace(m, locate);
            case 'D': return reduce(number(m, 11, 8), locate, 0);
            case 'X': return cancel(m, locate);
            case 'E':
            case 'C': return execute(m, locate);
            case 'P':
                if (!continuous_) complain("trade outside trading hours");
                return match(number(m, 36, 8));
            case 'Q': return match(number(m, 31, 8));
            case 'B':
                if (!matches_.contains(number(m, 11, 8))) complain("broken trade that never was");
                return;
            default: return;
        }
    }

    void event(char code) {
        static const std::string kOrder = "OSQMEC";
        if (events_ >= kOrder.size() || kOrder[events_] != code)
            complain("system events out of order");
        ++events_;
        continuous_ = code == 'Q';
        ended_ = code == 'C';
    }

    void match(std::uint64_t match_number) {
        if (match_number == 0 || !matches_.insert(match_number).second) complain("match number");
    }

    void add(std::uint64_t reference, std::uint16_t locate, bool bid, std::uint64_t price,
             std::uint64_t shares) {
        if (reference == 0) complain("reference of zero");
        if (shares == 0) complain("order of no shares");
        if (price == 0 || price >= 2'000'000'000) complain("price out of range");
        if (!seen_.insert(reference).second) return complain("reference used twice");
        falling_ += reference < last_reference_ ? 1U : 0U;
        last_reference_ = reference;
        ++births_;
        Book& book = books_[locate];
        const auto p = static_cast<std::uint32_t>(price);
        (bid ? book.bids : book.asks)[p].push_back(reference);
        orders_[reference] = {locate, bid, p, static_cast<std::uint32_t>(shares)};
        ++book.orders;
        peak_ = std::max(peak_, orders_.size());
    }

    Order* find(std::uint64_t reference, std::uint16_t locate) {
        const auto found = orders_.find(reference);
        if (found == orders_.end()) return complain("unknown order"), nullptr;
        if (found->second.locate != locate) return complain("order of another symbol"), nullptr;
        return &found->second;
    }

    // Takes all when `shares` is 0.
    void reduce(std::uint64_t reference, std::uint16_t locate, std::uint64_t shares) {
        Order* order = find(reference, locate);
        if (order == nullptr) return;
        if (shares > order->shares) complain("more than is left");
        if (shares != 0 && shares < order->shares) {
            order->shares -= static_cast<std::uint32_t>(shares);
            return;
        }
        Book& book = books_[locate];
        Levels& side = order->bid ? book.bids : book.asks;
        auto& queue = side[order->price];
        queue.remove(reference);
        if (queue.empty()) side.erase(order->price);
        --book.orders;
        orders_.erase(reference);
    }

    void cancel(Bytes m, std::uint16_t locate) {
        const std::uint64_t shares = number(m, 19, 4);
        const Order* order = find(number(m, 11, 8), locate);
        if (order != nullptr && shares >= order->shares) complain("partial cancel of everything");
        if (shares == 0) complain("cancel of nothing");
        reduce(number(m, 11, 8), locate, shares);
    }

    void replace(Bytes m, std::uint16_t locate) {
        const Order* order = find(number(m, 11, 8), locate);
        if (order == nullptr) return;
        const bool bid = order->bid;
        reduce(number(m, 11, 8), locate, 0);
        add(number(m, 19, 8), locate, bid, number(m, 31, 4), number(m, 27, 4));
    }

    void execute(Bytes m, std::uint16_t locate) {
        const std::uint64_t reference = number(m, 11, 8);
        const std::uint64_t shares = number(m, 19, 4);
        match(number(m, 23, 8));
        const Order* order = find(reference, locate);
        if (order == nullptr) return;
        if (shares == 0) complain("execution of nothing");
        const Book& book = books_[locate];
        const bool printable = type_ == 'E' || m[31] == 'Y';
        if (printable && (!continuous_ || book.halted))
            complain("execution while there is no trading");
        const auto& best = order->bid ? book.bids.rbegin()->second : book.asks.begin()->second;
        if (best.front() != reference) complain("execution of an order that is not first");
        reduce(reference, locate, shares);
    }

    void check_spread(const Book& book) {
        if (book.bids.empty() || book.asks.empty()) return;
        if (book.bids.rbegin()->first >= book.asks.begin()->first) complain("locked or crossed");
    }

    std::map<std::string, std::uint64_t> complaints_;
    std::map<std::uint16_t, Book> books_;
    std::unordered_map<std::uint64_t, Order> orders_;
    std::unordered_set<std::uint64_t> seen_;
    std::unordered_set<std::uint64_t> matches_;
    std::array<std::uint64_t, 256> by_type_{};
    char type_ = 0;
    std::uint64_t messages_ = 0;
    std::uint64_t time_ = 0;
    std::size_t events_ = 0;
    bool continuous_ = false;
    bool ended_ = false;
    std::size_t peak_ = 0;
    std::uint64_t births_ = 0;
    std::uint64_t last_reference_ = 0;
    std::uint64_t falling_ = 0;
};

}  // namespace millrace::test
