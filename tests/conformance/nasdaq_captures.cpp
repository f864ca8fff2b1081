// Real Nasdaq packets, field by field against what an independent decoder made of them.
#include <zlib.h>

#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/support/captures.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/command.hpp"

namespace {

using namespace millrace;
using nlohmann::json;

std::vector<json> lines_of(const std::string& text) {
    std::vector<json> out;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) out.push_back(json::parse(line));
    return out;
}

// Every message of a capture as the command writes it, the venue found out by itself.
std::vector<json> dumped(const std::filesystem::path& capture) {
    const test::Outcome outcome = test::run_command({"dump", "--json", capture.string()});
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    REQUIRE(outcome.err.find(" 0 of unknown type, 0 malformed;") != std::string::npos);
    REQUIRE(outcome.err.find(" packets, 0 malformed, 0 with bytes behind their last message\n") != std::string::npos);
    return lines_of(outcome.out);
}

std::string read_file(const std::filesystem::path& path) {
    gzFile file = gzopen(path.c_str(), "rb");  // reads plain files as they are
    REQUIRE(file != nullptr);
    std::string text;
    char buffer[65536];
    for (int n = 0; (n = gzread(file, buffer, sizeof(buffer))) > 0;) text.append(buffer, static_cast<std::size_t>(n));
    gzclose(file);
    return text;
}

// The decoders' names for a field of ours, letters only.
std::vector<std::string> names_for(std::string field) {
    std::erase(field, '_');
    static const std::multimap<std::string, std::string> kSynonyms{
        {"stocklocate", "locatecode"}, {"side", "buysellindicator"}, {"attributionmpid", "attribution"},
        {"orderreference", "orderreferencenumber"}, {"originalorderreference", "originalorderreferencenumber"},
        {"neworderreference", "neworderreferencenumber"}, {"newshares", "shares"}, {"newprice", "price"},
        {"cancelledshares", "canceledshares"}, {"state", "tradingstate"}, {"state", "marketparticipantstate"},
        {"action", "regshoaction"}, {"primarymm", "primarymarketmaker"}, {"mmmode", "marketmakermode"},
        {"shares", "crossshares"}, {"financialstatus", "financialstatusindicator"},
        {"shortsalethreshold", "shortsalethresholdindicator"}, {"luldtier", "luldref"},
        {"inverseindicator", "inverseindicator"}};
    std::vector<std::string> names{field};
    const auto [first, last] = kSynonyms.equal_range(field);
    for (auto at = first; at != last; ++at) names.push_back(at->second);
    return names;
}

std::map<std::string, json> squashed(const json& fields) {
    std::map<std::string, json> out;
    for (const auto& [name, value] : fields.items()) {
        std::string letters = name;
        std::erase(letters, '_');
        out[letters] = value;
    }
    return out;
}

// Values in one spelling: numbers without trailing zeroes of a fraction.
std::string spelled(const json& value) {
    std::string text = value.is_string() ? value.get<std::string>() : value.dump();
    if (text.find('.') == std::string::npos) return text;
    while (text.back() == '0') text.pop_back();
    if (text.back() == '.') text.pop_back();
    return text;
}

// Compares every field of ours but the type, and requires that the other decoder has no field left over
// that is not in `extra`.
std::size_t compare(const json& ours, const json& theirs, std::set<std::string> extra) {
    const auto other = squashed(theirs);
    std::size_t compared = 0;
    for (const auto& [name, value] : ours.items()) {
        if (name == "frame" || name == "time" || name == "sequence" || name == "message" || name == "message_type") continue;
        bool found = false;
        for (const std::string& candidate : names_for(name)) {
            const auto at = other.find(candidate);
            if (found || at == other.end()) continue;
            found = true;
            CAPTURE(name, candidate);
            CHECK(spelled(value) == spelled(at->second));
            extra.insert(candidate);
        }
        CAPTURE(name);
        CHECK(found);
        ++compared;
    }
    for (const auto& [name, value] : other) {
        CAPTURE(name);
        CHECK(extra.count(name) == 1);
    }
    return compared;
}

}  // namespace

TEST_CASE("Nasdaq captures: every field of every packet equals the independent decode") {
    const auto captures = test::captures_dir();
    if (!captures) {
        WARN("skipped: no folder of real captures");
        return;
    }
    std::size_t captures_read = 0;
    std::size_t messages = 0;
    std::size_t fields = 0;
    std::set<std::string> types;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(*captures / "omi_packets/Nasdaq")) {
        if (entry.path().extension() != ".pcap") continue;
        CAPTURE(entry.path().string());
        auto oracle_path = entry.path();
        oracle_path.replace_extension(".oracle.jsonl");
        ++captures_read;
        const auto ours = dumped(entry.path());
        const auto oracle = lines_of(read_file(oracle_path));
        REQUIRE(ours.size() == oracle.size());
        for (std::size_t i = 0; i < ours.size(); ++i) {
            CHECK(ours[i]["message_type"] == oracle[i]["hdr"]["messagetype"]);
            CHECK(ours[i]["frame"] == oracle[i]["f"]);
            CHECK(std::to_string(ours[i]["time"].get<std::int64_t>()).insert(10, ".") == oracle[i]["t"].get<std::string>());
            const std::uint64_t first = std::stoull(oracle[i]["h"]["sequencenumber"].get<std::string>());
            CHECK(ours[i]["sequence"] == first + oracle[i]["i"].get<std::uint64_t>() - 1);
            fields += compare(ours[i], oracle[i]["b"], {});
            types.insert(ours[i]["message_type"]);
            ++messages;
        }
    }
    CHECK(captures_read == 26);
    CHECK(messages >= 100);
    CHECK(fields >= 6 * messages);
    CHECK(types.size() == 13);
}

TEST_CASE("Nasdaq captures: a real BinaryFILE decodes field by field as an independent decoder has it") {
    const auto captures = test::captures_dir();
    if (!captures) {
        WARN("skipped: no folder of real captures");
        return;
    }
    const auto ours = dumped(*captures / "itch50/real_stockdirectory_1000.itch");
    const auto oracle = lines_of(read_file(*captures / "itch50/real_stockdirectory_1000.oracle.jsonl.gz"));
    REQUIRE(ours.size() == 1000);
    REQUIRE(oracle.size() == 1000);
    for (std::size_t i = 0; i < ours.size(); ++i) {
        CHECK(ours[i]["frame"].is_null());
        CHECK(ours[i]["time"].is_null());
        CHECK(ours[i]["sequence"] == i + 1);
        CHECK(ours[i]["message_type"] == oracle[i]["type"]);
        compare(ours[i], oracle[i], {"i", "off", "type", "description", "messageformat", "messagepackformat",
                                     "messagesize", "messagetype", "priceprecision", "reserved"});
    }
}
