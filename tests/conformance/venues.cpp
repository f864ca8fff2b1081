// What every venue has to pass, over the one list of venues: messages there and back, cut at each length,
// lines that lose, double and reorder, and one market told by all of them.
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "millrace/core/random.hpp"
#include "millrace/feed/session.hpp"
#include "millrace/feed/venues/venue_list.hpp"
#include "millrace/replay/simulator/exchange.hpp"
#include "tests/support/catch.hpp"

namespace {

using namespace millrace;
using Bytes = std::vector<std::uint8_t>;

// Venues that the simulated exchange can speak as: all that have lines of their own.
template <class Venue>
constexpr bool kHasWire = requires { typename Venue::Messages; };

template <class Test>
void for_each_wire(Test&& test) {
    std::size_t venues = 0;
    venues::for_each_venue([&]<class Venue>() {
        if constexpr (kHasWire<Venue>) {
            INFO("venue " << Venue::kId);
            test.template operator()<Venue>();
            ++venues;
        }
    });
    REQUIRE(venues >= 6);
}

SessionConfig config(std::size_t lines = 1) {
    SessionConfig config;
    config.lines = lines;
    config.limits = {64, 20'000, 20'000};
    config.reorder_window_packets = 2'048;
    config.reorder_window_ns = 60'000'000'000;
    config.datagram_bytes_max = 1'500;
    return config;
}

// A session that is given one message a packet, and tells what became of it.
template <class Venue>
class OneByOne {
  public:
    OneByOne() : wire_(replay::make_wire(Venue::kId, "TEST")), room_(2'000), session_(small(), nobody_) {}

    // The only counter that went up but `decoded`.
    MessageCounter give(std::span<const std::uint8_t> message) {
        wire_->begin(room_, place_);
        REQUIRE(wire_->append(message));
        const MessageCounters before = session_.messages();
        session_.on_packet({0, 1, wire_->finish(static_cast<Timestamp>(place_.first))});
        place_ = {place_.first + 1, place_.offset + 2 + message.size()};
        const MessageCounters after = session_.messages();
        REQUIRE(balance(after) == 0);
        auto went_up = MessageCounter::decoded;
        for (std::size_t i = 1; i < MessageCounters::size(); ++i) {
            const auto counter = static_cast<MessageCounter>(i);
            if (after[counter] == before[counter]) continue;
            REQUIRE(went_up == MessageCounter::decoded);
            went_up = counter;
        }
        return went_up;
    }

  private:
    static SessionConfig small() {
        SessionConfig small;
        small.lines = 1;
        small.limits = {64, 1'000, 1'000};
        small.reorder_window_packets = 1;
        return small;
    }

    std::unique_ptr<replay::VenueWire> wire_;
    Bytes room_;
    replay::VenueWire::Place place_;
    NullHandler nobody_;
    Session<Venue, NullHandler> session_;
};

// A message of that layout whose every field holds something; text is letters, so that it has no padding.
Bytes random_message(const wire::MessageLayout& layout, Random& random) {
    Bytes bytes(layout.size);
    for (const wire::FieldLayout& field : layout.fields) {
        for (std::size_t i = field.offset; i < std::size_t{field.offset} + field.size; ++i) {
            const bool text = field.kind == wire::FieldKind::text;
            bytes[i] = static_cast<std::uint8_t>(text ? 'A' + random.below(26) : random.below(256));
        }
    }
    bytes[0] = static_cast<std::uint8_t>(layout.type);
    return bytes;
}

// The first message of each type that a simulated day has, by type.
template <class Venue>
std::map<char, Bytes> real_messages() {
    std::map<char, Bytes> first;
    replay::ExchangeConfig exchange;
    exchange.venue = Venue::kId;
    exchange.market.symbols = 6;
    exchange.market.messages = 12'000;
    exchange.market.peak_orders = 400;
    replay::Exchange source(
        exchange, [](const replay::SimulatedPacket&) {},
        [&](replay::Exchange::Message m) { first.try_emplace(static_cast<char>(m[0]), m.begin(), m.end()); });
    while (source.step()) {
    }
    return first;
}

// Reads every field and writes what was read into a message of its own.
template <class M>
Bytes there_and_back(const Bytes& bytes) {
    const M& in = wire::view<M>(bytes);
    M out{};
    std::apply(
        [&](const auto&... fields) {
            const auto copy = [](const auto& from, auto& to) {
                if constexpr (requires { to.set(from.value()); }) to.set(from.value());
                else to = from;  // reserved
            };
            (copy(in.*fields.member, out.*fields.member), ...);
        },
        M::fields());
    const auto span = wire::bytes_of(out);
    return {span.begin(), span.end()};
}
template <class... M>
Bytes there_and_back_any(const Bytes& bytes, std::type_identity<std::tuple<M...>>) {
    Bytes out;
    static_cast<void>(((static_cast<char>(bytes[0]) == M::kType ? (out = there_and_back<M>(bytes), true) : false) || ...));
    return out;
}

// A trading day in small.
struct Run {
    std::vector<replay::LineFaults> lines{1};
    bool repacketise = false;
    bool never_on_all = true;
    std::uint64_t seed = 1;
};
template <class Venue>
class Feed {
  public:
    explicit Feed(const Run& run) : session(config(run.lines.size()), nobody) {
        replay::ExchangeConfig exchange;
        exchange.venue = Venue::kId;
        exchange.session = "SUITE";
        exchange.market.seed = 7;
        exchange.market.symbols = 6;
        exchange.market.messages = 12'000;
        exchange.market.peak_orders = 400;
        exchange.packet_bytes_max = 700;
        exchange.lines = run.lines;
        exchange.repacketise = run.repacketise;
        exchange.never_on_all = run.never_on_all;
        exchange.fault_seed = run.seed;
        replay::Exchange source(exchange, [&](const replay::SimulatedPacket& packet) {
            session.on_packet({packet.line, packet.time, packet.bytes});
            REQUIRE(balance(session.messages()) == 0);
        });
        while (source.step()) {
        }
        messages = source.next_sequence() - 1;
        session.finish();
    }

