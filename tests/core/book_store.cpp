#include "millrace/core/order_book.hpp"

#include <random>

#include "tests/support/catch.hpp"
#include "tests/support/twin_book.hpp"

using namespace millrace;
using test::TwinBook;

namespace {

constexpr PriceScale kScale{4};

BookLimits small_limits() { return {16, 5000, 2000}; }

void require_equal(const OrderBook& book, const TwinBook& twin) {
    REQUIRE(book.order_count() == twin.order_count());
    for (const Side side : {Side::bid, Side::ask}) {
        const auto levels = twin.side(side == Side::bid);
        REQUIRE(book.level_count(side) == levels.size());
        for (std::uint32_t depth = 0; depth < levels.size(); ++depth) {
            const Level level = book.level(side, depth);
            REQUIRE(value(level.price) == levels[depth].price);
            REQUIRE(level.orders == levels[depth].orders.size());
            Quantity total = 0;
            std::size_t i = 0;
            for (const Order order : book.orders(side, depth)) {
                REQUIRE(i < levels[depth].orders.size());
                REQUIRE(value(order.id) == levels[depth].orders[i].id);
                REQUIRE(order.quantity == levels[depth].orders[i].quantity);
                REQUIRE(book.find(order.id) == order);
                total += order.quantity;
                ++i;
            }
            REQUIRE(i == levels[depth].orders.size());
            REQUIRE(level.quantity == total);
        }
    }
}

// The digest by its definition, over the whole book at once.
Digest slow_digest(const TwinBook& twin) {
    Digest sum;
    for (const bool bid : {true, false}) {
        for (const TwinBook::Level& level : twin.side(bid)) {
            for (std::size_t i = 0; i < level.orders.size(); ++i) {
                const OrderId id{level.orders[i].id};
                sum.content += digest::of_order(id, Price{level.price}, level.orders[i].quantity,
                                                bid ? Side::bid : Side::ask);
                if (i > 0) sum.queue += digest::of_neighbours(tag_of(OrderId{level.orders[i - 1].id}), tag_of(id));
            }
        }
    }
    return sum;
}

}  // namespace

TEST_CASE("BookStore: the best levels are the highest bid and the lowest ask") {
    BookStore store(small_limits());
    OrderBook& book = *store.create("AAPL", BookDepth::orders, kScale);
    BookChange change;
    REQUIRE(store.add(book, OrderId{1}, Side::bid, Price{100}, 10, change) == BookStatus::ok);
    CHECK(change.top_changed);
    REQUIRE(store.add(book, OrderId{2}, Side::bid, Price{99}, 5, change) == BookStatus::ok);
    CHECK_FALSE(change.top_changed);
    REQUIRE(store.add(book, OrderId{3}, Side::ask, Price{105}, 7, change) == BookStatus::ok);
    REQUIRE(store.add(book, OrderId{4}, Side::ask, Price{104}, 8, change) == BookStatus::ok);
    REQUIRE(store.add(book, OrderId{5}, Side::ask, Price{104}, 1, change) == BookStatus::ok);
    CHECK(book.top() == Top{{Price{100}, 10, 1}, {Price{104}, 9, 2}});
    CHECK(book.level(Side::bid, 1) == Level{Price{99}, 5, 1});
    CHECK(book.level(Side::bid, 2).empty());
}

