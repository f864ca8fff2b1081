// The frame of all sinks: batches, envelopes, policies and the ledger, with an edge in memory; and
// the checker that a consumer runs.
#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <map>
#include <mutex>
#include <random>
#include <thread>

#include "millrace/feed/streams/checker.hpp"
#include "millrace/feed/streams/edges.hpp"
#include "millrace/replay/dbn_file.hpp"
#include "tests/support/catch.hpp"

using namespace millrace;
using namespace millrace::streams;

namespace {

// What the test makes the other side do, and what arrived there.
struct OtherSide {
    std::mutex mutex;
    bool up = true;
    bool takes = true;  // false: answers "full"
    bool acknowledges = true;
    std::uint64_t refuses = 0;  // the batch of that id
    std::map<std::uint32_t, std::string> symbols;
    std::vector<std::pair<Envelope, std::vector<std::uint8_t>>> arrived;
};

class MemoryEdge final : public Edge {
  public:
    explicit MemoryEdge(OtherSide& other) : other_(other) {}
    void on_symbol(std::uint32_t id, const Symbol& symbol) override {
        const std::lock_guard lock(other_.mutex);
        other_.symbols[id] = symbol.view();
    }
    bool connect(std::string& problem) override {
        const std::lock_guard lock(other_.mutex);
        if (!other_.up) problem = "down";
        return other_.up;
    }
    Sent send(const Batch& batch) override {
        const std::lock_guard lock(other_.mutex);
        if (!other_.up) return Sent::failed;
        if (!other_.takes) return Sent::full;
        if (batch.id == other_.refuses) {
            refused_.push_back(batch.id);
            return Sent::accepted;
        }
        other_.arrived.emplace_back(batch.envelope, batch.payload);
        sent_.push_back(batch.id);
        return Sent::accepted;
    }
    bool poll(int, Acks& acks, std::string& problem) override {
        const std::lock_guard lock(other_.mutex);
        if (!other_.up) {
            problem = "lost";
            return false;
        }
        acks.refused.insert(acks.refused.end(), refused_.begin(), refused_.end());
        refused_.clear();
        if (!other_.acknowledges) return true;
        acks.taken.insert(acks.taken.end(), sent_.begin(), sent_.end());
        sent_.clear();
        return true;
    }
    void disconnect() override { sent_.clear(); }

