// Real Nasdaq order flow as LOBSTER reconstructed it, transcoded to ITCH in MoldUDP64: after every single
// event the book is the one LOBSTER states.
//
// A LOBSTER file holds the events inside the best N levels and the true book after each. What it does not
// hold has to be put into the stream from the true rows: orders that rested before the first row, and the
// level that comes into the window when another one leaves it. Such a level is seeded with one order of
// nobody's; a level that leaves the window is deleted, since its later events are not in the file. All levels
// inside the window before and after an event follow from the event alone.
#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "millrace/feed/session.hpp"
#include "millrace/feed/venues/nasdaq_itch50/venue.hpp"
#include "tests/conformance/unzip.hpp"
#include "tests/support/captures.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/itch_packets.hpp"

using namespace millrace;
using namespace millrace::test;

namespace {

struct Event {
    std::uint64_t time;  // ns since midnight
    int type;
    std::uint64_t order;
    std::uint32_t shares;
    std::int64_t price;
    bool bid;
};

struct TrueLevel {
    std::int64_t price;
    std::uint64_t shares;
};
// Best first; empty levels are left out.
struct TrueBook {
    std::vector<TrueLevel> sides[2];  // by Side
};

std::int64_t next_number(const char*& at, const char* end) {
    std::int64_t value = 0;
    const auto [stop, problem] = std::from_chars(at, end, value);
    if (problem != std::errc{}) FAIL("no number: " << std::string(at, std::min<std::size_t>(20, static_cast<std::size_t>(end - at))));
    at = stop;
    return value;
}

// A comma-separated file row by row; `read` gets where a row begins and moves behind what it takes.
template <class Read>
void for_each_row(const std::string& text, Read&& read) {
    const char* at = text.data();
    const char* const end = at + text.size();
    while (at < end) {
        read(at, end);
        while (at < end && (*at == '\r' || *at == '\n')) ++at;
    }
}

std::vector<Event> read_events(const std::string& text) {
    std::vector<Event> events;
    for_each_row(text, [&](const char*& at, const char* end) {
        const auto seconds = static_cast<std::uint64_t>(next_number(at, end));
        std::uint64_t fraction = 0;
        if (*at == '.') {
            const char* const digits = at + 1;
            ++at;
            fraction = static_cast<std::uint64_t>(next_number(at, end));
            for (auto n = at - digits; n < 9; ++n) fraction *= 10;
        }
        std::int64_t columns[5];
        for (std::int64_t& column : columns) column = next_number(++at, end);
        events.push_back({seconds * 1'000'000'000 + fraction, static_cast<int>(columns[0]),
                          static_cast<std::uint64_t>(columns[1]), static_cast<std::uint32_t>(columns[2]), columns[3],
                          columns[4] == 1});
    });
    return events;
}

std::vector<TrueBook> read_books(const std::string& text, std::size_t levels) {
    std::vector<TrueBook> books;
    for_each_row(text, [&](const char*& at, const char* end) {
        TrueBook& book = books.emplace_back();
        for (std::size_t column = 0; column < 2 * levels; ++column) {
            if (column > 0) ++at;
            const std::int64_t price = next_number(at, end);
            const auto shares = static_cast<std::uint64_t>(next_number(++at, end));
            const Side side = column % 2 == 0 ? Side::ask : Side::bid;
            if (shares != 0) book.sides[static_cast<std::size_t>(side)].push_back({price, shares});
        }
    });
    return books;
}

// Writes events as ITCH messages, and what the file leaves out.
class Transcoder {
  public:
    explicit Transcoder(std::size_t levels) : levels_(levels) {}

    std::vector<Message> begin(const TrueBook& first) {
        messages_ = {directory(1, "LOBSTER")};
        for (const Side side : {Side::bid, Side::ask}) {
            for (const TrueLevel& level : first.sides[static_cast<std::size_t>(side)]) seed(side, level);
        }
        return std::move(messages_);
    }

    std::vector<Message> transcode(const Event& event, const TrueBook& before, const TrueBook& after) {
        messages_.clear();
        write(event);
        for (const Side side : {Side::bid, Side::ask}) {
            const auto& now = after.sides[static_cast<std::size_t>(side)];
            forget_beyond(side, now);
            if (now.empty() || this->side(side).count(now.back().price) != 0) continue;
            // Only a level that was not to be seen before may be read from the true row.
            for (const TrueLevel& level : before.sides[static_cast<std::size_t>(side)]) {
                if (level.price == now.back().price) FAIL("the level at " << level.price << " is gone");
            }
            seed(side, now.back());
            ++seeded;
        }
        for (Message& m : messages_) stamp(m, event.time);
        return std::move(messages_);
    }

