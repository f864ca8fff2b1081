#include "millrace/replay/simulator/market.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>

#include "millrace/feed/venues/nasdaq_itch50/messages.hpp"

namespace millrace::replay {

namespace itch = venues::itch50;

namespace {
constexpr std::uint32_t kNone = 0xffffffff;
constexpr std::uint32_t kTick = 100;  // one cent in ITCH prices
constexpr std::size_t kRecent = std::size_t{1} << 16;
constexpr Timestamp kSecond = 1'000'000'000;
constexpr Timestamp kDayStart = 11'000 * kSecond;  // shortly after 3:03
constexpr Timestamp kMarketOpen = 34'200 * kSecond;
}  // namespace

struct Market::Order {
    std::uint64_t reference;
    std::uint64_t stamp;  // number of this add in the day: tells a recycled index from the order meant
    std::uint32_t symbol;
    std::uint32_t price;
    std::uint32_t shares;
    OrderIndex ahead;
    OrderIndex behind;
    std::uint32_t place;  // in live_
    bool bid;
};

struct Market::Book {
    struct Level {
        std::uint32_t price;
        std::uint32_t orders;
        std::uint64_t shares;
        OrderIndex front;
        OrderIndex back;
    };
    std::vector<Level> sides[2];  // [1] bids ascending, [0] asks descending: the best is last
    std::uint32_t middle;         // where the price hovers
    std::uint32_t live = 0;
    double width = 1;  // how far its orders spread: busy symbols have deep books
    bool halted = false;

