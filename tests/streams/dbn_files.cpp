// Genuine DBN files of all three versions: read record for record, written back byte for byte.
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>

#include "millrace/feed/streams/dbn/definition.hpp"
#include "millrace/feed/streams/dbn/gateway_records.hpp"
#include "millrace/feed/streams/dbn/state_records.hpp"
#include "millrace/feed/streams/dbn/text.hpp"
#include "millrace/replay/dbn_file.hpp"
#include "tests/support/captures.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temp_file.hpp"

using namespace millrace;
using replay::DbnFileReader;

namespace {

namespace fs = std::filesystem;

std::vector<std::uint8_t> content(const fs::path& path) {
    replay::ByteSource source(path);
    std::vector<std::uint8_t> all;
    for (;;) {
        const auto seen = source.peek(1 << 16);
        if (seen.empty()) return all;
        all.insert(all.end(), seen.begin(), seen.end());
        source.consume(seen.size());
    }
}

// The manifest's row of a file: "| file | bytes | inflated | ver | dataset | schema | meta | records |".
struct Row {
    fs::path path;
    std::size_t inflated = 0;
    std::string version;
    std::string dataset;
    std::size_t metadata_bytes = 0;
    std::string records;  // "2x 0x00/48, 1x 0x01/80"
};

std::vector<Row> manifest(const fs::path& dir) {
    std::ifstream in(dir / "MANIFEST.md");
    std::vector<Row> rows;
    for (std::string line; std::getline(in, line);) {
        std::istringstream cells(line);
        std::vector<std::string> cell;
        for (std::string text; std::getline(cells, text, '|');) {
            const auto from = text.find_first_not_of(' ');
            cell.push_back(from == std::string::npos ? "" : text.substr(from, text.find_last_not_of(' ') - from + 1));
        }
        if (cell.size() < 10 || cell[1].find(".dbn") == std::string::npos) continue;
        rows.push_back({dir / cell[1], std::stoul(cell[3]), cell[4], cell[5], std::stoul(cell[7]), cell[8]});
    }
    return rows;
}

DbnFileReader open(const Row& row) {
    if (row.version != "-") return DbnFileReader(row.path);
    const bool first = row.path.string().find(".v1.") != std::string::npos;
    return DbnFileReader(row.path, DbnFileReader::Fragment{static_cast<std::uint8_t>(first ? 1 : 3)});
}

// "2x 0x00/48, ..." of what the reader finds, in order of rtype.
std::string inventory(DbnFileReader& reader) {
    std::map<std::pair<unsigned, std::size_t>, unsigned> count;
    dbn::RecordView record;
    while (reader.next(record)) ++count[{record.rtype(), record.bytes().size()}];
    std::string text;
    for (const auto& [kind, n] : count) {
        text += fmt::format("{}{}x 0x{:02X}/{}", text.empty() ? "" : ", ", n, kind.first, kind.second);
    }
    return text;
}

template <class M>
std::vector<M> all_of(const fs::path& path) {
    DbnFileReader reader(path);
    std::vector<M> out;
    dbn::RecordView record;
    while (reader.next_upgraded(record)) {
        if (const M* m = record.as<M>()) out.push_back(*m);
    }
    CHECK(reader.damage().empty());
    return out;
}

}  // namespace

#define MILLRACE_NEEDS_CAPTURES(dir)                  \
    const auto captures = test::captures_dir();       \
    if (!captures) {                                  \
        WARN("skipped: no folder of real captures");  \
        return;                                       \
    }                                                 \
    const fs::path dir = *captures / "dbn"

TEST_CASE("dbn: every genuine file holds the records its manifest lists", "[dbn]") {
    MILLRACE_NEEDS_CAPTURES(dir);
    const auto rows = manifest(dir);
    REQUIRE(rows.size() == 37);
    for (const Row& row : rows) {
        INFO(row.path);
        DbnFileReader reader = open(row);
        if (row.version != "-") {
            CHECK(reader.metadata().version == std::stoi(row.version));
            CHECK(reader.metadata().dataset == row.dataset);
        }
        CHECK(inventory(reader) == row.records);
        CHECK(reader.damage().empty());
    }
}

TEST_CASE("dbn: genuine files of versions 1 to 3, the CME one too, re-encode byte for byte", "[dbn]") {
    MILLRACE_NEEDS_CAPTURES(dir);
    std::vector<Row> rows = manifest(dir);
    rows.push_back({*captures / "cme_mbo_dbn/esh4-glbx-mdp3-20231224.mbo.dbn.zst", 0, "1", "", 0, ""});
    for (const Row& row : rows) {
        INFO(row.path);
        const std::vector<std::uint8_t> original = content(row.path);
        DbnFileReader reader = open(row);
        std::vector<std::uint8_t> again;
        if (row.version != "-") again = dbn::encode(reader.metadata());
        if (row.inflated != 0) CHECK(again.size() == row.metadata_bytes);
        dbn::RecordView record;
        while (reader.next(record)) again.insert(again.end(), record.bytes().begin(), record.bytes().end());
        CHECK(again == original);
    }
}

