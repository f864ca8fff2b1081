#include "millrace/feed/consolidated_bbo.hpp"

#include <limits>

#include "tests/support/catch.hpp"

using namespace millrace;

namespace {

constexpr VenueNumber kFirst{0};
constexpr VenueNumber kSecond{1};

// Two venues' books of one symbol, the second counting prices with eight decimals.
struct Books {
    BookStore store{BookLimits{8, 64, 64}};
    ConsolidatedBbo bbo{{"one", "two"}, 4};
    OrderBook& one = *store.create("AAPL", BookDepth::levels, PriceScale{4});
    OrderBook& two = *store.create("AAPL", BookDepth::top, PriceScale{8});

    bool set(VenueNumber venue, Side side, std::int64_t price, Quantity quantity) {
        BookChange change;
        OrderBook& book = venue == kFirst ? one : two;
        REQUIRE(store.set_level(book, side, Price{price}, quantity, 0, change) == BookStatus::ok);
        return bbo.update(venue, book);
    }
    [[nodiscard]] const ConsolidatedBbo::Bbo& best() const { return *bbo.find("AAPL"); }
};

}  // namespace

TEST_CASE("ConsolidatedBbo: the best price of all venues wins, whatever the scale, and says whose it is") {
    Books books;
    CHECK(books.bbo.find("AAPL") == nullptr);
    CHECK(books.set(kFirst, Side::bid, 100'0000, 300));
    CHECK(books.set(kFirst, Side::ask, 100'0500, 100));
    CHECK(books.set(kSecond, Side::bid, 100'01000000, 200));
    CHECK(books.best().bid == ConsolidatedBbo::Quote{Price{100'010'000'000}, 200, kSecond});
    CHECK(books.best().ask == ConsolidatedBbo::Quote{Price{100'050'000'000}, 100, kFirst});
    CHECK_FALSE(books.set(kSecond, Side::ask, 100'06000000, 900));  // no better
    CHECK(books.set(kSecond, Side::bid, 100'01000000, 0));
    CHECK(books.best().bid == ConsolidatedBbo::Quote{Price{100'000'000'000}, 300, kFirst});
    CHECK(books.bbo.name(books.best().bid.venue) == "one");
    CHECK(books.bbo.venues_of("AAPL").size() == 2);
    CHECK(books.bbo.venues_of("AAPL")[1].ask.quantity == 900);
}

TEST_CASE("ConsolidatedBbo: at one price the larger quantity wins, then the venue listed first") {
    Books books;
    books.set(kFirst, Side::bid, 100'0000, 300);
    books.set(kSecond, Side::bid, 100'00000000, 300);
    CHECK(books.best().bid.venue == kFirst);
    books.set(kSecond, Side::bid, 100'00000000, 301);
    CHECK(books.best().bid.venue == kSecond);
}

TEST_CASE("ConsolidatedBbo: a book that is not live takes no part, and the quality says so") {
    Books books;
    books.set(kFirst, Side::bid, 100'0000, 300);
    books.set(kSecond, Side::bid, 101'00000000, 200);
    CHECK(books.best().quality == Quality::live);
    books.store.set_quality(books.two, Quality::recovering);
    CHECK(books.bbo.update(kSecond, books.two));
    CHECK(books.best().bid == ConsolidatedBbo::Quote{Price{100'000'000'000}, 300, kFirst});
    CHECK(books.best().quality == Quality::recovering);
    books.store.set_quality(books.one, Quality::suspect);
    CHECK(books.bbo.update(kFirst, books.one));
    CHECK(books.best().bid.empty());
    CHECK(books.best().quality == Quality::suspect);
}

TEST_CASE("ConsolidatedBbo: locked and crossed markets are told apart") {
    Books books;
    books.set(kFirst, Side::bid, 100'0000, 300);
    CHECK_FALSE(books.best().locked());
    books.set(kSecond, Side::ask, 100'00000000, 200);
    CHECK(books.best().locked());
    books.set(kSecond, Side::ask, 99'00000000, 200);
    CHECK(books.best().crossed());
    CHECK_FALSE(books.best().locked());
}

TEST_CASE("ConsolidatedBbo: symbols and prices there is no room for are counted") {
    Books books;
    for (const char* symbol : {"A", "B", "C", "D"}) {
        CHECK_FALSE(books.bbo.update(kFirst, *books.store.create(symbol, BookDepth::levels, PriceScale{4})));
    }
    CHECK_FALSE(books.set(kFirst, Side::bid, 100'0000, 300));
    CHECK(books.bbo.symbols_refused() == 1);
    Books large;
    large.set(kFirst, Side::bid, std::numeric_limits<std::int64_t>::max(), 300);
    CHECK(large.best().bid.empty());
    CHECK(large.bbo.prices_refused() == 1);
}
