// All order books of a feed and the memory they share. The one place where books change.
//
// Nothing here allocates after construction, locks, throws or reads a clock. Every operation either
// happens entirely or returns a status and leaves the books as they were.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>

#include "millrace/core/digest.hpp"
#include "millrace/core/level_guesses.hpp"
#include "millrace/core/level_pool.hpp"
#include "millrace/core/order_book.hpp"
#include "millrace/core/resting_orders.hpp"
#include "millrace/core/paged_array.hpp"
#include "millrace/core/prefetch.hpp"
#include "millrace/core/planted.hpp"
#include "millrace/core/price_ladder.hpp"
#include "millrace/core/types.hpp"

namespace millrace {

// Fixed at construction; reaching one is a status that the session counts.
struct BookLimits {
    std::uint32_t books = 16'384;
    std::uint32_t orders = 2'000'000;
    std::uint32_t levels = 500'000;
    MemoryWish memory = {};
};

enum class BookStatus : std::uint8_t {
    ok,
    unknown_order,    // no such order rests in any book
    foreign_order,    // the order rests in another book than the message says
    duplicate_order,  // an order with this id rests already
    bad_quantity,     // zero, more than the order holds, or more than 32 bits
    orders_full,      // limits: orders, or the chunks of their queues
    levels_full,      // limits: levels, or ladder memory
};

// What an operation did, for the caller to tell the handler.
struct BookChange {
    Side side = Side::bid;
    bool top_changed = false;
    Price price{};
    Quantity quantity = 0;           // of the order (or level) now
    Quantity previous_quantity = 0;  // before
    bool total_differs = false;      // a level emptied, and its total was not zero then
};

class BookStore {
  public:
    // Takes and touches all its memory; where it is for totals alone, nothing else may be kept. Throws Error(memory).
    explicit BookStore(const BookLimits& limits, BookDetail detail = BookDetail::full)
        : limits_(limits), orders_(limits.orders, limits.memory),
          levels_(limits.levels, limits.orders, detail, limits.memory),
          ladders_(limits.levels, limits.books, limits.memory),
          books_(limits.books, limits.memory), guesses_(limits.levels, limits.memory) {
        MILLRACE_VERIFY(limits.books <= 1U << 30);
    }
    BookStore(const BookStore&) = delete;
    BookStore& operator=(const BookStore&) = delete;

    // Null when the limit is reached.
    [[nodiscard]] OrderBook* create(const Symbol& symbol, BookDepth depth, PriceScale scale);
    [[nodiscard]] std::span<OrderBook> books() { return {books_.data(), book_count_}; }
    [[nodiscard]] std::span<const OrderBook> books() const { return {books_.data(), book_count_}; }

    [[nodiscard]] const BookLimits& limits() const { return limits_; }
    [[nodiscard]] const RestingOrders& orders() const { return orders_; }
    [[nodiscard]] const LevelPool& levels() const { return levels_; }
    // All memory of the books, and the smallest pages any of it lies on.
    [[nodiscard]] std::size_t bytes() const {
        return orders_.bytes() + levels_.bytes() + ladders_.bytes() + books_.bytes() + guesses_.bytes();
    }
    [[nodiscard]] PageKind pages() const { return std::min(orders_.pages(), levels_.pages()); }

    // Sum over the books, each keyed by its symbol. Cost grows with the number of books.
    [[nodiscard]] Digest digest() const;