  private:
    OtherSide& other_;
    std::vector<std::uint64_t> sent_;
    std::vector<std::uint64_t> refused_;
};

SinkConfig config_of(WhenFull policy) {
    SinkConfig config;
    config.when_full = policy;
    config.instruments = 8;
    config.batch_records = 10;
    config.linger = 1'000'000;
    config.dataset = "TEST.SET";
    config.epoch = 7;
    config.stop_within = 2'000'000'000;
    return config;
}

template <class M>
void send(StreamSink& sink, M record, std::uint32_t instrument, std::uint64_t sequence) {
    record.instrument_id.set(instrument + 1);
    record.ts_event.set(1704205800000000000);
    record.sequence.set(static_cast<std::uint32_t>(sequence));
    const dbn::MadeRecord made{InstrumentId{instrument}, 0, sizeof(M), Quality::live, sequence};
    const Symbol symbol(instrument == 0 ? "AAAA" : "BBBB");
    sink.on_record(made, symbol, wire::bytes_of(record));
}

std::uint64_t records_in(std::span<const std::uint8_t> payload) {
    replay::DbnFileReader reader(payload, "payload");
    dbn::RecordView record;
    while (reader.next(record)) {
    }
    return reader.records();
}

CheckedTotals check(const OtherSide& other) {
    StreamChecker checker;
    for (const auto& [envelope, payload] : other.arrived)
        checker.on_batch(envelope, payload, records_in(payload));
    return checker.totals();
}

template <class Done>
bool wait_until(Done&& done) {
    for (int i = 0; i < 2'000 && !done(); ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return done();
}

const dbn::Mbo kMbo = dbn::make<dbn::Mbo>(dbn::Rtype::mbo);

// Takes the connection away when some batches have arrived, of which none was acknowledged.
void cut_after_arrivals(OtherSide& other) {
    REQUIRE(wait_until([&] {
        const std::lock_guard lock(other.mutex);
        return other.arrived.size() >= 10;
    }));
    const std::lock_guard lock(other.mutex);
    other.up = false;
}
void bring_back(OtherSide& other) {
    const std::lock_guard lock(other.mutex);
    other.up = true;
    other.acknowledges = true;
}

}  // namespace

TEST_CASE("crc32c: the check value of the standard", "[streams]") {
    const std::string_view digits = "123456789";
    CHECK(crc32c({reinterpret_cast<const std::uint8_t*>(digits.data()), digits.size()}) ==
          0xe3069283U);
}

TEST_CASE("crc32c: of any length as a bit at a time", "[streams]") {
    const auto slow = [](std::span<const std::uint8_t> bytes) {
        std::uint32_t crc = ~std::uint32_t{0};
        for (const std::uint8_t byte : bytes) {
            crc ^= byte;
            for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) != 0 ? (crc >> 1) ^ 0x82f63b78U : crc >> 1;
        }
        return ~crc;
    };
    std::vector<std::uint8_t> bytes(20'000);
    std::mt19937 random(17);
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
    for (const std::size_t size : {0U, 1U, 7U, 8U, 9U, 3'071U, 3'072U, 3'073U, 6'143U, 6'144U, 15'001U, 20'000U}) {
        INFO(size);
        CHECK(crc32c(std::span(bytes).first(size)) == slow(std::span(bytes).first(size)));
    }
}

TEST_CASE("StreamSink: every record arrives once, in complete DBN streams of one symbol",
          "[streams]") {
    OtherSide other;
    StreamSink sink(config_of(WhenFull::block), std::make_unique<MemoryEdge>(other));
    for (std::uint64_t i = 1; i <= 1'003; ++i) send(sink, kMbo, i % 2, i);
    send(sink, dbn::make<dbn::Mbp10>(dbn::Rtype::mbp_10), 1, 1'004);  // takes several cells
    sink.stop();
    const SinkStats stats = sink.stats();
    CHECK(stats.balance() == 0);
    CHECK(stats.acknowledged == 1'004);
    const CheckedTotals totals = check(other);
    CHECK(totals.records == 1'004);
    CHECK(totals.missing == 0);
    CHECK(totals.duplicates == 0);
    CHECK(totals.damaged == 0);
    for (const auto& [envelope, payload] : other.arrived) {
        REQUIRE(envelope.epoch.value() == 7);
        replay::DbnFileReader reader(payload, "payload");
        REQUIRE(reader.metadata().version == 3);
        REQUIRE(reader.metadata().symbols.size() == 1);
        dbn::RecordView record;
        std::uint64_t sequence = envelope.first_sequence.value();
        while (reader.next(record)) {
            const bool first_symbol = reader.metadata().symbols[0] == "AAAA";
            REQUIRE(record.header().instrument_id.value() == (first_symbol ? 1U : 2U));
            if (const auto* mbo = record.as<dbn::Mbo>())
                REQUIRE(mbo->sequence.value() == sequence);
            sequence += 2;
        }
    }
}

TEST_CASE("StreamSink: what was not acknowledged is sent again after the connection was lost",
          "[streams]") {
    OtherSide other;
    other.acknowledges = false;
    StreamSink sink(config_of(WhenFull::block), std::make_unique<MemoryEdge>(other));
    for (std::uint64_t i = 1; i <= 100; ++i) send(sink, kMbo, 0, i);
    cut_after_arrivals(other);
    REQUIRE(wait_until([&] { return sink.stats().state == EdgeState::backoff; }));
    bring_back(other);
    sink.stop();
    const SinkStats stats = sink.stats();
    CHECK(stats.balance() == 0);
    CHECK(stats.acknowledged == 100);
    CHECK(stats.resent > 0);
    CHECK(stats.connects == 2);
    const CheckedTotals totals = check(other);
    CHECK(totals.records == 100);
    CHECK(totals.missing == 0);
    CHECK(totals.duplicates > 0);
}

TEST_CASE("StreamSink: what the other side will never take counts as dropped", "[streams]") {
    OtherSide other;
    other.refuses = 3;
    StreamSink sink(config_of(WhenFull::block), std::make_unique<MemoryEdge>(other));
    for (std::uint64_t i = 1; i <= 100; ++i) send(sink, kMbo, 0, i);
    sink.stop();
    const SinkStats stats = sink.stats();
    CHECK(stats.balance() == 0);
    CHECK(stats.dropped > 0);
    CHECK(stats.refused == stats.dropped);
    CHECK(stats.acknowledged == 100 - stats.dropped);
    CHECK(check(other).missing == stats.dropped);
}

TEST_CASE("StreamSink: what may have arrived before the connection was lost is never left out",
          "[streams]") {
    OtherSide other;
    other.acknowledges = false;
    SinkConfig config = config_of(WhenFull::drop_oldest);
    config.backlog_bytes = 64 << 10;
    StreamSink sink(config, std::make_unique<MemoryEdge>(other));
    for (std::uint64_t i = 1; i <= 100; ++i) send(sink, kMbo, 0, i);
    cut_after_arrivals(other);
    for (std::uint64_t i = 101; i <= 20'000; ++i) send(sink, kMbo, 0, i);
    REQUIRE(wait_until([&] { return sink.stats().dropped > 10'000; }));
    bring_back(other);
    send(sink, kMbo, 0, 20'001);
    sink.stop();
    const SinkStats stats = sink.stats();
    CHECK(stats.balance() == 0);
    const CheckedTotals totals = check(other);
    CHECK(totals.records == stats.acknowledged);
    CHECK(totals.missing == stats.dropped + stats.ring_full);
    CHECK(totals.duplicates > 0);
}

TEST_CASE("StreamSink: one stream of the whole feed keeps its order, and names come first",
          "[streams]") {
    OtherSide other;
    SinkConfig config = config_of(WhenFull::block);
    config.by_symbol = false;
    config.payload = Payload::records;
    StreamSink sink(config, std::make_unique<MemoryEdge>(other));
    for (std::uint64_t i = 1; i <= 1'003; ++i) send(sink, kMbo, i % 3 == 0 ? 0 : 1, i);
    sink.stop();
    CHECK(other.symbols == std::map<std::uint32_t, std::string>{{1, "AAAA"}, {2, "BBBB"}});
    std::uint64_t sequence = 0;
    for (const auto& [envelope, payload] : other.arrived) {
        CHECK(envelope.stream.value() == stream_id("feed", ""));
        CHECK(envelope.first_record.value() == sequence + 1);
        std::span<const std::uint8_t> rest(payload);
        dbn::RecordView record;
        for (; dbn::next_record(rest, record) == dbn::Step::record;
             rest = rest.subspan(record.bytes().size()))
            REQUIRE(record.as<dbn::Mbo>()->sequence.value() == ++sequence);
    }
    CHECK(sequence == 1'003);
}

TEST_CASE("StreamSink: a feed that waits can be told to wait no more", "[streams]") {
    OtherSide other;
    other.takes = false;
    SinkConfig config = config_of(WhenFull::block);
    config.ring_records = 64;
    config.backlog_bytes = 4 << 10;
    config.stop_within = 100'000'000;
    std::atomic<int> asked{0};
    config.keep_waiting = [&] { return ++asked < 3; };
    StreamSink sink(config, std::make_unique<MemoryEdge>(other));
    for (std::uint64_t i = 1; i <= 5'000; ++i) send(sink, kMbo, 0, i);
    sink.stop();
    CHECK(asked == 3);
    CHECK(sink.stats().ring_full > 4'000);
    CHECK(sink.stats().balance() == 0);
}

TEST_CASE("StreamSink drop_oldest: the cap holds, and the checker misses exactly what was counted",
          "[streams]") {
    OtherSide other;
    other.takes = false;
    SinkConfig config = config_of(WhenFull::drop_oldest);
    config.backlog_bytes = 64 << 10;
    StreamSink sink(config, std::make_unique<MemoryEdge>(other));
    for (std::uint64_t i = 1; i <= 20'000; ++i) send(sink, kMbo, i % 2, i);
    REQUIRE(wait_until([&] { return sink.stats().dropped > 15'000; }));
    CHECK(sink.stats().state == EdgeState::degraded);
    {
        const std::lock_guard lock(other.mutex);
        other.takes = true;
    }
    sink.stop();
    const SinkStats stats = sink.stats();
    CHECK(stats.balance() == 0);
    CHECK(stats.unsent == 0);
    CHECK(stats.backlog_bytes_max < (64 << 10) + 600 * 1'000);
    const CheckedTotals totals = check(other);
    CHECK(totals.records == stats.acknowledged);
    CHECK(totals.missing == stats.dropped + stats.ring_full);
    CHECK(totals.missing > 15'000);
    CHECK(totals.left_out == totals.missing);  // told with the batches and the end marks
    CHECK(totals.completeness() == Completeness::counted);
    CHECK(totals.ends == 2);
}

TEST_CASE("StreamSink spill: what finds no room in memory waits on disk, and comes in order",
          "[streams]") {
    OtherSide other;
    other.takes = false;
    SinkConfig config = config_of(WhenFull::spill);
    config.backlog_bytes = 64 << 10;
    config.stop_within = 60'000'000'000;
    StreamSink sink(config, std::make_unique<MemoryEdge>(other));
    // More than one file of the spill.
    for (std::uint64_t i = 1; i <= 400'000; ++i) {
        if (i % 10'000 == 0) REQUIRE(wait_until([&] { return sink.stats().spilled + 20'000 > i; }));
        send(sink, kMbo, i % 2, i);
    }
    REQUIRE(wait_until([&] { return sink.stats().spilled > 390'000; }));
    {
        const std::lock_guard lock(other.mutex);
        other.takes = true;
    }
    sink.stop();
    const SinkStats stats = sink.stats();
    CHECK(stats.balance() == 0);
    CHECK(stats.acknowledged == 400'000);
    CHECK(stats.backlog_bytes_max < (64 << 10) + 600 * 1'000);
    CHECK(check(other).completeness() == Completeness::complete);
    CHECK(check(other).records == 400'000);
}

TEST_CASE("StreamSink spill: what finds no room on disk either is left out, and counted",
          "[streams]") {
    OtherSide other;
    other.takes = false;
    SinkConfig config = config_of(WhenFull::spill);
    config.backlog_bytes = 64 << 10;
    rlimit before{};
    REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
    const auto limit_files = [&](rlim_t bytes) {
        const rlimit now{bytes, before.rlim_max};
        REQUIRE(setrlimit(RLIMIT_FSIZE, &now) == 0);
    };
    const bool full_disk = GENERATE(false, true);
    if (!full_disk) config.spill_bytes = 1 << 20;
    signal(SIGXFSZ, SIG_IGN);
    StreamSink sink(config, std::make_unique<MemoryEdge>(other));
    if (full_disk) limit_files(1 << 20);
    for (std::uint64_t i = 1; i <= 50'000; ++i) send(sink, kMbo, i % 2, i);
    const bool lost = wait_until([&] { return sink.stats().dropped > 20'000; });
    limit_files(before.rlim_cur);
    signal(SIGXFSZ, SIG_DFL);
    REQUIRE(lost);
    {
        const std::lock_guard lock(other.mutex);
        other.takes = true;
    }
    sink.stop();
    const SinkStats stats = sink.stats();
    CHECK(stats.balance() == 0);
    CHECK(stats.spilled > 5'000);
    CHECK(stats.unsent == 0);
    const CheckedTotals totals = check(other);
    CHECK(totals.records == stats.acknowledged);
    CHECK(totals.left_out == stats.dropped + stats.ring_full);
    CHECK(totals.completeness() == Completeness::counted);
    CHECK_FALSE(sink.problem().empty());
}

TEST_CASE("StreamSink spill: a folder that is not there is told of", "[streams]") {
    OtherSide other;
    SinkConfig config = config_of(WhenFull::spill);
    config.spill_folder = "/no/such/folder";
    CHECK_THROWS_WITH(StreamSink(config, std::make_unique<MemoryEdge>(other)),
                      Catch::Contains("/no/such/folder"));
}

TEST_CASE("StreamSink conflate: of the books only the newest remain, and all the trades",
          "[streams]") {
    OtherSide other;
    other.takes = false;
    SinkConfig config = config_of(WhenFull::conflate);
    config.backlog_bytes = 96 << 10;
    config.batch_records = 1;
    StreamSink sink(config, std::make_unique<MemoryEdge>(other));
    dbn::Mbp1 quote = dbn::make<dbn::Mbp1>(dbn::Rtype::mbp_1);
    quote.action.set('A');
    dbn::Mbp1 trade = quote;
    trade.action.set('T');
    for (std::uint64_t i = 1; i <= 2'000; ++i) send(sink, i % 100 == 0 ? trade : quote, i % 2, i);
    REQUIRE(wait_until([&] { return sink.stats().conflated > 1'000; }));
    {
        const std::lock_guard lock(other.mutex);
        other.takes = true;
    }
    sink.stop();
    const SinkStats stats = sink.stats();
    CHECK(stats.balance() == 0);
    CHECK(stats.dropped == 0);
    std::uint64_t trades = 0;
    std::uint64_t last = 0;
    for (const auto& [envelope, payload] : other.arrived) {
        replay::DbnFileReader reader(payload, "payload");
        dbn::RecordView record;
        while (reader.next(record)) {
            trades += record.as<dbn::Mbp1>()->action.value() == 'T' ? 1U : 0U;
            last = record.as<dbn::Mbp1>()->sequence.value();
        }
    }
    CHECK(trades == 20);
    CHECK(last == 2'000);
    CHECK(check(other).conflated == stats.conflated);
    CHECK(check(other).completeness() == Completeness::conflated);
}

TEST_CASE("StreamChecker: finds a batch removed, repeated or altered", "[streams]") {
    OtherSide other;
    StreamSink sink(config_of(WhenFull::block), std::make_unique<MemoryEdge>(other));
    for (std::uint64_t i = 1; i <= 100; ++i) send(sink, kMbo, 0, i);
    sink.stop();
    const auto genuine = other.arrived;
    REQUIRE(genuine.size() >= 10);
    const std::uint64_t of_third = genuine[3].first.records.value();
    other.arrived.erase(other.arrived.begin() + 3);
    CHECK(check(other).missing == of_third);
    other.arrived = genuine;
    other.arrived.insert(other.arrived.begin() + 3, genuine[3]);
    CHECK(check(other).duplicates == of_third);
    CHECK(check(other).missing == 0);
    other.arrived = genuine;
    other.arrived[3].second.back() ^= 1;
    CHECK(check(other).damaged == 1);
    CHECK(check(other).missing == of_third);
    StreamChecker checker;
    // A record taken out of the middle of a batch, under the batch's own envelope.
    other.arrived = genuine;
    other.arrived[3].second.resize(other.arrived[3].second.size() - sizeof(dbn::Mbo));
    CHECK(check(other).damaged == 1);
}

TEST_CASE("StreamChecker: one that joins later takes what comes first for the beginning", "[streams]") {
    StreamChecker late(false);
    Envelope envelope{};
    envelope.stream.set(7);
    envelope.records.set(4);
    const auto next = [&](std::uint64_t first) {
        envelope.first_record.set(first);
        return late.on_envelope(envelope);
    };
    CHECK(next(101) == Verdict::next);
    CHECK(next(105) == Verdict::next);
    CHECK(next(113) == Verdict::gap);
    CHECK(late.totals().missing == 4);
    CHECK(next(0) == Verdict::damaged);
}

TEST_CASE("StreamChecker: the end of a stream is known, also when its last records were lost",
          "[streams]") {
    OtherSide other;
    StreamSink sink(config_of(WhenFull::block), std::make_unique<MemoryEdge>(other));
    for (std::uint64_t i = 1; i <= 100; ++i) send(sink, kMbo, i % 2, i);
    sink.stop();
    REQUIRE(other.arrived.size() > 4);
    REQUIRE(other.arrived.back().first.records.value() == 0);
    CHECK(check(other).completeness() == Completeness::complete);
    // The last batch before the two end marks.
    const auto lost = other.arrived.end() - 3;
    const std::uint64_t records = lost->first.records.value();
    other.arrived.erase(lost);
    CHECK(check(other).missing == records);
    CHECK(check(other).lost() == records);
    CHECK(check(other).completeness() == Completeness::broken);
    StreamChecker checker;
    other.arrived.pop_back();
    for (const auto& [envelope, payload] : other.arrived)
        checker.on_batch(envelope, payload, records_in(payload));
    CHECK(checker.open() == 1);
}

TEST_CASE("StreamChecker: records that come after later ones fill their hole", "[streams]") {
    OtherSide other;
    StreamSink sink(config_of(WhenFull::block), std::make_unique<MemoryEdge>(other));
    for (std::uint64_t i = 1; i <= 100; ++i) send(sink, kMbo, 0, i);
    sink.stop();
    std::swap(other.arrived[3], other.arrived[5]);
    const CheckedTotals totals = check(other);
    CHECK(totals.missing == 0);
    CHECK(totals.late == 20);
    CHECK(totals.records == 100);
    CHECK(totals.duplicates == 0);
    CHECK(totals.completeness() == Completeness::complete);
}

TEST_CASE("StreamChecker: a sender that began anew supersedes what it sent before", "[streams]") {
    OtherSide first;
    OtherSide second;
    SinkConfig config = config_of(WhenFull::block);
    for (OtherSide* other : {&first, &second}) {
        StreamSink sink(config, std::make_unique<MemoryEdge>(*other));
        for (std::uint64_t i = 1; i <= 100; ++i) send(sink, kMbo, 0, i);
        sink.stop();
        ++config.epoch;
    }
    OtherSide both;
    both.arrived = first.arrived;
    both.arrived.insert(both.arrived.end(), second.arrived.begin(), second.arrived.end());
    both.arrived.push_back(first.arrived.front());
    const CheckedTotals totals = check(both);
    CHECK(totals.records == 200);
    CHECK(totals.restarts == 1);
    CHECK(totals.superseded == 10);
    CHECK(totals.missing == 0);
}

TEST_CASE("streams: what is routed by event is numbered by event", "[streams]") {
    OtherSide other;
    SinkConfig config = config_of(WhenFull::block);
    config.schemas = {dbn::Schema::mbo, dbn::Schema::trades};
    config.by_event = true;
    StreamSink sink(config, std::make_unique<MemoryEdge>(other));
    const auto trade = dbn::make<dbn::Trade>(dbn::Rtype::mbp_0);
    for (std::uint64_t i = 1; i <= 300; ++i)
        i % 3 == 0 ? send(sink, trade, 0, i) : send(sink, kMbo, 0, i);
    sink.stop();
    std::map<std::uint16_t, StreamChecker> by_schema;
    for (const auto& [envelope, payload] : other.arrived) {
        const replay::DbnFileReader reader(payload, "payload");
        by_schema[reader.metadata().schema].on_batch(envelope, payload, records_in(payload));
    }
    REQUIRE(by_schema.size() == 2);
    const auto of = [&](dbn::Schema schema) {
        return by_schema[static_cast<std::uint16_t>(schema)].totals();
    };
    CHECK(of(dbn::Schema::mbo).records == 200);
    CHECK(of(dbn::Schema::trades).records == 100);
    CHECK(of(dbn::Schema::mbo).missing + of(dbn::Schema::trades).missing == 0);
}

TEST_CASE("streams: URLs, and what is wrong with them", "[streams]") {
    Url url = parse_url("kafka://a:1,b:2/md.trades?payload=json&x.y=a%3Db");
    CHECK(url.scheme == "kafka");
    CHECK(url.hosts == "a:1,b:2");
    CHECK(url.path == "md.trades");
    CHECK(url.take("payload", "") == "json");
    CHECK(url.options == std::map<std::string, std::string>{{"x.y", "a=b"}});
    CHECK(first_host(url, 9).port == 1);
    CHECK_THROWS_AS(parse_url("md.trades"), Error);
    CHECK_THROWS_AS(parse_url("kafka://a/t?payload"), Error);
    try {
        static_cast<void>(parse_url("kafka://me:secret@a/t"));
        FAIL("a password in a URL was taken");
    } catch (const Error& error) {
        CHECK(std::string(error.what()).find("secret") == std::string::npos);
    }
    SinkConfig config;
    CHECK_THROWS_AS(make_edge(parse_url("nats://a:1/t"), config), Error);
    for (const std::string wrong : {"payload=xml", "batch=4294967297", "linger_ms=60001",
                                    "backlog_mb=17592186044416", "backlog_mb=0", "batch=0", "batch=-1"}) {
        INFO(wrong);
        const std::string key = wrong.substr(0, wrong.find('='));
        CHECK_THROWS_WITH(make_edge(parse_url("kafka://a:1/t?" + wrong), config),
                          Catch::Contains(key));
    }
}
