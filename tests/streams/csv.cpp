// CSV in: what goes out as CSV comes back as the same records, and bad rows are told of.
#include <fstream>
#include <sstream>

#include "millrace/feed/streams/csv/csv_reader.hpp"
#include "millrace/replay/dbn_file.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/command.hpp"

using namespace millrace;
using namespace millrace::test;
using streams::CsvSplitter;

namespace {

std::string records_of(const TempFile& file) {
    replay::DbnFileReader reader(file.path());
    std::string all;
    dbn::RecordView record;
    while (reader.next(record)) all.append(record.bytes().begin(), record.bytes().end());
    return all;
}

Outcome convert(const TempFile& from, const TempFile& to, const std::string& schema,
                const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments{"convert", from.path(), "-o",     to.path(),  "--schema",
                                       schema,    "--orders",  "100000", "--levels", "50000"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_command(arguments);
}

}  // namespace

TEST_CASE("csv: records that went out as CSV come back byte for byte", "[csv]") {
    const TempFile capture("csv.pcapng");
    REQUIRE(
        run_command({"sim", "--capture", capture.path(), "--seconds", "1", "--seed", "8"}).code ==
        0);
    for (const std::string schema :
         {"mbo", "trades", "mbp-10", "status", "imbalance", "definition", "statistics"}) {
        INFO(schema);
        const TempFile straight(schema + ".dbn");
        const TempFile csv(schema + (schema == "mbo"      ? ".csv.zst"
                                     : schema == "trades" ? ".csv.gz"
                                                          : ".csv"));
        const TempFile back(schema + ".back.dbn");
        REQUIRE(convert(capture, straight, schema).code == 0);
        REQUIRE(convert(capture, csv, schema,
                        schema == "mbo" ? std::vector<std::string>{}
                                        : std::vector<std::string>{"--nanoseconds"})
                    .code == 0);
        const Outcome outcome = convert(csv, back, schema);
        INFO(outcome.err);
        REQUIRE(outcome.code == 0);
        CHECK(!records_of(straight).empty());
        CHECK(records_of(back) == records_of(straight));
        replay::DbnFileReader a(straight.path());
        replay::DbnFileReader b(back.path());
        CHECK(a.metadata().mappings == b.metadata().mappings);
    }
}

TEST_CASE("csv: a row that does not fit stops, is passed over, or is kept in a file", "[csv]") {
    const TempFile csv("bad-rows.csv");
    const TempFile out("bad-rows.dbn");
    const TempFile kept("bad-rows.kept.csv");
    std::ofstream(csv.path()) << "ts_event,price,size,symbol\n"
                                 "2024-01-02T14:30:00Z,1.5,10,AAPL\n"
                                 "2024-01-02T14:30:01Z,one,10,AAPL\n"
                                 "2024-01-02T14:30:02Z,1.5,10\n"
                                 "2024-01-02T14:30:03.5Z,\"-1.25\",4294967295,\"A,B\"\n"
                                 "2024-01-02T14:30:04Z,1.5,4294967296,AAPL\n"
                                 "2024-01-02T14:30:05Z,-,10,AAPL\n";
    const Outcome stopped = convert(csv, out, "trades");
    CHECK(stopped.code == static_cast<int>(ExitCode::format));
    CHECK(stopped.err.find("row 3") != std::string::npos);
    CHECK(stopped.err.find("price") != std::string::npos);
    CHECK(convert(csv, out, "trades", {"--bad-rows", "skip"}).err.find("2 records, 4 bad rows") !=
          std::string::npos);
    CHECK(convert(csv, out, "trades", {"--bad-rows", kept.path()}).code == 0);
    std::ostringstream text;
    text << std::ifstream(kept.path()).rdbuf();
    CHECK(text.str() ==
          "ts_event,price,size,symbol\n"
          "2024-01-02T14:30:01Z,one,10,AAPL\n"
          "2024-01-02T14:30:02Z,1.5,10\n"
          "2024-01-02T14:30:04Z,1.5,4294967296,AAPL\n"
          "2024-01-02T14:30:05Z,-,10,AAPL\n");
    replay::DbnFileReader reader(out.path());
    dbn::RecordView record;
    REQUIRE(reader.next(record));
    CHECK(record.as<dbn::Trade>()->price.value() == 1'500'000'000);
    CHECK(record.header().ts_event.value() == 1704205800000000000);
    REQUIRE(reader.next(record));
    CHECK(record.as<dbn::Trade>()->price.value() == -1'250'000'000);
    CHECK(record.header().ts_event.value() == 1704205803500000000);
    const std::vector<std::string> one{"--bad-rows", "skip", "--symbols", "AAPL"};
    CHECK(convert(csv, out, "trades", one).err.find("1 records, 4 bad") != std::string::npos);
}

TEST_CASE("csv: rows of another schema are told from those that do not say theirs", "[csv]") {
    const TempFile csv("other-schema.csv");
    const TempFile out("other-schema.dbn");
    std::ofstream(csv.path()) << "rtype,ts_event,price,size,symbol\n0,2024-01-02T14:30:00Z,1.5,10,AAPL\n";
    const Outcome wrong = convert(csv, out, "mbo");
    CHECK(wrong.code == static_cast<int>(ExitCode::format));
    CHECK(wrong.err.find("row 2: rtype 0 is not of mbo records, but of trades") != std::string::npos);
    CHECK(convert(csv, out, "trades").code == 0);
    std::ofstream(csv.path()) << "rtype,ts_event,price,size,symbol\n,2024-01-02T14:30:00Z,1.5,10,AAPL\n";
    CHECK(convert(csv, out, "mbo").code == 0);
}

TEST_CASE("csv: cells in quotes, and quotes that do not match", "[csv]") {
    CsvSplitter splitter;
    std::size_t size = 0;
    const std::string text = "a,\"b \"\"c\"\", d\ne\",\r\nnext";
    REQUIRE(splitter.next(text, true, size) == CsvSplitter::Step::row);
    CHECK(splitter.cells() == std::vector<std::string>{"a", "b \"c\", d\ne", ""});
    CHECK(text.substr(size) == "next");
    CHECK(splitter.next("next", false, size) == CsvSplitter::Step::need_more);
    CHECK(splitter.next("next", true, size) == CsvSplitter::Step::row);
    CHECK(splitter.next("\"open", false, size) == CsvSplitter::Step::need_more);
    CHECK(splitter.next("\"open", true, size) == CsvSplitter::Step::malformed);
    CHECK(splitter.next("a\"b\nc", true, size) == CsvSplitter::Step::malformed);
    CHECK(size == 4);
}
