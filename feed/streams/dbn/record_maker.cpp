#include "millrace/feed/streams/dbn/record_maker.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "millrace/feed/streams/dbn/codec.hpp"
#include "millrace/feed/streams/dbn/definition.hpp"
#include "millrace/feed/streams/dbn/state_records.hpp"
#include "millrace/feed/streams/dbn/status_codes.hpp"

namespace millrace::dbn {

namespace {

constexpr unsigned kDecimals = 9;
// What Databento gives for US equities.
constexpr std::int64_t kDisplayFactor = 100'000 * std::int64_t{1'000'000'000};

[[nodiscard]] std::uint32_t size_of(Quantity quantity) {
    constexpr Quantity kMost = kUndefSize - 1;
    return static_cast<std::uint32_t>(std::min(quantity, kMost));
}

// In units of 1e-9; kUndefPrice for none and for what does not fit.
[[nodiscard]] std::int64_t price_of(Price price, PriceScale scale) {
    if (price == kNoPrice) return kUndefPrice;
    std::int64_t units = value(price);
    for (auto decimals = static_cast<unsigned>(scale); decimals < kDecimals; ++decimals) {
        if (__builtin_mul_overflow(units, std::int64_t{10}, &units)) return kUndefPrice;
    }
    return units;
}

[[nodiscard]] char side_of(Side side) { return side == Side::bid ? 'B' : 'A'; }

[[nodiscard]] std::int32_t clamp_delta(Nanoseconds delta) {
    return static_cast<std::int32_t>(std::clamp<Nanoseconds>(
        delta, std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max()));
}

// What kind of book a record is about, which a reader of orders has to know.
[[nodiscard]] unsigned depth_flag(const OrderBook& book) {
    switch (book.depth()) {
        case BookDepth::orders: return 0;
        case BookDepth::levels: return flags::kLevel;
        case BookDepth::top: return flags::kTopOfBook;
    }
    return 0;
}

[[nodiscard]] Level level_of(const OrderBook& book, std::uint32_t depth) {
    const millrace::Level bid = book.level(Side::bid, depth);
    const millrace::Level ask = book.level(Side::ask, depth);
    Level level;
    level.bid_px.set(bid.empty() ? kUndefPrice : price_of(bid.price, book.price_scale()));
    level.ask_px.set(ask.empty() ? kUndefPrice : price_of(ask.price, book.price_scale()));
    level.bid_sz.set(size_of(bid.quantity));
    level.ask_sz.set(size_of(ask.quantity));
    level.bid_ct.set(bid.orders);
    level.ask_ct.set(ask.orders);
    return level;
}

[[nodiscard]] bool same(const Level& a, const Level& b) { return std::memcmp(&a, &b, sizeof(a)) == 0; }

// A few kinds share one mark of "last": each record kind a stream of its own.
[[nodiscard]] std::size_t kind_of(std::uint8_t rtype) {
    switch (static_cast<Rtype>(rtype)) {
        case Rtype::mbo: return 0;
        case Rtype::mbp_0: return 1;
        case Rtype::mbp_1: return 2;
        case Rtype::mbp_10: return 3;
        default: return 7;  // these have no flags
    }
}

}  // namespace

RecordMaker::RecordMaker(const MakerConfig& config)
    : config_(config), clock_(config.venue.time_origin, config.date),
      instruments_(config.instruments),
      bytes_(std::make_unique_for_overwrite<std::uint8_t[]>(kCapacity)),
      marked_(config.instruments) {
    if (wants_levels()) {
        Level empty{};
        empty.bid_px.set(kUndefPrice);
        empty.ask_px.set(kUndefPrice);
        Levels none;
        none.fill(empty);
        levels_.assign(config.instruments, none);
    }
    records_.reserve(kCapacity / sizeof(Status));
    changed_.reserve(config.instruments);
}

void RecordMaker::begin(const OrderBook& book, const EventHeader& header) {
    has_receive_time_ = header.received_at > 0;
    event_at_ = clock_.utc(header.exchange_time, header.received_at);
    receive_at_ = has_receive_time_ ? header.received_at : event_at_;
    Instrument& instrument = instruments_[value(book.instrument())];
    if (!instrument.seen) {
        instrument.seen = true;
        first_sight(book, header);
    }
}

// The stream of an instrument begins with an empty book.
void RecordMaker::first_sight(const OrderBook& book, const EventHeader& header) {
    if (!wants(Schema::mbo)) return;
    Mbo record = start<Mbo>(book, header, Rtype::mbo);
    record.price.set(kUndefPrice);
    record.flags.set(flags::kBadReceiveTime | depth_flag(book));
    record.action.set('R');
    record.side.set('N');
    record.ts_in_delta.set(0);
    record.sequence.set(0);
    put(record, book, header);
}

