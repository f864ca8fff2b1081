#include "books_csv.hpp"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>

#include "millrace/core/book_store.hpp"
#include "millrace/core/error.hpp"
#include "tests/support/catch.hpp"

using namespace millrace;

TEST_CASE("price_text: a price has all its implied decimals") {
    CHECK(tools::price_text(Price{1'234'500}, PriceScale{4}) == "123.4500");
    CHECK(tools::price_text(Price{1}, PriceScale{4}) == "0.0001");
    CHECK(tools::price_text(Price{0}, PriceScale{4}) == "0.0000");
    CHECK(tools::price_text(Price{-25}, PriceScale{2}) == "-0.25");
    CHECK(tools::price_text(Price{7}, PriceScale{0}) == "7");
    CHECK(tools::price_text(Price{std::numeric_limits<std::int64_t>::min()}, PriceScale{8}) ==
          "-92233720368.54775808");
}

TEST_CASE("BooksCsv: an empty side is three empty fields") {
    BookStore store({2, 8, 8});
    OrderBook& book = *store.create("AAPL", BookDepth::orders, PriceScale{4});
    BookChange change;
    REQUIRE(store.add(book, OrderId{1}, Side::ask, Price{1'000'100}, 300, change) ==
            BookStatus::ok);
    REQUIRE(store.add(book, OrderId{2}, Side::ask, Price{1'000'100}, 200, change) ==
            BookStatus::ok);
    REQUIRE(store.add(book, OrderId{3}, Side::ask, Price{1'000'200}, 10, change) ==
            BookStatus::ok);
    const auto path =
        std::filesystem::temp_directory_path() / ("books-" + std::to_string(getpid()) + ".csv");
    tools::BooksCsv csv;
    csv.add(17, book);
    csv.add(std::nullopt, *store.create("MSFT", BookDepth::orders, PriceScale{4}));
    csv.write(path);
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    std::filesystem::remove(path);
    CHECK(text.str() ==
          "locate,symbol,bid_price,bid_size,bid_orders,ask_price,ask_size,ask_orders,bid_levels,"
          "ask_levels,live_orders\n"
          "17,AAPL,,,,100.0100,500,2,0,2,3\n"
          ",MSFT,,,,,,,0,0,0\n");
}

TEST_CASE("BooksCsv: a file that cannot be written is an error with its own code") {
    try {
        tools::BooksCsv().write("/nowhere/books.csv");
        FAIL("no error");
    } catch (const Error& error) {
        CHECK(error.code() == ExitCode::file);
        CHECK(std::string(error.what()).find("/nowhere/books.csv") != std::string::npos);
    }
}
