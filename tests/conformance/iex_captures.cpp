// Real IEX packets, field by field against what an independent decoder made of them, and the counts that
// come with the captures.
#include <fmt/format.h>

#include <set>
#include <string>

#include "millrace/feed/session.hpp"
#include "millrace/feed/venues/venue_list.hpp"
#include "millrace/replay/capture_reader.hpp"
#include "millrace/replay/detect.hpp"
#include "tests/conformance/iex_oracle.hpp"
#include "tests/support/captures.hpp"
#include "tools/dump_format.hpp"

namespace {

using namespace millrace;
using test::Oracle;
using test::OracleLine;

// The line that `millrace dump --json` should print for the oracle's message.
std::string expected_line(const OracleLine& line, const wire::MessageLayout& layout) {
    std::string text = fmt::format("{{\"frame\":{},\"time\":{},\"sequence\":{},\"message\":\"{}\",\"message_type\":\"{}\"",
                                   line.number("f"), line.time(), line.sequence(), layout.name,
                                   line.value("messagetype"));
    std::size_t fields = 0;
    for (const wire::FieldLayout& field : layout.fields) {
        if (field.name == "message_type" || field.kind == wire::FieldKind::reserved) continue;
        text += fmt::format(",\"{}\":{}", field.name, test::oracle::as_dumped(line, field));
        ++fields;
    }
    CHECK(fields == line.fields());
    return text + "}";
}

struct Counts {
    std::uint64_t packets = 0;
    std::uint64_t heartbeats = 0;
    std::uint64_t messages = 0;
    std::uint64_t restarts = 0;
    std::uint64_t gaps = 0;
    std::set<std::string> types;
};

template <class Venue>
class Comparison {
  public:
    Comparison(const std::filesystem::path& capture, const std::filesystem::path& oracle)
        : reader_(capture), oracle_(oracle), session_(config(), nobody_) {}

    Counts run() {
        replay::Datagram datagram;
        while (reader_.next(datagram)) {
            ++counts_.packets;
            const Frame frame = Venue::Framing::parse(datagram.payload);
            REQUIRE(frame.kind != FrameKind::malformed);
            if (frame.count == 0) compare_heartbeat(frame, datagram);
            else compare_messages(frame, datagram);
            session_.on_packet({0, datagram.captured_at, datagram.payload});
        }
        CHECK_FALSE(oracle_.next(line_));
        session_.finish();
        CHECK(reader_.damage().empty());
        CHECK(balance(session_.messages()) == 0);
        CHECK(session_.messages()[MessageCounter::delivered] == counts_.messages);
        CHECK(session_.faults()[FaultCounter::stream_offset] == 0);
        CHECK(session_.quality() == Quality::live);
        counts_.restarts = session_.arbiter().restarts();
        counts_.gaps = session_.arbiter().gaps().total();
        return counts_;
    }