    std::size_t seeded = 0;        // levels that came into the window
    std::size_t of_known = 0;      // events about orders whose beginning is in the file
    std::size_t of_nobody = 0;     // about others

  private:
    struct Level {
        std::uint64_t nobody = 0;        // reference of the order that stands for all unknown ones
        std::uint64_t nobody_shares = 0;
        std::map<std::uint64_t, std::uint64_t> known;  // shares by order
    };
    using Levels = std::map<std::int64_t, Level>;

    Levels& side(Side side) { return sides_[static_cast<std::size_t>(side)]; }

    static void stamp(Message& m, std::uint64_t time) {
        for (std::size_t i = 0; i < 6; ++i) m[5 + i] = static_cast<std::uint8_t>(time >> (8 * (5 - i)));
    }

    void seed(Side side, const TrueLevel& level) {
        Level& to = this->side(side)[level.price];
        to.nobody = ++last_nobody_;
        to.nobody_shares = level.shares;
        messages_.push_back(add(1, to.nobody, side == Side::bid ? 'B' : 'S', static_cast<std::uint32_t>(level.shares),
                                "LOBSTER", static_cast<std::uint32_t>(level.price)));
    }

    // What lies beyond a full window goes stale.
    void forget_beyond(Side side, const std::vector<TrueLevel>& now) {
        if (now.size() < levels_) return;
        Levels& levels = this->side(side);
        const std::int64_t worst = now.back().price;
        for (auto at = levels.begin(); at != levels.end();) {
            if (side == Side::bid ? at->first >= worst : at->first <= worst) {
                ++at;
                continue;
            }
            if (at->second.nobody_shares != 0) messages_.push_back(remove(1, at->second.nobody));
            for (const auto& [order, shares] : at->second.known) messages_.push_back(remove(1, order));
            at = levels.erase(at);
        }
    }

    void write(const Event& event) {
        const Side side = event.bid ? Side::bid : Side::ask;
        switch (event.type) {
            case 1:
                this->side(side)[event.price].known[event.order] += event.shares;
                messages_.push_back(add(1, event.order, event.bid ? 'B' : 'S', event.shares, "LOBSTER",
                                        static_cast<std::uint32_t>(event.price)));
                return;
            case 2:
            case 3:
            case 4: return take(event, side);
            case 5: return write_hidden(event);
            case 7: messages_.push_back(trading_action(1, "LOBSTER", event.price == 1 ? 'T' : 'H')); return;
            default: FAIL("event of type " << event.type);
        }
    }

    void take(const Event& event, Side side) {
        const auto at = this->side(side).find(event.price);
        if (at == this->side(side).end()) FAIL("no level at " << event.price);
        Level& level = at->second;
        const auto known = level.known.find(event.order);
        const bool is_known = known != level.known.end();
        ++(is_known ? of_known : of_nobody);
        std::uint64_t& rest = is_known ? known->second : level.nobody_shares;
        const std::uint64_t reference = is_known ? event.order : level.nobody;
        // A few deletes state another size than what remains.
        const std::uint64_t shares = event.type == 3 && is_known ? rest : event.shares;
        if (shares > rest) FAIL(shares << " of " << rest << " at " << event.price);
        const auto taken = static_cast<std::uint32_t>(shares);
        if (event.type == 4) messages_.push_back(executed(1, reference, taken, ++match_));
        else if (shares == rest) messages_.push_back(remove(1, reference));
        else messages_.push_back(cancel(1, reference, taken));
        rest -= shares;
        if (is_known && rest == 0) level.known.erase(known);
        if (level.nobody_shares == 0 && level.known.empty()) this->side(side).erase(at);
    }

    void write_hidden(const Event& event) {
        auto m = message<venues::itch50::Trade>(1);
        m.side.set(event.bid ? 'B' : 'S');
        m.shares.set(event.shares);
        m.stock.set("LOBSTER");
        m.price.set(static_cast<std::uint32_t>(event.price));
        m.match_number.set(++match_);
        messages_.push_back(bytes(m));
    }

