// Messages out of runs of bytes: raw TCP in every framing, files that grow, or are full, and the command
// that checks what a file or broker holds.
#include <sys/resource.h>

#include <csignal>
#include <deque>
#include <fstream>
#include <functional>
#include <mutex>
#include <thread>

#include "millrace/feed/streams/framed/framing.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/command.hpp"
#include "tests/support/network.hpp"
#include "tests/support/server.hpp"
#include "tests/support/sink_test.hpp"

using namespace millrace;
using namespace millrace::streams;
using namespace millrace::test;

namespace {

std::string contents(const std::filesystem::path& path) {
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    return text.str();
}
void write_file(const std::filesystem::path& path, std::string_view text, bool append = false) {
    std::ofstream(path, std::ios::binary | (append ? std::ios::app : std::ios::trunc)) << text;
}

// A file of batches, as file:// writes it, of so many records.
void make_batches(const std::filesystem::path& path, std::uint64_t records) {
    TestSink sink("file://" + path.string(), blocking());
    sink.send(records);
    sink->stop();
    REQUIRE(sink->stats().acknowledged == records);
}

// Where each message of such a file begins, and its end.
std::vector<std::size_t> bounds(std::string_view bytes) {
    std::vector<std::size_t> at{0};
    while (at.back() < bytes.size()) {
        wire::u32le length;
        std::memcpy(&length, bytes.data() + at.back(), sizeof(length));
        at.push_back(at.back() + sizeof(length) + length.value());
    }
    return at;
}

// While it lives this process can make no file longer than so many bytes, which is what a full disk is like.
class FullDisk {
  public:
    explicit FullDisk(rlim_t bytes) {
        REQUIRE(getrlimit(RLIMIT_FSIZE, &before_) == 0);
        signal(SIGXFSZ, SIG_IGN);
        limit(bytes);
    }
    ~FullDisk() {
        limit(before_.rlim_cur);
        signal(SIGXFSZ, SIG_DFL);
    }
    FullDisk(const FullDisk&) = delete;
    FullDisk& operator=(const FullDisk&) = delete;

  private:
    void limit(rlim_t bytes) const {
        const rlimit now{bytes, before_.rlim_max};
        setrlimit(RLIMIT_FSIZE, &now);
    }
    rlimit before_{};
};

// A server that gives each connection, in turn, what `answer` says of its greeting, and closes it.
class PushServer {
  public:
    using Answer = std::function<std::string(int connection, const std::string& hello)>;

    PushServer(Answer answer, bool greeted) : answer_(std::move(answer)), greeted_(greeted), port_(free_port()) {
        listener_ = net::listen_at({"127.0.0.1", port_}, SOCK_STREAM);
        thread_ = std::thread([this] { run(); });
    }
    ~PushServer() {
        stop_ = true;
        thread_.join();
    }
    PushServer(const PushServer&) = delete;
    PushServer& operator=(const PushServer&) = delete;
    [[nodiscard]] std::string url(const std::string& options) const {
        return "raw://127.0.0.1:" + std::to_string(port_) + "?" + options;
    }

