// All order books of a feed and the memory they share. The one place where books change.
//
// Nothing here allocates after construction, locks, throws or reads a clock. Every operation either
// happens entirely or returns a status and leaves the books as they were.
#pragma once

#include <cstdint>
#include <limits>

#include "millrace/core/digest.hpp"
#include "millrace/core/order_book.hpp"
#include "millrace/core/order_map.hpp"
#include "millrace/core/paged_array.hpp"
#include "millrace/core/planted.hpp"
#include "millrace/core/price_ladder.hpp"
#include "millrace/core/types.hpp"

namespace millrace {

// Fixed at construction; reaching one is a status that the session counts.
struct BookLimits {
    std::uint32_t books = 16'384;
    std::uint32_t orders = 3'000'000;
    std::uint32_t levels = 1'000'000;
    MemoryWish memory = {};
};

enum class BookStatus : std::uint8_t {
    ok,
    unknown_order,    // no such order rests in any book
    foreign_order,    // the order rests in another book than the message says
    duplicate_order,  // an order with this id rests already
    bad_quantity,     // zero, more than the order holds, or more than 32 bits
    orders_full,      // limits: orders, levels or ladder memory
    levels_full,
};

// What an operation did, for the caller to tell the handler.
struct BookChange {
    Side side = Side::bid;
    bool top_changed = false;
    Price price{};
    Quantity quantity = 0;           // of the order (or level) now
    Quantity previous_quantity = 0;  // before
};

class BookStore {
  public:
    // Takes and touches all its memory. Throws Error(memory).
    explicit BookStore(const BookLimits& limits)
        : limits_(limits), orders_(limits.orders, limits.memory), levels_(limits.levels, limits.memory),
          ladders_(limits.levels, limits.books, limits.memory), books_(limits.books, limits.memory) {}
    BookStore(const BookStore&) = delete;
    BookStore& operator=(const BookStore&) = delete;

    // Null when the limit is reached.
    [[nodiscard]] OrderBook* create(const Symbol& symbol, BookDepth depth, PriceScale scale);
    [[nodiscard]] std::span<OrderBook> books() { return {books_.data(), book_count_}; }
    [[nodiscard]] std::span<const OrderBook> books() const { return {books_.data(), book_count_}; }

    [[nodiscard]] const BookLimits& limits() const { return limits_; }
    [[nodiscard]] const OrderMap& orders() const { return orders_; }
    [[nodiscard]] const LevelPool& levels() const { return levels_; }

    // Sum over the books, each keyed by its symbol. Cost grows with the number of books.
    [[nodiscard]] Digest digest() const;

    // Looking ahead, so that the cache misses of several messages overlap. Each step needs what the one
    // before it fetched, so a step is taken for all messages of a window before the next one. What a step
    // finds is a hint for the operation itself, which checks it and does without if it has gone stale.
    using Hint = std::uint32_t;  // a slot, or kNoSlot
    void look_at_order(OrderId id) const { orders_.prefetch(id); }
    [[nodiscard]] Hint look_around_order(OrderId id) const;
    void look_at_side(const OrderBook& book, Side side) const { book.ladder(side).prefetch_best(); }
    [[nodiscard]] Hint look_for_level(const OrderBook& book, Side side, Price price) const;
    void look_at_queue(Hint level) const;

    [[nodiscard]] BookStatus add(OrderBook& book, OrderId id, Side side, Price price, Quantity quantity,
                                 BookChange& change, Hint level = kNoSlot);
    // Takes `quantity` off the order, which keeps its place; the order leaves when nothing remains.
    [[nodiscard]] BookStatus reduce(OrderBook& book, OrderId id, Quantity quantity, BookChange& change,
                                    Hint order = kNoSlot);
    // The order holds `quantity` from now on, more or less than before, in its place. Never 0.
    [[nodiscard]] BookStatus resize(OrderBook& book, OrderId id, Quantity quantity, BookChange& change,
                                    Hint order = kNoSlot);
    [[nodiscard]] BookStatus remove(OrderBook& book, OrderId id, BookChange& change, Hint order = kNoSlot);
    // `id` leaves and `new_id` joins the tail of its level on the same side. `removed` tells of the first.
    // Needs room for one more order, since the new one joins before the old one leaves.
    [[nodiscard]] BookStatus replace(OrderBook& book, OrderId id, OrderId new_id, Price price,
                                     Quantity quantity, BookChange& removed, BookChange& added,
                                     Hint order = kNoSlot);
    // A book of levels: the total at a price is now `quantity`; 0 removes the level.
    [[nodiscard]] BookStatus set_level(OrderBook& book, Side side, Price price, Quantity quantity,
                                       std::uint32_t orders, BookChange& change);
    // Empties a book.
    void clear(OrderBook& book);

