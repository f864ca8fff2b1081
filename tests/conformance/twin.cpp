// Random streams of several million messages: after every message the book is the slow twin's, which reads the
// same bytes with code of its own (tests/simulator/day_checker.hpp) and complains when a market that trades
// continuously is locked or crossed.
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "millrace/core/random.hpp"
#include "millrace/feed/framing/moldudp64.hpp"
#include "millrace/feed/session.hpp"
#include "millrace/feed/venues/nasdaq_itch50/venue.hpp"
#include "millrace/replay/simulator/market.hpp"
#include "tests/simulator/day_checker.hpp"
#include "tests/support/catch.hpp"

using namespace millrace;
using millrace::test::DayChecker;

namespace {

// Sanitizers make a message some twenty times as slow.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t kShare = 20;
#else
constexpr std::uint64_t kShare = 1;
#endif

// Gets the messages of a packet before the session does, and reads each when the session tells its outcome.
class Twin {
  public:
    void on_book(const OrderBook& book, const BookUpdate& update) {
        read_until(update.sequence);
        ++compared_;
        compare(book);
    }
    void on_trade(const OrderBook& book, const Trade& trade) {
        // An execution against a displayed order changes the book as well, and is compared there.
        if (trade.kind == TradeKind::execution || trade.kind == TradeKind::priced) return;
        read_until(trade.sequence);
        compare(book);
    }
    void on_status(const OrderBook& book, const TradingStatus& status) {
        read_until(status.sequence);
        if (status.what != TradingStatus::What::trading) return;
        const bool halted = checker_.books().at(locate_).halted;
        if ((book.trading_state() == TradingState::trading) == halted) differ("trading state");
    }
    void on_quality(const OrderBook&, Quality) { differ("quality"); }
    void on_gap(SequenceRange) { differ("gap"); }

    // Messages that the session is about to get.
    void expect(std::span<const std::uint8_t> message) { pending_.emplace_back(message.begin(), message.end()); }
    // The packet has been handled, all of it.
    void packet_over() {
        read_until(read_ + pending_.size() - at_);
        pending_.clear();
        at_ = 0;
    }
    // By symbol: the twin's book is that of the locate which the directory gave the name.
    void compare_all(std::span<const OrderBook> books) {
        if (books.size() != checker_.books().size()) differ("number of books");
        for (const OrderBook& book : books) {
            locate_ = locates_.at(std::string(book.symbol().view()));
            compare(book);
        }
    }

    [[nodiscard]] const std::map<std::string, std::uint64_t>& differences() const { return differences_; }
    [[nodiscard]] std::uint64_t compared() const { return compared_; }
    [[nodiscard]] const DayChecker& checker() const { return checker_; }

  private:
    void differ(const std::string& what) { ++differences_[what + " at message " + std::to_string(read_)]; }

    void read_until(SequenceNumber sequence) {
        while (read_ < sequence) {
            const auto& message = pending_[at_++];
            ++read_;
            locate_ = static_cast<std::uint16_t>(message[1] << 8 | message[2]);
            if (message[0] == 'R') {
                std::string stock(message.begin() + 11, message.begin() + 19);
                stock.erase(stock.find_last_not_of(' ') + 1);
                locates_[stock] = locate_;
            }
            checker_.on_message(message);
        }
    }

    void compare(const OrderBook& book) {
        const auto name = locates_.find(std::string(book.symbol().view()));
        if (name == locates_.end() || name->second != locate_) return differ("symbol");
        const DayChecker::Book& twin = checker_.books().at(locate_);
        if (book.order_count() != twin.orders) differ("number of orders");
        compare_side(book, Side::bid, twin.bids.rbegin(), twin.bids.size());
        compare_side(book, Side::ask, twin.asks.begin(), twin.asks.size());
    }

    // `level` runs through the twin's levels from the best on.
    template <class Iterator>
    void compare_side(const OrderBook& book, Side side, Iterator level, std::size_t levels) {
        if (book.level_count(side) != levels) return differ("number of levels");
        for (std::uint32_t depth = 0; depth < levels; ++depth, ++level) {
            const Level ours = book.level(side, depth);
            auto theirs = level->second.begin();
            Quantity total = 0;
            for (const Order order : book.orders(side, depth)) {
                if (theirs == level->second.end() || value(order.id) != *theirs) return differ("queue");
                const DayChecker::Order& twin = checker_.orders().at(*theirs++);
                if (order.quantity != twin.shares || order.price != ours.price || order.side != side) differ("order");
                total += order.quantity;
            }
            if (theirs != level->second.end() || ours.orders != level->second.size()) differ("queue length");
            if (value(ours.price) != level->first) differ("price");
            if (ours.quantity != total) differ("level total");
        }
    }

    DayChecker checker_;
    std::map<std::string, std::uint16_t> locates_;
    std::vector<std::vector<std::uint8_t>> pending_;  // of the packet in hand
    std::size_t at_ = 0;                              // the first of them that was not read
    SequenceNumber read_ = 0;
    std::uint16_t locate_ = 0;  // of the message read last
    std::uint64_t compared_ = 0;
    std::map<std::string, std::uint64_t> differences_;
};

struct Stream {
    std::uint64_t seed;
    std::uint32_t symbols;
    std::uint64_t messages;
    std::uint32_t peak_orders;
    bool sparse;
};

std::string first_of(const std::map<std::string, std::uint64_t>& complaints) {
    return complaints.empty() ? "" : complaints.begin()->first;
}

void run(const Stream& stream) {
    CAPTURE(stream.seed, stream.symbols, stream.messages, stream.sparse);
    replay::MarketConfig market_config;
    market_config.seed = stream.seed;
    market_config.symbols = stream.symbols;
    market_config.messages = stream.messages / kShare;
    market_config.peak_orders = stream.peak_orders;
    market_config.sparse_references = stream.sparse;
    replay::Market market(market_config);
    SessionConfig config;
    config.lines = 1;
    config.limits = {stream.symbols, stream.peak_orders + 100'000, stream.peak_orders + 100'000};
    Twin twin;
    const auto session = std::make_unique<Session<venues::NasdaqItch50, Twin>>(config, twin);
    Random random(stream.seed);
    std::vector<std::uint8_t> buffer(4'000);
    MoldUdp64PacketBuilder builder(buffer, "TWIN");
    SequenceNumber next = 1;
    for (bool day_over = false; !day_over;) {
        builder.begin(next);
        for (std::uint64_t left = 1 + random.below(40); left > 0; --left) {
            const auto message = market.next();
            day_over = message.empty();
            if (day_over) break;
            twin.expect(message);
            REQUIRE(builder.append(message));
            ++next;
        }
        session->on_packet({0, 1, builder.finish()});
        twin.packet_over();
        if (next % 20'000 < 40) twin.compare_all(session->books());
    }
    twin.compare_all(session->books());
    CHECK(first_of(twin.differences()) == "");
    CHECK(first_of(twin.checker().complaints()) == "");
    CHECK(session->messages()[MessageCounter::delivered] == next - 1);
    CHECK(twin.checker().messages() == next - 1);
    CHECK(twin.compared() == twin.checker().count("AFECXDU"));
    CHECK(twin.checker().messages() >= stream.messages / kShare);
}

}  // namespace

TEST_CASE("twin: after every message of five million the book is the slow twin's") {
    run({1, 2'000, 2'500'000, 10'000, false});
    run({2, 300, 1'500'000, 2'000, false});
    run({3, 20, 1'000'000, 300, true});
}

TEST_CASE("twin: nor does it differ for a seed that nobody chose") {
    run({std::random_device{}(), 50, 50'000, 1'000, true});
}