    // Looking ahead, so that the cache misses of several messages overlap: each of these brings something into
    // the cache and changes nothing, and what it finds may be another when its message is applied. They go in steps, of
    // which each needs what the one before it fetched. First; whether an order may be a young one decides how it is
    // looked at and for:
    [[nodiscard]] const OrderBook& book_at(std::uint32_t number) const { return books_[number]; }
    [[nodiscard]] bool may_be_young(OrderId id) const { return orders_.in_window(id); }
    void look_at_order(OrderId id) const { may_be_young(id) ? look_at_young_order(id) : look_at_old_order(id); }
    void look_at_young_order(OrderId id) const { orders_.prefetch_young(id); }
    void look_at_old_order(OrderId id) const { orders_.prefetch_old(id); }
    void look_at_book(const OrderBook& book) const { millrace::prefetch(&book); }
    void look_at_side(const OrderBook& book, Side side) const { book.ladder(side).prefetch(); }
    // Also at the side; what it returns is for look_for_level().
    [[nodiscard]] const LevelSlot* look_at_level(const OrderBook& book, Side side, Price price) const {
        look_at_side(book, side);
        const LevelSlot* const guess = &guesses_.at(number_of(book, side), price);
        millrace::prefetch(guess);
        return guess;
    }
    // Second: the level that a price had last, if any; and where an order stands, 0 where it does not.
    [[nodiscard]] LevelSlot look_for_level(const LevelSlot* guess) const {
        levels_.prefetch_level(*guess);
        return *guess;
    }
    std::uint32_t look_for_order(OrderId id) const {
        return may_be_young(id) ? look_for_young_order(id) : look_for_old_order(id);
    }
    std::uint32_t look_for_young_order(OrderId id) const {
        const std::uint32_t where = orders_.where_if_young(id);
        levels_.prefetch(where);
        return where;
    }
    std::uint32_t look_for_old_order(OrderId id) const {
        const std::uint32_t where = orders_.where_if_old(id);
        levels_.prefetch(where);
        return where;
    }
    // Third: the end of a level's queue, where that is long; and an order's level, when it stands in a chunk, or else
    // the side that the level will leave, when the order is the last one there. Which of these is chosen without a
    // branch, since nobody could predict it.
    void look_behind_level(LevelSlot level) const { levels_.prefetch_end(level); }
    template <BookDetail Detail = BookDetail::full>
    void look_behind_order(const OrderBook& book, std::uint32_t where) const {
        if (Detail == BookDetail::full && (where & kChunk) != 0) {
            return levels_.prefetch_level(levels_.chunk(where).level);
        }
        const PriceLevel& level = levels_[where];
        const std::uintptr_t leaves = 0 - static_cast<std::uintptr_t>(level.orders == 1);
        const auto at = reinterpret_cast<std::uintptr_t>(&level);
        const auto side = reinterpret_cast<std::uintptr_t>(&book.ladder(side_of(level)));
        const std::uintptr_t first = at ^ ((at ^ side) & leaves);
        millrace::prefetch(reinterpret_cast<const void*>(first));
        millrace::prefetch(reinterpret_cast<const void*>(first + (kCacheLine & leaves)));
    }

    // `guess` is what look_for_level() has seen, if it has.
    template <BookDetail Detail = BookDetail::full>
    [[nodiscard]] BookStatus add(OrderBook& book, OrderId id, Side side, Price price, Quantity quantity,
                                 BookChange& change, LevelSlot guess = kNoLevel);
    // Takes `quantity` off the order, which keeps its place; the order leaves when nothing remains.
    template <BookDetail Detail = BookDetail::full>
    [[nodiscard]] BookStatus reduce(OrderBook& book, OrderId id, Quantity quantity, BookChange& change);
    // The order holds `quantity` from now on, more or less than before, in its place. Never 0.
    [[nodiscard]] BookStatus resize(OrderBook& book, OrderId id, Quantity quantity, BookChange& change);
    template <BookDetail Detail = BookDetail::full>
    [[nodiscard]] BookStatus remove(OrderBook& book, OrderId id, BookChange& change);
    // `id` leaves and `new_id` joins the tail of its level on the same side. `removed` tells of the first.
    // Needs room for one more order, since the new one joins before the old one leaves.
    template <BookDetail Detail = BookDetail::full>
    [[nodiscard]] BookStatus replace(OrderBook& book, OrderId id, OrderId new_id, Price price,
                                     Quantity quantity, BookChange& removed, BookChange& added);
    // A book of levels: the total at a price is now `quantity`; 0 removes the level.
    [[nodiscard]] BookStatus set_level(OrderBook& book, Side side, Price price, Quantity quantity,
                                       std::uint32_t orders, BookChange& change);
    // Empties a book. Where only totals are kept this looks at every order there is; forget_totals_orders()
    // first saves that when all books are to be emptied.
    void clear(OrderBook& book);
    void forget_totals_orders() {
        orders_.erase_if([](std::uint32_t) { return true; });
        for (OrderBook& book : books()) book.order_count_ = 0;
    }

