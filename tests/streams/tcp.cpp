// The DBN gateway: its conversation word for word, clients that are too slow, and the official
// client reading a replay.
#include <atomic>
#include <chrono>
#include <thread>

#include "millrace/feed/net/io_uring_receiver.hpp"
#include "millrace/feed/streams/dbn/gateway_records.hpp"
#include "millrace/feed/streams/edges.hpp"
#include "millrace/feed/streams/tcp/live_protocol.hpp"
#include "millrace/replay/dbn_file.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/network.hpp"
#include "tests/support/python.hpp"

using namespace millrace;
using namespace millrace::streams;
using namespace millrace::test;

namespace {

const std::string kAuth = "auth=" + std::string(64, 'a') +
                          "-opqrs|dataset=TEST.SET|encoding=dbn|ts_out=0|compression=none|client=x";
const std::string kAll = "schema=mbp-1|stype_in=raw_symbol|symbols=ALL_SYMBOLS|is_last=1\n";

LiveOffer offer() { return {"TEST.SET", {dbn::Schema::mbo, dbn::Schema::mbp_1}}; }

// What is answered to `lines`, and what is wrong with them.
std::pair<std::string, std::string> converse(const std::string& lines) {
    const LiveOffer what = offer();
    LiveConversation conversation(what, std::string(32, 'c'), 5);
    std::string answers;
    for (const char c : lines) conversation.receive({&c, 1}, answers);
    return {answers, conversation.over() ? conversation.problem() : std::string{}};
}

struct Served {
    std::uint16_t port = free_port();
    std::unique_ptr<StreamSink> sink;
    std::uint64_t made = 0;

