// The instrument definitions of DBN's versions 1 and 2, which are read and never written.
#pragma once

#include "millrace/feed/streams/dbn/records.hpp"

namespace millrace::dbn {

// Version 2.
struct DefinitionV2 : Header {
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
    Price9le trading_reference_price;
    Price9le unit_of_measure_qty;
    Price9le min_price_increment_amount;
    Price9le price_ratio;
    Price9le strike_price;
    i32le inst_attrib_value;
    u32le underlying_id;
    u32le raw_instrument_id;
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
    u16le trading_reference_date;
    i16le appl_id;
    u16le maturity_year;
    u16le decay_start_date;
    u16le channel_id;
    CString<4> currency;
    CString<4> settl_currency;
    CString<6> secsubtype;
    CString<71> raw_symbol;
    CString<21> group;
    CString<5> exchange;
    CString<7> asset;
    CString<7> cfi;
    CString<7> security_type;
    CString<31> unit_of_measure;
    CString<21> underlying;
    CString<4> strike_price_currency;
    Code instrument_class;
    Code match_algorithm;
    u8 md_security_trading_status;
    u8 main_fraction;
    u8 price_display_format;
    u8 settl_price_type;
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
    Reserved<10> reserved1;
    static constexpr auto fields() {
        using M = DefinitionV2;
        return after_header<M>(
            field("ts_recv", &M::ts_recv, 16),
            field("min_price_increment", &M::min_price_increment, 24),
            field("display_factor", &M::display_factor, 32),
            field("expiration", &M::expiration, 40),
            field("activation", &M::activation, 48),
            field("high_limit_price", &M::high_limit_price, 56),
            field("low_limit_price", &M::low_limit_price, 64),
            field("max_price_variation", &M::max_price_variation, 72),
            field("trading_reference_price", &M::trading_reference_price, 80),
            field("unit_of_measure_qty", &M::unit_of_measure_qty, 88),
            field("min_price_increment_amount", &M::min_price_increment_amount, 96),
            field("price_ratio", &M::price_ratio, 104),
            field("strike_price", &M::strike_price, 112),
            field("inst_attrib_value", &M::inst_attrib_value, 120),
            field("underlying_id", &M::underlying_id, 124),
            field("raw_instrument_id", &M::raw_instrument_id, 128),
            field("market_depth_implied", &M::market_depth_implied, 132),
            field("market_depth", &M::market_depth, 136),
            field("market_segment_id", &M::market_segment_id, 140),
            field("max_trade_vol", &M::max_trade_vol, 144),
            field("min_lot_size", &M::min_lot_size, 148),
            field("min_lot_size_block", &M::min_lot_size_block, 152),
            field("min_lot_size_round_lot", &M::min_lot_size_round_lot, 156),
            field("min_trade_vol", &M::min_trade_vol, 160),
            field("contract_multiplier", &M::contract_multiplier, 164),
            field("decay_quantity", &M::decay_quantity, 168),
            field("original_contract_size", &M::original_contract_size, 172),
            field("trading_reference_date", &M::trading_reference_date, 176),
            field("appl_id", &M::appl_id, 178),
            field("maturity_year", &M::maturity_year, 180),
            field("decay_start_date", &M::decay_start_date, 182),
            field("channel_id", &M::channel_id, 184),
            field("currency", &M::currency, 186),
            field("settl_currency", &M::settl_currency, 190),
            field("secsubtype", &M::secsubtype, 194),
            field("raw_symbol", &M::raw_symbol, 200),
            field("group", &M::group, 271),
            field("exchange", &M::exchange, 292),
            field("asset", &M::asset, 297),
            field("cfi", &M::cfi, 304),
            field("security_type", &M::security_type, 311),
            field("unit_of_measure", &M::unit_of_measure, 318),
            field("underlying", &M::underlying, 349),
            field("strike_price_currency", &M::strike_price_currency, 370),
            field("instrument_class", &M::instrument_class, 374),
            field("match_algorithm", &M::match_algorithm, 375),
            field("md_security_trading_status", &M::md_security_trading_status, 376),
            field("main_fraction", &M::main_fraction, 377),
            field("price_display_format", &M::price_display_format, 378),
            field("settl_price_type", &M::settl_price_type, 379),
            field("sub_fraction", &M::sub_fraction, 380),
            field("underlying_product", &M::underlying_product, 381),
            field("security_update_action", &M::security_update_action, 382),
            field("maturity_month", &M::maturity_month, 383),
            field("maturity_day", &M::maturity_day, 384),
            field("maturity_week", &M::maturity_week, 385),
            field("user_defined_instrument", &M::user_defined_instrument, 386),
            field("contract_multiplier_unit", &M::contract_multiplier_unit, 387),
            field("flow_schedule_type", &M::flow_schedule_type, 388),
            field("tick_rule", &M::tick_rule, 389),
            field("_reserved1", &M::reserved1, 390));
    }
};
static_assert(Record<DefinitionV2> && wire::layout_matches_spec<DefinitionV2>() && sizeof(DefinitionV2) == 400);

// Version 1.
struct DefinitionV1 : Header {
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
    Price9le trading_reference_price;
    Price9le unit_of_measure_qty;
    Price9le min_price_increment_amount;
    Price9le price_ratio;
    i32le inst_attrib_value;
    u32le underlying_id;
    u32le raw_instrument_id;
    i32le market_depth_implied;
    i32le market_depth;
    u32le market_segment_id;
    u32le max_trade_vol;
    i32le min_lot_size;
    i32le min_lot_size_block;
    i32le min_lot_size_round_lot;
    u32le min_trade_vol;
    Reserved<4> reserved1;
    i32le contract_multiplier;
    i32le decay_quantity;
    i32le original_contract_size;
    Reserved<4> reserved2;
    u16le trading_reference_date;
    i16le appl_id;
    u16le maturity_year;
    u16le decay_start_date;
    u16le channel_id;
    CString<4> currency;
    CString<4> settl_currency;
    CString<6> secsubtype;
    CString<22> raw_symbol;
    CString<21> group;
    CString<5> exchange;
    CString<7> asset;
    CString<7> cfi;
    CString<7> security_type;
    CString<31> unit_of_measure;
    CString<21> underlying;
    CString<4> strike_price_currency;
    Code instrument_class;
    Reserved<2> reserved3;
    Price9le strike_price;
    Reserved<6> reserved4;
    Code match_algorithm;
    u8 md_security_trading_status;
    u8 main_fraction;
    u8 price_display_format;
    u8 settl_price_type;
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
    Reserved<3> reserved5;
    static constexpr auto fields() {
        using M = DefinitionV1;
        return after_header<M>(
            field("ts_recv", &M::ts_recv, 16),
            field("min_price_increment", &M::min_price_increment, 24),
            field("display_factor", &M::display_factor, 32),
            field("expiration", &M::expiration, 40),
            field("activation", &M::activation, 48),
            field("high_limit_price", &M::high_limit_price, 56),
            field("low_limit_price", &M::low_limit_price, 64),
            field("max_price_variation", &M::max_price_variation, 72),
            field("trading_reference_price", &M::trading_reference_price, 80),
            field("unit_of_measure_qty", &M::unit_of_measure_qty, 88),
            field("min_price_increment_amount", &M::min_price_increment_amount, 96),
            field("price_ratio", &M::price_ratio, 104),
            field("inst_attrib_value", &M::inst_attrib_value, 112),
            field("underlying_id", &M::underlying_id, 116),
            field("raw_instrument_id", &M::raw_instrument_id, 120),
            field("market_depth_implied", &M::market_depth_implied, 124),
            field("market_depth", &M::market_depth, 128),
            field("market_segment_id", &M::market_segment_id, 132),
            field("max_trade_vol", &M::max_trade_vol, 136),
            field("min_lot_size", &M::min_lot_size, 140),
            field("min_lot_size_block", &M::min_lot_size_block, 144),
            field("min_lot_size_round_lot", &M::min_lot_size_round_lot, 148),
            field("min_trade_vol", &M::min_trade_vol, 152),
            field("_reserved1", &M::reserved1, 156),
            field("contract_multiplier", &M::contract_multiplier, 160),
            field("decay_quantity", &M::decay_quantity, 164),
            field("original_contract_size", &M::original_contract_size, 168),
            field("_reserved2", &M::reserved2, 172),
            field("trading_reference_date", &M::trading_reference_date, 176),
            field("appl_id", &M::appl_id, 178),
            field("maturity_year", &M::maturity_year, 180),
            field("decay_start_date", &M::decay_start_date, 182),
            field("channel_id", &M::channel_id, 184),
            field("currency", &M::currency, 186),
            field("settl_currency", &M::settl_currency, 190),
            field("secsubtype", &M::secsubtype, 194),
            field("raw_symbol", &M::raw_symbol, 200),
            field("group", &M::group, 222),
            field("exchange", &M::exchange, 243),
            field("asset", &M::asset, 248),
            field("cfi", &M::cfi, 255),
            field("security_type", &M::security_type, 262),
            field("unit_of_measure", &M::unit_of_measure, 269),
            field("underlying", &M::underlying, 300),
            field("strike_price_currency", &M::strike_price_currency, 321),
            field("instrument_class", &M::instrument_class, 325),
            field("_reserved3", &M::reserved3, 326),
            field("strike_price", &M::strike_price, 328),
            field("_reserved4", &M::reserved4, 336),
            field("match_algorithm", &M::match_algorithm, 342),
            field("md_security_trading_status", &M::md_security_trading_status, 343),
            field("main_fraction", &M::main_fraction, 344),
            field("price_display_format", &M::price_display_format, 345),
            field("settl_price_type", &M::settl_price_type, 346),
            field("sub_fraction", &M::sub_fraction, 347),
            field("underlying_product", &M::underlying_product, 348),
            field("security_update_action", &M::security_update_action, 349),
            field("maturity_month", &M::maturity_month, 350),
            field("maturity_day", &M::maturity_day, 351),
            field("maturity_week", &M::maturity_week, 352),
            field("user_defined_instrument", &M::user_defined_instrument, 353),
            field("contract_multiplier_unit", &M::contract_multiplier_unit, 354),
            field("flow_schedule_type", &M::flow_schedule_type, 355),
            field("tick_rule", &M::tick_rule, 356),
            field("_reserved5", &M::reserved5, 357));
    }
};
static_assert(Record<DefinitionV1> && wire::layout_matches_spec<DefinitionV1>() && sizeof(DefinitionV1) == 360);

}  // namespace millrace::dbn