template <Record M>
void RecordMaker::stamp(M& record, const EventHeader& header) {
    record.ts_event.set(static_cast<std::uint64_t>(event_at_));
    record.ts_recv.set(static_cast<std::uint64_t>(receive_at_));
    if constexpr (requires { record.ts_in_delta; }) {
        // A venue's clock may be off by more than a subtraction holds.
        Nanoseconds delta = 0;
        if (__builtin_sub_overflow(receive_at_, event_at_, &delta)) delta = 0;
        record.ts_in_delta.set(clamp_delta(delta));
        record.sequence.set(static_cast<std::uint32_t>(header.sequence));
    }
}

template <Record M>
M RecordMaker::start(const OrderBook& book, const EventHeader& header, Rtype rtype) {
    M record = make<M>(rtype);
    record.publisher_id.set(config_.venue.publisher);
    record.instrument_id.set(id_of(book.instrument()));
    stamp(record, header);
    if constexpr (requires { record.flags; }) {
        const unsigned bits = (has_receive_time_ ? 0U : flags::kBadReceiveTime) |
                              (book.quality() == Quality::live ? 0U : flags::kMaybeBadBook);
        record.flags.set(bits);
    }
    return record;
}

template <Record M>
void RecordMaker::put(const M& record, InstrumentId instrument, Quality quality,
                      SequenceNumber sequence) {
    if (used_ + sizeof(M) > kCapacity) return;  // nearly_full() comes long before
    records_.push_back({instrument, static_cast<std::uint32_t>(used_), sizeof(M), quality, sequence});
    std::memcpy(&bytes_[used_], &record, sizeof(M));
    used_ += sizeof(M);
}

void RecordMaker::put_mbo(const OrderBook& book, const EventHeader& header, char action, char side,
                          OrderId order, std::int64_t price, std::uint32_t size) {
    Mbo record = start<Mbo>(book, header, Rtype::mbo);
    record.order_id.set(value(order));
    record.price.set(price);
    record.size.set(size);
    record.action.set(action);
    record.side.set(side);
    if (action != 'T') record.flags.set(record.flags.value() | depth_flag(book));
    put(record, book, header);
}

void RecordMaker::put_book_update(const OrderBook& book, const BookUpdate& update) {
    const char side = side_of(update.side);
    const PriceScale scale = book.price_scale();
    const std::int64_t price = price_of(update.price, scale);
    const Quantity before = update.previous_quantity;
    const auto mbo = [&](char action, OrderId order, std::int64_t at, Quantity quantity) {
        put_mbo(book, update, action, side, order, at, size_of(quantity));
    };
    switch (update.action) {
        case BookAction::add: return mbo('A', update.order, price, update.quantity);
        case BookAction::execute:
        case BookAction::reduce: return mbo('C', update.order, price, before - update.quantity);
        case BookAction::remove: return mbo('C', update.order, price, before);
        case BookAction::replace:
            mbo('C', update.previous_order, price_of(update.previous_price, scale), before);
            return mbo('A', update.order, price, update.quantity);
        case BookAction::modify: return mbo('M', update.order, price, update.quantity);
        case BookAction::level:
            if (update.quantity == 0) return mbo('C', OrderId{}, price, before);
            return mbo(before == 0 ? 'A' : 'M', OrderId{}, price, update.quantity);
        case BookAction::clear:
            return put_mbo(book, update, 'R', 'N', OrderId{}, kUndefPrice, 0);
    }
}

void RecordMaker::on_book(const OrderBook& book, const BookUpdate& update) {
    begin(book, update);
    if (wants(Schema::mbo)) put_book_update(book, update);
    if (wants_levels()) note_levels(book, update);
}

