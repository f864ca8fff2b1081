// Each of the 23 messages by bytes written by hand from the specification's tables, both ways, and cut short.
#include "millrace/feed/venues/nasdaq_itch50/messages.hpp"

#include <fmt/format.h>

#include <string>
#include <vector>

#include "millrace/feed/session.hpp"
#include "millrace/feed/venues/nasdaq_itch50/venue.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/hex.hpp"
#include "tools/dump_format.hpp"

namespace {

using namespace millrace;
using test::from_hex;
using Bytes = std::vector<std::uint8_t>;

struct Example {
    const char* hex;
    const char* text;  // as `millrace dump` prints it
};

// Prefix: locate 258, tracking number 3, 09:30:00.000796673, which is 34200000796673 ns.
#define PREFIX "0102 0003 1f1acee61801 "
#define WHERE " stock_locate=258 tracking_number=3 timestamp=34200000796673"
const Example kExamples[] = {
    {"53" PREFIX "4f", "1 system_event message_type=S" WHERE " event_code=O"},
    {"52" PREFIX "4141504c20202020 51 4e 00000064 4e 43 5a20 50 4e 20 31 4e 00000002 59",
     "1 stock_directory message_type=R" WHERE " stock=AAPL market_category=Q financial_status=N round_lot_size=100"
     " round_lots_only=N issue_classification=C issue_sub_type=Z authenticity=P short_sale_threshold=N ipo_flag="
     " luld_tier=1 etp_flag=N etp_leverage_factor=2 inverse_indicator=Y"},
    {"48" PREFIX "4141504c20202020 48 20 54313220",
     "1 stock_trading_action message_type=H" WHERE " stock=AAPL state=H reason=T12"},
    {"59" PREFIX "4141504c20202020 32", "1 reg_sho_restriction message_type=Y" WHERE " stock=AAPL action=2"},
    {"4c" PREFIX "4d4d4b52 4141504c20202020 59 4e 41",
     "1 market_participant_position message_type=L" WHERE " mpid=MMKR stock=AAPL primary_mm=Y mm_mode=N state=A"},
    {"56" PREFIX "0000005d21dba000 0000005625b7f400 0000000000000001",
     "1 mwcb_decline_level message_type=V" WHERE " level_1=4000.00000000 level_2=3700.00000000 level_3=0.00000001"},
    {"57" PREFIX "33", "1 mwcb_status message_type=W" WHERE " breached_level=3"},
    {"4b" PREFIX "4e45574950202020 00008ca0 41 00030d40",
     "1 ipo_quoting_period_update message_type=K" WHERE " stock=NEWIP release_time=36000 qualifier=A ipo_price=20.0000"},
    {"4a" PREFIX "4141504c20202020 000f4240 00100590 000e7ef0 00000007",
     "1 luld_auction_collar message_type=J" WHERE " stock=AAPL collar_reference_price=100.0000 upper_collar=105.0000"
     " lower_collar=95.0000 extension_count=7"},
    {"68" PREFIX "4141504c20202020 51 54", "1 operational_halt message_type=h" WHERE " stock=AAPL market=Q action=T"},
    {"41" PREFIX "0000000000000007 42 00000064 4141504c20202020 77359400",
     "1 add_order_no_mpid message_type=A" WHERE " order_reference=7 side=B shares=100 stock=AAPL price=200000.0000"},
    {"46" PREFIX "ffffffffffffffff 53 ffffffff 4141504c20202020 00000001 4d4d4b52",
     "1 add_order_mpid message_type=F" WHERE " order_reference=18446744073709551615 side=S shares=4294967295"
     " stock=AAPL price=0.0001 attribution_mpid=MMKR"},
    {"45" PREFIX "0000000000000007 00000019 000000000003e63b",
     "1 order_executed message_type=E" WHERE " order_reference=7 executed_shares=25 match_number=255547"},
    {"43" PREFIX "0000000000000007 00000064 000000000003e838 4e 00435134",
     "1 order_executed_with_price message_type=C" WHERE " order_reference=7 executed_shares=100 match_number=256056"
     " printable=N execution_price=441.1700"},
    {"58" PREFIX "0000000000000007 00000005", "1 order_cancel message_type=X" WHERE " order_reference=7 cancelled_shares=5"},
    {"44" PREFIX "0000000000000007", "1 order_delete message_type=D" WHERE " order_reference=7"},
    {"55" PREFIX "0000000000000007 0000000000000008 00000064 001036c8",
     "1 order_replace message_type=U" WHERE " original_order_reference=7 new_order_reference=8 new_shares=100"
     " new_price=106.2600"},
    {"50" PREFIX "0000000000000000 42 00000005 4141504c20202020 0010cdc4 0000000000000009",
     "1 trade message_type=P" WHERE " order_reference=0 side=B shares=5 stock=AAPL price=110.1252 match_number=9"},
    {"51" PREFIX "0000000100000000 4141504c20202020 000f4240 000000000000000a 4f",
     "1 cross_trade message_type=Q" WHERE " shares=4294967296 stock=AAPL cross_price=100.0000 match_number=10 cross_type=O"},
    {"42" PREFIX "000000000000000a", "1 broken_trade message_type=B" WHERE " match_number=10"},
    {"49" PREFIX "0000000000000001 0000000000000002 4e 4d44432020202020 00071610 00071611 00071612 4f 4c",
     "1 noii message_type=I" WHERE " paired_shares=1 imbalance_shares=2 direction=N stock=MDC far_price=46.4400"
     " near_price=46.4401 current_reference_price=46.4402 cross_type=O price_variation=L"},
    {"4e" PREFIX "4141504c20202020 53",
     "1 retail_price_improvement_indicator message_type=N" WHERE " stock=AAPL interest=S"},
    {"4f" PREFIX "4141504c20202020 59 000186a0 00030d40 000249f0 00001f1acee61801 00018a88 00030958",
     "1 direct_listing_with_capital_raise_price_discovery message_type=O" WHERE " stock=AAPL open_eligibility=Y"
     " min_allowable_price=10.0000 max_allowable_price=20.0000 near_execution_price=15.0000"
     " near_execution_time=34200000796673 lower_collar=10.1000 upper_collar=19.9000"},
};
#undef PREFIX
#undef WHERE

std::string dumped(const wire::MessageLayout& layout, const Bytes& bytes) {
    fmt::memory_buffer text;
    tools::dump_text(text, {{}, {}, 1}, layout, bytes);
    return {text.data(), text.size()};
}

// Decodes a message with the declared layout and encodes it again, field by field.
template <class M>
Bytes round_trip(const Bytes& bytes) {
    const M& in = wire::view<M>(bytes);
    M out{};
    std::apply(
        [&](const auto&... fields) {
            const auto copy = [](const auto& from, auto& to) {
                if constexpr (requires { to.set(from.value()); }) to.set(from.value());
                else to = from;  // reserved
            };
            (copy(in.*fields.member, out.*fields.member), ...);
        },
        M::fields());
    const auto span = wire::bytes_of(out);
    return {span.begin(), span.end()};
}

template <class... M>
Bytes round_trip_any(const Bytes& bytes, std::type_identity<std::tuple<M...>>) {
    Bytes out;
    static_cast<void>(((static_cast<char>(bytes[0]) == M::kType ? (out = round_trip<M>(bytes), true) : false) || ...));
    return out;
}

}  // namespace