    explicit Served(const std::string& options, std::size_t backlog = 1 << 20) {
        SinkConfig config;
        config.dataset = "TEST.SET";
        config.schemas = offer().schemas;
        config.instruments = 8;
        config.ring_records = 1 << 14;  // more than any test leaves unacknowledged
        config.backlog_bytes = backlog;
        config.stop_within = 20'000'000'000;
        auto edge = make_edge(
            parse_url("tcp://127.0.0.1:" + std::to_string(port) + "?" + options), config);
        config.backlog_bytes = backlog;
        sink = std::make_unique<StreamSink>(config, std::move(edge));
    }
    template <class M>
    void send(M record, std::uint32_t instrument) {
        record.instrument_id.set(instrument + 1);
        record.ts_event.set(1704205800000000000);
        record.sequence.set(static_cast<std::uint32_t>(++made));
        const dbn::MadeRecord about{InstrumentId{instrument}, 0, sizeof(M), Quality::live, made};
        sink->on_record(about, Symbol(instrument == 0 ? "AAAA" : "BBBB"), wire::bytes_of(record));
    }
    [[nodiscard]] std::uint64_t counter(std::string_view name) const {
        for (const EdgeCounter& counter : sink->edge_counters())
            if (counter.name == name) return counter.count;
        FAIL("no counter " << name);
        return 0;
    }
};

// Greets, subscribes and starts; the gateway's metadata comes next.
void start(TcpClient& client, const std::string& subscriptions = kAll) {
    const std::string greeting = client.receive_bytes(55);
    REQUIRE(greeting.rfind("lsg_version=1.0.0\ncram=", 0) == 0);
    client.send(kAuth + "\n");
    REQUIRE(client.receive().rfind("success=1|session_id=", 0) == 0);
    client.send(subscriptions + "start_session=0\n");
}

// Records by kind, from all that a client received.
struct Heard {
    std::vector<std::uint32_t> sequences;  // of MBP-1 records
    std::uint64_t trades = 0;
    std::uint64_t maybe_bad = 0;  // of MBO records
    std::uint64_t told_lost = 0;
    std::vector<std::string> errors;
};
Heard hear(const std::string& bytes) {
    Heard heard;
    replay::DbnFileReader reader(
        std::span(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()), "client");
    CHECK(reader.metadata().dataset == "TEST.SET");
    CHECK(reader.metadata().schema == 0xFFFF);
    dbn::RecordView record;
    while (reader.next(record)) {
        if (const auto* quote = record.as<dbn::Mbp1>()) {
            heard.sequences.push_back(quote->sequence.value());
            heard.trades += quote->action.value() == 'T' ? 1U : 0U;
        }
        if (const auto* order = record.as<dbn::Mbo>())
            heard.maybe_bad += (order->flags.value() & dbn::flags::kMaybeBadBook) != 0 ? 1U : 0U;
        if (const auto* error = record.as<dbn::ErrorRecord>())
            heard.errors.emplace_back(error->err.value());
        const auto* system = record.as<dbn::System>();
        if (system == nullptr || system->code.value() != 2) continue;
        const std::string text(system->msg.value());
        heard.told_lost += std::stoull(text.substr(text.find(": ") + 2));
    }
    CHECK(reader.damage().empty());
    return heard;
}

dbn::Mbp1 quote(char action = 'A') {
    auto record = dbn::make<dbn::Mbp1>(dbn::Rtype::mbp_1);
    record.action.set(action);
    return record;
}

template <class Done>
void wait_until(Done&& done) {
    for (int i = 0; i < 4'000 && !done(); ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    REQUIRE(done());
}

}  // namespace

TEST_CASE("tcp: the conversation before a session", "[tcp]") {
    CHECK(converse(kAuth + "\n") == std::pair<std::string, std::string>(
                                        "success=1|session_id=5\n", ""));
    CHECK(converse("hello\n").first ==
          "success=0|error=Authentication failed: no signature\n");
    const auto instead = [](std::string from, const std::string& to) {
        std::string line = kAuth + "\n";
        line.replace(line.find(from), from.size(), to);
        return converse(line).first;
    };
    CHECK(instead("TEST.SET", "OTHER").find("error=Unknown dataset OTHER") != std::string::npos);
    CHECK(instead("none", "zstd").find("success=0") == 0);
    CHECK(instead("encoding=dbn", "encoding=csv").find("success=0") == 0);
    CHECK(instead("ts_out=0", "ts_out=1").find("success=0") == 0);
    CHECK(converse(std::string(70'000, 'x')).second == "A line is too long");
}

TEST_CASE("tcp: what is wrong with a subscription is told once the session starts", "[tcp]") {
    const auto problem_of = [](const std::string& line) {
        CHECK(converse(kAuth + "\n" + line + "\n").second.empty());
        return converse(kAuth + "\n" + line + "\nstart_session\n").second;
    };
    CHECK(problem_of("schema=mbo|symbols=A").empty());
    CHECK(problem_of("schema=tbbo|symbols=A").empty());
    CHECK(problem_of("schema=mbp-10|symbols=A") ==
          "No schema mbp-10 here: this gateway has mbo, mbp-1");
    CHECK(problem_of("schema=mbo|stype_in=parent|symbols=A").find("parent") != std::string::npos);
    CHECK(problem_of("schema=mbo|symbols=A|snapshot=1").find("snapshot") != std::string::npos);
    CHECK(problem_of("schema=mbo|symbols=A|start=1").find("start") != std::string::npos);
    CHECK(problem_of("nonsense").find("No schema") == 0);
}

TEST_CASE("tcp: a client gets what it subscribed to, and an error by a record", "[tcp]") {
    Served served("clients=2");
    TcpClient both(served.port);
    TcpClient one(served.port);
    start(both);
    start(one, "schema=tbbo|stype_in=raw_symbol|symbols=BBBB,CCCC|is_last=1\n");
    for (std::uint32_t i = 0; i < 100; ++i) served.send(quote(i % 10 < 2 ? 'T' : 'A'), i % 2);
    TcpClient wrong(served.port);
    start(wrong, "schema=ohlcv-1s|symbols=ALL_SYMBOLS\n");
    const Heard refused = hear(wrong.receive_all());
    CHECK(refused.errors == std::vector<std::string>{
                                "No schema ohlcv-1s here: this gateway has mbo, mbp-1"});
    served.sink->stop();
    CHECK(hear(both.receive_all()).sequences.size() == 100);
    const Heard of_one = hear(one.receive_all());
    CHECK(of_one.trades == 10);
    CHECK(of_one.sequences.size() == 10);
    CHECK(served.sink->stats().balance() == 0);
    CHECK(served.sink->stats().acknowledged == 100);
    CHECK(served.counter("sent") == 110);
    CHECK(served.counter("clients") == 3);
}

TEST_CASE("tcp: who takes all is told of each symbol before its records, and of those that come later", "[tcp]") {
    Served served("policy=block&clients=2");
    TcpClient all(served.port);
    TcpClient grows(served.port);
    start(all, kAll + "schema=mbo|stype_in=raw_symbol|symbols=ALL_SYMBOLS|is_last=1\n");
    start(grows);  // to MBP-1 alone
    auto clear = dbn::make<dbn::Mbo>(dbn::Rtype::mbo);
    clear.action.set('R');  // from here on its book is good
    const auto order = dbn::make<dbn::Mbo>(dbn::Rtype::mbo);
    constexpr std::uint64_t kEach = 2'000;
    const auto send = [&](std::uint32_t instrument) {
        served.send(clear, instrument);
        for (std::uint64_t i = 1; i < kEach; ++i) {
            served.send(order, instrument);
            served.send(quote(), instrument);
        }
    };
    send(0);
    grows.send("schema=mbo|stype_in=raw_symbol|symbols=BBBB|is_last=1\n");
    std::string of_grows;
    while (of_grows.find("Subscription for mbo data") == std::string::npos) of_grows += grows.receive();
    send(0);
    send(1);
    send(0);
    served.sink->stop();
    const std::string bytes = all.receive_all();
    replay::DbnFileReader reader(std::span(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()), "all");
    dbn::RecordView record;
    std::uint64_t next = 1;
    std::vector<std::string> named;
    while (reader.next(record)) {
        if (const auto* about = record.as<dbn::SymbolMapping>()) named.emplace_back(about->stype_out_symbol.value());
        const auto* of_book = record.as<dbn::Mbp1>();
        const auto* of_order = record.as<dbn::Mbo>();
        if (of_book == nullptr && of_order == nullptr) continue;
        REQUIRE(record.header().instrument_id.value() <= named.size());
        REQUIRE((of_book != nullptr ? of_book->sequence.value() : of_order->sequence.value()) == next++);
    }
    CHECK(next == served.made + 1);
    CHECK(named == std::vector<std::string>{"AAAA", "BBBB"});
    CHECK(hear(bytes).maybe_bad == 0);
    CHECK(hear(of_grows + grows.receive_all()).sequences.size() == 4 * (kEach - 1));
    CHECK(served.counter("sent") == served.made + 4 * (kEach - 1) + kEach);
}

TEST_CASE("tcp: a slow client loses what it is told of, and no other client does", "[tcp]") {
    Served served("policy=drop_oldest&clients=2");
    TcpClient fast(served.port);
    TcpClient slow(served.port, true);
    start(fast);
    start(slow, kAll + "schema=mbo|stype_in=raw_symbol|symbols=ALL_SYMBOLS|is_last=1\n");
    std::string of_fast;
    std::atomic<std::size_t> fast_has{0};
    std::thread reading([&] {
        for (std::string more; !(more = fast.receive()).empty(); fast_has += more.size())
            of_fast += more;
    });
    constexpr std::uint64_t kRecords = 200'000;
    const auto order = dbn::make<dbn::Mbo>(dbn::Rtype::mbo);
    for (std::uint64_t i = 0; i < kRecords; ++i) {
        // As fast as the fast client can follow, and no faster.
        while (i / 2 * sizeof(dbn::Mbp1) > fast_has + 200'000)
            std::this_thread::sleep_for(std::chrono::microseconds(100));
        if (i % 2 == 0) served.send(quote(), 0);
        else served.send(order, 1);
    }
    std::thread finally([&] { served.sink->stop(); });
    const Heard of_slow = hear(slow.receive_all());
    finally.join();
    reading.join();
    CHECK(hear(of_fast).sequences.size() == kRecords / 2);
    CHECK(hear(of_fast).told_lost == 0);
    CHECK(of_slow.told_lost > kRecords / 10);
    CHECK(of_slow.told_lost == served.counter("left_out"));
    CHECK(served.counter("sent") == kRecords / 2 + kRecords - of_slow.told_lost);
    CHECK(of_slow.maybe_bad > 0);
    CHECK(served.sink->stats().balance() == 0);
    CHECK(served.sink->stats().dropped + served.sink->stats().ring_full == 0);
}

TEST_CASE("tcp: for a slow client quotes are conflated, and its trades stay", "[tcp]") {
    Served served("policy=conflate&clients=1");
    TcpClient slow(served.port, true);
    start(slow);
    constexpr std::uint64_t kRecords = 100'000;
    for (std::uint64_t i = 0; i < kRecords; ++i) {
        while (served.made - served.sink->stats().acknowledged > 12'000)
            std::this_thread::sleep_for(std::chrono::microseconds(100));
        served.send(quote(i % 100 == 0 ? 'T' : 'A'), i % 2);
    }
    std::thread finally([&] { served.sink->stop(); });
    const Heard heard = hear(slow.receive_all());
    finally.join();
    CHECK(heard.trades == kRecords / 100);
    CHECK(heard.told_lost == 0);
    CHECK(heard.sequences.back() == kRecords);
    CHECK(std::is_sorted(heard.sequences.begin(), heard.sequences.end()));
    CHECK(served.counter("client_conflated") > kRecords / 10);
    CHECK(heard.sequences.size() == kRecords - served.counter("client_conflated"));
    CHECK(served.sink->stats().balance() == 0);
}

TEST_CASE("tcp: with block the feed waits for a client that pauses", "[tcp]") {
    Served served("policy=block&clients=1");
    TcpClient slow(served.port, true);
    start(slow);
    constexpr std::uint64_t kRecords = 120'000;
    std::thread feeding([&] {
        for (std::uint64_t i = 0; i < kRecords; ++i) served.send(quote(), 0);
        served.sink->stop();
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    CHECK(served.sink->stats().made < kRecords);
    const Heard heard = hear(slow.receive_all());
    feeding.join();
    CHECK(heard.sequences.size() == kRecords);
    CHECK(served.sink->stats().balance() == 0);
    CHECK(served.sink->stats().acknowledged == kRecords);
}

TEST_CASE("tcp: it serves by io_uring, and by poll where that is refused", "[tcp]") {
    const std::string backend = GENERATE("auto", "io_uring", "poll");
    const bool refused = !net::io_uring_refusal().empty();
    if (refused && backend == "io_uring") {
        SinkConfig config;
        CHECK_THROWS_AS(make_edge(parse_url("tcp://127.0.0.1:1?backend=io_uring"), config), Error);
        return;
    }
    Served served("policy=block&clients=2&backend=" + backend);
    TcpClient slow(served.port, true);
    TcpClient fast(served.port);
    start(slow);
    start(fast);
    constexpr std::uint64_t kRecords = 40'000;
    std::thread feeding([&] {
        for (std::uint64_t i = 0; i < kRecords; ++i) served.send(quote(), i % 2);
        served.sink->stop();
    });
    std::string of_fast;
    std::thread reading([&] { of_fast = fast.receive_all(); });
    const Heard of_slow = hear(slow.receive_all());
    feeding.join();
    reading.join();
    CHECK(of_slow.sequences.size() == kRecords);
    CHECK(hear(of_fast).sequences == of_slow.sequences);
    CHECK(served.counter("sent") == 2 * kRecords);
    CHECK(served.counter("io_uring") == (backend == "poll" || refused ? 0 : 1));
    CHECK(served.sink->stats().balance() == 0);
}

TEST_CASE("tcp: clients that come and go in the middle of everything leave the others alone", "[tcp]") {
    const std::string backend = GENERATE("auto", "poll");
    Served served("policy=block&clients=1&backend=" + backend);
    TcpClient steady(served.port);
    start(steady);
    std::string heard;
    std::thread reading([&] { heard = steady.receive_all(); });
    constexpr std::uint64_t kRounds = 50;
    for (std::uint64_t round = 0; round < kRounds; ++round) {
        auto guest = std::make_unique<TcpClient>(served.port, round % 2 == 0);
        if (round % 3 != 0) start(*guest);  // the others leave without a word
        for (int i = 0; i < 500; ++i) served.send(quote(), 0);
        if (round % 5 == 0) static_cast<void>(guest->receive());
    }
    served.sink->stop();
    reading.join();
    CHECK(hear(heard).sequences.size() == kRounds * 500);
    CHECK(served.sink->stats().acknowledged == kRounds * 500);
    CHECK(served.sink->stats().balance() == 0);
}

TEST_CASE("tcp: a client that comes late is told that its books may be bad", "[tcp]") {
    Served served("policy=drop_oldest");
    auto order = dbn::make<dbn::Mbo>(dbn::Rtype::mbo);
    order.action.set('A');
    served.send(order, 0);
    wait_until([&] { return served.sink->stats().acknowledged == 1; });
    TcpClient late(served.port);
    start(late, "schema=mbo|stype_in=raw_symbol|symbols=ALL_SYMBOLS|is_last=1\n");
    std::string bytes = late.receive();  // the session has begun
    served.send(order, 0);
    served.send(order, 1);
    order.action.set('R');
    served.send(order, 0);
    served.sink->stop();
    CHECK(hear(bytes + late.receive_all()).maybe_bad == 1);
}

TEST_CASE("tcp: the official client reads a replay, record for record", "[tcp]") {
    const std::string python = venv_python("databento");
    if (python.empty()) {
        WARN("skipped: no Python with databento (./tools/test makes it)");
        return;
    }
    const TempFile capture("gateway.pcapng");
    REQUIRE(run_command({"sim", "--capture", capture.path(), "--seconds", "1", "--seed", "4"})
                .code == 0);
    for (const std::string schema : {"mbo", "mbp-1", "trades"}) {
        INFO(schema);
        const TempFile file("gateway." + schema + ".dbn");
        const TempFile all("gateway.all.dbn");
        const TempFile some("gateway.some.dbn");
        REQUIRE(run_command({"convert", capture.path(), "-o", file.path(), "--schema", schema})
                    .code == 0);
        const std::string port = std::to_string(free_port());
        Command replay({"replay", capture.path(), "--json", "--schema", schema, "--sink",
                        "tcp://127.0.0.1:" + port + "?clients=2"},
                       "gateway");
        const std::string reader =
            std::string(MILLRACE_SOURCE_DIR) + "/tests/streams/gateway_reader.py";
        Outcome first;
        std::thread other([&] {
            first = run_program({python, reader, port, file.path(), schema, "ALL_SYMBOLS",
                                 all.path()});
        });
        const Outcome second =
            run_program({python, reader, port, file.path(), schema, "AAAA,BAAA", some.path()},
                        "second");
        other.join();
        const Outcome replayed = replay.wait();
        INFO(first.out << first.err << second.out << second.err << replayed.out << replayed.err);
        CHECK(first.code == 0);
        CHECK(second.code == 0);
        CHECK(replayed.code == 0);
        CHECK(replayed.out.find("\"unsent\":0,\"balance\":0") != std::string::npos);
    }
}

TEST_CASE("tcp: a reader of asyncio gets every record", "[tcp]") {
    const std::string python = venv_python("databento_dbn");
    if (python.empty()) {
        WARN("skipped: no Python with databento_dbn (./tools/test makes it)");
        return;
    }
    Served served("clients=1");
    for (std::uint32_t i = 0; i < 2'000; ++i)
        served.send(dbn::make<dbn::Mbo>(dbn::Rtype::mbo), i % 2);
    Outcome read;
    std::thread reader([&] {
        read = run_program({python, std::string(MILLRACE_SOURCE_DIR) + "/tests/streams/asyncio_reader.py",
                            std::to_string(served.port), "TEST.SET"});
    });
    wait_until([&] { return served.sink->stats().acknowledged == 2'000; });
    served.sink->stop();
    reader.join();
    INFO(read.out << read.err);
    CHECK(read.code == 0);
    CHECK(std::count(read.out.begin(), read.out.end(), '\n') == 2'000);
}

TEST_CASE("tcp: a gateway's URL, and what is wrong with it", "[tcp]") {
    for (const std::string wrong : {"tcp://127.0.0.1:1?payload=json", "tcp://localhost:13000",
                                    "tcp://127.0.0.1:99999", "tcp://127.0.0.1:1?client=1",
                                    "tcp://127.0.0.1:1?clients=257", "tcp://127.0.0.1:1?backend=aio"}) {
        INFO(wrong);
        SinkConfig config;
        CHECK_THROWS_AS(make_edge(parse_url(wrong), config), Error);
    }
    const Url url = parse_url("tcp://127.0.0.1:" + std::to_string(free_port()));
    SinkConfig config;
    const auto first = make_edge(url, config);
    SinkConfig other;
    CHECK_THROWS_AS(make_edge(url, other), Error);  // the port is taken
}
