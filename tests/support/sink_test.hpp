// What tests of every edge do: records into a sink by hand, and batches out of a source, checked.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "millrace/feed/streams/checker.hpp"
#include "millrace/feed/streams/edges.hpp"
#include "millrace/replay/dbn_file.hpp"
#include "tests/support/catch.hpp"

namespace millrace::test {

template <class Done>
[[nodiscard]] bool in_time(Done&& done) {
    for (int i = 0; i < 6'000 && !done(); ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return done();
}

// Numbered MBO records of two instruments in turn.
class TestRecords {
  public:
    TestRecords() {
        record_.ts_event.set(1704205800000000000);
        record_.price.set(187'350'000'000);
        record_.size.set(100);
        record_.action.set('N');
        record_.side.set('N');
    }
    void make_next(std::uint64_t ts_recv) {
        ++made_;
        record_.ts_recv.set(ts_recv);
        record_.instrument_id.set(instrument() + 1);
        record_.order_id.set(1'000'000'000 + made_);
        record_.sequence.set(static_cast<std::uint32_t>(made_));
    }
    [[nodiscard]] const dbn::Mbo& record() const { return record_; }
    [[nodiscard]] std::uint64_t made() const { return made_; }
    [[nodiscard]] std::uint32_t instrument() const { return static_cast<std::uint32_t>(made_ % 2); }
    [[nodiscard]] std::string_view symbol() const { return instrument() == 0 ? "AAAA" : "BBBB"; }

  private:
    dbn::Mbo record_ = dbn::make<dbn::Mbo>(dbn::Rtype::mbo);
    std::uint64_t made_ = 0;
};

// A sink that a test feeds with those.
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
        for (; records > 0; --records) {
            records_.make_next(ts_recv);
            const std::uint64_t made = records_.made();
            const dbn::MadeRecord about{InstrumentId{records_.instrument()}, 0, sizeof(dbn::Mbo), Quality::live, made};
            sink_->on_record(about, Symbol(records_.symbol()), wire::bytes_of(records_.record()));
        }
    }
    [[nodiscard]] std::uint64_t made() const { return records_.made(); }
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
    TestRecords records_;
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

// Reads to the end while the sink goes on sending: what was there when it began, and at most `more` records, those
// that came along with the last of these.
inline void check_ends_while_written(TestSink& sink, const std::string& url, std::uint64_t more) {
    sink.send(2'000);
    REQUIRE(in_time([&] { return sink->stats().acknowledged == sink.made(); }));
    std::atomic<bool> done{false};
    std::thread writer([&] {
        while (!done) {
            sink.send(20);
            std::this_thread::sleep_for(std::chrono::microseconds(500));
        }
    });
    const auto source = streams::make_source(streams::parse_url(url));
    streams::StreamChecker checker;
    streams::Received received;
    auto next = streams::Source::Next::none;
    for (int i = 0; i < 100 && next == streams::Source::Next::none; ++i) next = source->next(100, received);
    // By now it knows the end. In the meantime much is added to it.
    const std::uint64_t begun = sink->stats().made;
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    for (int i = 0; i < 10'000 && next != streams::Source::Next::end; ++i) {
        if (next == streams::Source::Next::failed) break;
        if (next == streams::Source::Next::batch)
            checker.on_batch(received.envelope, received.payload, records_in(received.payload));
        next = source->next(100, received);
    }
    done = true;
    writer.join();
    source->close();
    INFO(source->problem());
    CHECK(next == streams::Source::Next::end);
    CHECK(checker.totals().records >= 2'000);
    CHECK(checker.totals().records <= begun + more);
    CHECK(begun + more < sink.made());
    CHECK(checker.totals().missing == 0);
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

}  // namespace millrace::test