// Compares the levels that records show with those of the last look.
void RecordMaker::note_levels(const OrderBook& book, const BookUpdate& update) {
    const std::uint32_t number = value(book.instrument());
    Instrument& instrument = instruments_[number];
    Levels& levels = levels_[number];
    const std::size_t shown = wants(Schema::mbp_10) ? kLevels : 1;
    std::size_t first = shown;
    for (std::size_t i = 0; i < shown; ++i) {
        const Level now = level_of(book, static_cast<std::uint32_t>(i));
        if (same(now, levels[i])) continue;
        levels[i] = now;
        first = std::min(first, i);
    }
    if (first == shown) return;
    const bool cleared = update.action == BookAction::clear;
    const bool gone = update.quantity < update.previous_quantity &&
                      update.action != BookAction::replace;
    LevelChange change;
    change.action = cleared ? 'R' : gone ? 'C' : 'A';
    change.side = cleared ? 'N' : side_of(update.side);
    change.depth = static_cast<std::uint8_t>(first);
    change.price = cleared ? kUndefPrice : price_of(update.price, book.price_scale());
    change.size = size_of(gone ? update.previous_quantity - update.quantity : update.quantity);
    if (!instrument.changed_top && !instrument.changed_levels) changed_.push_back(number);
    const auto note = [&](bool& changed, LevelChange& kept) {
        if (changed && kept.side != change.side) change.side = 'N';
        changed = true;
        kept = change;
    };
    note(instrument.changed_levels, instrument.change_levels);
    if (first == 0) note(instrument.changed_top, instrument.change_top);
    instrument.last = update;
    instrument.quality = book.quality();
}

void RecordMaker::on_trade(const OrderBook& book, const millrace::Trade& trade) {
    if (trade.kind == TradeKind::broken) return;  // DBN has no record for it
    begin(book, trade);
    const bool resting = trade.kind == TradeKind::execution || trade.kind == TradeKind::priced;
    // The aggressor's side where there was one, that is opposite to the resting order's.
    const char side = resting ? side_of(opposite(trade.side)) : 'N';
    const bool none = trade.quantity == 0;
    const std::int64_t price = none ? kUndefPrice : price_of(trade.price, book.price_scale());
    const std::uint32_t size = size_of(trade.quantity);
    if (trade.printable) {
        if (wants(Schema::mbo)) put_mbo(book, trade, 'T', side, OrderId{}, price, size);
        put_trade_levels(book, trade, side);
    }
    if (resting && wants(Schema::mbo)) {
        put_mbo(book, trade, 'F', side_of(trade.side), trade.order, price, size);
    }
    if (trade.kind == TradeKind::cross && wants(Schema::statistics)) put_cross_statistics(book, trade);
}

void RecordMaker::put_trade_levels(const OrderBook& book, const millrace::Trade& trade, char side) {
    const auto fill = [&](auto& record) {
        const bool none = trade.quantity == 0;
        record.price.set(none ? kUndefPrice : price_of(trade.price, book.price_scale()));
        record.size.set(size_of(trade.quantity));
        record.action.set('T');
        record.side.set(side);
    };
    if (wants(Schema::trades)) {
        auto record = start<Trade>(book, trade, Rtype::mbp_0);
        fill(record);
        put(record, book, trade);
    }
    const std::uint32_t number = value(book.instrument());
    if (wants(Schema::mbp_1) || wants(Schema::tbbo)) {
        auto record = start<Mbp1>(book, trade, Rtype::mbp_1);
        fill(record);
        record.levels[0] = levels_[number][0];
        put(record, book, trade);
    }
    if (wants(Schema::mbp_10)) {
        auto record = start<Mbp10>(book, trade, Rtype::mbp_10);
        fill(record);
        record.levels = levels_[number];
        put(record, book, trade);
    }
}

void RecordMaker::put_cross_statistics(const OrderBook& book, const millrace::Trade& trade) {
    const std::uint16_t type = statistic_of_cross(trade.cross_type);
    if (type == 0) return;
    auto record = start<Statistics>(book, trade, Rtype::statistics);
    record.ts_ref.set(kUndefTimestamp);
    const bool none = trade.quantity == 0;
    record.price.set(none ? kUndefPrice : price_of(trade.price, book.price_scale()));
    record.quantity.set(static_cast<std::int64_t>(trade.quantity & ~(std::uint64_t{1} << 63)));
    record.stat_type.set(type);
    record.update_action.set(1);
    record.stat_flags.set(255);
    put(record, book, trade);
}

void RecordMaker::on_status(const OrderBook& book, const TradingStatus& status) {
    if (!wants(Schema::status) || status.what == TradingStatus::What::market_wide) return;
    begin(book, status);
    auto record = start<Status>(book, status, Rtype::status);
    describe(status, record);
    put(record, book, status);
}