TEST_CASE("BookStore: what cannot be done changes nothing and says why") {
    BookStore store(small_limits());
    OrderBook& book = *store.create("AAPL", BookDepth::orders, kScale);
    OrderBook& other = *store.create("MSFT", BookDepth::orders, kScale);
    BookChange change;
    BookChange removed;
    REQUIRE(store.add(book, OrderId{1}, Side::bid, Price{100}, 10, change) == BookStatus::ok);
    const Digest before = book.digest();
    CHECK(store.add(book, OrderId{1}, Side::bid, Price{101}, 10, change) == BookStatus::duplicate_order);
    CHECK(store.add(book, OrderId{2}, Side::bid, Price{101}, 0, change) == BookStatus::bad_quantity);
    CHECK(store.add(book, OrderId{2}, Side::bid, Price{101}, 1ULL << 32, change) == BookStatus::bad_quantity);
    CHECK(store.reduce(book, OrderId{1}, 11, change) == BookStatus::bad_quantity);
    CHECK(store.reduce(book, OrderId{1}, 0, change) == BookStatus::bad_quantity);
    CHECK(store.reduce(book, OrderId{7}, 1, change) == BookStatus::unknown_order);
    CHECK(store.remove(book, OrderId{7}, change) == BookStatus::unknown_order);
    CHECK(store.remove(other, OrderId{1}, change) == BookStatus::foreign_order);
    CHECK(store.replace(book, OrderId{1}, OrderId{1}, Price{9}, 1, removed, change) == BookStatus::duplicate_order);
    CHECK(store.replace(book, OrderId{1}, OrderId{2}, Price{9}, 0, removed, change) == BookStatus::bad_quantity);
    CHECK(book.digest() == before);
    CHECK(book.order_count() == 1);
    CHECK(book.top().bid == Level{Price{100}, 10, 1});
}

TEST_CASE("BookStore: each limit is reached with its own status") {
    SECTION("orders") {
        BookStore store({2, 3, 100});
        OrderBook& book = *store.create("A", BookDepth::orders, kScale);
        BookChange change;
        for (std::uint64_t id = 1; id <= 3; ++id) {
            REQUIRE(store.add(book, OrderId{id}, Side::bid, Price{1}, 1, change) == BookStatus::ok);
        }
        CHECK(store.add(book, OrderId{4}, Side::bid, Price{1}, 1, change) == BookStatus::orders_full);
        REQUIRE(store.remove(book, OrderId{2}, change) == BookStatus::ok);
        CHECK(store.add(book, OrderId{4}, Side::bid, Price{1}, 1, change) == BookStatus::ok);
    }
    SECTION("levels") {
        BookStore store({2, 100, 3});
        OrderBook& book = *store.create("A", BookDepth::orders, kScale);
        BookChange change;
        for (std::uint64_t id = 1; id <= 3; ++id) {
            REQUIRE(store.add(book, OrderId{id}, Side::bid, Price{static_cast<std::int64_t>(id)}, 1, change) ==
                    BookStatus::ok);
        }
        CHECK(store.add(book, OrderId{4}, Side::bid, Price{4}, 1, change) == BookStatus::levels_full);
        CHECK(book.order_count() == 3);
        CHECK(store.orders().size() == 3);
        CHECK(store.add(book, OrderId{4}, Side::bid, Price{3}, 1, change) == BookStatus::ok);
    }
    SECTION("books") {
        BookStore store({1, 10, 10});
        CHECK(store.create("A", BookDepth::orders, kScale) != nullptr);
        CHECK(store.create("B", BookDepth::orders, kScale) == nullptr);
    }
}

