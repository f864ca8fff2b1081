// What tests of every edge do: records into a sink by hand, and batches out of a source, checked.
#pragma once

#include <chrono>
#include <memory>
#include <random>
#include <string>
#include <thread>

#include "millrace/feed/streams/checker.hpp"
#include "millrace/feed/streams/edges.hpp"
#include "millrace/replay/dbn_file.hpp"
#include "tests/support/catch.hpp"

namespace millrace::test {

// A sink that a test feeds with numbered MBO records of two instruments.
class TestSink {
  public:
    explicit TestSink(const std::string& url, streams::SinkConfig config = {}, std::size_t ring = kRing) {
        fill(config, ring);
        auto edge = streams::make_edge(streams::parse_url(url), config);
        sink_ = std::make_unique<streams::StreamSink>(config, std::move(edge));
    }
    TestSink(std::unique_ptr<streams::Edge> edge, streams::SinkConfig config) {
        fill(config, kRing);
        sink_ = std::make_unique<streams::StreamSink>(config, std::move(edge));
    }
    void send(std::uint64_t records, std::uint64_t ts_recv = 0) {
        auto record = dbn::make<dbn::Mbo>(dbn::Rtype::mbo);
        record.ts_recv.set(ts_recv);
        record.ts_event.set(1704205800000000000);
        record.action.set('N');
        record.side.set('N');
        for (; records > 0; --records) {
            const auto instrument = static_cast<std::uint32_t>(++made_ % 2);
            record.instrument_id.set(instrument + 1);
            record.sequence.set(static_cast<std::uint32_t>(made_));
            const dbn::MadeRecord about{InstrumentId{instrument}, 0, sizeof(record), Quality::live,
                                        made_};
            sink_->on_record(about, Symbol(instrument == 0 ? "AAAA" : "BBBB"),
                             wire::bytes_of(record));
        }
    }
    [[nodiscard]] std::uint64_t made() const { return made_; }
    [[nodiscard]] streams::StreamSink& operator*() const { return *sink_; }
    [[nodiscard]] streams::StreamSink* operator->() const { return sink_.get(); }
    [[nodiscard]] std::uint64_t counter(std::string_view name) const {
        for (const streams::EdgeCounter& counter : sink_->edge_counters())
            if (counter.name == name) return counter.count;
        FAIL("no counter " << name);
        return 0;
    }

  private:
    static constexpr std::size_t kRing = 1 << 12;  // small, so that it gets full

    static void fill(streams::SinkConfig& config, std::size_t ring) {
        config.dataset = "TEST.SET";
        config.schemas = {dbn::Schema::mbo};
        config.instruments = 8;
        config.ring_records = ring;
    }

    std::unique_ptr<streams::StreamSink> sink_;
    std::uint64_t made_ = 0;
};

inline std::uint64_t records_in(std::span<const std::uint8_t> payload) {
    replay::DbnFileReader reader(payload, "payload");
    dbn::RecordView record;
    while (reader.next(record)) {
    }
    return reader.records();
}

// Reads a source to its end, or `batches` batches of it.
inline void read_into(streams::StreamChecker& checker, streams::Source& source,
                      std::uint64_t batches = std::uint64_t{1} << 60) {
    streams::Received received;
    while (batches > 0) {
        const streams::Source::Next next = source.next(100, received);
        INFO(source.problem());
        REQUIRE(next != streams::Source::Next::failed);
        if (next == streams::Source::Next::end) return;
        if (next == streams::Source::Next::none) continue;
        REQUIRE(received.has_envelope);
        checker.on_batch(received.envelope, received.payload, records_in(received.payload));
        --batches;
    }
}
inline streams::CheckedTotals read_all(const std::string& url) {
    streams::StreamChecker checker;
    const auto source = streams::make_source(streams::parse_url(url));
    read_into(checker, *source);
    source->close();
    return checker.totals();
}
// A hundred readers, one after the other, that end without a word behind fewer than `most` batches, and one that reads
// to the end. `random` chooses, so that a failure comes again.
inline streams::CheckedTotals read_by_dying(const std::string& url, std::mt19937 random, std::uint64_t most) {
    streams::StreamChecker checker;
    for (int life = 0; life < 100; ++life) {
        const auto source = streams::make_source(streams::parse_url(url));
        read_into(checker, *source, random() % most);
    }
    const auto source = streams::make_source(streams::parse_url(url));
    read_into(checker, *source);
    source->close();
    return checker.totals();
}

// Life after life of a reader that is further than what it commits: whatever was not committed comes
// again, and nothing else. `url` has no options, `group` is those of a group.
inline void check_commits_by_hand(const std::string& url, const std::string& group, std::uint64_t batches) {
    constexpr std::uint64_t kLives = 3;
    constexpr std::uint64_t kRead = 25;
    constexpr std::uint64_t kCommitted = 10;
    REQUIRE(batches > kLives * kCommitted + kRead);
    for (std::uint64_t life = 0; life < kLives; ++life) {
        const auto source = streams::make_source(streams::parse_url(url + "?" + group));
        REQUIRE(source->commit_by_hand());
        CHECK_FALSE(source->from_start());
        streams::StreamChecker read(false);
        read_into(read, *source, kRead);
        source->processed(kCommitted);
        CHECK(source->commit());
        source->processed(kRead);  // and not committed
        source->close();
    }
    CHECK(read_all(url + "?" + group).batches == batches - kLives * kCommitted);
    // Without a group the place is the reader's to keep.
    const auto source = streams::make_source(streams::parse_url(url));
    REQUIRE(source->commit_by_hand());
    CHECK(source->from_start());
    streams::StreamChecker read;
    read_into(read, *source, kRead);
    CHECK(source->position().empty());
    source->processed(kCommitted);
    const std::string place = source->position();
    CHECK(read_all(url + "?from=" + place).batches == batches - kCommitted);
}

// Where the programs lie that read our streams with other people's libraries.
inline const std::string kScripts = std::string(MILLRACE_SOURCE_DIR) + "/tests/streams/";

// A sink that loses nothing: small batches, sent soon.
[[nodiscard]] inline streams::SinkConfig blocking() {
    streams::SinkConfig config;
    config.when_full = streams::WhenFull::block;
    config.batch_records = 20;
    config.linger = 1'000'000;
    return config;
}

template <class Done>
[[nodiscard]] bool in_time(Done&& done) {
    for (int i = 0; i < 6'000 && !done(); ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return done();
}

}  // namespace millrace::test