TEST_CASE("dbn: version 1 and 2 definitions and statistics become version 3's", "[dbn]") {
    MILLRACE_NEEDS_CAPTURES(dir);
    // The three files hold the same records in three versions; version 3 was not made by us.
    const auto expected = all_of<dbn::Definition>(dir / "dbn-0.54.0/test_data.definition.v3.dbn.zst");
    REQUIRE(expected.size() == 2);
    for (const char* version : {"v1", "v2"}) {
        const auto found = all_of<dbn::Definition>(
            dir / fmt::format("dbn-0.54.0/test_data.definition.{}.dbn.zst", version));
        REQUIRE(found.size() == 2);
        for (std::size_t i = 0; i < 2; ++i) {
            for (const wire::FieldLayout& field : dbn::layout_of(dbn::Rtype::definition)->fields) {
                if (field.kind == wire::FieldKind::reserved) continue;
                INFO(version << " " << field.name);
                const auto* a = reinterpret_cast<const std::uint8_t*>(&found[i]) + field.offset;
                const auto* b = reinterpret_cast<const std::uint8_t*>(&expected[i]) + field.offset;
                CHECK(std::memcmp(a, b, field.size) == 0);
            }
        }
    }
    const auto old = all_of<dbn::Statistics>(dir / "dbn-0.54.0/test_data.statistics.v1.dbn.zst");
    const auto now = all_of<dbn::Statistics>(dir / "dbn-0.54.0/test_data.statistics.v3.dbn.zst");
    REQUIRE(old.size() == now.size());
    CHECK(old[0].quantity.value() == dbn::kUndefQuantity);
    CHECK(old[0].price.value() == now[0].price.value());
    CHECK(old[0].stat_type.value() == now[0].stat_type.value());
}

TEST_CASE("dbn: the worked examples of the sheet, field by field", "[dbn]") {
    MILLRACE_NEEDS_CAPTURES(dir);
    DbnFileReader reader(dir / "dbn-0.54.0/test_data.mbo.v3.dbn");
    const dbn::Metadata& metadata = reader.metadata();
    CHECK(metadata.schema == 0);
    CHECK(metadata.start == 1609160400000000000);
    CHECK(metadata.end == 1609200000000000000);
    CHECK(metadata.limit == 2);
    CHECK(metadata.symbols == std::vector<std::string>{"ESH1"});
    REQUIRE(metadata.mappings.size() == 1);
    CHECK(metadata.mappings[0] ==
          dbn::SymbolMappings{"ESH1", {{20201228, 20201229, "5482"}}});
    const auto mbo = all_of<dbn::Mbo>(dir / "dbn-0.54.0/test_data.mbo.v3.dbn");
    REQUIRE(mbo.size() == 2);
    CHECK(mbo[0].publisher_id.value() == 1);
    CHECK(mbo[0].instrument_id.value() == 5482);
    CHECK(mbo[0].ts_event.value() == 1609160400000429831);
    CHECK(mbo[0].order_id.value() == 647784973705);
    CHECK(mbo[0].price.value() == 3722750000000);
    CHECK(mbo[0].size.value() == 1);
    CHECK(mbo[0].flags.value() == dbn::flags::kLast);
    CHECK(mbo[0].action.value() == 'C');
    CHECK(mbo[0].side.value() == 'A');
    CHECK(mbo[0].ts_recv.value() == 1609160400000704060);
    CHECK(mbo[0].ts_in_delta.value() == 22993);
    CHECK(mbo[0].sequence.value() == 1170352);
    const auto mbp = all_of<dbn::Mbp1>(dir / "dbn-0.54.0/test_data.mbp-1.v3.dbn.zst");
    REQUIRE(!mbp.empty());
    CHECK(mbp[0].action.value() == 'A');
    CHECK(mbp[0].depth.value() == 0);
    CHECK(mbp[0].levels[0].bid_px.value() == 3720250000000);
    CHECK(mbp[0].levels[0].ask_px.value() == 3720500000000);
    CHECK(mbp[0].levels[0].bid_sz.value() == 24);
    CHECK(mbp[0].levels[0].ask_sz.value() == 11);
    CHECK(mbp[0].levels[0].bid_ct.value() == 15);
    CHECK(mbp[0].levels[0].ask_ct.value() == 9);
    const auto trades = all_of<dbn::Trade>(dir / "databento-python-0.82.0/XNAS.ITCH/test_data.trades.dbn.zst");
    REQUIRE(trades.size() == 4);
    CHECK(trades[3].price.value() == 521010000000);
    CHECK(trades[3].side.value() == 'N');
    const auto definition =
        all_of<dbn::Definition>(dir / "databento-python-0.82.0/XNAS.ITCH/test_data.definition.dbn.zst");
    REQUIRE(definition.size() == 1);
    CHECK(definition[0].raw_symbol.value() == "NVDA");
    CHECK(definition[0].exchange.value() == "XNAS");
    CHECK(definition[0].group.value() == "pxnas-0");
    CHECK(definition[0].min_lot_size_round_lot.value() == 100);
    CHECK(definition[0].display_factor.value() == 100000000000000);
    CHECK(definition[0].instrument_class.value() == 'K');
}

