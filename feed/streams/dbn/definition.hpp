// DBN's instrument definition; definition_old.hpp has that of versions 1 and 2.
#pragma once

#include "millrace/feed/streams/dbn/records.hpp"

namespace millrace::dbn {

// One instrument, or one leg of a strategy with the strategy's fields repeated.
struct Definition : Header {
    static constexpr char kType = static_cast<char>(Rtype::definition);
    static constexpr std::string_view kName = "definition";
    Timestamp64 ts_recv;
    Price9le min_price_increment;
    Price9le display_factor;
    Timestamp64 expiration;
    Timestamp64 activation;
    Price9le high_limit_price;
    Price9le low_limit_price;
    Price9le max_price_variation;
    Price9le unit_of_measure_qty;
    Price9le min_price_increment_amount;
    Price9le price_ratio;
    Price9le strike_price;
    u64le raw_instrument_id;
    Price9le leg_price;
    Price9le leg_delta;
    i32le inst_attrib_value;
    u32le underlying_id;
    i32le market_depth_implied;
    i32le market_depth;
    u32le market_segment_id;
    u32le max_trade_vol;
    i32le min_lot_size;
    i32le min_lot_size_block;
    i32le min_lot_size_round_lot;
    u32le min_trade_vol;
    i32le contract_multiplier;
    i32le decay_quantity;
    i32le original_contract_size;
    u32le leg_instrument_id;
    i32le leg_ratio_price_numerator;
    i32le leg_ratio_price_denominator;
    i32le leg_ratio_qty_numerator;
    i32le leg_ratio_qty_denominator;
    u32le leg_underlying_id;
    i16le appl_id;
    u16le maturity_year;
    u16le decay_start_date;
    u16le channel_id;
    u16le leg_count;
    u16le leg_index;
    CString<4> currency;
    CString<4> settl_currency;
    CString<6> secsubtype;
    CString<71> raw_symbol;
    CString<21> group;
    CString<5> exchange;
    CString<11> asset;
    CString<7> cfi;
    CString<7> security_type;
    CString<31> unit_of_measure;
    CString<21> underlying;
    CString<4> strike_price_currency;
    CString<71> leg_raw_symbol;
    Code instrument_class;
    Code match_algorithm;
    u8 main_fraction;
    u8 price_display_format;
    u8 sub_fraction;
    u8 underlying_product;
    Code security_update_action;
    u8 maturity_month;
    u8 maturity_day;
    u8 maturity_week;
    Code user_defined_instrument;
    i8le contract_multiplier_unit;
    i8le flow_schedule_type;
    u8 tick_rule;
    Code leg_instrument_class;
    Code leg_side;
    Reserved<17> reserved1;
    static constexpr auto fields() {
        using M = Definition;
        return after_header<M>(
            field("ts_recv", &M::ts_recv, 16),
            field("min_price_increment", &M::min_price_increment, 24),
            field("display_factor", &M::display_factor, 32),
            field("expiration", &M::expiration, 40),
            field("activation", &M::activation, 48),
            field("high_limit_price", &M::high_limit_price, 56),
            field("low_limit_price", &M::low_limit_price, 64),
            field("max_price_variation", &M::max_price_variation, 72),
            field("unit_of_measure_qty", &M::unit_of_measure_qty, 80),
            field("min_price_increment_amount", &M::min_price_increment_amount, 88),
            field("price_ratio", &M::price_ratio, 96),
            field("strike_price", &M::strike_price, 104),
            field("raw_instrument_id", &M::raw_instrument_id, 112),
            field("leg_price", &M::leg_price, 120),
            field("leg_delta", &M::leg_delta, 128),
            field("inst_attrib_value", &M::inst_attrib_value, 136),
            field("underlying_id", &M::underlying_id, 140),
            field("market_depth_implied", &M::market_depth_implied, 144),
            field("market_depth", &M::market_depth, 148),
            field("market_segment_id", &M::market_segment_id, 152),
            field("max_trade_vol", &M::max_trade_vol, 156),
            field("min_lot_size", &M::min_lot_size, 160),
            field("min_lot_size_block", &M::min_lot_size_block, 164),
            field("min_lot_size_round_lot", &M::min_lot_size_round_lot, 168),
            field("min_trade_vol", &M::min_trade_vol, 172),
            field("contract_multiplier", &M::contract_multiplier, 176),
            field("decay_quantity", &M::decay_quantity, 180),
            field("original_contract_size", &M::original_contract_size, 184),
            field("leg_instrument_id", &M::leg_instrument_id, 188),
            field("leg_ratio_price_numerator", &M::leg_ratio_price_numerator, 192),
            field("leg_ratio_price_denominator", &M::leg_ratio_price_denominator, 196),
            field("leg_ratio_qty_numerator", &M::leg_ratio_qty_numerator, 200),
            field("leg_ratio_qty_denominator", &M::leg_ratio_qty_denominator, 204),
            field("leg_underlying_id", &M::leg_underlying_id, 208),
            field("appl_id", &M::appl_id, 212),
            field("maturity_year", &M::maturity_year, 214),
            field("decay_start_date", &M::decay_start_date, 216),
            field("channel_id", &M::channel_id, 218),
            field("leg_count", &M::leg_count, 220),
            field("leg_index", &M::leg_index, 222),
            field("currency", &M::currency, 224),
            field("settl_currency", &M::settl_currency, 228),
            field("secsubtype", &M::secsubtype, 232),
            field("raw_symbol", &M::raw_symbol, 238),
            field("group", &M::group, 309),
            field("exchange", &M::exchange, 330),
            field("asset", &M::asset, 335),
            field("cfi", &M::cfi, 346),
            field("security_type", &M::security_type, 353),
            field("unit_of_measure", &M::unit_of_measure, 360),
            field("underlying", &M::underlying, 391),
            field("strike_price_currency", &M::strike_price_currency, 412),
            field("leg_raw_symbol", &M::leg_raw_symbol, 416),
            field("instrument_class", &M::instrument_class, 487),
            field("match_algorithm", &M::match_algorithm, 488),
            field("main_fraction", &M::main_fraction, 489),
            field("price_display_format", &M::price_display_format, 490),
            field("sub_fraction", &M::sub_fraction, 491),
            field("underlying_product", &M::underlying_product, 492),
            field("security_update_action", &M::security_update_action, 493),
            field("maturity_month", &M::maturity_month, 494),
            field("maturity_day", &M::maturity_day, 495),
            field("maturity_week", &M::maturity_week, 496),
            field("user_defined_instrument", &M::user_defined_instrument, 497),
            field("contract_multiplier_unit", &M::contract_multiplier_unit, 498),
            field("flow_schedule_type", &M::flow_schedule_type, 499),
            field("tick_rule", &M::tick_rule, 500),
            field("leg_instrument_class", &M::leg_instrument_class, 501),
            field("leg_side", &M::leg_side, 502),
            field("_reserved1", &M::reserved1, 503));
    }
};
static_assert(Record<Definition> && wire::layout_matches_spec<Definition>() && sizeof(Definition) == 520);

}  // namespace millrace::dbn