    // The queues of the levels that the book has now may stand in another order than at the exchange.
    void doubt_queues(OrderBook& book);

    void set_quality(OrderBook& book, Quality quality) { book.quality_ = quality; }
    void set_trading_state(OrderBook& book, TradingState state) { book.trading_state_ = state; }
    void set_last_trade(OrderBook& book, const LastTrade& trade) { book.last_trade_ = trade; }
    void set_sequence(OrderBook& book, SequenceNumber sequence) { book.sequence_ = sequence; }

  private:
    friend class OrderBook;

    // What most messages do is inlined where it is done, so that nothing of it goes through memory; what few do is
    // not, so that it does not crowd that.

    [[nodiscard]] LevelSlot find_or_make_level(OrderBook& book, Side side, Price price);
    // Of a side among all there are, in bytes: told by where it lies, so that looking ahead need not read the book.
    [[nodiscard]] std::uint64_t number_of(const OrderBook& book, Side side) const {
        return static_cast<std::uint64_t>(reinterpret_cast<const char*>(&book.ladder(side)) -
                                          reinterpret_cast<const char*>(books_.data()));
    }
    void drop_level(OrderBook& book, Side side, LevelSlot slot);
    struct Located {
        BookStatus status = BookStatus::ok;
        LevelSlot level = kNoLevel;
        RestingOrders::Found order;
    };
    template <BookDetail Detail>
    void take_out(OrderBook& book, OrderId id, const Located& at, BookChange& change);
    [[nodiscard]] Located locate(const OrderBook& book, OrderId id) const;
    template <BookDetail Detail>
    void set_quantity(OrderBook& book, OrderId id, const Located& at, std::uint32_t quantity, BookChange& change);
    // The level is to go, and what was not known of its queue with it.
    void forget_doubt(OrderBook& book, LevelSlot slot) {
        if (doubtful_levels_ == 0 || !levels_[slot].doubtful) return;
        levels_[slot].doubtful = false;
        --doubtful_levels_;
        --book.doubtful_levels_;
    }
    void forget_orders(std::uint32_t where, const OrderTag* tags, std::uint32_t count);
    [[nodiscard]] static Side side_of(const PriceLevel& level) { return static_cast<Side>(level.book_and_side & 1); }