void RecordMaker::on_imbalance(const OrderBook& book, const millrace::Imbalance& imbalance) {
    if (!wants(Schema::imbalance)) return;
    begin(book, imbalance);
    const PriceScale scale = book.price_scale();
    auto record = start<Imbalance>(book, imbalance, Rtype::imbalance);
    record.ref_price.set(price_of(imbalance.reference_price, scale));
    record.auction_time.set(
        imbalance.auction_time == 0
            ? kUndefTimestamp
            : static_cast<std::uint64_t>(clock_.utc(imbalance.auction_time, imbalance.received_at)));
    record.cont_book_clr_price.set(price_of(imbalance.near_price, scale));
    record.auct_interest_clr_price.set(price_of(imbalance.far_price, scale));
    record.ssr_filling_price.set(kUndefPrice);
    record.ind_match_price.set(price_of(imbalance.indicative_price, scale));
    record.upper_collar.set(price_of(imbalance.upper_collar, scale));
    record.lower_collar.set(price_of(imbalance.lower_collar, scale));
    record.paired_qty.set(size_of(imbalance.paired));
    record.total_imbalance_qty.set(size_of(imbalance.imbalance));
    record.market_imbalance_qty.set(kUndefSize);
    record.unpaired_qty.set(kUndefSize);
    record.auction_type.set(imbalance.auction_type);
    const char side = imbalance.direction;
    record.side.set(side == 'B' ? 'B' : side == 'S' ? 'A' : 'N');
    record.num_extensions.set(imbalance.extensions);
    record.unpaired_side.set('N');
    record.significant_imbalance.set(imbalance.price_variation);
    put(record, book, imbalance);
}

void RecordMaker::on_instrument(const OrderBook& book, const InstrumentDetails& details) {
    if (!wants(Schema::definition)) return;
    begin(book, details);
    auto record = start<Definition>(book, details, Rtype::definition);
    set_defaults(record);
    stamp(record, details);
    record.raw_instrument_id.set(details.venue_id);
    record.raw_symbol.set(book.symbol().view());
    record.display_factor.set(kDisplayFactor);
    if (details.round_lot != 0) record.min_lot_size_round_lot.set(details.round_lot);
    record.exchange.set(details.listing_mic);
    record.secsubtype.set({details.sub_type.data(), details.sub_type.size()});
    if (details.classification != ' ') record.security_type.set({&details.classification, 1});
    record.currency.set("USD");
    record.instrument_class.set('K');
    record.match_algorithm.set('F');
    put(record, book, details);
}

template <Record M>
void RecordMaker::put_levels(std::uint32_t number, const LevelChange& change, Rtype rtype) {
    const Instrument& instrument = instruments_[number];
    const EventHeader& header = instrument.last;
    M record = make<M>(rtype);
    record.publisher_id.set(config_.venue.publisher);
    record.instrument_id.set(number + 1);
    stamp(record, header);
    const unsigned bits = (has_receive_time_ ? 0U : flags::kBadReceiveTime) |
                          (instrument.quality == Quality::live ? 0U : flags::kMaybeBadBook);
    record.flags.set(bits);
    record.price.set(change.price);
    record.size.set(change.size);
    record.action.set(change.action);
    record.side.set(change.side);
    record.depth.set(change.depth);
    std::copy_n(levels_[number].begin(), record.levels.size(), record.levels.begin());
    put(record, InstrumentId{number}, instrument.quality, header.sequence);
}

void RecordMaker::finish_packet() {
    for (const std::uint32_t number : changed_) {
        Instrument& instrument = instruments_[number];
        has_receive_time_ = instrument.last.received_at > 0;
        event_at_ = clock_.utc(instrument.last.exchange_time, instrument.last.received_at);
        receive_at_ = has_receive_time_ ? instrument.last.received_at : event_at_;
        if (instrument.changed_top && wants(Schema::mbp_1)) {
            put_levels<Mbp1>(number, instrument.change_top, Rtype::mbp_1);
        }
        if (instrument.changed_levels && wants(Schema::mbp_10)) {
            put_levels<Mbp10>(number, instrument.change_levels, Rtype::mbp_10);
        }
        instrument.changed_top = false;
        instrument.changed_levels = false;
    }
    changed_.clear();
    mark_last();
}

void RecordMaker::mark_last() {
    ++packet_;
    for (auto record = records_.rbegin(); record != records_.rend(); ++record) {
        std::uint8_t* bytes = &bytes_[record->offset];
        const std::size_t kind = kind_of(bytes[1]);
        std::uint64_t& marked = marked_[value(record->instrument)][kind];
        if (kind == 7 || marked == packet_) continue;
        marked = packet_;
        auto* flags = kind == 0 ? &reinterpret_cast<Mbo*>(bytes)->flags
                                : &reinterpret_cast<Trade*>(bytes)->flags;
        flags->set(flags->value() | flags::kLast);
    }
}

void RecordMaker::clear() {
    records_.clear();
    used_ = 0;
}

}  // namespace millrace::dbn
