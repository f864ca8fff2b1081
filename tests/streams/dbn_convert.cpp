// Captures to DBN and back: the same books, and the same records to those who did not write them.
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "millrace/feed/streams/dbn/market_clock.hpp"
#include "millrace/feed/streams/dbn/state_records.hpp"
#include "millrace/replay/dbn_file.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/command.hpp"
#include "tests/support/python.hpp"

using namespace millrace;
using namespace millrace::test;
using Json = nlohmann::json;

namespace {

void run(std::vector<std::string> arguments) {
    const Outcome outcome = run_command(std::move(arguments));
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
}

const std::vector<std::string> kLimits{"--orders", "100000", "--levels", "50000"};

void simulate(const TempFile& capture) {
    run({"sim", "--capture", capture.path(), "--seconds", "1", "--seed", "8", "--loss", "0.01"});
}

void convert(const std::string& from, const TempFile& to, const std::string& schemas) {
    std::vector<std::string> arguments{"convert", from, "-o", to.path(), "--schema", schemas};
    arguments.insert(arguments.end(), kLimits.begin(), kLimits.end());
    run(arguments);
}

Json replay_json(const TempFile& file) {
    std::vector<std::string> arguments{"replay", file.path(), "--json"};
    arguments.insert(arguments.end(), kLimits.begin(), kLimits.end());
    const Outcome outcome = run_command(arguments);
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    return Json::parse(outcome.out);
}

}  // namespace

TEST_CASE("dbn: an MBO file made of a capture gives the capture's books", "[dbn]") {
    const TempFile capture("books.pcapng");
    simulate(capture);
    const Json expected = replay_json(capture);
    for (const char* name : {"books.dbn", "books.dbn.zst"}) {
        const TempFile file(name);
        convert(capture.path(), file, "mbo");
        const Json found = replay_json(file);
        CHECK(found["venue"] == "dbn-mbo");
        CHECK(found["digest"] == expected["digest"]);
        CHECK(found["quality"]["live"] == expected["quality"]["live"]);
        CHECK(found["balance"] == 0);
    }
    // MBO among other records, and from DBN to DBN.
    const TempFile all("all.dbn");
    convert(capture.path(), all, "mbo,trades,mbp-1,mbp-10,status,definition,imbalance,statistics");
    CHECK(replay_json(all)["digest"] == expected["digest"]);
    const TempFile again("again.dbn.zst");
    convert(all.path(), again, "mbo");
    CHECK(replay_json(again)["digest"] == expected["digest"]);
}

TEST_CASE("dbn: an MBO file of best prices, of levels or of IEX's orders gives the capture's books", "[dbn]") {
    for (const std::string venue : {"iex-tops", "iex-deep", "iex-deepplus"}) {
        INFO(venue);
        const TempFile capture("iex-books.pcapng");
        run({"sim", "--venue", venue, "--capture", capture.path(), "--seconds", "1", "--seed", "8"});
        const Json expected = replay_json(capture);
        const TempFile file("iex-books.dbn");
        convert(capture.path(), file, "mbo");
        const Json found = replay_json(file);
        CHECK(found["digest"] == expected["digest"]);
        CHECK(found["quality"] == expected["quality"]);
        CHECK(found["faults"] == expected["faults"]);
    }
}