TEST_CASE("ITCH 5.0: bytes written by hand from the tables decode to the values they were written with") {
    std::size_t types = 0;
    for (const Example& example : kExamples) {
        const Bytes bytes = from_hex(example.hex);
        const wire::MessageLayout* layout = venues::NasdaqItch50::layout(bytes);
        REQUIRE(layout != nullptr);
        CHECK(bytes.size() == layout->size);
        CHECK(dumped(*layout, bytes) == example.text);
        CHECK(round_trip_any(bytes, std::type_identity<venues::itch50::Messages>{}) == bytes);
        ++types;
    }
    CHECK(types == 23);
    CHECK(venues::itch50::layouts().size() == 23);
}

TEST_CASE("ITCH 5.0: a message cut short at any length is malformed, and a longer one is read as usual") {
    for (const Example& example : kExamples) {
        const Bytes whole = from_hex(example.hex);
        for (std::size_t length = 0; length <= whole.size() + 3; ++length) {
            NullHandler handler;
            SessionConfig config;
            config.lines = 1;
            config.limits = {4, 16, 16};
            config.reorder_window_packets = 1;
            Session<venues::NasdaqItch50, NullHandler> session(config, handler);
            Bytes block{0, static_cast<std::uint8_t>(length)};
            for (std::size_t i = 0; i < length; ++i) block.push_back(i < whole.size() ? whole[i] : 0);
            session.on_records(1, 1, block, 0);
            const MessageCounters counters = session.messages();
            CAPTURE(example.text, length);
            REQUIRE(counters[MessageCounter::malformed] == (length < whole.size() ? 1 : 0));
            REQUIRE(balance(counters) == 0);
        }
    }
}

TEST_CASE("ITCH 5.0: the worked examples of real packets decode to what the exchange meant") {
    const auto check = [](const char* hex, const char* text) {
        const Bytes bytes = from_hex(hex);
        CHECK(dumped(*venues::NasdaqItch50::layout(bytes), bytes) == text);
    };
    check("41 1598 0000 1f1aced85306 000000000166b53e 42 00000640 49564f4f20202020 000d55ac",
          "1 add_order_no_mpid message_type=A stock_locate=5528 tracking_number=0 timestamp=34199999894278"
          " order_reference=23508286 side=B shares=1600 stock=IVOO price=87.3900");
    check("45 0929 0002 1f1aced8f061 000000000166929a 00000019 000000000003e63b",
          "1 order_executed message_type=E stock_locate=2345 tracking_number=2 timestamp=34199999934561"
          " order_reference=23499418 executed_shares=25 match_number=255547");
    check("55 1db3 0000 1f1aced771e9 0000000000e6897f 000000000145f2c7 00000064 001036c8",
          "1 order_replace message_type=U stock_locate=7603 tracking_number=0 timestamp=34199999836649"
          " original_order_reference=15108479 new_order_reference=21361351 new_shares=100 new_price=106.2600");
    check("49 193e 0000 1f1acede0ab2 0000000000000001 0000000000000000 4e 4d44432020202020 00071610 00071610 00071610 4f 4c",
          "1 noii message_type=I stock_locate=6462 tracking_number=0 timestamp=34200000268978 paired_shares=1"
          " imbalance_shares=0 direction=N stock=MDC far_price=46.4400 near_price=46.4400"
          " current_reference_price=46.4400 cross_type=O price_variation=L");
}

TEST_CASE("dump: bytes that are no text make valid JSON all the same") {
    const Bytes bytes = from_hex("59 0102 0003 1f1acee61801 22 5c 00 0a ff 41 20 20 00");
    fmt::memory_buffer text;
    tools::dump_json(text, {5, 7, 9}, *venues::NasdaqItch50::layout(bytes), bytes);
    CHECK(std::string(text.data(), text.size()) ==
          R"({"frame":5,"time":7,"sequence":9,"message":"reg_sho_restriction","message_type":"Y","stock_locate":258,)"
          R"("tracking_number":3,"timestamp":34200000796673,"stock":"\"\\\u0000\u000a\u00ffA","action":""})");
}
