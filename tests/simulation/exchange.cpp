#include "tests/simulation/exchange.hpp"

#include <algorithm>

namespace millrace::sim {

namespace {

constexpr std::size_t kOrdersMax = 60;  // at rest at once, so that a seed stays cheap
constexpr std::uint32_t kTick = 100;
constexpr std::uint32_t kDepth = 9;     // ticks from the middle

}  // namespace

Exchange::Exchange(std::uint64_t seed, std::uint32_t symbols, const Dialect& dialect)
    : rng_(seed, 1), symbols_(symbols), dialect_(dialect), wide_ids_(rng_.per_mille(250)) {}

Event Exchange::fresh(Kind kind, std::int64_t now) const {
    Event event;
    event.kind = kind;
    event.time = now;
    return event;
}

void Exchange::open_day(std::int64_t now) {
    if (days_.empty()) begin_day(now, 1, 0);
    else begin_day(now, today().session() + 1, today().restarts());
}

void Exchange::restart_day(std::int64_t now) { begin_day(now, today().session(), today().restarts() + 1); }

void Exchange::begin_day(std::int64_t now, std::uint32_t session, std::uint32_t restarts) {
    days_.emplace_back(static_cast<std::uint32_t>(days_.size() + 1), session, restarts, symbols_);
    books_.assign(symbols_, {});
    orders_.clear();
    told_.clear();
    last_id_ = rng_.below(1000);
    for (std::uint32_t symbol = 0; symbol < symbols_; ++symbol) {
        Event event = fresh(Kind::directory, now);
        event.symbol = symbol;
        say(event);
        change_state(event);
    }
}

void Exchange::say(const Event& event) { today().record(event); }

std::uint64_t Exchange::new_id() {
    last_id_ += rng_.between(1, 8);
    return wide_ids_ ? Rng::scramble(last_id_) | 1 : last_id_;
}

// Bids stay below the middle and asks above it, so that the book is never crossed.
std::uint32_t Exchange::price(std::uint32_t symbol, bool bid) {
    const std::uint32_t middle = (symbol + 1) * 1'000'000;
    const auto away = static_cast<std::uint32_t>(rng_.between(1, kDepth)) * kTick;
    return bid ? middle - away : middle + away;
}

void Exchange::act(std::int64_t now) {
    const std::uint64_t dice = rng_.below(100);
    Event event = fresh(Kind::add, now);
    event.symbol = static_cast<std::uint32_t>(rng_.below(symbols_));
    if (dice < 3) return trade_hidden(event);
    if (dice < 5) return say(fresh(Kind::notice, now));
    if (dice < 7) {
        event.kind = Kind::trading;
        event.state = "THPQ"[rng_.below(4)];
        if (event.state == 'Q') event.state = dialect_.taking_orders;
        return change_state(event);
    }
    const bool full = orders_.size() >= kOrdersMax;
    if (!orders_.empty() && (full || dice >= 55)) {
        constexpr Kind kKinds[] = {Kind::execute, Kind::execute, Kind::execute_priced, Kind::cancel,
                                   Kind::remove, Kind::remove, Kind::replace, Kind::replace};
        const Kind kind = kKinds[rng_.below(full ? 6 : 8)];
        return act_on_order(event, full && kind == Kind::cancel ? Kind::remove : kind);
    }
    event.id = new_id();
    event.bid = rng_.per_mille(500);
    event.price = price(event.symbol, event.bid);
    event.quantity = static_cast<std::uint32_t>(rng_.between(1, 10)) * 100;
    insert({event.id, event.symbol, event.price, event.bid}, event.quantity);
    tell(event);
}

void Exchange::tell(const Event& event) {
    if (dialect_.levels) return tell_levels(event);
    say(event);
    record_book(event.symbol);
}

void Exchange::tell_levels(const Event& order) {
    const bool executes = order.kind == Kind::execute || order.kind == Kind::execute_priced;
    if (executes) {
        Event trade = fresh(Kind::trade, order.time);
        trade.symbol = order.symbol;
        trade.bid = true;  // what a handler is told where the venue does not say
        trade.price = order.kind == Kind::execute ? order.price : order.print_price;
        trade.quantity = order.quantity;
        trade.match = order.match;
        say(trade);
    }
    std::vector<Event> changes;
    const auto look_at = [&](std::uint32_t price) {
        std::uint32_t& told = told_[{order.symbol, order.bid, price}];
        Event level = fresh(Kind::level, order.time);
        level.symbol = order.symbol;
        level.bid = order.bid;
        level.price = price;
        level.quantity = total(order.symbol, order.bid, price);
        level.before = std::exchange(told, level.quantity);
        if (level.quantity != level.before) changes.push_back(level);
    };
    if (order.kind == Kind::replace) look_at(order.old_price);
    look_at(order.price);
    std::vector<std::uint64_t> steps;
    for (Event& change : changes) {
        if (!steps.empty()) distract(order.time, order.symbol);
        change.complete = steps.size() + 1 == changes.size();
        say(change);
        steps.push_back(today().last_sequence());
    }
    if (steps.empty()) return;
    today().join(steps);
    record_book(order.symbol);
}

// Messages of others may come in the middle of a symbol's transaction.
void Exchange::distract(std::int64_t now, std::uint32_t busy) {
    if (rng_.per_mille(500)) return;
    Event event = fresh(Kind::trade, now);
    event.symbol = (busy + 1) % symbols_;
    trade_hidden(event);
}

std::uint32_t Exchange::total(std::uint32_t symbol, bool bid, std::uint32_t price) const {
    const auto sum = [&](const auto& levels) {
        std::uint32_t quantity = 0;
        const auto level = levels.find(price);
        if (level == levels.end()) return quantity;
        for (const Resting& order : level->second) quantity += order.quantity;
        return quantity;
    };
    return bid ? sum(books_[symbol].bids) : sum(books_[symbol].asks);
}

void Exchange::change_state(Event event) {
    event.kind = Kind::trading;
    say(event);
    today().record_state(event.symbol, event.state);
}

void Exchange::trade_hidden(Event event) {
    event.kind = Kind::trade;
    event.bid = true;
    event.price = (event.symbol + 1) * 1'000'000;
    event.quantity = static_cast<std::uint32_t>(rng_.between(1, 500));
    event.match = ++last_match_;
    say(event);
}

void Exchange::act_on_order(Event event, Kind kind) {
    const std::size_t index = rng_.below(orders_.size());
    const Known order = orders_[index];
    Resting& rest = resting(order);
    event.kind = kind;
    event.symbol = order.symbol;
    event.bid = order.bid;
    event.id = order.id;
    event.price = order.price;
    event.before = rest.quantity;
    const bool whole = rest.quantity == 1 || rng_.per_mille(400);
    event.quantity = kind == Kind::remove || (whole && kind != Kind::cancel)
                         ? rest.quantity
                         : static_cast<std::uint32_t>(rng_.between(1, std::max(rest.quantity - 1, 1U)));
    if (kind == Kind::execute || kind == Kind::execute_priced) event.match = ++last_match_;
    if (kind == Kind::execute_priced) {
        event.printable = rng_.per_mille(700) || dialect_.prints_all;
        event.print_price = order.price + (order.bid ? kTick : 0);
    }
    if (kind == Kind::replace) {
        event.old_price = order.price;
        event.new_id = dialect_.modifies ? order.id : new_id();
        if (rng_.per_mille(600)) event.price = price(order.symbol, order.bid);
        event.quantity = static_cast<std::uint32_t>(rng_.between(1, 10)) * 100;
        take_out(index);
        insert({event.new_id, order.symbol, event.price, order.bid}, event.quantity);
    } else if (event.quantity == rest.quantity) {
        take_out(index);
    } else {
        rest.quantity -= event.quantity;
    }
    tell(event);
}

Exchange::Resting& Exchange::resting(const Known& order) {
    Book& book = books_[order.symbol];
    auto& queue = order.bid ? book.bids.at(order.price) : book.asks.at(order.price);
    return *std::find_if(queue.begin(), queue.end(), [&](const Resting& r) { return r.id == order.id; });
}

void Exchange::insert(const Known& order, std::uint32_t quantity) {
    Book& book = books_[order.symbol];
    (order.bid ? book.bids[order.price] : book.asks[order.price]).push_back({order.id, quantity});
    orders_.push_back(order);
}

void Exchange::take_out(std::size_t index) {
    const Known order = orders_[index];
    const auto leave = [&](auto& levels) {
        auto& queue = levels.at(order.price);
        std::erase_if(queue, [&](const Resting& r) { return r.id == order.id; });
        if (queue.empty()) levels.erase(order.price);
    };
    Book& book = books_[order.symbol];
    if (order.bid) leave(book.bids);
    else leave(book.asks);
    orders_[index] = orders_.back();
    orders_.pop_back();
}

void Exchange::record_book(std::uint32_t symbol) {
    std::vector<Row> rows;
    const auto copy = [&](const auto& levels, bool bid) {
        for (const auto& [price, queue] : levels) {
            if (dialect_.levels) rows.push_back({0, price, total(symbol, bid, price), bid});
            else for (const Resting& order : queue) rows.push_back({order.id, price, order.quantity, bid});
        }
    };
    copy(books_[symbol].bids, true);
    copy(books_[symbol].asks, false);
    today().record_book(symbol, std::move(rows));
}

}  // namespace millrace::sim