    std::vector<Level>& side(bool bid) { return sides[bid ? 1 : 0]; }
    [[nodiscard]] const std::vector<Level>& side(bool bid) const { return sides[bid ? 1 : 0]; }
    static bool worse(std::uint32_t a, std::uint32_t b, bool bid) { return bid ? a < b : a > b; }
};

std::uint32_t StreamShape::levels_percentile(double percent) const {
    if (levels_per_side.empty()) return 0;
    const auto at = static_cast<std::size_t>(percent / 100.0 * static_cast<double>(levels_per_side.size() - 1));
    return levels_per_side[at];
}

Market::Market(const MarketConfig& config)
    : config_(config), random_(config.seed), activity_(config.symbols, config.zipf_exponent), time_(kDayStart),
      books_(config.symbols), recent_(kRecent, ~std::uint64_t{0}) {
    for (std::size_t i = 0; i < books_.size(); ++i) {
        // Prices from about 2 to 500 dollars.
        books_[i].middle = kTick * static_cast<std::uint32_t>(200 + random_.exponential(4'000));
        const double rank = static_cast<double>(i + 1) / static_cast<double>(books_.size());
        books_[i].width = std::clamp(std::pow(0.5 / rank, 0.7), 0.7, 14.0);
    }
    orders_.reserve(config.peak_orders + 1024);
    live_.reserve(config.peak_orders + 1024);
}

Market::~Market() = default;

std::string Market::symbol_name(std::uint32_t symbol) const {
    // AAAA, BAAA, ...: letters of the number, the fastest first, so that neighbours differ at once.
    std::string text;
    for (int i = 0; i < 4; ++i, symbol /= 26) text += static_cast<char>('A' + symbol % 26);
    return text;
}

template <class M>
M Market::begin(std::uint32_t locate) const {
    M m{};
    m.message_type.set(M::kType);
    m.stock_locate.set(locate);
    m.timestamp.set(static_cast<std::uint64_t>(time_));
    if constexpr (requires { m.stock; }) m.stock.set(locate == 0 ? "" : symbol_name(locate - 1));
    return m;
}

template <class M>
void Market::emit(const M& message) {
    const auto bytes = wire::bytes_of(message);
    queued_.emplace_back(bytes.begin(), bytes.end());
    ++shape_.by_type[static_cast<unsigned char>(M::kType)];
    ++shape_.messages;
}

std::span<const std::uint8_t> Market::next() {
    while (queued_.empty()) {
        if (phase_ == Phase::opening) {
            open_day();
            phase_ = Phase::trading;
        } else if (phase_ == Phase::trading && traded_ < config_.messages) {
            trade_once();
        } else if (phase_ == Phase::trading) {
            close_day();
            phase_ = Phase::closed;
        } else {
            return {};
        }
    }
    current_ = std::move(queued_.front());
    queued_.pop_front();
    std::array<std::uint8_t, 6> stamp{};
    std::memcpy(stamp.data(), &current_[5], stamp.size());
    time_ = std::max(time_, static_cast<Timestamp>(wire::Timestamp48be{stamp}.value()));
    return current_;
}

namespace {
template <class M>
M system_event(M m, char code) {
    m.event_code.set(code);
    return m;
}
}  // namespace

void Market::open_day() {
    emit(system_event(begin<itch::SystemEvent>(0), 'O'));
    for (std::uint32_t locate = 1; locate <= config_.symbols; ++locate) {
        time_ += 1'000;
        auto directory = begin<itch::StockDirectory>(locate);
        directory.market_category.set('Q');
        directory.financial_status.set('N');
        directory.round_lot_size.set(100);
        directory.round_lots_only.set('N');
        directory.issue_classification.set('C');
        directory.issue_sub_type.set("Z");
        directory.authenticity.set('P');
        directory.short_sale_threshold.set('N');
        directory.ipo_flag.set('N');
        directory.luld_tier.set('1');
        directory.etp_flag.set('N');
        directory.inverse_indicator.set('N');
        emit(directory);
        auto trading = begin<itch::StockTradingAction>(locate);
        trading.state.set('T');
        trading.reason.set("");
        emit(trading);
        auto short_sale = begin<itch::RegShoRestriction>(locate);
        short_sale.action.set('0');
        emit(short_sale);
        auto maker = begin<itch::MarketParticipantPosition>(locate);
        maker.mpid.set("MMKR");
        maker.primary_mm.set('Y');
        maker.mm_mode.set('N');
        maker.state.set('A');
        emit(maker);
    }
    auto decline = begin<itch::MwcbDeclineLevel>(0);
    decline.level_1.set(400'000'000'000);
    decline.level_2.set(370'000'000'000);
    decline.level_3.set(340'000'000'000);
    emit(decline);
    emit(system_event(begin<itch::SystemEvent>(0), 'S'));
    time_ = kMarketOpen;
    emit(system_event(begin<itch::SystemEvent>(0), 'Q'));
    for (std::uint32_t locate = 1; locate <= config_.symbols; ++locate) {
        auto cross = begin<itch::CrossTrade>(locate);
        cross.cross_type.set('O');
        cross.match_number.set(match_number_++);
        emit(cross);
    }
}

void Market::close_day() {
    time_ += kSecond;
    emit(system_event(begin<itch::SystemEvent>(0), 'M'));
    for (std::uint32_t locate = 1; locate <= config_.symbols; ++locate) {
        auto cross = begin<itch::CrossTrade>(locate);
        cross.cross_type.set('C');
        cross.cross_price.set(books_[locate - 1].middle);
        cross.match_number.set(match_number_++);
        emit(cross);
    }
    emit(system_event(begin<itch::SystemEvent>(0), 'E'));
    emit(system_event(begin<itch::SystemEvent>(0), 'C'));
}

void Market::advance_time() {
    if (burst_left_ > 0) {
        --burst_left_;
        time_ += static_cast<Timestamp>(random_.below(2'000));
        return;
    }
    burst_left_ = random_.geometric(config_.burst_messages - 1);
    time_ += static_cast<Timestamp>(
        random_.exponential(config_.burst_messages / config_.messages_per_second * 1e9));
}

// One message of continuous trading. Shares of the mix are of all messages; adds and deletes give way to
// each other so that the number of live orders follows the day: up to the peak, then down.
void Market::trade_once() {
    ++traded_;
    advance_time();
    const double day = static_cast<double>(traded_) / static_cast<double>(config_.messages);
    const double peak = static_cast<double>(config_.peak_orders);
    const double target = day < 0.6 ? peak * day / 0.6 : peak * (1 - 0.8 * (day - 0.6) / 0.4);
    const double lack = std::clamp((target - static_cast<double>(live_.size())) / (peak * 0.01 + 1), -1.0, 1.0);
    const double adds = 0.43 + 0.10 * lack;
    double dice = random_.unit();
    const auto falls_in = [&dice](double share) {
        dice -= share;
        return dice < 0;
    };
    if (traded_ == config_.messages * 3 / 5) measure_levels();
    if (falls_in(std::max(0.0001, 100.0 / static_cast<double>(config_.messages)))) return rare_event();
    if (live_.empty() || falls_in(adds)) return add_order(static_cast<std::uint32_t>(activity_.sample(random_)));
    if (falls_in(0.83 - adds)) return delete_order();
    if (falls_in(0.04)) return replace_order();
    if (falls_in(0.05)) return execute();
    if (falls_in(0.03)) return cancel_some();
    if (falls_in(0.02)) return print_hidden();
    print_imbalance();
}

std::uint64_t Market::next_reference() {
    if (config_.sparse_references) return Random::mix(reference_++) | 1ULL << 63;
    reference_ += 1 + random_.geometric(3);
    return reference_;
}

// A price that does not cross: mostly near the best price of its own side, sometimes better, with a heavy
// tail of far ones.
std::uint32_t Market::passive_price(const Book& book, bool bid) {
    const auto& own = book.side(bid);
    const auto& other = book.side(!bid);
    std::int64_t best = own.empty() ? static_cast<std::int64_t>(book.middle) - (bid ? 1 : -1) * std::int64_t{kTick}
                                    : own.back().price;
    std::int64_t ticks_away;
    const double dice = random_.unit();
    if (dice < 0.06) ticks_away = -1 - static_cast<std::int64_t>(random_.below(2));
    else if (dice < 0.91) ticks_away = static_cast<std::int64_t>(random_.geometric(1.3 * book.width));
    else ticks_away = 8 + static_cast<std::int64_t>(book.width * std::min(2.5 / (random_.unit() + 0.02), 60.0));
    std::int64_t price = best - (bid ? 1 : -1) * ticks_away * kTick;
    if (!other.empty()) {
        const std::int64_t limit = std::int64_t{other.back().price} - (bid ? 1 : -1) * std::int64_t{kTick};
        price = bid ? std::min(price, limit) : std::max(price, limit);
    }
    return static_cast<std::uint32_t>(std::clamp<std::int64_t>(price, kTick, 1'999'999'900));
}

Market::OrderIndex Market::rest(std::uint32_t symbol, bool bid, std::uint32_t price, std::uint32_t shares) {
    Book& book = books_[symbol];
    auto& side = book.side(bid);
    auto at = side.end();
    while (at != side.begin() && Book::worse(price, std::prev(at)->price, bid)) --at;
    shape_.deep_adds += side.end() - at >= 14 ? 1U : 0U;
    if (at == side.begin() || std::prev(at)->price != price) {
        at = side.insert(at, {price, 0, 0, kNone, kNone}) + 1;
        ++shape_.new_levels;
    }
    Book::Level& level = *std::prev(at);
    OrderIndex index;
    if (free_.empty()) {
        index = static_cast<OrderIndex>(orders_.size());
        orders_.emplace_back();
    } else {
        index = free_.back();
        free_.pop_back();
    }
    orders_[index] = {next_reference(), added_, symbol, price, shares, level.back, kNone,
                      static_cast<std::uint32_t>(live_.size()), bid};
    (level.back == kNone ? level.front : orders_[level.back].behind) = index;
    level.back = index;
    level.shares += shares;
    ++level.orders;
    ++book.live;
    live_.push_back(index);
    recent_[added_++ % kRecent] = index;
    ++shape_.adds;
    shape_.live_orders = static_cast<std::uint32_t>(live_.size());
    if (shape_.live_orders > shape_.live_orders_peak) shape_.live_orders_peak = shape_.live_orders;
    return index;
}

void Market::leave(OrderIndex index) {
    const Order order = orders_[index];
    Book& book = books_[order.symbol];
    auto& side = book.side(order.bid);
    auto level = side.end() - 1;
    while (level->price != order.price) --level;
    (order.ahead == kNone ? level->front : orders_[order.ahead].behind) = order.behind;
    (order.behind == kNone ? level->back : orders_[order.behind].ahead) = order.ahead;
    level->shares -= order.shares;
    if (--level->orders == 0) side.erase(level);
    --book.live;
    live_[order.place] = live_.back();
    orders_[live_[order.place]].place = order.place;
    live_.pop_back();
    orders_[index].stamp = ~std::uint64_t{0};
    free_.push_back(index);
    shape_.live_orders = static_cast<std::uint32_t>(live_.size());
}

// Most orders die young: one of the last few, by a distribution with a long tail; now and then any.
Market::OrderIndex Market::young_order() {
    for (int attempt = 0; attempt < 6 && !random_.chance(0.1); ++attempt) {
        const double back = 4.0 / (random_.unit() + 1e-4);
        const auto offset = static_cast<std::uint64_t>(back) + random_.below(8) + 1;
        if (offset > added_ || offset > kRecent) continue;
        const auto index = static_cast<OrderIndex>(recent_[(added_ - offset) % kRecent]);
        if (orders_[index].stamp == added_ - offset) return index;
    }
    return live_[random_.below(live_.size())];
}

void Market::add_at(std::uint32_t symbol, bool bid, std::uint32_t price, std::uint32_t shares) {
    const Order& order = orders_[rest(symbol, bid, price, shares)];
    const auto fill = [&](auto m) {
        m.order_reference.set(order.reference);
        m.side.set(bid ? 'B' : 'S');
        m.shares.set(shares);
        m.price.set(price);
        return m;
    };
    if (random_.chance(0.03)) {
        auto m = fill(begin<itch::AddOrderMpid>(symbol + 1));
        m.attribution_mpid.set("MMKR");
        emit(m);
    } else {
        emit(fill(begin<itch::AddOrder>(symbol + 1)));
    }
}

void Market::add_order(std::uint32_t symbol) {
    const bool bid = random_.chance(0.5);
    const std::uint32_t price = passive_price(books_[symbol], bid);
    const auto shares = static_cast<std::uint32_t>(random_.chance(0.6) ? 100 * (1 + random_.geometric(1)) : 1 + random_.below(500));
    add_at(symbol, bid, price, shares);
}

void Market::delete_order() {
    const OrderIndex index = young_order();
    auto m = begin<itch::OrderDelete>(orders_[index].symbol + 1);
    m.order_reference.set(orders_[index].reference);
    leave(index);
    emit(m);
}

void Market::replace_order() {
    const OrderIndex index = young_order();
    const Order old = orders_[index];
    leave(index);
    const std::uint32_t price = random_.chance(0.2) ? old.price : passive_price(books_[old.symbol], old.bid);
    const auto shares = static_cast<std::uint32_t>(1 + random_.below(600));
    const Order& order = orders_[rest(old.symbol, old.bid, price, shares)];
    auto m = begin<itch::OrderReplace>(old.symbol + 1);
    m.original_order_reference.set(old.reference);
    m.new_order_reference.set(order.reference);
    m.new_shares.set(shares);
    m.new_price.set(price);
    emit(m);
}

void Market::cancel_some() {
    const OrderIndex index = young_order();
    Order& order = orders_[index];
    if (order.shares < 2) return delete_order();
    const auto shares = static_cast<std::uint32_t>(1 + random_.below(order.shares - 1));
    auto& side = books_[order.symbol].side(order.bid);
    auto level = side.end() - 1;
    while (level->price != order.price) --level;
    level->shares -= shares;
    order.shares -= shares;
    auto m = begin<itch::OrderCancel>(order.symbol + 1);
    m.order_reference.set(order.reference);
    m.cancelled_shares.set(shares);
    emit(m);
}

// An incoming order trades with the first order of the best level.
void Market::execute() {
    const auto symbol = static_cast<std::uint32_t>(activity_.sample(random_));
    Book& book = books_[symbol];
    const bool bid = random_.chance(0.5);
    auto& side = book.side(bid);
    if (side.empty() || book.halted) return add_order(symbol);
    Book::Level& level = side.back();
    Order& order = orders_[level.front];
    const bool whole = random_.chance(0.5);
    const auto shares = whole ? order.shares : static_cast<std::uint32_t>(1 + random_.below(order.shares));
    const auto fill = [&](auto m) {
        m.order_reference.set(order.reference);
        m.executed_shares.set(shares);
        m.match_number.set(match_number_++);
        return m;
    };
    book.middle = order.price;
    if (random_.chance(0.1)) {
        auto m = fill(begin<itch::OrderExecutedWithPrice>(symbol + 1));
        m.printable.set(random_.chance(0.8) ? 'Y' : 'N');
        m.execution_price.set(order.price);
        emit(m);
    } else {
        emit(fill(begin<itch::OrderExecuted>(symbol + 1)));
    }
    if (shares == order.shares) {
        leave(level.front);
    } else {
        order.shares -= shares;
        level.shares -= shares;
    }
}

void Market::print_hidden() {
    const auto symbol = static_cast<std::uint32_t>(activity_.sample(random_));
    auto m = begin<itch::Trade>(symbol + 1);
    m.side.set('B');
    m.shares.set(1 + random_.below(300));
    m.price.set(books_[symbol].middle);
    m.match_number.set(match_number_++);
    emit(m);
}

void Market::print_imbalance() {
    const auto symbol = static_cast<std::uint32_t>(activity_.sample(random_));
    auto m = begin<itch::Noii>(symbol + 1);
    m.paired_shares.set(random_.below(100'000));
    m.imbalance_shares.set(random_.below(10'000));
    m.direction.set("BSNO"[random_.below(4)]);
    m.far_price.set(books_[symbol].middle);
    m.near_price.set(books_[symbol].middle);
    m.current_reference_price.set(books_[symbol].middle);
    m.cross_type.set('C');
    m.price_variation.set('L');
    emit(m);
}

// The types that are seldom seen, in turn, so that every day of some length has them all.
void Market::rare_event() {
    const auto symbol = static_cast<std::uint32_t>(activity_.sample(random_));
    const std::uint32_t locate = symbol + 1;
    Book& book = books_[symbol];
    switch (random_.below(8)) {
        case 0: {
            book.halted = !book.halted;
            auto m = begin<itch::StockTradingAction>(locate);
            m.state.set(book.halted ? 'H' : 'T');
            m.reason.set(book.halted ? "T1" : "T3");
            return emit(m);
        }
        case 1: {
            auto m = begin<itch::OperationalHalt>(locate);
            m.market.set('Q');
            m.action.set(random_.chance(0.5) ? 'H' : 'T');
            return emit(m);
        }
        case 2: {
            auto m = begin<itch::LuldAuctionCollar>(locate);
            m.collar_reference_price.set(book.middle);
            m.upper_collar.set(book.middle + 10 * kTick);
            m.lower_collar.set(book.middle - std::min(book.middle, 10 * kTick));
            return emit(m);
        }
        case 3: {
            auto m = begin<itch::IpoQuotingPeriodUpdate>(0);
            m.stock.set(symbol_name(symbol));
            m.release_time.set(36'000);
            m.qualifier.set('A');
            m.ipo_price.set(book.middle);
            return emit(m);
        }
        case 4: {
            auto m = begin<itch::MwcbStatus>(0);
            m.breached_level.set('1');
            return emit(m);
        }
        case 5: {
            auto m = begin<itch::BrokenTrade>(locate);
            m.match_number.set(1 + random_.below(match_number_));
            return emit(m);
        }
        case 6: {
            auto m = begin<itch::RetailPriceImprovement>(locate);
            m.interest.set("BSAN"[random_.below(4)]);
            return emit(m);
        }
        default: {
            auto m = begin<itch::DirectListingPriceDiscovery>(locate);
            m.open_eligibility.set('N');
            m.min_allowable_price.set(book.middle / 2);
            m.max_allowable_price.set(book.middle * 2ULL);
            m.near_execution_price.set(book.middle);
            m.near_execution_time.set(static_cast<std::uint64_t>(time_));
            m.lower_collar.set(book.middle / 2);
            m.upper_collar.set(book.middle * 2ULL);
            return emit(m);
        }
    }
}

void Market::measure_levels() {
    shape_.levels_per_side.clear();
    for (const Book& book : books_) {
        for (const auto& side : book.sides) shape_.levels_per_side.push_back(static_cast<std::uint32_t>(side.size()));
    }
    std::sort(shape_.levels_per_side.begin(), shape_.levels_per_side.end());
}

Market::Best Market::best(std::uint32_t symbol, bool bid) const {
    const auto& side = books_[symbol].side(bid);
    if (side.empty()) return {};
    return {side.back().price, side.back().shares, side.back().orders};
}

std::uint32_t Market::live_orders(std::uint32_t symbol) const { return books_[symbol].live; }

}  // namespace millrace::replay
