// Shards: replays that arrive exactly once however often they are killed, and writers that are
// fenced by their successors. Against the real server.
#ifdef MILLRACE_HAS_KAFKA
#include <map>
#include <random>

#include "millrace/feed/streams/dbn/metadata.hpp"
#include "millrace/feed/streams/kafka/kafka_shard.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/command.hpp"
#include "tests/support/kafka_server.hpp"
#include "tests/support/sink_test.hpp"

using namespace millrace;
using namespace millrace::streams;
using namespace millrace::test;

namespace {

// Tests of other files use the same server: no two may share a topic.
std::string url_of(const std::string& topic, const std::string& options) {
    return KafkaServer::shared().url("shard-" + topic + options);
}
std::string of_shard(const std::string& topic, const std::string& options) {
    return url_of(topic, "?shard=a" + options);
}

// What nobody but a reader of committed messages sees.
CheckedTotals read_committed(const std::string& topic) {
    return read_all(url_of(topic, "?isolation.level=read_committed"));
}

SinkConfig waiting() {
    SinkConfig config = blocking();
    config.stop_within = 60'000'000'000;
    return config;
}

// The newest entry of each stream in a topic's catalogue, as its JSON.
std::map<std::uint64_t, std::string> catalogue(const std::string& topic) {
    std::map<std::uint64_t, std::string> newest;
    const auto source =
        make_source(parse_url(url_of(topic, ".catalogue?isolation.level=read_committed")));
    Received received;
    for (Source::Next next{}; next != Source::Next::end;) {
        next = source->next(100, received);
        REQUIRE(next != Source::Next::failed);
        if (next != Source::Next::batch) continue;
        REQUIRE(received.has_envelope);
        newest[received.envelope.stream.value()].assign(received.payload.begin(),
                                                        received.payload.end());
    }
    source->close();
    return newest;
}

// One message in a transaction of its own, by hand.
class KafkaTransaction {
  public:
    explicit KafkaTransaction(std::string topic) : topic_(std::move(topic)) {
        const Url url = parse_url(KafkaServer::shared().url(topic_));
        KafkaSettings settings(url);
        settings.set("transactional.id", "other");
        client_ = make_kafka_client(RD_KAFKA_PRODUCER, settings, topic_);
        REQUIRE(rd_kafka_init_transactions(client_.get(), 30'000) == nullptr);
    }
    void begin() {
        REQUIRE(rd_kafka_begin_transaction(client_.get()) == nullptr);
        // A compacted topic takes nothing without a key.
        REQUIRE(rd_kafka_producev(client_.get(), RD_KAFKA_VTYPE_TOPIC, topic_.c_str(), RD_KAFKA_VTYPE_KEY,
                                  "k", std::size_t{1},
                                  RD_KAFKA_VTYPE_END) == RD_KAFKA_RESP_ERR_NO_ERROR);
        REQUIRE(rd_kafka_flush(client_.get(), 30'000) == RD_KAFKA_RESP_ERR_NO_ERROR);
    }
    void commit() { CHECK(rd_kafka_commit_transaction(client_.get(), 30'000) == nullptr); }

  private:
    std::string topic_;
    KafkaClient client_;
};

std::uint64_t number_behind(const std::string& json, const std::string& key) {
    const std::size_t at = json.find("\"" + key + "\":");
    return at == std::string::npos ? 0 : std::stoull(json.substr(at + key.size() + 3));
}

}  // namespace

TEST_CASE("kafka shard: a batch loses its first records and stays a whole stream", "[kafka]") {
    Batch batch;
    dbn::Metadata metadata;
    metadata.dataset = "TEST.SET";
    batch.payload = dbn::encode(metadata);
    const std::size_t head = batch.payload.size();
    auto record = dbn::make<dbn::Mbo>(dbn::Rtype::mbo);
    for (std::uint32_t i = 0; i < 5; ++i) {
        record.sequence.set(0xffff'fffe + i);  // the venue's numbers go on past 32 bits
        const auto bytes = wire::bytes_of(record);
        batch.payload.insert(batch.payload.end(), bytes.begin(), bytes.end());
    }
    batch.envelope.first_record.set(11);
    batch.envelope.records.set(5);
    batch.envelope.first_sequence.set(0x7'ffff'fffe);
    batch.envelope.last_sequence.set(0x8'0000'0002);
    const Batch cut = without_first(batch, 3);
    CHECK(cut.envelope.first_record.value() == 14);
    CHECK(cut.envelope.records.value() == 2);
    CHECK(cut.envelope.first_sequence.value() == 0x8'0000'0001);
    CHECK(cut.envelope.last_sequence.value() == 0x8'0000'0002);
    CHECK(cut.envelope.crc32c.value() == crc32c(cut.payload));
    CHECK(cut.payload.size() == head + 2 * sizeof(dbn::Mbo));
    CHECK(records_in(cut.payload) == 2);
}

TEST_CASE("kafka shard: options, and what is wrong with them", "[kafka]") {
    for (const std::string wrong :
         {"run=x", "shard=", "shard=a/b", "shard=a&run=x&policy=drop_oldest", "shard=a&payload=json",
          "shard=a&commit_ms=x", "shard=a&profile=latency"}) {
        INFO(wrong);
        SinkConfig config;
        config.when_full = WhenFull::block;
        CHECK_THROWS_AS(make_edge(parse_url("kafka://127.0.0.1:1/t?" + wrong), config), Error);
    }
}

TEST_CASE("kafka shard: a run that is over has nothing to add", "[kafka][server][no-sanitizer]") {
    {
        TestSink sink(of_shard("again", "&run=day"), waiting());
        sink.send(2'000);
        sink->stop();
        CHECK(sink->stats().acknowledged == 2'000);
        CHECK(sink.counter("resumed") == 0);
        CHECK(sink.counter("transactions") > 0);
    }
    {
        TestSink sink(of_shard("again", "&run=day"), waiting());
        sink.send(3'001);  // cut into batches elsewhere, and more of them
        sink->stop();
        CHECK(sink->stats().acknowledged == 3'001);
        CHECK(sink.counter("resumed") == 2'000);
    }
    const auto entries = catalogue("again");
    REQUIRE(entries.size() == 2);
    std::uint64_t records = 0;
    for (const auto& [stream, entry] : entries) {
        INFO(entry);
        CHECK(number_behind(entry, "stream") == stream);
        CHECK(entry.find(R"({"shard":"a","run":"day","symbol":")") == 0);
        CHECK(entry.find(R"("quality":"live"})") != std::string::npos);
        records += number_behind(entry, "last_record");
    }
    CHECK(records == 3'001);
    const CheckedTotals totals = read_committed("again");
    CHECK(totals.records == 3'001);
    CHECK(totals.duplicates == 0);
    CHECK(totals.missing == 0);
    CHECK(totals.damaged == 0);
}

TEST_CASE("kafka shard: a successor fences the writer before it, who never comes back",
          "[kafka][server][no-sanitizer]") {
    SinkConfig config = waiting();
    config.epoch = 6;
    TestSink before(of_shard("fenced", ""), config);
    before.send(1'000);
    REQUIRE(in_time([&] { return before->stats().acknowledged == 1'000; }));
    config.epoch = 5;  // the clock of the machine that takes over is behind
    TestSink after(of_shard("fenced", ""), config);
    after.send(100);
    REQUIRE(in_time([&] { return after->stats().acknowledged == 100; }));
    before.send(500);
    REQUIRE(in_time([&] { return before->stats().dropped == 500; }));
    after.send(900);
    before->stop();
    after->stop();
    CHECK(before.counter("fenced") == 1);
    CHECK(before->stats().balance() == 0);
    CHECK(before->problem().find("another writer") != std::string::npos);
    CHECK(after.counter("fenced") == 0);
    CHECK(after->stats().acknowledged == 1'000);
    const CheckedTotals totals = read_committed("fenced");
    CHECK(totals.records == 2'000);  // of the one the first 1,000, of the other all
    CHECK(totals.restarts == 2);     // of the two streams
    CHECK(totals.missing == 0);
    CHECK(totals.duplicates == 0);
    CHECK(totals.superseded == 0);
    for (const auto& [stream, entry] : catalogue("fenced")) CHECK(number_behind(entry, "epoch") == 7);
}

TEST_CASE("kafka shard: a transaction of another shard does not hide how far a run came",
          "[kafka][server][no-sanitizer]") {
    KafkaTransaction other("shard-hidden.catalogue");
    {
        TestSink sink(of_shard("hidden", "&run=day"), waiting());
        other.begin();  // a catalogue that is there; from here on readers see nothing of it
        sink.send(2'000);
        sink->stop();
        CHECK(sink->stats().acknowledged == 2'000);
    }
    CHECK(catalogue("hidden").empty());
    std::thread ends_it([&] {
        std::this_thread::sleep_for(std::chrono::seconds(2));
        other.commit();
    });
    TestSink sink(of_shard("hidden", "&run=day"), waiting());
    ends_it.join();
    sink.send(3'000);
    sink->stop();
    CHECK(sink->stats().acknowledged == 3'000);
    CHECK(sink.counter("resumed") == 2'000);
    const CheckedTotals totals = read_committed("hidden");
    CHECK(totals.records == 3'000);
    CHECK(totals.restarts == 0);
    CHECK(totals.duplicates == 0);
}

TEST_CASE("kafka shard: the server is killed and comes back, and nothing comes twice",
          "[kafka][server][no-sanitizer]") {
    KafkaServer& server = KafkaServer::shared();
    TestSink sink(of_shard("restarted", "&run=day"), waiting());
    sink.send(5'000);
    REQUIRE(in_time([&] { return sink->stats().acknowledged > 500; }));
    server.kill_it();
    sink.send(2'000);
    server.start();
    sink.send(2'000);
    sink->stop();
    CHECK(sink->stats().acknowledged == 9'000);
    const CheckedTotals totals = read_committed("restarted");
    CHECK(totals.records == 9'000);
    CHECK(totals.missing == 0);
    CHECK(totals.duplicates == 0);
}

namespace {

// Whether anything of a topic's shards was ever sent to its catalogue.
bool has_begun(const std::string& topic) {
    const std::string catalogue = "shard-" + topic + ".catalogue";
    const KafkaSettings settings(parse_url(KafkaServer::shared().url(catalogue)));
    const KafkaClient client = make_kafka_client(RD_KAFKA_CONSUMER, settings, catalogue);
    std::int64_t begin = 0;
    std::int64_t end = 0;
    rd_kafka_query_watermark_offsets(client.get(), catalogue.c_str(), 0, &begin, &end, 1'000);
    return end > 0;
}

// Replays a capture into a topic, killed again and again, and goes on until it is through.
void replay_killed(const std::string& topic, int kills, unsigned seed) {
    const TempFile capture("killed.pcapng");
    REQUIRE(run_command({"sim", "--capture", capture.path(), "--messages", "200000", "--seed", "9"})
                .code == 0);
    const std::string url = of_shard(topic, "&run=day&commit_ms=5");
    // Some records at once and, after two seconds, most of them in another two, while it is killed.
    std::vector<std::string> words{"replay", capture.path(), "--json", "--sink", url,
                                   "--pace", "6"};
    std::mt19937 random(seed);
    INFO("seed " << seed);
    for (int i = 0; i < kills; ++i) {
        const Command killed(words, "killed");  // when it goes
        REQUIRE(in_time([&] { return has_begun(topic); }));
        std::this_thread::sleep_for(std::chrono::milliseconds(2'000 + random() % 4'000));
    }
    words.resize(words.size() - 2);
    const Outcome last = run_command(words);
    INFO(last.out << last.err);
    REQUIRE(last.code == 0);
    CHECK(number_behind(last.out, "resumed") > 0);
    const CheckedTotals totals = read_committed(topic);
    CHECK(totals.restarts == 0);
    CHECK(totals.records == number_behind(last.out, "made"));
    CHECK(totals.missing == 0);
    CHECK(totals.duplicates == 0);
    CHECK(totals.damaged == 0);
    const Outcome read = run_command({"replay", url_of(topic, ""), "--json"});
    const auto digest_of = [](const std::string& json) {
        return json.substr(json.find("\"digest\":\"") + 10, 32);
    };
    CHECK(digest_of(read.out) == digest_of(last.out));
}

}  // namespace

TEST_CASE("kafka shard: a replay that is killed arrives exactly once",
          "[kafka][server][no-sanitizer]") {
    replay_killed("killed", 3, 1);
}

TEST_CASE("kafka shard: a replay that is killed a hundred times arrives exactly once",
          "[.long][kafka][server][no-sanitizer]") {
    replay_killed("killed-often", 100, std::random_device{}());
}

#endif