  private:
    static SessionConfig config() {
        SessionConfig config;
        config.lines = 1;
        config.limits = {16'384, 100'000, 100'000};
        config.reorder_window_packets = 16;
        return config;
    }

    void compare_heartbeat(const Frame& frame, const replay::Datagram& datagram) {
        ++counts_.heartbeats;
        REQUIRE(oracle_.next(line_));
        REQUIRE(line_.heartbeat());
        compare_header(frame, datagram);
    }
    void compare_header(const Frame& frame, const replay::Datagram& datagram) {
        CHECK(datagram.frame == line_.number("f"));
        CHECK(frame.first_sequence == line_.number("firstmessagesequencenumber"));
        CHECK(frame.count == line_.number("messagecount"));
        CHECK(frame.stream_offset == line_.number("streamoffset"));
        CHECK(frame.blocks.size() == line_.number("payloadlength"));
        CHECK(frame.sent_at == static_cast<Timestamp>(line_.number("sendtime")));
    }
    void compare_messages(const Frame& frame, const replay::Datagram& datagram) {
        typename Venue::Framing::Walker walker(frame.blocks);
        tools::MessagePlace place{datagram.frame, datagram.captured_at, frame.first_sequence};
        for (std::uint32_t i = 0; i < frame.count; ++i, ++place.sequence) {
            const auto message = walker.next();
            REQUIRE(oracle_.next(line_));
            REQUIRE_FALSE(line_.heartbeat());
            if (i == 0) compare_header(frame, datagram);
            const wire::MessageLayout* layout = Venue::layout(message);
            REQUIRE(layout != nullptr);
            REQUIRE(layout->size == message.size());
            REQUIRE(message.size() == line_.number("messagelength"));
            REQUIRE(test::oracle::letters(layout->name) + "message" == line_.value("n"));
            fmt::memory_buffer text;
            tools::dump_json(text, place, *layout, message);
            if (std::string(text.data(), text.size()) != expected_line(line_, *layout)) {
                CHECK(std::string(text.data(), text.size()) == expected_line(line_, *layout));
            }
            counts_.types.insert(std::string(layout->name));
            ++counts_.messages;
        }
    }

    replay::CaptureReader reader_;
    Oracle oracle_;
    OracleLine line_{""};
    NullHandler nobody_;
    Session<Venue, NullHandler> session_;
    Counts counts_;
};

template <class Venue>
Counts compare(const std::filesystem::path& folder, const std::string& name) {
    const auto capture = folder / (name + ".pcap.gz");
    CHECK(replay::detect_venue(capture) == Venue::kId);
    return Comparison<Venue>(capture, folder / (name + ".oracle.jsonl.gz")).run();
}

}  // namespace

TEST_CASE("IEX captures: every field of the TOPS capture equals the independent decode, and its counts hold") {
    const auto captures = test::captures_dir();
    if (!captures) {
        WARN("skipped: no folder of real captures");
        return;
    }
    const Counts counts = compare<venues::IexTops>(*captures / "iex", "TOPS16_part1");
    CHECK(counts.packets == 8'000);
    CHECK(counts.heartbeats == 182);
    CHECK(counts.messages == 45'781);
    CHECK(counts.restarts == 0);
    CHECK(counts.gaps == 0);
    CHECK(counts.types.size() == 9);
}

TEST_CASE("IEX captures: every field of the DEEP capture equals the independent decode, and its counts hold") {
    const auto captures = test::captures_dir();
    if (!captures) {
        WARN("skipped: no folder of real captures");
        return;
    }
    const Counts counts = compare<venues::IexDeep>(*captures / "iex", "DEEP10_part1");
    CHECK(counts.packets == 40'419);
    CHECK(counts.heartbeats == 7'818);
    CHECK(counts.messages == 286'789);
    CHECK(counts.restarts == 11);
    CHECK(counts.gaps == 0);
    CHECK(counts.types.size() == 8);
}

TEST_CASE("IEX captures: single packets of all three feeds, among them DEEP+, equal the independent decode") {
    const auto captures = test::captures_dir();
    if (!captures) {
        WARN("skipped: no folder of real captures");
        return;
    }
    std::set<std::string> types;
    std::uint64_t messages = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(*captures / "omi_packets/Iex")) {
        if (entry.path().extension() != ".pcap") continue;
        CAPTURE(entry.path().string());
        auto oracle_path = entry.path();
        oracle_path.replace_extension(".oracle.jsonl");
        replay::CaptureReader reader(entry.path());
        Oracle oracle(oracle_path);
        OracleLine line("");
        replay::Datagram datagram;
        while (reader.next(datagram)) {
            venues::for_each_venue([&]<class Venue>() {
                if constexpr (requires { Venue::kProtocol; }) {
                    const Frame frame = Venue::Framing::parse(datagram.payload);
                    if (frame.kind == FrameKind::malformed) return;
                    if (frame.count == 0) REQUIRE(oracle.next(line));
                    typename Venue::Framing::Walker walker(frame.blocks);
                    for (std::uint32_t i = 0; i < frame.count; ++i) {
                        const auto message = walker.next();
                        const wire::MessageLayout* layout = Venue::layout(message);
                        REQUIRE(oracle.next(line));
                        REQUIRE(layout != nullptr);
                        REQUIRE(layout->size == message.size());
                        fmt::memory_buffer text;
                        tools::dump_json(text, {datagram.frame, datagram.captured_at, frame.first_sequence + i},
                                         *layout, message);
                        CHECK(std::string(text.data(), text.size()) == expected_line(line, *layout));
                        types.insert(std::string(layout->name));
                        ++messages;
                    }
                }
            });
        }
        CHECK_FALSE(oracle.next(line));
    }
    CHECK(messages == 1 + 1 + 35 + 67 + 1 + 67 + 67 + 1 + 1 + 4 + 52 + 1 + 1 + 1);
    for (const char* type : {"add_order", "order_modify", "trade_break", "security_event", "retail_liquidity_indicator",
                             "quote_update", "auction_information", "price_level_sell_update"}) {
        CAPTURE(type);
        CHECK(types.count(type) == 1);
    }
}
