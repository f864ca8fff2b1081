#include "tests/simulation/checker.hpp"

#include <algorithm>
#include <array>

namespace millrace::sim {

namespace {

char code_of(TradingState state, const Dialect& dialect) {
    return state == TradingState::quotation_only ? dialect.taking_orders : " HPQT"[static_cast<std::size_t>(state)];
}

BookAction action_of(const Event& event, const Dialect& dialect) {
    switch (event.kind) {
        case Kind::execute:
        case Kind::execute_priced: return BookAction::execute;
        case Kind::cancel:
            if (!dialect.modifies) return BookAction::reduce;
            return event.quantity == event.before ? BookAction::remove : BookAction::modify;
        case Kind::remove: return BookAction::remove;
        case Kind::replace: return BookAction::replace;
        case Kind::level: return BookAction::level;
        default: return BookAction::add;
    }
}

}  // namespace

std::uint32_t Checker::symbol_of(const OrderBook& book) const {
    const std::string_view text = book.symbol().view();
    const bool ours = text.size() == 4 && text.starts_with("SYM") && text[3] >= '0';
    const auto number = ours ? static_cast<std::uint32_t>(text[3] - '0') : exchange_.symbols();
    if (number >= exchange_.symbols()) violate("a book for a symbol that does not exist: '{}'", text);
    return number;
}

// The quality a handler sees is the one it was told, but for a book it meets for the first time.
Checker::Seen& Checker::notice(const OrderBook& book, std::uint32_t symbol) {
    Seen& seen = seen_[symbol];
    if (!seen.known) seen = {true, book.quality(), 0, 0, book.quality() == Quality::live};
    if (seen.quality != book.quality()) {
        violate("{} is {} and the handler was told {}", book.symbol().view(), name(book.quality()),
                name(seen.quality));
    }
    if (seen.quality != Quality::live) seen.unbroken = false;
    return seen;
}

void Checker::enter(const Day& day) {
    if (day_ == &day) return;
    day_ = &day;
    given_up_to_ = 0;
    for (Seen& seen : seen_) {
        seen.last_change = seen.last_event = 0;
        seen.unbroken = seen.quality == Quality::live;
    }
    say("session {} begins", day.number());
}

void Checker::handed(std::uint32_t day, std::uint64_t first, std::uint64_t count) {
    if (handed_.size() <= day) handed_.resize(day + 1);
    std::vector<bool>& handed = handed_[day];
    if (handed.size() < first + count) handed.resize(first + count);
    for (std::uint64_t i = 0; i < count; ++i) handed[first + i] = true;
}

void Checker::handed_wrong(std::uint32_t day, std::uint64_t sequence) {
    const Event& event = exchange_.days()[day - 1].event(sequence);
    // A symbol's messages that go to another one's book make both wrong.
    wrong_.push_back({day, event.kind == Kind::directory ? kAnySymbol : event.symbol, sequence});
}

void Checker::taken(std::uint32_t day, std::uint64_t first, std::uint64_t count) {
    std::erase_if(wrong_, [&](const Wrong& wrong) {
        return wrong.day == day && wrong.sequence >= first && wrong.sequence < first + count;
    });
}

bool Checker::comparable(const OrderBook& book, std::uint32_t symbol, SequenceNumber sequence) const {
    return book.quality() == Quality::live && !excused(symbol, sequence);
}

bool Checker::excused(std::uint32_t symbol, SequenceNumber sequence) const {
    return std::any_of(wrong_.begin(), wrong_.end(), [&](const Wrong& wrong) {
        const bool concerns = wrong.symbol == symbol || wrong.symbol == kAnySymbol;
        return wrong.day == day_->number() && concerns && wrong.sequence <= sequence;
    });
}

bool Checker::in_order(const OrderBook& book, Seen& seen, const EventHeader& header) {
    ++tally_.events;
    if (header.from_snapshot) {
        if (book.quality() == Quality::live) violate("{} is live while it is made anew", book.symbol().view());
        seen.last_event = 0;
        return false;
    }
    // A transaction whose end was lost or falsified is told with the next one, in a book that is marked, or stands
    // behind the falsified message.
    const SequenceNumber stands_at = std::max(header.sequence, book.sequence());
    const bool late = exchange_.dialect().levels && !comparable(book, symbol_of(book), stands_at);
    const bool before = header.sequence < seen.last_event || header.sequence <= given_up_to_;
    if (header.sequence == 0 || (before && !late)) {
        violate("an event of message {} after {}, given up to {}", header.sequence, seen.last_event, given_up_to_);
    }
    if (header.sequence > day_->last_sequence()) violate("an event of message {}, not sent yet", header.sequence);
    seen.last_event = header.sequence;
    return true;
}

void Checker::expect(bool holds, const OrderBook& book, SequenceNumber sequence, const char* what) {
    if (holds) return;
    ++tally_.wrong;
    violate("{} ({}) at message {} of session {}: wrong {}", book.symbol().view(), name(book.quality()), sequence,
            day_->number(), what);
}

void Checker::on_book(const OrderBook& book, const BookUpdate& update) {
    if (update.action != BookAction::clear) before_event();
    const std::uint32_t symbol = symbol_of(book);
    log_.add(update.sequence << 8 | static_cast<std::uint64_t>(update.action));
    log_.add(value(update.order) ^ update.quantity << 40 ^ symbol << 8);
    log_.add(book.digest().content ^ book.digest().queue);
    Seen& seen = notice(book, symbol);
    for (Consumer& consumer : consumers) consumer.tell(symbol);
    say("{} {} order {} {}@{}", update.sequence, book.symbol().view(), value(update.order), update.quantity,
        value(update.price));
    if (update.action == BookAction::clear) {
        expect(book.order_count() == 0 && book.level_count(Side::bid) + book.level_count(Side::ask) == 0, book,
               update.sequence, "clear: not empty");
        ++tally_.events;
        return;
    }
    if (!in_order(book, seen, update)) return;
    // A book shows the whole of a transaction while the first of its messages is told.
    const Event& event = day_->event(update.sequence);
    if (comparable(book, symbol, event.ends)) check_change(book, seen, update, event);
    else seen.unbroken = false;
    const bool stated = exchange_.dialect().levels || book.sequence() == update.sequence;
    expect(stated, book, update.sequence, "stated sequence number");
    seen.last_change = update.sequence;
    verify(book, symbol, event.ends);
}

void Checker::check_change(const OrderBook& book, Seen& seen, const BookUpdate& update, const Event& event) {
    const auto check = [&](bool holds, const char* what) { expect(holds, book, update.sequence, what); };
    check_update(book, update, event);
    check(book.sequence() == event.ends, "stated sequence number of a transaction");
    const bool begins = event.step_before == 0;
    seen.top_told = update.top_changed || (!begins && seen.top_told);
    check(!event.complete || seen.top_told || same_top(event.symbol, event.ends), "top_changed");
    const std::uint64_t before = begins ? day_->truth(event.symbol, update.sequence - 1).sequence : event.step_before;
    check(!seen.unbroken || seen.last_change == before, "event before it");
}

bool Checker::same_top(std::uint32_t symbol, SequenceNumber sequence) const {
    const auto top = [](const Truth& truth) {
        std::array<std::uint64_t, 6> best{};  // price, quantity and orders of bid and ask
        for (const Row& row : truth.rows) {
            std::uint64_t* side = &best[row.bid ? 0 : 3];
            if (side[2] != 0 && side[0] != row.price) continue;
            side[0] = row.price;
            side[1] += row.quantity;
            ++side[2];
        }
        return best;
    };
    return top(day_->truth(symbol, sequence - 1)) == top(day_->truth(symbol, sequence));
}

void Checker::check_update(const OrderBook& book, const BookUpdate& update, const Event& event) {
    const auto check = [&](bool holds, const char* what) { expect(holds, book, update.sequence, what); };
    const bool adds = event.kind == Kind::add;
    const bool replaces = event.kind == Kind::replace;
    const bool states = adds || replaces || event.kind == Kind::level;  // what is there now, not what goes
    check(event.changes_book() && event.symbol == symbol_of(book), "event: no such change");
    check(update.action == action_of(event, exchange_.dialect()), "action");
    check(update.side == (event.bid ? Side::bid : Side::ask), "side");
    check(value(update.order) == (replaces ? event.new_id : event.id), "order");
    check(value(update.previous_order) == event.id, "previous order");
    check(value(update.price) == event.price, "price");
    check(value(update.previous_price) == (replaces ? event.old_price : event.price), "previous price");
    check(update.quantity == (states ? event.quantity : event.before - event.quantity), "quantity");
    check(update.previous_quantity == (adds ? 0 : event.before), "previous quantity");
    check(update.exchange_time == event.time, "exchange time");
    check(update.last_in_event == event.complete, "end of a transaction");
}

void Checker::on_trade(const OrderBook& book, const Trade& trade) {
    before_event();
    const std::uint32_t symbol = symbol_of(book);
    log_.add(trade.sequence << 8 | 0x80 | static_cast<std::uint64_t>(trade.kind));
    log_.add(trade.match_number ^ trade.quantity << 40);
    for (Consumer& consumer : consumers) consumer.tell();
    if (!in_order(book, notice(book, symbol), trade)) return;
    if (!comparable(book, symbol, trade.sequence)) return;
    const Event& event = day_->event(trade.sequence);
    const bool nameless = event.kind == Kind::trade;
    const bool priced = event.kind == Kind::execute_priced;
    const auto check = [&](bool holds, const char* what) { expect(holds, book, trade.sequence, what); };
    check(nameless || priced || event.kind == Kind::execute, "trade: there was none");
    check(trade.match_number == event.match && event.symbol == symbol, "trade: match number");
    check(trade.quantity == event.quantity, "trade: quantity");
    check(value(trade.price) == (priced ? event.print_price : event.price), "trade: price");
    check(trade.side == (event.bid ? Side::bid : Side::ask), "trade: side");
    check(trade.printable == event.printable, "trade: printable");
    check(nameless || value(trade.order) == event.id, "trade: order");
}

void Checker::on_status(const OrderBook& book, const TradingStatus& status) {
    before_event();
    const std::uint32_t symbol = symbol_of(book);
    log_.add(status.sequence << 8 | 0x90 | static_cast<std::uint64_t>(status.state));
    if (!in_order(book, notice(book, symbol), status)) return;
    if (!comparable(book, symbol, status.sequence)) return;
    expect(status.code == day_->state(symbol, status.sequence), book, status.sequence, "trading state told");
    expect(day_->event(status.sequence).symbol == symbol, book, status.sequence, "book of a trading state");
}

void Checker::on_quality(const OrderBook& book, Quality quality) {
    const std::uint32_t symbol = symbol_of(book);
    log_.add(0xa000 | symbol << 4 | static_cast<std::uint64_t>(quality));
    ++tally_.events;
    Seen& seen = seen_[symbol];
    say("{} is {}", book.symbol().view(), name(quality));
    if (book.quality() != quality) violate("{}: told {} and shown another", book.symbol().view(), name(quality));
    if (seen.known && seen.quality == quality) violate("{} was {} already", book.symbol().view(), name(quality));
    seen.known = true;
    seen.quality = quality;
    if (quality != Quality::live) seen.unbroken = false;
}

void Checker::on_gap(SequenceRange missing) {
    before_event();
    log_.add(0xb000);
    log_.add(missing.first);
    log_.add(missing.last);
    ++tally_.events;
    say("gap {} to {}", missing.first, missing.last);
    const bool before = missing.empty() || missing.first <= given_up_to_;
    const bool by_arbiter = lost() != given_up_;
    for (const Seen& seen : seen_) {
        if (before || (by_arbiter && missing.first <= seen.last_event)) {
            violate("gap {}-{} out of order", missing.first, missing.last);
        }
    }
    given_up_to_ = missing.last;
    if (!by_arbiter) return;  // arrived, and superseded by a snapshot
    const std::vector<bool>* handed = day_->number() < handed_.size() ? &handed_[day_->number()] : nullptr;
    for (SequenceNumber at = missing.first; handed != nullptr && at <= missing.last && at < handed->size(); ++at) {
        if ((*handed)[at]) violate("gap {}-{}: message {} was received", missing.first, missing.last, at);
    }
    given_up_ += missing.size();
    if (given_up_ != lost()) violate("{} messages given up, {} told", lost(), given_up_);
}

void Checker::verify(const OrderBook& book, std::uint32_t symbol, SequenceNumber sequence) {
    ++tally_.books_checked;
    if (!comparable(book, symbol, sequence)) {
        ++tally_.flagged;
        return;
    }
    compare(book, symbol, sequence);
    ++tally_.exact;
}

void Checker::compare(const OrderBook& book, std::uint32_t symbol, SequenceNumber sequence) {
    const Truth& truth = day_->truth(symbol, sequence);
    std::size_t at = 0;
    compare_side(book, Side::bid, truth.rows, at);
    compare_side(book, Side::ask, truth.rows, at);
    expect(at == truth.rows.size(), book, sequence, "content: orders are missing");
    const bool orders = !exchange_.dialect().levels;
    expect(book.depth() == (orders ? BookDepth::orders : BookDepth::levels), book, sequence, "depth");
    expect(book.order_count() == (orders ? at : 0), book, sequence, "order count");
    const char state = code_of(book.trading_state(), exchange_.dialect());
    expect(state == day_->state(symbol, sequence), book, sequence, "trading state");
    if (orders && !truth.rows.empty()) {
        const Row& row = truth.rows[sequence % truth.rows.size()];
        const auto order = book.find(OrderId{row.id});
        expect(order && value(order->price) == row.price && order->quantity == row.quantity, book, sequence,
               "order found by its id");
    }
}

void Checker::compare_side(const OrderBook& book, Side side, const std::vector<Row>& rows, std::size_t& at) {
    const bool bid = side == Side::bid;
    for (std::uint32_t depth = 0; depth < book.level_count(side); ++depth) {
        const std::size_t first = at;
        while (at < rows.size() && rows[at].bid == bid && rows[at].price == rows[first].price) ++at;
        compare_level(book, side, depth, std::span(rows).subspan(first, at - first));
    }
}

void Checker::compare_level(const OrderBook& book, Side side, std::uint32_t depth, std::span<const Row> rows) {
    const bool levels = exchange_.dialect().levels;
    expect(!rows.empty(), book, book.sequence(), "content: a level too many");
    if (!levels) compare_queue(book, side, depth, rows);
    const Level level = book.level(side, depth);
    std::uint64_t quantity = 0;
    for (const Row& row : rows) quantity += row.quantity;
    const std::size_t orders = levels ? 0 : rows.size();
    expect(value(level.price) == rows[0].price && level.orders == orders && level.quantity == quantity, book,
           book.sequence(), "total of a level");
}

void Checker::compare_queue(const OrderBook& book, Side side, std::uint32_t depth, std::span<const Row> rows) {
    std::vector<Row> held;
    for (const Order order : book.orders(side, depth)) {
        held.push_back({value(order.id), static_cast<std::uint32_t>(value(order.price)),
                        static_cast<std::uint32_t>(order.quantity), order.side == Side::bid});
    }
    std::vector<Row> meant(rows.begin(), rows.end());
    if (!book.queue_exact()) {
        std::ranges::sort(held, {}, &Row::id);
        std::ranges::sort(meant, {}, &Row::id);
    }
    expect(held == meant, book, book.sequence(), "content");
}

// The rolling digest is the one its orders, or its levels, give.
void Checker::recompute_digest(const OrderBook& book) const {
    Digest digest;
    for (const Side side : {Side::bid, Side::ask}) {
        for (std::uint32_t depth = 0; depth < book.level_count(side); ++depth) {
            const Level level = book.level(side, depth);
            if (exchange_.dialect().levels) digest.content += digest::of_level(level.price, level.quantity, side);
            OrderId ahead{};
            bool first = true;
            for (const Order order : book.orders(side, depth)) {
                digest.content += digest::of_order(order.id, order.price, order.quantity, side);
                if (!first) digest.queue += digest::of_neighbours(tag_of(ahead), tag_of(order.id));
                ahead = order.id;
                first = false;
            }
        }
    }
    if (digest != book.digest()) violate("{}: the digest has drifted", book.symbol().view());
}

void Checker::between(std::span<const OrderBook> books, SequenceNumber next, bool all) {
    ++turn_;
    for (std::size_t i = 0; i < books.size(); ++i) {
        const OrderBook& book = books[i];
        const std::uint32_t symbol = symbol_of(book);
        Seen& seen = notice(book, symbol);
        if (excused(symbol, next - 1)) seen.unbroken = false;
        else if (book.quality() == Quality::live) {
            const SequenceNumber last = day_->truth(symbol, next - 1).sequence;
            // A book from a snapshot stands at the snapshot's end.
            const bool stated = book.sequence() == last || (!seen.unbroken && book.sequence() > last);
            expect(stated && book.sequence() < next, book, next - 1, "sequence number: a message is missing");
            expect(!seen.unbroken || seen.last_change == last, book, next - 1, "count of events");
        }
        if (!all && turn_ % books.size() != i) continue;
        verify(book, symbol, next - 1);
        recompute_digest(book);
    }
}

}  // namespace millrace::sim