TEST_CASE("BookStore: random operations leave the same book as the twin, its digest included") {
    const std::uint64_t seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    BookStore store({16, 50'000, 2000});
    std::vector<OrderBook*> books;
    std::vector<TwinBook> twins(4);
    for (const char* symbol : {"A", "B", "C", "D"}) books.push_back(store.create(symbol, BookDepth::orders, kScale));
    std::uint64_t next_id = 1;
    for (int step = 0; step < 60'000; ++step) {
        const std::size_t which = random() % 4;
        OrderBook& book = *books[which];
        TwinBook& twin = twins[which];
        const auto ids = twin.order_count() > 0 && random() % 8 == 0 ? twin.ids() : std::vector<std::uint64_t>{};
        const std::uint64_t id = ids.empty() ? next_id - 1 - random() % 200 : ids[random() % ids.size()];
        const auto price = static_cast<std::int64_t>(1000 + random() % (which == 0 ? 500 : 40));
        const std::uint64_t quantity = random() % 50;
        BookChange change;
        BookChange removed;
        switch (random() % 6) {
            case 0:
            case 1: {
                const bool bid = random() % 2 == 0;
                next_id += random() % 3 == 0 ? random() % 100 + 1 : 1;
                const Side side = bid ? Side::bid : Side::ask;
                if (store.add(book, OrderId{next_id}, side, Price{price}, quantity, change) == BookStatus::ok) {
                    twin.add(next_id, bid, price, quantity);
                }
                break;
            }
            case 2:
            case 3:
                REQUIRE((store.remove(book, OrderId{id}, change) == BookStatus::ok) == twin.remove(id));
                break;
            case 4:
                REQUIRE((store.reduce(book, OrderId{id}, quantity, change) == BookStatus::ok) ==
                        twin.reduce(id, quantity));
                break;
            default:
                ++next_id;
                REQUIRE((store.replace(book, OrderId{id}, OrderId{next_id}, Price{price}, quantity, removed,
                                       change) == BookStatus::ok) == twin.replace(id, next_id, price, quantity));
        }
        if (step % 997 == 0 || step > 59'990) {
            for (std::size_t i = 0; i < books.size(); ++i) {
                require_equal(*books[i], twins[i]);
                REQUIRE(books[i]->digest() == slow_digest(twins[i]));
            }
        }
    }
    for (OrderBook* book : books) {
        store.clear(*book);
        CHECK(book->digest() == Digest{});
        CHECK(book->order_count() == 0);
    }
    CHECK(store.orders().size() == 0);
    CHECK(store.levels().size() == 0);
    CHECK(store.digest() == Digest{});
}

TEST_CASE("BookStore: totals alone are those of whole books, whatever is guessed of where a level stands") {
    const std::uint64_t seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    constexpr auto kTotals = BookDetail::totals;
    constexpr std::uint32_t kLevels = 500;
    BookStore whole({2, 5000, kLevels});
    BookStore totals({2, 5000, kLevels}, kTotals);
    for (const char* symbol : {"A", "B"}) {
        REQUIRE(whole.create(symbol, BookDepth::orders, kScale) != nullptr);
        REQUIRE(totals.create(symbol, BookDepth::levels, kScale) != nullptr);
    }
    for (std::uint64_t id = 1; id < 30'000; ++id) {
        const std::size_t which = random() % 2;
        OrderBook& book = whole.books()[which];
        OrderBook& twin = totals.books()[which];
        const Side side = random() % 2 == 0 ? Side::bid : Side::ask;
        const Price price{static_cast<std::int64_t>(1000 + random() % 60)};
        const Quantity quantity = 1 + random() % 50;
        const auto guess = static_cast<LevelSlot>(random() % kLevels);
        const OrderId old{id - random() % std::min<std::uint64_t>(id, 300)};
        BookChange change;
        BookChange same;
        REQUIRE(whole.add(book, OrderId{id}, side, price, quantity, change, guess) ==
                totals.add<kTotals>(twin, OrderId{id}, side, price, quantity, same, guess));
        CHECK(change.top_changed == same.top_changed);
        if (random() % 8 == 0) {
            REQUIRE(whole.reduce(book, old, quantity, change) == totals.reduce<kTotals>(twin, old, quantity, same));
        } else {
            REQUIRE(whole.remove(book, old, change) == totals.remove<kTotals>(twin, old, same));
        }
        REQUIRE(book.top() == twin.top());
        if (id % 500 != 0) continue;
        REQUIRE(book.level_count(side) == twin.level_count(side));
        for (std::uint32_t i = 0; i < book.level_count(side); ++i) REQUIRE(book.level(side, i) == twin.level(side, i));
    }
    for (BookStore* store : {&whole, &totals}) {
        for (OrderBook& book : store->books()) store->clear(book);
        CHECK(store->orders().size() == 0);
        CHECK(store->levels().size() == 0);
    }
}

// Few prices, so that queues are long and stand in several lines; and ids that share their tag.
TEST_CASE("BookStore: long queues keep their order, also of ids whose tags are equal") {
    const std::uint64_t seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    const bool sparse = GENERATE(false, true);
    BookStore store({1, 5000, 100});
    OrderBook& book = *store.create("A", BookDepth::orders, kScale);
    TwinBook twin;
    std::vector<std::uint64_t> live;
    const auto new_id = [&] {
        const std::uint64_t low = 1 + random() % 3000;
        if (!sparse) return low;
        // Every one of these has a tag of 1 to 40.
        const std::uint64_t high = random() % 1000;
        return high << 32 | ((1 + random() % 40) ^ static_cast<std::uint32_t>(high * 0x9e3779b1U));
    };
    for (int step = 0; step < 30'000; ++step) {
        BookChange change;
        if (live.size() < 50 || random() % (live.size() < 1000 ? 3 : 2) != 0) {
            const std::uint64_t id = new_id();
            const bool bid = random() % 2 == 0;
            const auto price = static_cast<std::int64_t>(random() % 5);
            const BookStatus status =
                store.add(book, OrderId{id}, bid ? Side::bid : Side::ask, Price{price}, 7, change);
            REQUIRE((status == BookStatus::duplicate_order) == (twin.find(id) != nullptr));
            if (status != BookStatus::ok) continue;
            twin.add(id, bid, price, 7);
            live.push_back(id);
        } else {
            const std::size_t at = random() % live.size();
            const std::size_t early = random() % 2 == 0 ? at : at / 8;
            REQUIRE(store.remove(book, OrderId{live[early]}, change) == BookStatus::ok);
            REQUIRE(twin.remove(live[early]));
            live.erase(live.begin() + static_cast<std::ptrdiff_t>(early));
        }
        if (step % 499 == 0) {
            require_equal(book, twin);
            REQUIRE(book.digest() == slow_digest(twin));
        }
    }
    store.clear(book);
    CHECK(store.orders().size() == 0);
    CHECK(store.levels().size() == 0);
    CHECK(store.levels().chunks() == 0);
}

TEST_CASE("BookStore: queue order shows in the digest and content does not depend on it") {
    BookStore store(small_limits());
    OrderBook& one = *store.create("A", BookDepth::orders, kScale);
    OrderBook& two = *store.create("B", BookDepth::orders, kScale);
    BookChange change;
    static_cast<void>(store.add(one, OrderId{1}, Side::bid, Price{5}, 1, change));
    static_cast<void>(store.add(one, OrderId{2}, Side::bid, Price{5}, 1, change));
    const Digest first = one.digest();
    store.clear(one);
    static_cast<void>(store.add(two, OrderId{2}, Side::bid, Price{5}, 1, change));
    static_cast<void>(store.add(two, OrderId{1}, Side::bid, Price{5}, 1, change));
    CHECK(two.digest().content == first.content);
    CHECK(two.digest().queue != first.queue);
    CHECK(digest::keyed(first, "A") != digest::keyed(first, "B"));
    CHECK(first.text().size() == 32);
}

namespace {

// The slot of a new order, or kNoSlot.
OrderSlot insert(OrderMap& map, OrderId id) {
    const OrderSlot room = map.room_for(id);
    REQUIRE(room != OrderMap::kDuplicate);
    if (room != kNoSlot) map.put(room, id, 1, 1);
    return room;
}

}  // namespace

TEST_CASE("OrderMap: ids made to collide are refused instead of slowing every search") {
    OrderMap map(2000);
    std::vector<OrderId> taken;
    std::uint32_t refused = 0;
    const std::uint32_t bucket = map.home(0);
    for (std::uint64_t id = 0; taken.size() + refused < 600; ++id) {
        if (map.home(tag_of(OrderId{id})) != bucket) continue;
        if (insert(map, OrderId{id}) == kNoSlot) ++refused;
        else taken.push_back(OrderId{id});
    }
    CHECK(taken.size() == OrderMap::kOrdersPerBucket * OrderMap::kBucketsPassedMax);
    CHECK(refused == 600 - taken.size());
    for (const OrderId id : taken) {
        const OrderSlot slot = map.find(id);
        REQUIRE(slot != kNoSlot);
        REQUIRE(map.id(slot) == id);
        map.erase(slot);
        CHECK(map.find(id) == kNoSlot);
    }
    CHECK(map.size() == 0);
}

TEST_CASE("OrderMap: it takes as many orders as it promises, dense or sparse, and no more") {
    const std::uint64_t stride =
        GENERATE(std::uint64_t{1}, std::uint64_t{4}, std::uint64_t{8}, std::uint64_t{0x9e3779b97f4a7c15});
    OrderMap map(100'000);
    std::uint32_t refused = 0;
    for (std::uint64_t i = 1; i <= 100'000; ++i) refused += insert(map, OrderId{i * stride}) == kNoSlot ? 1U : 0U;
    CHECK(refused == 0);
    CHECK(insert(map, OrderId{0}) == kNoSlot);
    std::uint32_t lost = 0;
    for (std::uint64_t i = 1; i <= 100'000; ++i) lost += map.find(OrderId{i * stride}) == kNoSlot ? 1U : 0U;
    CHECK(lost == 0);
}

TEST_CASE("BookStore: a book of levels holds totals and has no queue") {
    BookStore store(small_limits());
    OrderBook& book = *store.create("A", BookDepth::levels, kScale);
    BookChange change;
    REQUIRE(store.set_level(book, Side::bid, Price{10}, 100, 0, change) == BookStatus::ok);
    REQUIRE(store.set_level(book, Side::bid, Price{11}, 50, 0, change) == BookStatus::ok);
    CHECK(change.top_changed);
    REQUIRE(store.set_level(book, Side::bid, Price{11}, 0, 0, change) == BookStatus::ok);
    CHECK(change.top_changed);
    CHECK(change.previous_quantity == 50);
    CHECK(book.top().bid == Level{Price{10}, 100, 0});
    CHECK(book.orders(Side::bid, 0).empty());
    REQUIRE(store.set_level(book, Side::bid, Price{10}, 0, 0, change) == BookStatus::ok);
    CHECK(book.digest() == Digest{});
}

TEST_CASE("BookStore: an order that is resized, up or down, keeps its place in the queue") {
    BookStore store(small_limits());
    OrderBook& book = *store.create("A", BookDepth::orders, kScale);
    BookChange change;
    TwinBook twin;
    for (const std::uint64_t id : {1U, 2U, 3U}) {
        REQUIRE(store.add(book, OrderId{id}, Side::bid, Price{10}, 100, change) == BookStatus::ok);
    }
    REQUIRE(store.resize(book, OrderId{1}, 250, change) == BookStatus::ok);
    CHECK(change.quantity == 250);
    CHECK(change.previous_quantity == 100);
    CHECK(change.top_changed);
    REQUIRE(store.resize(book, OrderId{2}, 1, change) == BookStatus::ok);
    twin.add(1, true, 10, 250);
    twin.add(2, true, 10, 1);
    twin.add(3, true, 10, 100);
    require_equal(book, twin);
    CHECK(book.digest() == slow_digest(twin));
    CHECK(store.resize(book, OrderId{2}, 0, change) == BookStatus::bad_quantity);
    CHECK(store.resize(book, OrderId{2}, Quantity{1} << 32, change) == BookStatus::bad_quantity);
    CHECK(store.resize(book, OrderId{9}, 5, change) == BookStatus::unknown_order);
    require_equal(book, twin);
}