  private:
    void run() {
        for (int connection = 0; !stop_;) {
            pollfd wait{listener_.fd(), POLLIN, 0};
            if (poll(&wait, 1, 10) != 1) continue;
            const net::Socket client(accept4(listener_.fd(), nullptr, nullptr, SOCK_CLOEXEC));
            std::string hello(256, '\0');
            const auto n = greeted_ ? recv(client.fd(), hello.data(), hello.size(), 0) : 0;
            hello.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
            const std::string bytes = answer_(connection++, hello);
            for (std::size_t sent = 0; sent < bytes.size();) {
                const auto m = send(client.fd(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
                if (m <= 0) break;
                sent += static_cast<std::size_t>(m);
            }
        }
    }
    Answer answer_;
    bool greeted_;
    std::uint16_t port_;
    net::Socket listener_;
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

std::string mbo_records(std::uint64_t first, std::uint64_t count) {
    std::string bytes;
    for (std::uint64_t i = first; i < first + count; ++i) {
        auto record = dbn::make<dbn::Mbo>(dbn::Rtype::mbo);
        record.instrument_id.set(1);
        record.sequence.set(static_cast<std::uint32_t>(i));
        const auto view = wire::bytes_of(record);
        bytes.append(reinterpret_cast<const char*>(view.data()), view.size());
    }
    return bytes;
}

// The sequences of the MBO records that a source gives, until its end or so many.
std::vector<std::uint32_t> sequences(Source& source, std::size_t most, bool& gap) {
    std::vector<std::uint32_t> all;
    Received received;
    for (int idle = 0; all.size() < most && idle < 100;) {
        const Source::Next next = source.next(100, received);
        INFO(source.problem());
        REQUIRE(next != Source::Next::failed);
        if (next == Source::Next::end) break;
        if (next == Source::Next::none) ++idle;
        if (next != Source::Next::batch) continue;
        gap = gap || received.gap;
        replay::DbnFileReader reader(received.payload, "payload");
        dbn::RecordView record;
        while (reader.next(record)) all.push_back(record.as<dbn::Mbo>()->sequence.value());
    }
    return all;
}

}  // namespace

TEST_CASE("Framing: messages come out whole wherever the bytes are cut", "[streams][tcp]") {
    struct Case {
        Framing framing;
        std::string bytes;
    };
    Framing big;
    big.width = 2;
    big.big_endian = true;
    Framing fixed;
    fixed.kind = Framing::Kind::fixed;
    fixed.size = 3;
    Framing lines;
    lines.kind = Framing::Kind::delimiter;
    using namespace std::string_literals;
    for (const Case& each : {Case{{}, "\x03\0\0\0abc\0\0\0\0\x02\0\0\0de"s},
                             Case{big, "\0\x03" "abc\0\0\0\x02" "de"s}, Case{lines, "abc\n\nde\n"s}}) {
        std::vector<std::string> found;
        std::string buffer;
        for (const char c : each.bytes) {
            buffer += c;
            std::span<const std::uint8_t> frame;
            std::size_t taken = 0;
            const std::span<const std::uint8_t> seen(reinterpret_cast<const std::uint8_t*>(buffer.data()),
                                                     buffer.size());
            if (each.framing.next(seen, frame, taken) != Framing::Step::frame) continue;
            found.emplace_back(frame.begin(), frame.end());
            buffer.erase(0, taken);
        }
        CHECK(found == std::vector<std::string>{"abc", "", "de"});
        CHECK(buffer.empty());
    }
    std::span<const std::uint8_t> frame;
    std::size_t taken = 0;
    const std::string six = "abcdef";
    const std::span<const std::uint8_t> bytes(reinterpret_cast<const std::uint8_t*>(six.data()), six.size());
    CHECK(fixed.next(bytes, frame, taken) == Framing::Step::frame);
    CHECK(taken == 3);
    CHECK(Framing{}.next(bytes, frame, taken) == Framing::Step::malformed);  // "abcd" as a length
}

TEST_CASE("raw: a connection cut in the middle of a message is taken up where it broke", "[streams][tcp]") {
    const TempFile file("raw.batches");
    std::filesystem::remove(file.path());
    make_batches(file.path(), 2'000);
    const std::string bytes = contents(file.path());
    const std::vector<std::size_t> at = bounds(bytes);
    const PushServer server(
        [&](int connection, const std::string& hello) {
            REQUIRE(hello.rfind("from ", 0) == 0);
            const std::string rest = bytes.substr(at.at(std::stoul(hello.substr(5))));
            return connection < 9 ? rest.substr(0, 1'000 + 777 * static_cast<std::size_t>(connection)) : rest;
        },
        true);
    StreamChecker checker;
    const auto source = make_source(parse_url(server.url("hello=from%20{frames}%0A&follow=1")));
    while (checker.open() != 0 || checker.streams() < 2) read_into(checker, *source, 1);
    CHECK(checker.totals().records == 2'000);
    CHECK(checker.totals().missing == 0);
    CHECK(checker.totals().duplicates == 0);
}

TEST_CASE("raw: records of a fixed size; what may be missing after a break is told", "[streams][tcp]") {
    const PushServer server(
        [&](int connection, const std::string&) {
            // The first connection ends within a record.
            return connection == 0 ? mbo_records(1, 10).substr(0, 9 * sizeof(dbn::Mbo) + 5)
                                   : mbo_records(11, 10);
        },
        false);
    const auto source =
        make_source(parse_url(server.url("framing=fixed&size=" + std::to_string(sizeof(dbn::Mbo)) + "&follow=1")));
    bool gap = false;
    const std::vector<std::uint32_t> before = sequences(*source, 9, gap);
    CHECK(before.size() == 9);
    CHECK_FALSE(gap);
    const std::vector<std::uint32_t> after = sequences(*source, 10, gap);
    CHECK(after.front() == 11);
    CHECK(after.size() == 10);
    CHECK(gap);
}

TEST_CASE("raw: rows of CSV, each until its line end", "[streams][tcp][csv]") {
    const PushServer server(
        [&](int, const std::string&) {
            return std::string("ts_event,sequence,symbol\r\n1700000000000000000,1,AAAA\r\n"
                               "nonsense,2,AAAA\r\n1700000000000000000,3,BBBB\r\n");
        },
        false);
    const auto source = make_source(parse_url(server.url("framing=delimiter&schema=mbo")));
    bool gap = false;
    CHECK(sequences(*source, 10, gap) == std::vector<std::uint32_t>{1, 3});
    CHECK(source->counters().front().count == 1);
    const auto strict = make_source(parse_url(server.url("framing=delimiter&schema=mbo&bad_rows=stop")));
    Received received;
    Source::Next next = Source::Next::none;
    for (int i = 0; i < 100 && next != Source::Next::failed; ++i) next = strict->next(100, received);
    CHECK(next == Source::Next::failed);
    CHECK(strict->problem().find("row 3") != std::string::npos);
}

TEST_CASE("raw: nobody there is told after so many attempts", "[streams][tcp]") {
    const auto source = make_source(parse_url("raw://127.0.0.1:" + std::to_string(free_port()) + "?attempts=3"));
    Received received;
    Source::Next next = Source::Next::none;
    for (int i = 0; i < 200 && next != Source::Next::failed; ++i) next = source->next(100, received);
    CHECK(next == Source::Next::failed);
    CHECK(source->problem().find("refused") != std::string::npos);
}

TEST_CASE("csv: a file that grows is followed, row by row, and into the one that takes its place",
          "[streams][csv]") {
    const TempFolder folder("growing");
    const std::filesystem::path path = folder.path() / "rows.csv";
    write_file(path, "ts_event,sequence,symbol\n1700000000000000000,1,AAAA\n17000000");
    const auto source = make_source(
        parse_url("file://" + path.string() + "?framing=delimiter&schema=mbo&follow=1"));
    bool gap = false;
    CHECK(sequences(*source, 1, gap) == std::vector<std::uint32_t>{1});
    write_file(path, "00000000000,2,AAAA\n", true);
    CHECK(sequences(*source, 1, gap) == std::vector<std::uint32_t>{2});
    std::filesystem::rename(path, folder.path() / "rows.csv.1");
    write_file(path, "1700000000000000000,3,AAAA\n");
    CHECK(sequences(*source, 1, gap) == std::vector<std::uint32_t>{3});
}

TEST_CASE("file: what a full disk did not take is written when there is room", "[streams]") {
    const TempFile file("full.batches");
    std::filesystem::remove(file.path());
    SinkConfig config = blocking();
    config.batch_records = 1;  // many of them go to the kernel in one call
    TestSink sink("file://" + file.path().string(), config);
    for (const rlim_t bytes : {10'000U, 100'001U, 300'002U}) {
        const FullDisk full(bytes);
        sink.send(2'000);
        REQUIRE(in_time([&] { return sink->stats().state == EdgeState::backoff; }));
        CHECK(sink->stats().acknowledged < sink.made());
    }
    sink->stop();
    CHECK(sink->stats().acknowledged == sink.made());
    CHECK(sink->stats().balance() == 0);
    const CheckedTotals totals = read_all("file://" + file.path().string());
    CHECK(totals.records == sink.made());
    CHECK(totals.missing == 0);
    CHECK(totals.duplicates == 0);
    CHECK(totals.damaged == 0);
}

TEST_CASE("file: what is left behind on a full disk ends with a whole batch", "[streams]") {
    const TempFile file("left.batches");
    std::filesystem::remove(file.path());
    SinkConfig config = blocking();
    config.batch_records = 1;
    config.stop_within = 200'000'000;
    TestSink sink("file://" + file.path().string(), config);
    const FullDisk full(10'001);
    sink.send(1'000);
    sink->stop();
    const SinkStats stats = sink->stats();
    CHECK(stats.balance() == 0);
    CHECK(stats.unsent > 0);
    CHECK(stats.acknowledged > 0);
    CHECK(read_all("file://" + file.path().string()).records == stats.acknowledged);
}

TEST_CASE("file: one that cannot be made is told of at once", "[streams]") {
    const TempFolder folder("unwritable");
    const TempFile capture("unwritable.pcapng");
    REQUIRE(run_command({"sim", "--capture", capture.path(), "--seconds", "1", "--seed", "3"}).code == 0);
    const std::string at = folder.path().string();
    for (const auto& [place, why] : {std::pair{at + "/none/day.batches", "No such file"}, std::pair{at, "directory"}}) {
        const Outcome outcome = run_command({"replay", capture.path(), "--sink", "file://" + place});
        INFO(outcome.err);
        CHECK(outcome.code == 4);
        CHECK(outcome.err.find(place) != std::string::npos);
        CHECK(outcome.err.find(why) != std::string::npos);
    }
}

TEST_CASE("file: a replay that may leave records out does not wait for ever at a full disk", "[.long][streams]") {
    const TempFolder folder("patience");
    const TempFile capture("patience.pcapng");
    REQUIRE(run_command({"sim", "--capture", capture.path(), "--seconds", "1", "--seed", "3"}).code == 0);
    const auto full = [] {
        signal(SIGXFSZ, SIG_IGN);
        const rlimit little{4'096, 4'096};
        setrlimit(RLIMIT_FSIZE, &little);
    };
    const std::string sink = "file://" + (folder.path() / "day.batches").string() + "?policy=drop_oldest";
    const Outcome outcome = run_command({"replay", capture.path(), "--json", "--sink", sink}, full);
    INFO(outcome.out << outcome.err);
    CHECK(outcome.code == 1);
    CHECK(outcome.out.find("\"balance\":0") != std::string::npos);
    CHECK(outcome.err.find("records that did not arrive") != std::string::npos);
}

TEST_CASE("sources: an unknown option is named before anybody is asked", "[streams]") {
    const std::string nobody = "127.0.0.1:" + std::to_string(free_port());
    std::vector<std::string> urls{"raw://" + nobody};
    for (const EdgeComponent& component : edge_components()) {
        const std::string scheme(component.scheme);
        if (component.built && !component.library.empty()) urls.push_back(scheme + "://" + nobody + "/place");
    }
    for (const std::string& url : urls) {
        for (const std::string command : {"replay", "check"}) {
            const Outcome outcome = run_command({command, url + "?fallow=1"});
            INFO(url << outcome.err);
            CHECK(outcome.code == 2);
            CHECK(outcome.err.find("fallow") != std::string::npos);
            CHECK(std::count(outcome.err.begin(), outcome.err.end(), '\n') == 1);
        }
    }
}

TEST_CASE("replay: a file of batches in which nothing stands is no good run", "[streams]") {
    const TempFile file("empty.batches");
    write_file(file.path(), "");
    const Outcome outcome = run_command({"replay", "file://" + file.path().string()});
    INFO(outcome.err);
    CHECK(outcome.code == 1);
    CHECK(outcome.err.find("nothing there") != std::string::npos);
}

TEST_CASE("replay: a source that breaks off has a report of what came before", "[streams]") {
    const TempFile file("broken-off.batches");
    std::filesystem::remove(file.path());
    make_batches(file.path(), 1'000);
    const std::string bytes = contents(file.path());
    write_file(file.path(), bytes.substr(0, bytes.size() - 1));
    const Outcome outcome = run_command({"replay", "file://" + file.path().string(), "--json"});
    CHECK(outcome.code == 5);
    CHECK(outcome.err.find("ends in the middle of a message; the report is of what came before") != std::string::npos);
    CHECK(outcome.out.find("\"records\":1000,") != std::string::npos);
    CHECK(outcome.out.find("\"problem\":\"file://") != std::string::npos);
    const Outcome folder = run_command({"replay", "file://" + file.path().parent_path().string()});
    CHECK(folder.code == 4);
    CHECK(folder.err.find("Is a directory") != std::string::npos);
}

TEST_CASE("check: a file of batches is complete, or what is wrong with it is told", "[streams][check]") {
    const TempFile file("check.batches");
    std::filesystem::remove(file.path());
    make_batches(file.path(), 1'000);
    const std::string bytes = contents(file.path());
    const std::vector<std::size_t> at = bounds(bytes);
    const auto check = [&](const std::string& with, int code, const std::string& says) {
        write_file(file.path(), with);
        const Outcome outcome = run_command({"check", file.path().string(), "--json", "--ended"});
        INFO(outcome.out << outcome.err);
        CHECK(outcome.code == code);
        CHECK((outcome.out + outcome.err).find(says) != std::string::npos);
    };
    check(bytes, 0, "\"verdict\":\"complete\"");
    const std::string third = bytes.substr(at[2], at[3] - at[2]);
    check(bytes.substr(0, at[2]) + bytes.substr(at[3]), 1, "\"lost\":20");
    check(bytes.substr(0, at[3]) + third + bytes.substr(at[3]), 0, "\"duplicates\":20");
    std::string altered = bytes;
    altered[at[3] - 1] = static_cast<char>(altered[at[3] - 1] ^ 1);
    check(altered, 1, "\"damaged\":1");
    // The last batch, and with it the end of its stream.
    check(bytes.substr(0, at[at.size() - 2]), 1, "1 streams have no end mark");
    check(bytes.substr(0, bytes.size() - 1), 5, "ends in the middle of a message");
    check(bytes.substr(0, bytes.size() - 1), 5, "\"records\":1000,");
    check(bytes.substr(0, bytes.size() - 1), 5, "\"verdict\":\"unfinished\"");
    check("no batches", 5, "impossible length");
    check("", 1, "nothing there to check");
    CHECK(run_command({"check", "no-such-file"}).code == 4);
}

TEST_CASE("check: what a sender conflated or left out is told apart from what was lost", "[streams][check]") {
    const TempFile file("counted.batches");
    std::filesystem::remove(file.path());
    // Faster than the sink's thread takes them out of the ring.
    TestSink sink("file://" + file.path().string() + "?policy=drop_oldest", {}, 64);
    sink.send(500'000);
    sink->stop();
    const SinkStats stats = sink->stats();
    CHECK(stats.balance() == 0);
    REQUIRE(stats.ring_full > 0);
    const Outcome outcome = run_command({"check", file.path().string(), "--json", "--ended"});
    INFO(outcome.out << outcome.err);
    CHECK(outcome.code == 0);
    CHECK(outcome.out.find("\"left_out\":" + std::to_string(stats.ring_full + stats.dropped)) != std::string::npos);
    CHECK(outcome.out.find("\"lost\":0") != std::string::npos);
    CHECK(outcome.out.find("\"verdict\":\"counted\"") != std::string::npos);
}
