#include "books_csv.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "millrace/core/error.hpp"

namespace millrace::tools {

namespace {

constexpr const char* kHeader =
    "locate,symbol,bid_price,bid_size,bid_orders,ask_price,ask_size,ask_orders,bid_levels,ask_"
    "levels,live_orders\n";

std::string side_text(const Level& level, PriceScale scale) {
    if (level.empty()) return ",,";
    return fmt::format("{},{},{}", price_text(level.price, scale), level.quantity, level.orders);
}

}  // namespace

std::string price_text(Price price, PriceScale scale) {
    const auto decimals = static_cast<unsigned>(scale);
    std::uint64_t unit = 1;
    for (unsigned i = 0; i < decimals; ++i) unit *= 10;
    const std::int64_t number = value(price);
    const auto size = number < 0 ? std::uint64_t{0} - static_cast<std::uint64_t>(number)
                                 : static_cast<std::uint64_t>(number);
    const char* sign = number < 0 ? "-" : "";
    if (decimals == 0) return fmt::format("{}{}", sign, size);
    return fmt::format("{}{}.{:0{}}", sign, size / unit, size % unit, decimals);
}

void BooksCsv::add(std::optional<std::uint32_t> locate, const OrderBook& book) {
    const Top top = book.top();
    rows_ += fmt::format("{},{},{},{},{},{},{}\n", locate ? std::to_string(*locate) : "",
                         book.symbol().view(), side_text(top.bid, book.price_scale()),
                         side_text(top.ask, book.price_scale()), book.level_count(Side::bid),
                         book.level_count(Side::ask), book.order_count());
}

void BooksCsv::write(const std::string& path) const {
    std::FILE* file = std::fopen(path.c_str(), "w");
    if (file == nullptr)
        throw_errno(ExitCode::file, "cannot write " + path, errno, "is the folder there?");
    const bool wrote = std::fputs(kHeader, file) >= 0 &&
                       std::fwrite(rows_.data(), 1, rows_.size(), file) == rows_.size() &&
                       std::fflush(file) == 0;
    const int problem = errno;
    std::fclose(file);
    if (!wrote) {
        throw_errno(ExitCode::file, "cannot write all of " + path, problem, "is the disk full?");
    }
}

}  // namespace millrace::tools