    std::size_t levels_;
    std::vector<Message> messages_;
    Levels sides_[2];
    std::uint64_t last_nobody_ = std::uint64_t{1} << 48;
    std::uint64_t match_ = 0;
};

// The first difference, or nothing.
std::optional<std::string> difference(const OrderBook& book, const TrueBook& truth) {
    for (const Side side : {Side::bid, Side::ask}) {
        const auto& levels = truth.sides[static_cast<std::size_t>(side)];
        if (book.level_count(side) != levels.size()) return std::to_string(book.level_count(side)) + " levels";
        for (std::size_t i = 0; i < levels.size(); ++i) {
            const millrace::Level level = book.level(side, static_cast<std::uint32_t>(i));
            if (value(level.price) == levels[i].price && level.quantity == levels[i].shares) continue;
            return "level " + std::to_string(i) + ": " + std::to_string(level.quantity) + " at " +
                   std::to_string(value(level.price));
        }
    }
    return std::nullopt;
}

struct Counting : NullHandler {
    std::uint64_t trades = 0;
    void on_trade(const OrderBook&, const Trade&) { ++trades; }
};

void check(const std::vector<Event>& events, const std::vector<TrueBook>& books, std::size_t levels) {
    REQUIRE(events.size() == books.size());
    SessionConfig config;
    config.lines = 1;
    config.limits = {16, 200'000, 100'000};
    Counting handler;
    Session<venues::NasdaqItch50, Counting> session(config, handler);
    Transcoder transcoder(levels);
    SequenceNumber sequence = 1;
    std::uint64_t trades = 0;
    for (std::size_t row = 0; row < events.size(); ++row) {
        const std::vector<Message> messages =
            row == 0 ? transcoder.begin(books[0]) : transcoder.transcode(events[row], books[row - 1], books[row]);
        if (row > 0) trades += events[row].type == 4 || events[row].type == 5 ? 1U : 0U;
        const auto bytes = packet(sequence, messages);
        sequence += messages.size();
        session.on_packet({0, static_cast<Timestamp>(row), bytes});
        const auto wrong = difference(*session.book("LOBSTER"), books[row]);
        if (!wrong) continue;
        FAIL("row " << row + 1 << ": " << *wrong);
    }
    CHECK(handler.trades == trades);
    CHECK(session.book("LOBSTER")->quality() == Quality::live);
    CHECK(session.messages()[MessageCounter::delivered] == sequence - 1);
    CHECK(transcoder.of_known > events.size() / 20);
    UNSCOPED_INFO(events.size() << " events, " << transcoder.of_known << " of known orders");
}

}  // namespace

TEST_CASE("LOBSTER: the book is the true one after every event of a day of AMZN and of AAPL") {
    const auto captures = captures_dir();
    if (!captures) {
        WARN("skipped: no folder of real captures");
        return;
    }
    struct Sample {
        const char* name;
        std::size_t levels;
        std::size_t events;
    };
    const Sample sample = GENERATE(Sample{"AMZN_2012-06-21", 5, 155'935}, Sample{"AMZN_2012-06-21", 1, 57'515},
                                   Sample{"AAPL_2012-06-21", 1, 118'497});
    const std::string depth = std::to_string(sample.levels);
    CAPTURE(sample.name, depth);
    const auto files = unzip(*captures / "lobster" / ("LOBSTER_SampleFile_" + std::string(sample.name) + "_" + depth + ".zip"));
    const std::string stem = std::string(sample.name) + "_34200000_57600000_";
    const auto events = read_events(files.at(stem + "message_" + depth + ".csv"));
    REQUIRE(events.size() == sample.events);
    check(events, read_books(files.at(stem + "orderbook_" + depth + ".csv"), sample.levels), sample.levels);
}

TEST_CASE("LOBSTER: the book is the true one, ten levels deep, after each of the first events of AAPL") {
    const auto captures = captures_dir();
    if (!captures) {
        WARN("skipped: no folder of real captures");
        return;
    }
    const auto text_of = [&](const char* name) {
        std::ifstream file(*captures / "lobster" / name, std::ios::binary);
        return std::string{std::istreambuf_iterator<char>(file), {}};
    };
    const auto events = read_events(text_of("AAPL_first1000_message_10.csv"));
    REQUIRE(events.size() == 999);
    check(events, read_books(text_of("AAPL_first1000_orderbook_10.csv"), 10), 10);
}