    BookLimits limits_;
    RestingOrders orders_;
    LevelPool levels_;
    LadderPool ladders_;
    PagedArray<OrderBook> books_;
    LevelGuesses guesses_;
    std::uint32_t book_count_ = 0;
    std::uint32_t doubtful_levels_ = 0;  // of all books
};

inline OrderBook* BookStore::create(const Symbol& symbol, BookDepth depth, PriceScale scale) {
    if (book_count_ == limits_.books) return nullptr;
    OrderBook& book = books_[book_count_];
    book.number_ = book_count_++;
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

[[gnu::always_inline]] inline BookStore::Located BookStore::locate(const OrderBook& book, OrderId id) const {
    Located at;
    at.order = orders_.look_up(id);
    if (at.order.slot == kNoSlot) [[unlikely]] {
        at.status = BookStatus::unknown_order;
        return at;
    }
    at.level = levels_.level_of(at.order.where);
    if (levels_[at.level].book_and_side / 2 != book.number_ + 1) [[unlikely]] at.status = BookStatus::foreign_order;
    return at;
}

// The level at a price; kNoLevel when it has to be made and a limit is reached.
[[gnu::noinline]] inline LevelSlot BookStore::find_or_make_level(OrderBook& book, Side side, Price price) {
    PriceLadder& ladder = book.ladder(side);
    const std::int64_t key = PriceLadder::key(side, price);
    const PriceLadder::Place place = ladder.find(key);
    if (place.slot != kNoLevel) return place.slot;
    const LevelSlot slot = levels_.take(book.book_and_side(side), price);
    if (slot == kNoLevel) [[unlikely]] return kNoLevel;
    if (!ladder.insert(place, key, slot, ladders_)) [[unlikely]] {
        levels_.give_back(slot);
        return kNoLevel;
    }
    book.best_[static_cast<std::size_t>(side)] = ladder.best();
    return slot;
}

[[gnu::noinline]] inline void BookStore::drop_level(OrderBook& book, Side side, LevelSlot slot) {
    PriceLadder& ladder = book.ladder(side);
    forget_doubt(book, slot);
    ladder.erase(ladder.find_slot(slot, PriceLadder::key(side, levels_[slot].price)));
    book.best_[static_cast<std::size_t>(side)] = ladder.best();
    levels_.give_back(slot);
}

template <BookDetail Detail>
[[gnu::always_inline]] inline BookStatus BookStore::add(OrderBook& book, OrderId id, Side side, Price price,
                                                        Quantity quantity, BookChange& change, LevelSlot guess) {
    if (quantity == 0 || quantity > std::numeric_limits<std::uint32_t>::max()) return BookStatus::bad_quantity;
    const OrderSlot room = orders_.room_for(id);
    if (room >= RestingOrders::kDuplicate) [[unlikely]] {
        return room == kNoSlot ? BookStatus::orders_full : BookStatus::duplicate_order;
    }
    LevelSlot slot = guess;
    if (!levels_.is_at(slot, book.book_and_side(side), price)) {
        slot = find_or_make_level(book, side, price);
        if (slot == kNoLevel) [[unlikely]] return BookStatus::levels_full;
        guesses_.set(number_of(book, side), price, slot);
    }
    PriceLevel& level = levels_[slot];
    std::uint32_t where = slot;
    if constexpr (Detail == BookDetail::full) {
        const OrderTag tag = tag_of(id);
        if (tag != value(id)) levels_.expect_clashes();
        LevelPool::Joined joined;
        if (!levels_.join(slot, tag, joined)) [[unlikely]] return BookStatus::orders_full;
        where = joined.where;
        if (!joined.alone) book.digest_.queue += digest::of_neighbours(joined.ahead, tag);
        book.digest_.content += digest::of_order(id, price, quantity, side);
    }
    orders_.put(room, id, static_cast<std::uint32_t>(quantity), where);
    level.quantity += quantity;
    ++level.orders;
    ++book.order_count_;
    change = {side, book.best(side) == slot, price, quantity, 0};
    return BookStatus::ok;
}

// The order leaves with all that remains of it.
template <BookDetail Detail>
[[gnu::always_inline]] inline void BookStore::take_out(OrderBook& book, OrderId id, const Located& at,
                                                       BookChange& change) {
    const std::uint32_t quantity = at.order.quantity;
    PriceLevel& level = levels_[at.level];
    const Side side = side_of(level);
    change = {side, book.best(side) == at.level, level.price, 0, quantity};
    if constexpr (Detail == BookDetail::full) {
        const OrderTag tag = tag_of(id);
        LevelPool::Left left;
        levels_.leave(at.order.where, tag, left);
        const std::uint64_t ahead = 0 - static_cast<std::uint64_t>(left.has_ahead);
        book.digest_.queue -= digest::of_neighbours(left.ahead, tag) & ahead;
        if (left.has_behind) {
            book.digest_.queue += (digest::of_neighbours(left.ahead, left.behind) & ahead) -
                                  digest::of_neighbours(tag, left.behind);
        }
        book.digest_.content -= digest::of_order(id, level.price, quantity, side);
    }
    level.quantity -= quantity;
    --book.order_count_;
    orders_.erase(at.order.slot);
    if (--level.orders != 0) return;
    change.total_differs = level.quantity != 0;
    if (!planted(Bug::empty_level_stays)) drop_level(book, side, at.level);
}

template <BookDetail Detail>
[[gnu::noinline]] inline BookStatus BookStore::reduce(OrderBook& book, OrderId id, Quantity quantity,
                                                      BookChange& change) {
    const Located at = locate(book, id);
    if (at.status != BookStatus::ok) return at.status;
    const std::uint32_t before = at.order.quantity;
    if (quantity == 0 || quantity > before) return BookStatus::bad_quantity;
    if (quantity == before) {
        take_out<Detail>(book, id, at, change);
        return BookStatus::ok;
    }
    set_quantity<Detail>(book, id, at, before - static_cast<std::uint32_t>(quantity), change);
    return BookStatus::ok;
}

template <BookDetail Detail>
inline void BookStore::set_quantity(OrderBook& book, OrderId id, const Located& at, std::uint32_t quantity,
                                    BookChange& change) {
    PriceLevel& level = levels_[at.level];
    const Side side = side_of(level);
    const std::uint32_t before = at.order.quantity;
    orders_.set_quantity(at.order.slot, quantity);
    level.quantity = level.quantity - before + quantity + (planted(Bug::level_total_drifts) ? 1 : 0);
    if constexpr (Detail == BookDetail::full) {
        if (!planted(Bug::digest_drifts)) book.digest_.content +=
            digest::of_order(id, level.price, quantity, side) - digest::of_order(id, level.price, before, side);
    }
    change = {side, book.best(side) == at.level, level.price, quantity, before};
}

inline BookStatus BookStore::resize(OrderBook& book, OrderId id, Quantity quantity, BookChange& change) {
    const Located at = locate(book, id);
    if (at.status != BookStatus::ok) return at.status;
    if (quantity == 0 || quantity > std::numeric_limits<std::uint32_t>::max()) return BookStatus::bad_quantity;
    set_quantity<BookDetail::full>(book, id, at, static_cast<std::uint32_t>(quantity), change);
    return BookStatus::ok;
}

template <BookDetail Detail>
[[gnu::always_inline]] inline BookStatus BookStore::remove(OrderBook& book, OrderId id, BookChange& change) {
    const Located at = locate(book, id);
    if (at.status != BookStatus::ok) return at.status;
    take_out<Detail>(book, id, at, change);
    return BookStatus::ok;
}

template <BookDetail Detail>
[[gnu::noinline]] inline BookStatus BookStore::replace(OrderBook& book, OrderId id, OrderId new_id, Price price,
                                                       Quantity quantity, BookChange& removed, BookChange& added) {
    Located at = locate(book, id);
    if (at.status != BookStatus::ok) return at.status;
    if (new_id == id) return BookStatus::duplicate_order;
    // The new order first, so that a refusal leaves the book as it was.
    const Side before = side_of(levels_[at.level]);
    const Side side = planted(Bug::replace_on_other_side) ? opposite(before) : before;
    const BookStatus joined = add<Detail>(book, new_id, side, price, quantity, added);
    if (joined != BookStatus::ok) return joined;
    at.order.slot = orders_.find(id);  // it may have been moved to make room
    if (!planted(Bug::replace_keeps_old)) take_out<Detail>(book, id, at, removed);
    added.top_changed = added.top_changed || removed.top_changed;
    added.total_differs = removed.total_differs;
    return BookStatus::ok;
}

inline BookStatus BookStore::set_level(OrderBook& book, Side side, Price price, Quantity quantity,
                                       std::uint32_t orders, BookChange& change) {
    const LevelSlot slot = quantity != 0 ? find_or_make_level(book, side, price)
                                         : book.ladder(side).find(PriceLadder::key(side, price)).slot;
    if (slot == kNoLevel && quantity != 0) return BookStatus::levels_full;
    if (slot == kNoLevel) {
        change = {side, false, price, 0, 0};
        return BookStatus::ok;
    }
    PriceLevel& level = levels_[slot];
    change = {side, book.best(side) == slot, price, quantity, level.quantity};
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

}  // namespace millrace

#include "millrace/core/book_view.hpp"  // IWYU pragma: export
