// What venues' status and auction codes are in DBN (fact sheet, sections 8 and 11.1).
#pragma once

#include <cstdint>

#include "millrace/feed/handler.hpp"
#include "millrace/feed/streams/dbn/state_records.hpp"

namespace millrace::dbn {

// Sets action, reason and the three answers.
void describe(const TradingStatus& status, Status& record);

// stat_type of the price that an auction of this type made; 0 for none.
[[nodiscard]] std::uint16_t statistic_of_cross(char cross_type);

}  // namespace millrace::dbn