    void set_quality(OrderBook& book, Quality quality) { book.quality_ = quality; }
    void set_trading_state(OrderBook& book, TradingState state) { book.trading_state_ = state; }
    void set_last_trade(OrderBook& book, const LastTrade& trade) { book.last_trade_ = trade; }
    void set_sequence(OrderBook& book, SequenceNumber sequence) { book.sequence_ = sequence; }

  private:
    friend class OrderBook;

    [[nodiscard]] LevelSlot level_for(OrderBook& book, Side side, Price price, Hint hint = kNoSlot);
    void drop_level(OrderBook& book, Side side, LevelSlot slot);
    void unlink(OrderSlot slot, const RestingOrder& order, PriceLevel& level, Digest& digest);
    void take_out(OrderBook& book, OrderSlot slot, BookChange& change);
    void set_quantity(OrderBook& book, RestingOrder& order, std::uint32_t quantity, BookChange& change);
    [[nodiscard]] BookStatus locate(const OrderBook& book, OrderId id, OrderSlot& slot,
                                    Hint hint = kNoSlot) const;
    [[nodiscard]] static Side side_of(const PriceLevel& level) { return static_cast<Side>(level.book_and_side & 1); }

    BookLimits limits_;
    OrderMap orders_;
    LevelPool levels_;
    LadderPool ladders_;
    PagedArray<OrderBook> books_;
    std::uint32_t book_count_ = 0;
};

inline OrderBook* BookStore::create(const Symbol& symbol, BookDepth depth, PriceScale scale) {
    if (book_count_ == limits_.books) return nullptr;
    OrderBook& book = books_[book_count_];
    book.number_ = book_count_++;
    book.instrument_ = InstrumentId{book.number_};
    book.depth_ = depth;
    book.price_scale_ = scale;
    book.symbol_ = symbol;
    book.store_ = this;
    return &book;
}

inline Digest BookStore::digest() const {
    Digest sum;
    for (const OrderBook& book : books()) sum += digest::keyed(book.digest_, book.symbol_);
    return sum;
}

inline BookStore::Hint BookStore::look_around_order(OrderId id) const {
    const OrderSlot slot = orders_.find(id);
    if (slot == kNoSlot) return kNoSlot;
    const RestingOrder& order = orders_[slot];
    __builtin_prefetch(&levels_[order.level]);
    if (order.ahead != kNoSlot) __builtin_prefetch(&orders_[order.ahead]);
    if (order.behind != kNoSlot) __builtin_prefetch(&orders_[order.behind]);
    return slot;
}

inline BookStore::Hint BookStore::look_for_level(const OrderBook& book, Side side, Price price) const {
    const PriceLadder& ladder = book.ladder(side);
    const PriceLadder::Place place = ladder.find(PriceLadder::key(side, price));
    if (!place.found) return kNoSlot;
    const LevelSlot slot = ladder.slot_at(place);
    __builtin_prefetch(&levels_[slot]);
    return slot;
}

inline void BookStore::look_at_queue(Hint level) const {
    if (level == kNoSlot) return;
    const OrderSlot back = levels_[level].back;
    if (back != kNoSlot) __builtin_prefetch(&orders_[back]);
}

inline BookStatus BookStore::locate(const OrderBook& book, OrderId id, OrderSlot& slot, Hint hint) const {
    slot = hint != kNoSlot && orders_.holds(hint, id) ? hint : orders_.find(id);
    if (slot == kNoSlot) return BookStatus::unknown_order;
    const PriceLevel& level = levels_[orders_[slot].level];
    return level.book_and_side / 2 == book.number_ ? BookStatus::ok : BookStatus::foreign_order;
}

// The level at a price, made if it is not there; kNoSlot when a limit is reached.
inline LevelSlot BookStore::level_for(OrderBook& book, Side side, Price price, Hint hint) {
    const std::uint32_t book_and_side = book.number_ * 2 + static_cast<std::uint32_t>(side);
    if (hint != kNoSlot) {
        const PriceLevel& level = levels_[hint];
        if (level.price == price && level.book_and_side == book_and_side && level.orders != 0) return hint;
    }
    PriceLadder& ladder = book.ladder(side);
    const std::int64_t key = PriceLadder::key(side, price);
    const PriceLadder::Place place = ladder.find(key);
    if (place.found) return ladder.slot_at(place);
    const LevelSlot slot = levels_.take();
    if (slot == kNoSlot) return kNoSlot;
    if (!ladder.insert(place, key, slot, ladders_)) {
        levels_.give_back(slot);
        return kNoSlot;
    }
    levels_[slot] = {price, 0, 0, kNoSlot, kNoSlot, book_and_side};
    return slot;
}

inline void BookStore::drop_level(OrderBook& book, Side side, LevelSlot slot) {
    PriceLadder& ladder = book.ladder(side);
    ladder.erase(ladder.find(PriceLadder::key(side, levels_[slot].price)));
    levels_.give_back(slot);
}

inline BookStatus BookStore::add(OrderBook& book, OrderId id, Side side, Price price, Quantity quantity,
                                 BookChange& change, Hint hint) {
    if (quantity == 0 || quantity > std::numeric_limits<std::uint32_t>::max()) return BookStatus::bad_quantity;
    const auto [slot, duplicate] = orders_.insert(id);
    if (slot == kNoSlot) return duplicate ? BookStatus::duplicate_order : BookStatus::orders_full;
    const LevelSlot level_slot = level_for(book, side, price, hint);
    if (level_slot == kNoSlot) {
        orders_.erase(slot);
        return BookStatus::levels_full;
    }
    PriceLevel& level = levels_[level_slot];
    RestingOrder& order = orders_[slot];
    order = {id, static_cast<std::uint32_t>(quantity), level_slot, level.back, kNoSlot};
    if (level.back == kNoSlot) {
        level.front = slot;
    } else {
        RestingOrder& ahead = orders_[level.back];
        ahead.behind = slot;
        book.digest_.queue += digest::of_neighbours(ahead.id, id);
    }
    level.back = slot;
    level.quantity += quantity;
    ++level.orders;
    ++book.order_count_;
    book.digest_.content += digest::of_order(id, price, quantity, side);
    change = {side, book.ladder(side).best() == level_slot, price, quantity, 0};
    return BookStatus::ok;
}

// Takes an order out of the queue of its level, and its neighbourhoods out of the digest.
inline void BookStore::unlink(OrderSlot slot, const RestingOrder& order, PriceLevel& level, Digest& digest) {
    RestingOrder* ahead = order.ahead == kNoSlot ? nullptr : &orders_[order.ahead];
    RestingOrder* behind = order.behind == kNoSlot ? nullptr : &orders_[order.behind];
    MILLRACE_ASSERT(ahead != nullptr || level.front == slot);
    MILLRACE_ASSERT(behind != nullptr || level.back == slot);
    static_cast<void>(slot);
    if (ahead != nullptr) digest.queue -= digest::of_neighbours(ahead->id, order.id);
    if (behind != nullptr) digest.queue -= digest::of_neighbours(order.id, behind->id);
    if (ahead != nullptr && behind != nullptr) digest.queue += digest::of_neighbours(ahead->id, behind->id);
    (ahead != nullptr ? ahead->behind : level.front) = order.behind;
    (behind != nullptr ? behind->ahead : level.back) = order.ahead;
}

// The order leaves with all that remains of it.
inline void BookStore::take_out(OrderBook& book, OrderSlot slot, BookChange& change) {
    const RestingOrder order = orders_[slot];
    PriceLevel& level = levels_[order.level];
    const Side side = side_of(level);
    change = {side, book.ladder(side).best() == order.level, level.price, 0, order.quantity};
    book.digest_.content -= digest::of_order(order.id, level.price, order.quantity, side);
    unlink(slot, order, level, book.digest_);
    level.quantity -= order.quantity;
    --book.order_count_;
    orders_.erase(slot);
    if (--level.orders == 0) drop_level(book, side, order.level);
}

inline BookStatus BookStore::reduce(OrderBook& book, OrderId id, Quantity quantity, BookChange& change,
                                    Hint hint) {
    OrderSlot slot = kNoSlot;
    const BookStatus status = locate(book, id, slot, hint);
    if (status != BookStatus::ok) return status;
    RestingOrder& order = orders_[slot];
    if (quantity == 0 || quantity > order.quantity) return BookStatus::bad_quantity;
    if (quantity == order.quantity) {
        take_out(book, slot, change);
        return BookStatus::ok;
    }
    set_quantity(book, order, order.quantity - static_cast<std::uint32_t>(quantity), change);
    return BookStatus::ok;
}

inline void BookStore::set_quantity(OrderBook& book, RestingOrder& order, std::uint32_t quantity,
                                    BookChange& change) {
    PriceLevel& level = levels_[order.level];
    const Side side = side_of(level);
    const std::uint32_t before = order.quantity;
    order.quantity = quantity;
    level.quantity = level.quantity - before + quantity;
    book.digest_.content += digest::of_order(order.id, level.price, quantity, side) -
                            digest::of_order(order.id, level.price, before, side);
    change = {side, book.ladder(side).best() == order.level, level.price, quantity, before};
}

inline BookStatus BookStore::resize(OrderBook& book, OrderId id, Quantity quantity, BookChange& change,
                                    Hint hint) {
    OrderSlot slot = kNoSlot;
    const BookStatus status = locate(book, id, slot, hint);
    if (status != BookStatus::ok) return status;
    if (quantity == 0 || quantity > std::numeric_limits<std::uint32_t>::max()) return BookStatus::bad_quantity;
    set_quantity(book, orders_[slot], static_cast<std::uint32_t>(quantity), change);
    return BookStatus::ok;
}

inline BookStatus BookStore::remove(OrderBook& book, OrderId id, BookChange& change, Hint hint) {
    OrderSlot slot = kNoSlot;
    const BookStatus status = locate(book, id, slot, hint);
    if (status != BookStatus::ok) return status;
    take_out(book, slot, change);
    return BookStatus::ok;
}

inline BookStatus BookStore::replace(OrderBook& book, OrderId id, OrderId new_id, Price price,
                                     Quantity quantity, BookChange& removed, BookChange& added, Hint hint) {
    OrderSlot slot = kNoSlot;
    const BookStatus status = locate(book, id, slot, hint);
    if (status != BookStatus::ok) return status;
    if (new_id == id) return BookStatus::duplicate_order;
    // The new order first, so that a refusal leaves the book as it was.
    const Side before = side_of(levels_[orders_[slot].level]);
    const Side side = planted(Bug::replace_on_other_side) ? opposite(before) : before;
    const BookStatus joined = add(book, new_id, side, price, quantity, added);
    if (joined != BookStatus::ok) return joined;
    if (!planted(Bug::replace_keeps_old)) take_out(book, slot, removed);
    added.top_changed = added.top_changed || removed.top_changed;
    return BookStatus::ok;
}

inline BookStatus BookStore::set_level(OrderBook& book, Side side, Price price, Quantity quantity,
                                       std::uint32_t orders, BookChange& change) {
    PriceLadder& ladder = book.ladder(side);
    const PriceLadder::Place place = ladder.find(PriceLadder::key(side, price));
    if (quantity == 0 && !place.found) {
        change = {side, false, price, 0, 0};
        return BookStatus::ok;
    }
    const LevelSlot slot = place.found ? ladder.slot_at(place) : level_for(book, side, price);
    if (slot == kNoSlot) return BookStatus::levels_full;
    PriceLevel& level = levels_[slot];
    change = {side, ladder.best() == slot, price, quantity, level.quantity};
    if (level.quantity != 0) book.digest_.content -= digest::of_level(price, level.quantity, side);
    if (quantity != 0) {
        book.digest_.content += digest::of_level(price, quantity, side);
        level.quantity = quantity;
        level.orders = orders;
    } else {
        drop_level(book, side, slot);
    }
    return BookStatus::ok;
}

inline void BookStore::clear(OrderBook& book) {
    for (const Side side : {Side::bid, Side::ask}) {
        if (side == Side::ask && planted(Bug::ghost_level_after_reset)) continue;
        PriceLadder& ladder = book.ladder(side);
        for (std::uint32_t depth = 0; depth < ladder.size(); ++depth) {
            const LevelSlot level_slot = ladder.at(depth);
            for (OrderSlot at = levels_[level_slot].front; at != kNoSlot;) {
                const OrderSlot next = orders_[at].behind;
                orders_.erase(at);
                at = next;
            }
            levels_.give_back(level_slot);
        }
        ladder.clear();
    }
    book.order_count_ = 0;
    book.digest_ = {};
}

}  // namespace millrace

#include "millrace/core/book_view.hpp"  // IWYU pragma: export
