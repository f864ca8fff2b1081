// Each of IEX's messages by bytes written by hand from the specification's tables, and the real ones that the
// fact sheet decodes.
#include <fmt/format.h>

#include <set>
#include <string>
#include <vector>

#include "millrace/feed/venues/iex/venue.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/hex.hpp"
#include "tools/dump_format.hpp"

namespace {

using namespace millrace;
using test::from_hex;

struct Example {
    const char* hex;
    const char* text;  // as `millrace dump` prints it
};

// Prefix: 1499697155788781087 ns since the epoch, symbol ZIEXT.
#define PREFIX " 1f3674119efecf14 5a49455854202020 "
#define WHERE " timestamp=1499697155788781087 symbol=ZIEXT"
const Example kExamples[] = {
    {"53 4f 1f3674119efecf14", "1 system_event message_type=S system_event=O timestamp=1499697155788781087"},
    {"44 a0" PREFIX "64000000 a086010000000000 01",
     "1 security_directory message_type=D security_directory_flags=160" WHERE
     " round_lot_size=100 adjusted_poc_price=10.0000 luld_tier=1"},
    {"48 48" PREFIX "54312020", "1 trading_status message_type=H trading_status=H" WHERE " reason=T1"},
    {"49 41" PREFIX, "1 retail_liquidity_indicator message_type=I retail_liquidity_indicator=A" WHERE},
    {"4f 4f" PREFIX, "1 operational_halt_status message_type=O operational_halt_status=O" WHERE},
    {"50 01" PREFIX "43", "1 short_sale_price_test_status message_type=P short_sale_price_test_status=1" WHERE
                          " detail=C"},
    {"45 43" PREFIX, "1 security_event message_type=E security_event=C" WHERE},
    {"51 40" PREFIX "e8030000 01 00000000000000 02 00000000000000 ffffffff",
     "1 quote_update message_type=Q quote_update_flags=64" WHERE
     " bid_size=1000 bid_price=0.0001 ask_price=0.0002 ask_size=4294967295"},
    {"38 00" PREFIX "be000000 b4f01e0000000000",
     "1 price_level_buy_update message_type=8 event_flags=0" WHERE " size=190 price=202.7700"},
    {"35 01" PREFIX "00000000 ffffffffffffffff",
     "1 price_level_sell_update message_type=5 event_flags=1" WHERE " size=0 price=-0.0001"},
    {"54 28" PREFIX "64000000 b4f01e0000000000 0102030405060708",
     "1 trade_report message_type=T sale_condition_flags=40" WHERE
     " size=100 price=202.7700 trade_id=578437695752307201"},
    {"42 80" PREFIX "64000000 b4f01e0000000000 0a00000000000000",
     "1 trade_break message_type=B sale_condition_flags=128" WHERE " size=100 price=202.7700 trade_id=10"},
    {"58 51" PREFIX "b4f01e0000000000",
     "1 official_price message_type=X price_type=Q" WHERE " official_price=202.7700"},
    {"41 43" PREFIX "01000000 0200000000000000 0300000000000000 04000000 4e 05 80510100 0600000000000000"
     " 0700000000000000 0800000000000000 0900000000000000",
     "1 auction_information message_type=A auction_type=C" WHERE
     " paired_shares=1 reference_price=0.0002 indicative_clearing_price=0.0003 imbalance_shares=4 imbalance_side=N"
     " extension_number=5 scheduled_auction_time=86400 auction_book_clearing_price=0.0006"
     " collar_reference_price=0.0007 lower_auction_collar=0.0008 upper_auction_collar=0.0009"},
    {"61 38" PREFIX "0700000000000000 64000000 b4f01e0000000000",
     "1 add_order message_type=a side=8" WHERE " order_id=7 size=100 price=202.7700"},
    {"4d 01" PREFIX "0700000000000000 64000000 b4f01e0000000000",
     "1 order_modify message_type=M modify_flags=1" WHERE " order_id=7 size=100 price=202.7700"},
    {"52 00" PREFIX "ffffffffffffffff", "1 order_delete message_type=R" WHERE " order_id=18446744073709551615"},
    {"4c 20" PREFIX "0700000000000000 64000000 b4f01e0000000000 0900000000000000",
     "1 order_executed message_type=L sale_condition_flags=32" WHERE
     " order_id=7 size=100 price=202.7700 trade_id=9"},
    {"43 00" PREFIX, "1 clear_book message_type=C" WHERE},
};
#undef PREFIX
#undef WHERE

std::string dumped(const wire::MessageLayout& layout, std::span<const std::uint8_t> bytes) {
    fmt::memory_buffer text;
    tools::dump_text(text, {{}, {}, 1}, layout, bytes);
    return {text.data(), text.size()};
}

template <class Venue>
std::size_t known() {
    std::size_t types = 0;
    for (const Example& example : kExamples) {
        const auto bytes = from_hex(example.hex);
        const wire::MessageLayout* layout = Venue::layout(bytes);
        if (layout == nullptr) continue;
        CHECK(bytes.size() == layout->size);
        CHECK(dumped(*layout, bytes) == example.text);
        ++types;
    }
    return types;
}

}  // namespace

TEST_CASE("IEX: bytes written by hand from the tables decode to the values they were written with") {
    CHECK(known<venues::IexTops>() == venues::IexTops::layouts().size());
    CHECK(known<venues::IexDeep>() == venues::IexDeep::layouts().size());
    CHECK(known<venues::IexDeepPlus>() == venues::IexDeepPlus::layouts().size());
    CHECK(venues::IexTops::layouts().size() == 11);
    CHECK(venues::IexDeep::layouts().size() == 13);
    CHECK(venues::IexDeepPlus::layouts().size() == 14);
}

TEST_CASE("IEX: the fact sheet's real messages decode to what the exchange meant") {
    const auto check = [](auto venue, const char* hex, const char* text) {
        const auto bytes = from_hex(hex);
        CHECK(dumped(*decltype(venue)::layout(bytes), bytes) == text);
    };
    check(venues::IexDeep{}, "38 01 be7f13353ae25d16 5620202020202020 be000000 b4f01e0000000000",
          "1 price_level_buy_update message_type=8 event_flags=1 timestamp=1611692981294956478 symbol=V size=190"
          " price=202.7700");
    check(venues::IexDeepPlus{}, "61 35 1e7711156155fa17 49424b5220202020 0a00000000006300 64000000 08d4140000000000",
          "1 add_order message_type=a side=5 timestamp=1727787282503661342 symbol=IBKR order_id=27866022694354954"
          " size=100 price=136.5000");
    check(venues::IexDeepPlus{}, "4d 00 ce8b8436a455fa17 49424b5220202020 ae00000000006300 c8000000 841b150000000000",
          "1 order_modify message_type=M modify_flags=0 timestamp=1727787570827660238 symbol=IBKR"
          " order_id=27866022694355118 size=200 price=138.3300");
    check(venues::IexTops{},
          "51 00 c048e39c37b30d15 4154534720202020 55490000 ecb0030000000000 44b3030000000000 05ed0000",
          "1 quote_update message_type=Q quote_update_flags=0 timestamp=1517065700930439360 symbol=ATSG"
          " bid_size=18773 bid_price=24.1900 ask_price=24.2500 ask_size=60677");
}
