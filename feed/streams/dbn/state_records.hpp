// DBN records about the state of an instrument: trading status, auction imbalance, statistics.
#pragma once

#include "millrace/feed/streams/dbn/records.hpp"

namespace millrace::dbn {

struct Status : Header {
    static constexpr char kType = static_cast<char>(Rtype::status);
    static constexpr std::string_view kName = "status";
    Timestamp64 ts_recv;
    u16le action;
    u16le reason;
    u16le trading_event;
    Code is_trading;  // Y, N, ~ unknown; so the two below
    Code is_quoting;
    Code is_short_sell_restricted;
    Reserved<7> reserved;
    static constexpr auto fields() {
        using M = Status;
        return after_header<M>(
            field("ts_recv", &M::ts_recv, 16), field("action", &M::action, 24),
            field("reason", &M::reason, 26), field("trading_event", &M::trading_event, 28),
            field("is_trading", &M::is_trading, 30), field("is_quoting", &M::is_quoting, 31),
            field("is_short_sell_restricted", &M::is_short_sell_restricted, 32),
            field("_reserved", &M::reserved, 33));
    }
};
static_assert(Record<Status> && wire::layout_matches_spec<Status>() && sizeof(Status) == 40);

struct Imbalance : Header {
    static constexpr char kType = static_cast<char>(Rtype::imbalance);
    static constexpr std::string_view kName = "imbalance";
    Timestamp64 ts_recv;
    Price9le ref_price;
    Timestamp64 auction_time;
    Price9le cont_book_clr_price;
    Price9le auct_interest_clr_price;
    Price9le ssr_filling_price;
    Price9le ind_match_price;
    Price9le upper_collar;
    Price9le lower_collar;
    u32le paired_qty;
    u32le total_imbalance_qty;
    u32le market_imbalance_qty;
    u32le unpaired_qty;
    Code auction_type;
    Code side;
    u8 auction_status;
    u8 freeze_status;
    u8 num_extensions;
    Code unpaired_side;
    Code significant_imbalance;
    Reserved<1> reserved;
    static constexpr auto fields() {
        using M = Imbalance;
        return after_header<M>(
            field("ts_recv", &M::ts_recv, 16), field("ref_price", &M::ref_price, 24),
            field("auction_time", &M::auction_time, 32),
            field("cont_book_clr_price", &M::cont_book_clr_price, 40),
            field("auct_interest_clr_price", &M::auct_interest_clr_price, 48),
            field("ssr_filling_price", &M::ssr_filling_price, 56),
            field("ind_match_price", &M::ind_match_price, 64),
            field("upper_collar", &M::upper_collar, 72),
            field("lower_collar", &M::lower_collar, 80), field("paired_qty", &M::paired_qty, 88),
            field("total_imbalance_qty", &M::total_imbalance_qty, 92),
            field("market_imbalance_qty", &M::market_imbalance_qty, 96),
            field("unpaired_qty", &M::unpaired_qty, 100),
            field("auction_type", &M::auction_type, 104), field("side", &M::side, 105),
            field("auction_status", &M::auction_status, 106),
            field("freeze_status", &M::freeze_status, 107),
            field("num_extensions", &M::num_extensions, 108),
            field("unpaired_side", &M::unpaired_side, 109),
            field("significant_imbalance", &M::significant_imbalance, 110),
            field("_reserved", &M::reserved, 111));
    }
};
static_assert(Record<Imbalance> && wire::layout_matches_spec<Imbalance>() &&
              sizeof(Imbalance) == 112);

// One statistic of a session; `stat_type` says which (1 opening price, 11 close price, ...).
struct Statistics : Header {
    static constexpr char kType = static_cast<char>(Rtype::statistics);
    static constexpr std::string_view kName = "statistics";
    Timestamp64 ts_recv;
    Timestamp64 ts_ref;
    Price9le price;
    i64le quantity;
    u32le sequence;
    i32le ts_in_delta;
    u16le stat_type;
    u16le channel_id;
    u8 update_action;  // 1 new, 2 delete
    u8 stat_flags;
    Reserved<18> reserved;
    static constexpr auto fields() {
        using M = Statistics;
        return after_header<M>(
            field("ts_recv", &M::ts_recv, 16), field("ts_ref", &M::ts_ref, 24),
            field("price", &M::price, 32), field("quantity", &M::quantity, 40),
            field("sequence", &M::sequence, 48), field("ts_in_delta", &M::ts_in_delta, 52),
            field("stat_type", &M::stat_type, 56), field("channel_id", &M::channel_id, 58),
            field("update_action", &M::update_action, 60),
            field("stat_flags", &M::stat_flags, 61), field("_reserved", &M::reserved, 62));
    }
};
static_assert(Record<Statistics> && wire::layout_matches_spec<Statistics>() &&
              sizeof(Statistics) == 80);

// Versions 1 and 2.
struct StatisticsV1 : Header {
    static constexpr char kType = static_cast<char>(Rtype::statistics);
    static constexpr std::string_view kName = "statistics";
    Timestamp64 ts_recv;
    Timestamp64 ts_ref;
    Price9le price;
    i32le quantity;
    u32le sequence;
    i32le ts_in_delta;
    u16le stat_type;
    u16le channel_id;
    u8 update_action;
    u8 stat_flags;
    Reserved<6> reserved;
    static constexpr auto fields() {
        using M = StatisticsV1;
        return after_header<M>(
            field("ts_recv", &M::ts_recv, 16), field("ts_ref", &M::ts_ref, 24),
            field("price", &M::price, 32), field("quantity", &M::quantity, 40),
            field("sequence", &M::sequence, 44), field("ts_in_delta", &M::ts_in_delta, 48),
            field("stat_type", &M::stat_type, 52), field("channel_id", &M::channel_id, 54),
            field("update_action", &M::update_action, 56),
            field("stat_flags", &M::stat_flags, 57), field("_reserved", &M::reserved, 58));
    }
};
static_assert(Record<StatisticsV1> && wire::layout_matches_spec<StatisticsV1>() &&
              sizeof(StatisticsV1) == 64);

}  // namespace millrace::dbn
