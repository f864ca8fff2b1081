#include "millrace/replay/simulator/exchange.hpp"

#include <map>
#include <set>
#include <string>

#include "millrace/core/error.hpp"
#include "tests/simulator/day_checker.hpp"
#include "tests/support/catch.hpp"

using namespace millrace;
using namespace millrace::replay;
using millrace::test::DayChecker;

namespace {

ExchangeConfig small_exchange() {
    ExchangeConfig config;
    config.market.symbols = 20;
    config.market.messages = 50'000;
    config.market.peak_orders = 2'000;
    return config;
}

// What one line brought, read by hand: 10 bytes of session, 8 of sequence, 2 of count, then
// blocks.
struct ReadLine {
    std::map<std::uint64_t, std::string> messages;
    std::uint64_t packets = 0, heartbeats = 0, ends = 0, malformed = 0, differing = 0;
    std::uint64_t highest_start = 0, backwards = 0;
    std::size_t longest = 0;
    Timestamp time = 0;

    void read(const SimulatedPacket& packet, const std::string& session) {
        const std::span<const std::uint8_t> bytes = packet.bytes;
        longest = std::max(longest, bytes.size());
        if (bytes.size() < 20 || std::string(bytes.begin(), bytes.begin() + 10) != session) {
            ++malformed;
            return;
        }
        const std::uint64_t first = DayChecker::number(bytes, 10, 8);
        const std::uint64_t count = DayChecker::number(bytes, 18, 2);
        if (count == 0 || count == 0xffff) {
            ++(count == 0 ? heartbeats : ends);
            if (bytes.size() != 20) ++malformed;
            return;
        }
        ++packets;
        if (first < highest_start) ++backwards;
        highest_start = std::max(highest_start, first);
        std::size_t at = 20;
        for (std::uint64_t i = 0; i < count && at + 2 <= bytes.size(); ++i) {
            const std::size_t size = DayChecker::number(bytes, at, 2);
            at += 2;
            if (at + size > bytes.size()) break;
            const std::string message(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                                      bytes.begin() + static_cast<std::ptrdiff_t>(at + size));
            const auto [place, fresh] = messages.emplace(first + i, message);
            if (!fresh && place->second != message) ++differing;
            at += size;
            if (i + 1 == count && at == bytes.size()) return;
        }
        ++malformed;
    }
};

struct Run {
    std::vector<ReadLine> lines;
    std::vector<LineFaultCounts> counts;
    std::vector<std::string> truth;  // message i + 1 of the session
    std::uint64_t time_backwards = 0;

    explicit Run(const ExchangeConfig& config) : lines(config.lines.size()) {
        std::string session = config.session;
        session.resize(10, ' ');
        Exchange exchange(
            config,
            [&](const SimulatedPacket& packet) {
                if (packet.time < lines[packet.line].time) ++time_backwards;
                lines[packet.line].time = packet.time;
                lines[packet.line].read(packet, session);
            },
            [&](Exchange::Message m) { truth.emplace_back(m.begin(), m.end()); });
        while (exchange.step()) {
        }
        CHECK(exchange.next_sequence() == truth.size() + 1);
        for (std::size_t i = 0; i < lines.size(); ++i) {
            counts.push_back(exchange.faults().counts(static_cast<LineId>(i)));
        }
    }
    [[nodiscard]] std::uint64_t missing_on_all() const {
        std::uint64_t missing = 0;
        for (std::uint64_t sequence = 1; sequence <= truth.size(); ++sequence) {
            bool found = false;
            for (const ReadLine& line : lines) found = found || line.messages.contains(sequence);
            missing += found ? 0U : 1U;
        }
        return missing;
    }
    [[nodiscard]] bool all_true() const {
        for (const ReadLine& line : lines) {
            for (const auto& [sequence, message] : line.messages) {
                if (sequence == 0 || sequence > truth.size() || truth[sequence - 1] != message)
                    return false;
            }
        }
        return true;
    }
};

}  // namespace