TEST_CASE("dbn: each instrument's last record of a packet says that it is the last",
          "[dbn]") {
    const TempFile capture("last.pcapng");
    simulate(capture);
    const TempFile file("last.dbn");
    convert(capture.path(), file, "mbo");
    replay::DbnFileReader reader(file.path());
    dbn::RecordView record;
    // By instrument: receive time and flag of the record before.
    std::map<std::uint32_t, std::pair<std::uint64_t, bool>> before;
    std::uint64_t events = 0;
    std::uint64_t falsely = 0;
    while (reader.next(record)) {
        const dbn::Mbo& mbo = *record.as<dbn::Mbo>();
        const auto at = before.find(mbo.instrument_id.value());
        const bool last = (mbo.flags.value() & dbn::flags::kLast) != 0;
        if (at != before.end() && mbo.action.value() != 'R') {
            const bool same_packet = at->second.first == mbo.ts_recv.value();
            // Two packets may bear one time, so that only the other direction is certain.
            REQUIRE((at->second.second || same_packet));
            falsely += at->second.second && same_packet ? 1U : 0U;
        }
        before[mbo.instrument_id.value()] = {mbo.ts_recv.value(), last};
        events += last ? 1 : 0;
    }
    CHECK(events > 1'000);
    CHECK(falsely < events / 20);
    for (const auto& [id, state] : before) CHECK(state.second);
}

TEST_CASE("dbn: the official Python packages read what is written, record for record", "[dbn]") {
    const std::string python = venv_python("databento");
    if (python.empty()) {
        WARN("skipped: no Python with databento (./tools/test makes it)");
        return;
    }
    const TempFile capture("official.pcapng");
    simulate(capture);
    for (const char* schema : {"mbo", "trades", "mbp-1", "mbp-10", "tbbo", "status", "imbalance",
                               "definition", "statistics"}) {
        const TempFile file(std::string("official.") + schema + ".dbn.zst");
        const TempFile csv(std::string("official.") + schema + ".csv");
        convert(capture.path(), file, schema);
        std::vector<std::string> arguments{"convert", capture.path(), "-o", csv.path(), "--schema",
                                           schema, "--nanoseconds"};
        arguments.insert(arguments.end(), kLimits.begin(), kLimits.end());
        run(arguments);
        const Outcome outcome = run_program(
            {python, std::string(MILLRACE_SOURCE_DIR) + "/tests/streams/official_reader.py",
             file.path(), csv.path()});
        INFO(outcome.out << outcome.err);
        CHECK(outcome.code == 0);
    }
}

TEST_CASE("dbn: New York's midnight in UTC, by date", "[dbn]") {
    constexpr Timestamp kHour = 3'600'000'000'000;
    const auto hour_of = [](std::uint32_t date) {
        return dbn::new_york_midnight(date) % (24 * kHour) / kHour;
    };
    CHECK(dbn::new_york_midnight(20201228) == 1609131600000000000);  // date -d '2020-12-28 05:00Z'
    CHECK(hour_of(20240102) == 5);
    CHECK(hour_of(20240310) == 5);  // the clocks go forward at two o'clock of this day
    CHECK(hour_of(20240311) == 4);
    CHECK(hour_of(20241103) == 4);  // and back on this one
    CHECK(hour_of(20241104) == 5);
    CHECK(dbn::new_york_midnight(20240231) == 0);
    CHECK(dbn::next_date(20231231) == 20240101);
    dbn::MarketClock clock(dbn::TimeOrigin::new_york_midnight, 0);
    // NVDA of the sheet: 09:01:28.297 in New York is 1609146088.297 s.
    const Timestamp of_day = 1609146088297098637 - 1609131600000000000;
    CHECK(clock.utc(of_day, 1609146088297109209) == 1609146088297098637);
    // The same time of day half a year later, in daylight time.
    CHECK(clock.utc(of_day, 1624798888297109209) == 1624766400000000000 + of_day);
}

TEST_CASE("convert: what is refused leaves the files that are there as they were", "[dbn]") {
    const TempFile day("apart.itch");
    run({"sim", "--binaryfile", day.path(), "--seconds", "1"});
    const TempFile csv("apart.csv");
    const TempFile link("apart-link.csv");
    const std::string rows = "ts_event,price,size,symbol\n2024-01-02T14:30:00Z,1.5,10,AAPL\n";
    std::ofstream(csv.path()) << rows;
    std::filesystem::create_symlink(csv.path(), link.path());
    const std::vector<std::vector<std::string>> refused{
        {"convert", day.path(), "--venue", "nasdaq-itch50", "-o", csv.path()},  // of which day?
        {"convert", csv.path(), "-o", csv.path()},
        {"convert", csv.path(), "-o", link.path()},
        {"convert", csv.path(), "-o", "x.dbn", "--bad-rows", link.path()},
    };
    for (std::vector<std::string> arguments : refused) {
        arguments.insert(arguments.end(), {"--schema", "trades"});
        const Outcome outcome = run_command(arguments);
        INFO(outcome.err);
        CHECK(outcome.code == static_cast<int>(ExitCode::usage));
        std::ostringstream text;
        text << std::ifstream(csv.path()).rdbuf();
        CHECK(text.str() == rows);
    }
}

TEST_CASE("dbn: a byte altered in a compressed file of ours is found", "[dbn]") {
    const TempFile capture("altered.pcapng");
    const TempFile packed("altered.dbn.zst");
    run({"sim", "--capture", capture.path(), "--seconds", "0.2", "--seed", "3"});
    run({"convert", capture.path(), "-o", packed.path()});
    std::ostringstream bytes;
    bytes << std::ifstream(packed.path(), std::ios::binary).rdbuf();
    std::string altered = bytes.str();
    altered.back() = static_cast<char>(altered.back() ^ 1);  // of the checksum
    std::ofstream(packed.path(), std::ios::binary) << altered;
    const Outcome outcome = run_command({"replay", packed.path(), "--json"});
    CHECK(outcome.err.find("damaged") != std::string::npos);
    CHECK(outcome.out.find("\"damage\":[]") == std::string::npos);
}

TEST_CASE("convert: bad input ends with its exit code and one line", "[dbn]") {
    const TempFile capture("bad.pcapng");
    run({"sim", "--capture", capture.path(), "--seconds", "0.1"});
    const TempFile text("bad.txt");
    std::ofstream(text.path()) << "no capture\n";
    struct Case {
        std::vector<std::string> arguments;
        ExitCode code;
        std::string says;
    };
    const std::vector<Case> cases{
        {{"convert", capture.path()}, ExitCode::usage, "--output"},
        {{"convert", capture.path(), "-o", "x.parquet"}, ExitCode::usage, "x.parquet"},
        {{"convert", capture.path(), "-o", "x.dbn", "--schema", "mbp-5"}, ExitCode::usage, "mbp-5"},
        {{"convert", capture.path(), "-o", "x.dbn", "--schema", "ohlcv-1s"}, ExitCode::usage, "ohlcv-1s"},
        {{"convert", capture.path(), "-o", "x.csv", "--schema", "mbo,trades"}, ExitCode::usage, "one schema"},
        {{"convert", capture.path(), "-o", "x.dbn", "--date", "yesterday"}, ExitCode::usage, "yesterday"},
        {{"convert", capture.path(), "-o", "/nowhere/x.dbn"}, ExitCode::file, "/nowhere"},
        {{"convert", text.path(), "-o", "x.dbn"}, ExitCode::format, "no capture"},
    };
    for (const Case& bad : cases) {
        const Outcome outcome = run_command(bad.arguments);
        INFO(outcome.err);
        CHECK(outcome.code == static_cast<int>(bad.code));
        CHECK(outcome.err.find(bad.says) != std::string::npos);
    }
}
