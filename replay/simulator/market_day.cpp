// The course of the day around trading: opening, crosses, halts, notices, closing.
#include <algorithm>

#include "millrace/replay/simulator/market_books.hpp"

namespace millrace::replay {

namespace itch = venues::itch50;

namespace {
constexpr Timestamp kSecond = 1'000'000'000;
constexpr Timestamp kMarketOpen = 34'200 * kSecond;  // 9:30
constexpr std::uint32_t kRareKinds = 8;
constexpr std::uint32_t kRareKindsOfNasdaq = 3;  // the first of them
}  // namespace

void Market::emit_event(char code) {
    auto m = begin<itch::SystemEvent>(0);
    m.event_code.set(code);
    emit(m);
}

// The day is short: it begins as long before 9:30 as the rate needs for all that comes before.
void Market::open_day() {
    const double messages = 4.0 * config_.symbols + static_cast<double>(config_.messages / 50);
    const auto needs = static_cast<Timestamp>(messages / config_.messages_per_second * 1e9);
    now_ = std::max<Timestamp>(kMarketOpen - needs, kSecond);
    const auto pause = static_cast<Timestamp>(4e9 / config_.messages_per_second);
    emit_event('O');
    for (std::uint32_t locate = 1; locate <= config_.symbols; ++locate) {
        now_ += pause;
        introduce(locate);
    }
    auto decline = begin<itch::MwcbDeclineLevel>(0);
    decline.level_1.set(400'000'000'000);
    decline.level_2.set(370'000'000'000);
    decline.level_3.set(340'000'000'000);
    emit(decline);
    emit_event('S');
    phase_ = Phase::before_open;
}

void Market::introduce(std::uint32_t locate) {
    auto directory = begin<itch::StockDirectory>(locate);
    directory.market_category.set('Q');
    directory.financial_status.set('N');
    directory.round_lot_size.set(100);
    directory.round_lots_only.set('N');
    directory.issue_classification.set('C');
    directory.issue_sub_type.set("Z");
    directory.authenticity.set('P');
    directory.short_sale_threshold.set('N');
    directory.ipo_flag.set('N');
    directory.luld_tier.set('1');
    directory.etp_flag.set('N');
    directory.inverse_indicator.set('N');
    emit(directory);
    auto trading = begin<itch::StockTradingAction>(locate);
    trading.state.set('T');
    trading.reason.set("");
    emit(trading);
    auto short_sale = begin<itch::RegShoRestriction>(locate);
    short_sale.action.set('0');
    emit(short_sale);
    auto maker = begin<itch::MarketParticipantPosition>(locate);
    maker.mpid.set("MMKR");
    maker.primary_mm.set('Y');
    maker.mm_mode.set('N');
    maker.state.set('A');
    emit(maker);
}

void Market::open_market() {
    now_ = std::max(now_, kMarketOpen);
    phase_ = Phase::open;
    emit_event('Q');
    for (std::uint32_t symbol = 0; symbol < config_.symbols; ++symbol) cross(symbol, 'O');
}

void Market::close_market() {
    if (config_.all_types) {
        while (rare_events_ < kRareKinds) rare_event();
    }
    emit_event('M');
    for (std::uint32_t symbol = 0; symbol < config_.symbols; ++symbol) cross(symbol, 'C');
    phase_ = Phase::after_close;
}

// The first orders of both sides meet; the cross is reported in any case, if need be with no
// shares.
void Market::cross(std::uint32_t symbol, char cross_type) {
    now_ += static_cast<Timestamp>(1e9 / config_.messages_per_second);
    Book& book = books_[symbol];
    std::uint32_t shares = 0;
    std::uint32_t price = 0;
    if (!book.side(true).empty() && !book.side(false).empty()) {
        price = book.side(true).back().price;
        shares = std::min(orders_[book.side(true).back().front].shares,
                          orders_[book.side(false).back().front].shares);
        book.middle = price;
        execute_front(book, symbol, true, shares, true);
        execute_front(book, symbol, false, shares, true);
    }
    auto m = begin<itch::CrossTrade>(symbol + 1);
    m.shares.set(shares);
    m.cross_price.set(price);
    m.match_number.set(match_number_++);
    m.cross_type.set(cross_type);
    emit(m);
}

// The seldom seen types take turns, so that a day of any length has them all.
void Market::rare_event() {
    const std::uint32_t kind =
        rare_events_++ % (config_.all_types ? kRareKinds : kRareKindsOfNasdaq);
    if (kind == 0) return step_halt();
    if (kind == 1) return break_trade();
    write_rare_notice(kind);
}

// One symbol at a time is halted, then quoted again, then released by a cross.
void Market::step_halt() {
    if (halt_step_ == 0) halted_ = some_symbol();
    if (halt_step_ == 2) cross(halted_, 'H');
    auto m = begin<itch::StockTradingAction>(halted_ + 1);
    m.state.set("HQT"[halt_step_]);
    constexpr const char* kReasons[] = {"T1", "R4", "T3"};
    m.reason.set(kReasons[halt_step_]);
    emit(m);
    halt_step_ = (halt_step_ + 1) % 3;
}

void Market::break_trade() {
    auto m = begin<itch::BrokenTrade>(some_symbol() + 1);
    m.match_number.set(1 + random_.below(match_number_ - 1));
    emit(m);
}

void Market::write_rare_notice(std::uint32_t kind) {
    const std::uint32_t symbol = some_symbol();
    const std::uint32_t locate = symbol + 1;
    const std::uint32_t price = books_[symbol].middle;
    if (kind == 2) {
        auto m = begin<itch::LuldAuctionCollar>(locate);
        m.collar_reference_price.set(price);
        m.upper_collar.set(price + price / 10);
        m.lower_collar.set(price - price / 10);
        emit(m);
    } else if (kind == 3) {
        auto m = begin<itch::OperationalHalt>(locate);
        m.market.set("QBX"[random_.below(3)]);
        m.action.set(random_.chance(0.5) ? 'H' : 'T');
        emit(m);
    } else if (kind == 4) {
        auto m = begin<itch::MwcbStatus>(0);
        m.breached_level.set('1');
        emit(m);
    } else if (kind == 5) {
        auto m = begin<itch::IpoQuotingPeriodUpdate>(0);
        m.stock.set(symbol_name(symbol));
        m.release_time.set(static_cast<std::uint64_t>(now_ / kSecond) + 600);
        m.qualifier.set('A');
        m.ipo_price.set(price);
        emit(m);
    } else if (kind == 6) {
        auto m = begin<itch::RetailPriceImprovement>(locate);
        m.interest.set("BSAN"[random_.below(4)]);
        emit(m);
    } else {
        auto m = begin<itch::DirectListingPriceDiscovery>(locate);
        m.open_eligibility.set('N');
        m.min_allowable_price.set(price / 2);
        m.max_allowable_price.set(price * 2ULL);
        m.near_execution_price.set(price);
        m.near_execution_time.set(static_cast<std::uint64_t>(now_));
        m.lower_collar.set(price / 2);
        m.upper_collar.set(price * 2ULL);
        emit(m);
    }
}

}  // namespace millrace::replay