TEST_CASE("dbn: a record as JSON and as CSV", "[dbn]") {
    MILLRACE_NEEDS_CAPTURES(dir);
    DbnFileReader reader(dir / "dbn-0.54.0/test_data.mbo.v3.dbn");
    dbn::RecordView record;
    REQUIRE(reader.next(record));
    fmt::memory_buffer out;
    dbn::append_json(out, record, "ESH1");
    CHECK(fmt::to_string(out) ==
          R"({"record":"mbo","symbol":"ESH1","rtype":160,"publisher_id":1,"instrument_id":5482,)"
          R"("ts_event":"2020-12-28T13:00:00.000429831Z","order_id":647784973705,"price":3722.75,)"
          R"("size":1,"flags":128,"channel_id":0,"action":"C","side":"A",)"
          R"("ts_recv":"2020-12-28T13:00:00.000704060Z","ts_in_delta":22993,"sequence":1170352})");
    out.clear();
    const wire::MessageLayout& layout = *dbn::layout_of(dbn::Rtype::mbo);
    dbn::append_csv_header(out, layout);
    CHECK(fmt::to_string(out) ==
          "rtype,publisher_id,instrument_id,ts_event,order_id,price,size,flags,channel_id,action,"
          "side,ts_recv,ts_in_delta,sequence,symbol");
    out.clear();
    dbn::append_csv(out, layout, record, "ESH1", dbn::TimeText::nanoseconds);
    CHECK(fmt::to_string(out) ==
          "160,1,5482,1609160400000429831,647784973705,3722.75,1,128,0,C,A,1609160400000704060,"
          "22993,1170352,ESH1");
}

TEST_CASE("dbn: what is cut off or forged is told, at every length", "[dbn]") {
    dbn::Metadata metadata;
    metadata.dataset = "TEST.SET";
    metadata.symbols = {"AAPL", "MSFT"};
    metadata.mappings = {{"AAPL", {{20240102, 20240103, "1"}}}, {"MSFT", {{20240102, 20240103, "2"}}}};
    std::vector<std::uint8_t> file = dbn::encode(metadata);
    CHECK(file.size() % 8 == 0);
    const std::size_t records_at = file.size();
    const dbn::Mbo record = dbn::make<dbn::Mbo>(dbn::Rtype::mbo);
    for (int i = 0; i < 3; ++i) {
        const auto bytes = wire::bytes_of(record);
        file.insert(file.end(), bytes.begin(), bytes.end());
    }
    for (std::size_t length = 0; length < file.size(); ++length) {
        INFO(length);
        const std::span<const std::uint8_t> cut(file.data(), length);
        if (length < records_at) {
            CHECK_THROWS_AS(DbnFileReader(cut, "cut"), Error);
            continue;
        }
        DbnFileReader reader(cut, "cut");
        CHECK(reader.metadata() == metadata);
        dbn::RecordView seen;
        std::size_t records = 0;
        while (reader.next(seen)) ++records;
        CHECK(records == (length - records_at) / sizeof(record));
        CHECK(reader.damage().empty() == ((length - records_at) % sizeof(record) == 0));
    }
    std::vector<std::uint8_t> forged = file;
    forged[records_at] = 3;  // a record shorter than a header
    DbnFileReader reader(forged, "forged");
    dbn::RecordView seen;
    CHECK(!reader.next(seen));
    CHECK(reader.damage().find("length is damaged") != std::string::npos);
    forged = file;
    forged[112] = 0xff;  // more symbols than the metadata can hold
    forged[115] = 0xff;
    CHECK_THROWS_AS(DbnFileReader(forged, "forged"), Error);
    forged = file;
    forged[3] = 4;  // a version to come
    CHECK_THROWS_AS(DbnFileReader(forged, "forged"), Error);
}

TEST_CASE("dbn: files written plain and packed read back the same", "[dbn]") {
    dbn::Metadata metadata;
    metadata.dataset = "TEST.SET";
    metadata.schema = static_cast<std::uint16_t>(dbn::Schema::mbo);
    dbn::Mbo record = dbn::make<dbn::Mbo>(dbn::Rtype::mbo);
    for (const char* file_name : {"written.dbn", "written.dbn.zst"}) {
        const test::TempFile file(file_name);
        replay::DbnFileWriter writer(file.path());
        for (std::uint32_t i = 0; i < 10'000; ++i) {
            record.sequence.set(i);
            REQUIRE(writer.write(wire::bytes_of(record)));
        }
        writer.close(metadata);
        DbnFileReader reader(file.path());
        CHECK(reader.metadata() == metadata);
        dbn::RecordView seen;
        std::uint32_t next = 0;
        while (reader.next(seen)) REQUIRE(seen.as<dbn::Mbo>()->sequence.value() == next++);
        CHECK(next == 10'000);
        CHECK(reader.damage().empty());
    }
}