TEST_CASE("Exchange: without faults every line carries every message once, in order") {
    for (const bool repacketise : {false, true}) {
        ExchangeConfig config = small_exchange();
        config.repacketise = repacketise;
        const Run run(config);
        for (const ReadLine& line : run.lines) {
            CHECK(line.messages.size() == run.truth.size());
            CHECK(line.malformed == 0);
            CHECK(line.backwards == 0);
            CHECK(line.ends == 3);
            CHECK(line.longest <= 1'400);
            CHECK(line.longest > 100);
        }
        CHECK(run.all_true());
        CHECK(run.time_backwards == 0);
        CHECK((run.lines[0].packets != run.lines[1].packets) == repacketise);
    }
}

TEST_CASE(
    "Exchange: with faults no message is lost on both lines, however they cut their packets") {
    for (const bool repacketise : {false, true}) {
        for (const std::uint64_t seed : {1ULL, 2ULL, 3ULL}) {
            ExchangeConfig config = small_exchange();
            config.market.seed = seed;
            config.repacketise = repacketise;
            config.lines[0] = {0.2, 0.02, 0.05, 4, 0.5};
            config.lines[1] = {0.1, 0.01, 0.02, 8, 0.3};
            const Run run(config);
            INFO("seed " << seed << " repacketise " << repacketise);
            CHECK(run.missing_on_all() == 0);
            CHECK(run.all_true());
            for (std::size_t i = 0; i < 2; ++i) {
                CHECK(run.counts[i].lost > 0);
                CHECK(run.lines[i].messages.size() + run.counts[i].lost_messages ==
                      run.truth.size());
                CHECK(run.lines[i].malformed == 0);
                CHECK(run.lines[i].backwards > 0);
            }
        }
    }
}

TEST_CASE("Exchange: when told so it loses messages on both lines") {
    ExchangeConfig config = small_exchange();
    config.never_on_all = false;
    for (LineFaults& line : config.lines) line.loss = 0.2;
    CHECK(Run(config).missing_on_all() > 0);
}

TEST_CASE("Exchange: a quiet market sends heartbeats") {
    ExchangeConfig config = small_exchange();
    config.market.messages = 300;
    config.market.messages_per_second = 2;
    const Run run(config);
    for (const ReadLine& line : run.lines) CHECK(line.heartbeats > 20);
    CHECK(run.time_backwards == 0);
    CHECK(run.lines[0].messages.size() == run.truth.size());
}

TEST_CASE("Exchange: after its end it can go on to say that nothing more comes, on every line") {
    ExchangeConfig config = small_exchange();
    config.market.messages = 100;
    ReadLine lines[2];
    Exchange exchange(config, [&](const SimulatedPacket& packet) { lines[packet.line].read(packet, config.session); });
    while (exchange.step()) {
    }
    const std::uint64_t ends = lines[0].ends;
    exchange.repeat_end(exchange.time());
    for (const ReadLine& line : lines) {
        CHECK(line.ends == ends + 1);
        CHECK(line.malformed == 0);
    }
}

TEST_CASE("Exchange: a busy market packs several messages into a packet") {
    const Run run(small_exchange());
    CHECK(run.truth.size() > 3 * run.lines[0].packets);
}

TEST_CASE("Exchange: a config that makes no sense is refused") {
    const auto refused = [](auto change) {
        ExchangeConfig config = small_exchange();
        change(config);
        CHECK_THROWS_AS(Exchange(config, [](const SimulatedPacket&) {}), Error);
    };
    refused([](ExchangeConfig& c) { c.session = "ELEVEN_LONG"; });
    refused([](ExchangeConfig& c) { c.lines.clear(); });
    refused([](ExchangeConfig& c) { c.lines.resize(17); });
    refused([](ExchangeConfig& c) { c.packet_bytes_max = 60; });
    refused([](ExchangeConfig& c) { c.packet_bytes_max = 70'000; });
    refused([](ExchangeConfig& c) { c.lines[0].loss = 1.5; });
    refused([](ExchangeConfig& c) { c.lines[1].burst = -0.1; });
}