    NullHandler nobody;
    Session<Venue, NullHandler> session;
    SequenceNumber messages = 0;
};

// Price and quantity of every level, by symbol and side.
template <class Venue>
std::map<std::string, std::vector<Level>> levels_of(const Session<Venue, NullHandler>& session, std::uint32_t depth_max) {
    std::map<std::string, std::vector<Level>> out;
    for (const OrderBook& book : session.books()) {
        for (const Side side : {Side::bid, Side::ask}) {
            auto& levels = out[std::string(book.symbol().view()) + (side == Side::bid ? " bid" : " ask")];
            for (std::uint32_t i = 0; i < std::min(depth_max, book.level_count(side)); ++i) {
                levels.push_back(book.level(side, i));
                levels.back().orders = 0;
            }
        }
    }
    return out;
}

}  // namespace

TEST_CASE("Venues: every message survives decoding and encoding, whatever its fields hold") {
    for_each_wire([]<class Venue>() {
        Random random(11);
        for (const wire::MessageLayout& layout : Venue::layouts()) {
            for (int i = 0; i < 50; ++i) {
                const Bytes bytes = random_message(layout, random);
                REQUIRE(Venue::layout(bytes) != nullptr);
                REQUIRE(Venue::layout(bytes)->name == layout.name);
                CAPTURE(layout.name);
                REQUIRE(there_and_back_any(bytes, std::type_identity<typename Venue::Messages>{}) == bytes);
            }
        }
    });
}

TEST_CASE("Venues: a message cut at any length is malformed, a longer one is read, an unknown one counted") {
    for_each_wire([]<class Venue>() {
        Random random(12);
        OneByOne<Venue> session;
        std::map<char, Bytes> examples = real_messages<Venue>();
        CHECK(examples.size() + 1 >= Venue::layouts().size());  // IEX clears no book on an ordinary day
        for (const wire::MessageLayout& layout : Venue::layouts()) {
            const Bytes whole =
                examples.try_emplace(layout.type, random_message(layout, random)).first->second;
            for (std::size_t length = 0; length <= whole.size() + 4; ++length) {
                Bytes cut = whole;
                cut.resize(length);
                CAPTURE(layout.name, length);
                REQUIRE((session.give(cut) == MessageCounter::malformed) == (length < whole.size()));
            }
        }
        CHECK(session.give(Bytes{0xff, 1, 2, 3}) == MessageCounter::unknown);
    });
}

TEST_CASE("Venues: what one line loses, doubles or reorders the other makes good, by seed") {
    for_each_wire([]<class Venue>() {
        const Feed<Venue> clean{Run{}};
        REQUIRE(clean.session.quality() == Quality::live);
        REQUIRE(clean.messages > 3'000);
        REQUIRE(clean.session.digest() != Digest{});
        REQUIRE(clean.session.messages()[MessageCounter::unknown] == 0);
        REQUIRE(clean.session.messages()[MessageCounter::malformed] == 0);
        for (std::size_t fault = 0; fault < kFaultCounters.size(); ++fault) {
            CAPTURE(kFaultCounters[fault].name);
            REQUIRE(clean.session.faults()[static_cast<FaultCounter>(fault)] == 0);
        }
        for (std::uint64_t seed = 1; seed <= 6; ++seed) {
            CAPTURE(seed);
            Run run;
            run.seed = seed;
            run.lines.resize(2);
            run.repacketise = seed % 2 == 0;
            for (replay::LineFaults& line : run.lines) {
                line.loss = 0.05;
                line.duplicate = 0.05;
                line.reorder = 0.05;
                line.burst = 0.5;
            }
            const Feed<Venue> lossy{run};
            CHECK(lossy.session.digest() == clean.session.digest());
            CHECK(lossy.session.arbiter().messages_lost() == 0);
            CHECK(lossy.session.arbiter().gaps().total() > 0);
            CHECK(lossy.session.messages()[MessageCounter::duplicate] > 0);
            CHECK(lossy.session.arbiter().restarts() == 0);
            CHECK(lossy.session.faults()[FaultCounter::stream_offset] == 0);
        }
    });
}

TEST_CASE("Venues: what no line brings leaves no book that claims to be exact") {
    for_each_wire([]<class Venue>() {
        Run run;
        run.lines[0].loss = 0.02;
        run.never_on_all = false;
        const Feed<Venue> lossy{run};
        CHECK(lossy.session.arbiter().messages_lost() > 0);
        CHECK(lossy.session.quality() == Quality::recovering);
        for (const OrderBook& book : lossy.session.books()) CHECK(book.quality() != Quality::live);
    });
}

TEST_CASE("Venues: one market told by each of them ends in the same prices and quantities") {
    const auto truth = levels_of(Feed<venues::NasdaqItch50>{Run{}}.session, 1'000'000);
    const auto best = levels_of(Feed<venues::NasdaqItch50>{Run{}}.session, 1);
    REQUIRE(truth.size() == 12);
    for_each_wire([&]<class Venue>() {
        const Feed<Venue> feed{Run{}};
        const BookDepth depth = feed.session.books()[0].depth();
        CHECK(levels_of(feed.session, 1'000'000) == (depth == BookDepth::top ? best : truth));
        for (const OrderBook& book : feed.session.books()) {
            CHECK((book.order_count() > 0) == (depth == BookDepth::orders));
            const bool queues = !book.orders(Side::bid, 0).empty() || !book.orders(Side::ask, 0).empty();
            CHECK(queues == (depth == BookDepth::orders));
        }
    });
}
