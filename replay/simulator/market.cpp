#include "millrace/replay/simulator/market.hpp"

#include <algorithm>
#include <cmath>

#include "millrace/core/error.hpp"
#include "millrace/replay/simulator/market_books.hpp"

namespace millrace::replay {

namespace itch = venues::itch50;

namespace {

constexpr std::size_t kRecent = std::size_t{1} << 16;
constexpr std::uint32_t kHighestPrice = 1'999'999'900;  // 199,999.99, where stub quotes lie
constexpr std::uint64_t kMillion = 1'000'000;
constexpr std::int64_t kDeep = 14;

// Parts of a million messages. Adds and deletes share theirs: see adds_in_a_million.
constexpr std::uint64_t kAdds = 430'000;
constexpr std::uint64_t kDeletes = 400'000;
constexpr std::uint64_t kReplaces = 40'000;
constexpr std::uint64_t kExecutions = 50'000;
constexpr std::uint64_t kCancels = 30'000;
constexpr std::uint64_t kTrades = 20'000;

// Where orders are placed, in parts of a million: better than the best price of their side, or as
// stub quotes. Of the others each book has its own part that lies far away; most lie near.
constexpr std::uint64_t kImproving = 60'000;
constexpr std::uint64_t kStubs = 200;
constexpr std::uint32_t kFarCents = 15;

void check(const MarketConfig& config) {
    const auto refuse = [](const char* what) { throw Error(ExitCode::usage, what); };
    if (config.symbols < 1 || config.symbols > 65'535) {
        refuse("simulated market: symbols out of range; give 1 to 65535");
    }
    if (!(config.messages_per_second >= 1 && config.messages_per_second <= 1e9)) {
        refuse("simulated market: rate out of range; give 1 to 1e9 messages a second");
    }
    if (!(config.burst_messages >= 1 && config.burst_messages <= 1e6)) {
        refuse("simulated market: burst out of range; give 1 to 1e6 messages");
    }
    if (!(config.zipf_exponent >= 0 && config.zipf_exponent <= 4)) {
        refuse("simulated market: Zipf exponent out of range; give 0 to 4");
    }
    if (config.messages > 2'000'000'000 || config.peak_orders > 1'000'000'000) {
        refuse("simulated market: too long a day; give at most 2e9 messages and 1e9 orders");
    }
}

const MarketConfig& checked(const MarketConfig& config) {
    check(config);
    return config;
}

}  // namespace

std::uint32_t StreamShape::levels_percentile(double percent) const {
    if (levels_per_side.empty()) return 0;
    const double last = static_cast<double>(levels_per_side.size() - 1);
    return levels_per_side[static_cast<std::size_t>(percent / 100.0 * last)];
}

double StreamShape::share(std::string_view types) const {
    std::uint64_t sum = 0;
    for (const char type : types) sum += by_type[static_cast<unsigned char>(type)];
    return messages == 0 ? 0 : static_cast<double>(sum) / static_cast<double>(messages);
}

Market::Market(const MarketConfig& config)
    : config_(checked(config)), random_(config.seed),
      activity_(config.symbols, config.zipf_exponent), burst_(config.burst_messages - 1),
      books_(config.symbols), recent_(kRecent, 0) {
    for (std::size_t i = 0; i < books_.size(); ++i) {
        // Prices from 2 dollars on, 42 on average.
        const double cents = 200 + random_.exponential(4'000);
        books_[i].middle = kCent * static_cast<std::uint32_t>(cents);
        // Widths in steps, so that a last bit in pow, which libraries may round apart, changes
        // nothing.
        const double rank = static_cast<double>(i + 1) / static_cast<double>(books_.size());
        const double width = std::round(std::pow(0.5 / rank, 0.7) * 1024) / 1024;
        books_[i].near = Geometric(1.2 * std::clamp(width, 0.7, 5.0));
        books_[i].reach = std::clamp(width, 0.7, 30.0);
        books_[i].far = 55'000 + static_cast<std::uint64_t>(11'000 * std::min(width, 20.0));
    }
    orders_.reserve(config.peak_orders + std::size_t{1024});
    live_.reserve(config.peak_orders + std::size_t{1024});
}

Market::~Market() = default;

// AAAA, BAAA, ...: letters of the number, the fastest first, so that neighbours differ at once.
std::string Market::symbol_name(std::uint32_t symbol) const {
    std::string text;
    for (int i = 0; i < 4; ++i, symbol /= 26) text += static_cast<char>('A' + symbol % 26);
    return text;
}

std::span<const std::uint8_t> Market::next() {
    if (handed_out_bytes_ == written_.size()) {
        written_.clear();
        handed_out_bytes_ = 0;
        while (written_.empty() && phase_ != Phase::day_over) generate();
        if (written_.empty()) return {};
    }
    const std::size_t size = written_[handed_out_bytes_];
    const std::span message(&written_[handed_out_bytes_ + 1], size);
    handed_out_bytes_ += 1 + size;
    // All messages begin alike, and this one is the shortest.
    handed_out_ = static_cast<Timestamp>(wire::view<itch::SystemEvent>(message).timestamp.value());
    return message;
}

void Market::generate() {
    if (phase_ == Phase::before_day) return open_day();
    if (phase_ == Phase::before_open && traded_ >= config_.messages / 50) return open_market();
    if (phase_ == Phase::open && traded_ >= config_.messages - config_.messages / 100) {
        return close_market();
    }
    if (traded_ < config_.messages) return trade_once();
    emit_event('E');
    emit_event('C');
    phase_ = Phase::day_over;
}

void Market::advance_time() {
    if (burst_left_ > 0) {
        --burst_left_;
        now_ += static_cast<Timestamp>(random_.below(2'000));
        return;
    }
    burst_left_ = burst_.sample(random_);
    const double pause = config_.burst_messages / config_.messages_per_second * 1e9;
    now_ += static_cast<Timestamp>(random_.exponential(pause));
}

// Adds and deletes give way to each other so that the number of live orders follows the day: up to
// the peak, then down to a fifth of it.
std::uint64_t Market::adds_in_a_million() const {
    const auto peak = static_cast<std::int64_t>(config_.peak_orders);
    const auto day = static_cast<std::int64_t>(config_.messages);
    const auto now = static_cast<std::int64_t>(traded_);
    const std::int64_t target = now * 5 < day * 3 ? peak * now / (day * 3 / 5 + 1)
                                                  : peak - 2 * peak * (now - day * 3 / 5) / day;
    const std::int64_t lack = target - static_cast<std::int64_t>(live_.size());
    const std::int64_t lean =
        std::clamp<std::int64_t>(lack * 100'000 / (peak / 100 + 1), -100'000, 100'000);
    return static_cast<std::uint64_t>(static_cast<std::int64_t>(kAdds) + lean);
}

void Market::trade_once() {
    ++traded_;
    advance_time();
    if (traded_ == std::max<std::uint64_t>(config_.messages * 3 / 5, 1)) measure_levels();
    std::uint64_t dice = random_.below(kMillion);
    const auto falls_in = [&dice](std::uint64_t share) {
        if (dice < share) return true;
        dice -= share;
        return false;
    };
    // About a hundred rare events a day, but never more than one message in a hundred.
    const std::uint64_t rare =
        std::clamp<std::uint64_t>(100 * kMillion / config_.messages, 1, 10'000);
    const std::uint64_t adds = adds_in_a_million();
    if (phase_ == Phase::open && falls_in(rare)) return rare_event();
    if (live_.empty() || falls_in(adds)) return add_order(some_symbol());
    if (falls_in(kAdds + kDeletes - adds)) return delete_order();
    if (falls_in(kReplaces)) return replace_order();
    if (falls_in(kExecutions)) return execute();
    if (falls_in(kCancels)) return cancel_some();
    if (falls_in(kTrades)) return print_hidden();
    print_imbalance();
}

std::uint32_t Market::some_symbol() {
    return static_cast<std::uint32_t>(activity_.sample(random_));
}

std::uint32_t Market::some_shares() {
    if (random_.chance(0.4)) return static_cast<std::uint32_t>(1 + random_.below(500));
    return static_cast<std::uint32_t>(100 * (1 + round_lots_.sample(random_)));
}

// Dense ones rise as the exchange's do, over all symbols; sparse ones are a bijection of a
// counter.
std::uint64_t Market::next_reference() {
    if (!config_.sparse_references) return last_reference_ += 1 + reference_gap_.sample(random_);
    const std::uint64_t start = Random::mix(config_.seed + 1);
    std::uint64_t reference = 0;
    while (reference == 0) reference = Random::mix(start + ++last_reference_);
    return reference;
}

std::int64_t Market::ticks_from_best(const Book& book) {
    const std::uint64_t dice = random_.below(kMillion);
    if (dice < kImproving) return -1 - static_cast<std::int64_t>(random_.below(2));
    if (dice >= kImproving + book.far) return static_cast<std::int64_t>(book.near.sample(random_));
    const double tail = std::min(2.5 / (random_.unit() + 0.02), 60.0);
    return 8 + static_cast<std::int64_t>(book.reach * tail);
}

// A price that neither locks nor crosses. Asks start at two cents, so that there is room for a
// bid.
std::uint32_t Market::passive_price(const Book& book, bool bid) {
    const std::int64_t lowest = bid ? kCent : 2 * kCent;
    const std::int64_t highest = bid ? kHighestPrice - kCent : kHighestPrice;
    if (random_.below(kMillion) < kStubs)
        return static_cast<std::uint32_t>(bid ? lowest : highest);
    const auto& own = book.side(bid);
    const auto& other = book.side(!bid);
    const std::int64_t cent = bid ? std::int64_t{kCent} : -std::int64_t{kCent};
    const std::int64_t best = own.empty() ? std::int64_t{book.middle} - cent : own.back().price;
    std::int64_t price = best - ticks_from_best(book) * cent;
    if (!other.empty()) {
        const std::int64_t limit = std::int64_t{other.back().price} - cent;
        price = bid ? std::min(price, limit) : std::max(price, limit);
    }
    return static_cast<std::uint32_t>(std::clamp(price, lowest, highest));
}

Market::OrderIndex Market::rest(std::uint32_t symbol, bool bid, std::uint32_t price,
                                std::uint32_t shares) {
    Book& book = books_[symbol];
    auto& side = book.side(bid);
    auto at = side.end();
    while (at != side.begin() && Book::worse(price, (at - 1)->price, bid)) --at;
    if (side.end() - at >= kDeep) ++shape_.deep_adds;
    if (at == side.begin() || (at - 1)->price != price) {
        Level level;
        level.price = price;
        at = side.insert(at, level) + 1;
        ++shape_.new_levels;
    }
    Level& level = *(at - 1);
    if (free_.empty()) {
        free_.push_back(static_cast<OrderIndex>(orders_.size()));
        orders_.emplace_back();
    }
    const OrderIndex index = free_.back();
    free_.pop_back();
    Order& order = orders_[index];
    order = {next_reference(),
             added_,
             price,
             shares,
             level.back,
             Order::kNone,
             static_cast<std::uint32_t>(live_.size()),
             static_cast<std::uint16_t>(symbol),
             bid};
    (level.back == Order::kNone ? level.front : orders_[level.back].behind) = index;
    level.back = index;
    level.shares += shares;
    ++level.orders;
    ++book.live;
    live_.push_back(index);
    recent_[added_++ % kRecent] = index;
    ++shape_.adds;
    shape_.live_orders = static_cast<std::uint32_t>(live_.size());
    shape_.live_orders_peak = std::max(shape_.live_orders_peak, shape_.live_orders);
    return index;
}

Market::Level& Market::level_of(const Order& order) {
    auto& side = books_[order.symbol].side(order.bid);
    auto level = side.end() - 1;
    while (level->price != order.price) --level;
    return *level;
}

// Takes less than all of an order's shares.
void Market::reduce(OrderIndex index, std::uint32_t shares) {
    Order& order = orders_[index];
    level_of(order).shares -= shares;
    order.shares -= shares;
}

void Market::leave(OrderIndex index) {
    Order& order = orders_[index];
    Level& level = level_of(order);
    (order.ahead == Order::kNone ? level.front : orders_[order.ahead].behind) = order.behind;
    (order.behind == Order::kNone ? level.back : orders_[order.behind].ahead) = order.ahead;
    level.shares -= order.shares;
    if (--level.orders == 0) {
        auto& side = books_[order.symbol].side(order.bid);
        side.erase(side.begin() + (&level - side.data()));
    }
    --books_[order.symbol].live;
    live_[order.place] = live_.back();
    orders_[live_.back()].place = order.place;
    live_.pop_back();
    order.stamp = Order::kDead;
    free_.push_back(index);
    shape_.live_orders = static_cast<std::uint32_t>(live_.size());
}

// Most orders die young: one of the last few, by a distribution with a long tail; now and then
// any. Those far from the best price are left in peace more often.
Market::OrderIndex Market::young_order() {
    for (int attempt = 0; attempt < 6 && !random_.chance(0.1); ++attempt) {
        const auto back = static_cast<std::uint32_t>(4.0 / (random_.unit() + 1e-4));
        const std::uint32_t age = back + static_cast<std::uint32_t>(random_.below(8)) + 1;
        if (age > added_ || age > kRecent) continue;
        const OrderIndex index = recent_[(added_ - age) % kRecent];
        const Order& order = orders_[index];
        if (order.stamp != added_ - age) continue;
        const std::uint32_t best = books_[order.symbol].side(order.bid).back().price;
        const std::uint32_t away = order.bid ? best - order.price : order.price - best;
        if (away < kFarCents * kCent || random_.chance(0.6)) return index;
    }
    return live_[random_.below(live_.size())];
}

void Market::add_order(std::uint32_t symbol) {
    const bool bid = random_.chance(0.5);
    const std::uint32_t price = passive_price(books_[symbol], bid);
    const Order& order = orders_[rest(symbol, bid, price, some_shares())];
    const auto fill = [&](auto m) {
        m.order_reference.set(order.reference);
        m.side.set(bid ? 'B' : 'S');
        m.shares.set(order.shares);
        m.price.set(price);
        return m;
    };
    if (!random_.chance(0.03)) return emit(fill(begin<itch::AddOrder>(symbol + 1)));
    auto m = fill(begin<itch::AddOrderMpid>(symbol + 1));
    m.attribution_mpid.set("MMKR");
    emit(m);
}

void Market::delete_order() {
    const OrderIndex index = young_order();
    auto m = begin<itch::OrderDelete>(orders_[index].symbol + 1U);
    m.order_reference.set(orders_[index].reference);
    leave(index);
    emit(m);
}

void Market::replace_order() {
    const OrderIndex index = young_order();
    const Order old = orders_[index];
    leave(index);
    const bool stays = random_.chance(0.2);
    const std::uint32_t price = stays ? old.price : passive_price(books_[old.symbol], old.bid);
    const Order& order = orders_[rest(old.symbol, old.bid, price, some_shares())];
    auto m = begin<itch::OrderReplace>(old.symbol + 1U);
    m.original_order_reference.set(old.reference);
    m.new_order_reference.set(order.reference);
    m.new_shares.set(order.shares);
    m.new_price.set(price);
    emit(m);
}

void Market::cancel_some() {
    const OrderIndex index = young_order();
    const Order& order = orders_[index];
    if (order.shares < 2) return delete_order();
    const auto shares = static_cast<std::uint32_t>(1 + random_.below(order.shares - 1));
    auto m = begin<itch::OrderCancel>(order.symbol + 1U);
    m.order_reference.set(order.reference);
    m.cancelled_shares.set(shares);
    reduce(index, shares);
    emit(m);
}

// An incoming order trades with the first order of the best level, half of the time with all of
// it. Where there is nothing to trade with, or no trading, it comes to rest.
void Market::execute() {
    const std::uint32_t symbol = some_symbol();
    Book& book = books_[symbol];
    const bool bid = random_.chance(0.5);
    const auto& side = book.side(bid);
    const bool halted = halt_step_ > 0 && symbol == halted_;
    if (side.empty() || phase_ != Phase::open || halted) return add_order(symbol);
    const std::uint32_t all = orders_[side.back().front].shares;
    const bool whole = random_.chance(0.5);
    execute_front(book, symbol, bid,
                  whole ? all : static_cast<std::uint32_t>(1 + random_.below(all)), false);
}

void Market::execute_front(Book& book, std::uint32_t symbol, bool bid, std::uint32_t shares,
                           bool at_cross) {
    const OrderIndex index = book.side(bid).back().front;
    const Order& order = orders_[index];
    const auto fill = [&](auto m) {
        m.order_reference.set(order.reference);
        m.executed_shares.set(shares);
        m.match_number.set(match_number_++);
        return m;
    };
    if (!at_cross) book.middle = std::clamp(order.price, 2 * kCent, kHighestPrice - kCent);
    if (at_cross || random_.chance(0.1)) {
        auto m = fill(begin<itch::OrderExecutedWithPrice>(symbol + 1));
        // The shares of a cross are printed by the cross itself.
        m.printable.set(at_cross || random_.chance(0.2) ? 'N' : 'Y');
        m.execution_price.set(at_cross ? book.middle : order.price);
        emit(m);
    } else {
        emit(fill(begin<itch::OrderExecuted>(symbol + 1)));
    }
    if (shares == order.shares) leave(index);
    else reduce(index, shares);
}

void Market::print_hidden() {
    const std::uint32_t symbol = some_symbol();
    if (phase_ != Phase::open || (halt_step_ > 0 && symbol == halted_)) return add_order(symbol);
    auto m = begin<itch::Trade>(symbol + 1);
    m.side.set('B');
    m.shares.set(1 + random_.below(300));
    m.price.set(books_[symbol].middle);
    m.match_number.set(match_number_++);
    emit(m);
}

void Market::print_imbalance() {
    const std::uint32_t symbol = some_symbol();
    auto m = begin<itch::Noii>(symbol + 1);
    m.paired_shares.set(random_.below(100'000));
    m.imbalance_shares.set(random_.below(10'000));
    m.direction.set("BSNO"[random_.below(4)]);
    m.far_price.set(books_[symbol].middle);
    m.near_price.set(books_[symbol].middle);
    m.current_reference_price.set(books_[symbol].middle);
    m.cross_type.set(phase_ == Phase::before_open ? 'O' : 'C');
    m.price_variation.set('L');
    emit(m);
}

void Market::measure_levels() {
    for (const Book& book : books_) {
        for (const auto& side : book.sides) {
            shape_.levels_per_side.push_back(static_cast<std::uint32_t>(side.size()));
        }
    }
    std::sort(shape_.levels_per_side.begin(), shape_.levels_per_side.end());
    if (!config_.sparse_references && added_ > 0) {
        shape_.reference_gap = static_cast<double>(last_reference_) / static_cast<double>(added_);
    }
}

Market::Best Market::best(std::uint32_t symbol, bool bid) const {
    const auto& side = books_[symbol].side(bid);
    if (side.empty()) return {};
    return {side.back().price, side.back().shares, side.back().orders};
}

std::uint32_t Market::live_orders(std::uint32_t symbol) const { return books_[symbol].live; }

}  // namespace millrace::replay
