#include "millrace/feed/streams/dbn/status_codes.hpp"

#include <array>
#include <string_view>

namespace millrace::dbn {

namespace {

struct Reason {
    std::string_view venue;
    std::uint16_t dbn;
};

// Nasdaq's reasons for a trading action.
constexpr std::array<Reason, 33> kReasons{{
    {"T1", 30},    {"T2", 31},    {"T3", 32},    {"T5", 50},    {"T7", 50},    {"LUDP", 50},
    {"LUDS", 50},  {"T6", 3},     {"T8", 90},    {"T12", 70},   {"H4", 12},    {"H9", 13},
    {"H10", 14},   {"H11", 10},   {"O1", 60},    {"M1", 100},   {"M2", 130},   {"MWC1", 120},
    {"MWC2", 121}, {"MWC3", 122}, {"MWC0", 123}, {"MWCQ", 124}, {"IPO1", 110}, {"IPOQ", 1},
    {"IPOE", 1},   {"R1", 15},    {"R2", 16},    {"R4", 17},    {"R9", 18},    {"C4", 18},
    {"C9", 18},    {"C3", 33},    {"C11", 10},
}};

[[nodiscard]] std::uint16_t reason_of(const std::array<char, 4>& raw) {
    std::string_view text(raw.data(), raw.size());
    const std::size_t last = text.find_last_not_of(std::string_view(" \0", 2));
    text = text.substr(0, last == std::string_view::npos ? 0 : last + 1);
    for (const Reason& reason : kReasons) {
        if (reason.venue == text) return reason.dbn;
    }
    return 0;
}

constexpr char kUnknown = '~';
constexpr std::uint16_t kHalt = 8;
constexpr std::uint16_t kTrading = 7;
constexpr std::uint16_t kOperational = 60;

void describe_trading(const TradingStatus& status, Status& record) {
    switch (status.state) {
        case TradingState::trading: record.action.set(kTrading); break;
        case TradingState::quotation_only: record.action.set(3); break;
        case TradingState::paused: record.action.set(9); break;
        case TradingState::halted: record.action.set(kHalt); break;
        case TradingState::unknown: return;
    }
    const bool trading = status.state == TradingState::trading;
    const bool quoting = trading || status.state == TradingState::quotation_only;
    record.is_trading.set(trading ? 'Y' : 'N');
    record.is_quoting.set(quoting ? 'Y' : 'N');
    record.reason.set(reason_of(status.reason));
}

}  // namespace

void describe(const TradingStatus& status, Status& record) {
    record.is_trading.set(kUnknown);
    record.is_quoting.set(kUnknown);
    record.is_short_sell_restricted.set(kUnknown);
    switch (status.what) {
        case TradingStatus::What::trading: return describe_trading(status, record);
        case TradingStatus::What::short_sale:
            record.action.set(14);
            record.is_short_sell_restricted.set(status.code == '1' || status.code == '2' ? 'Y' : 'N');
            return;
        case TradingStatus::What::operational_halt:
            record.action.set(status.code == 'H' ? kHalt : kTrading);
            record.reason.set(kOperational);
            record.is_trading.set(status.code == 'H' ? 'N' : kUnknown);
            return;
        // DBN has no action for these; the record tells that something was said.
        case TradingStatus::What::market_wide:
        case TradingStatus::What::security_event:
        case TradingStatus::What::retail_interest: return;
    }
}

std::uint16_t statistic_of_cross(char cross_type) {
    switch (cross_type) {
        case 'O': return 1;   // opening price
        case 'C': return 11;  // closing price
        case 'H': return 16;  // uncrossing price
        default: return 0;
    }
}

}  // namespace millrace::dbn
