#include "bench/simulated_day.hpp"

#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>

#include "millrace/feed/framing/moldudp64.hpp"
#include "millrace/feed/venues/nasdaq_itch50/messages.hpp"
#include "millrace/replay/simulator/exchange.hpp"

namespace millrace::bench {

const SimulatedDay& SimulatedDay::get(bool sparse_references) {
    static const SimulatedDay dense(false);
    if (!sparse_references) return dense;
    static const SimulatedDay sparse(true);
    return sparse;
}

SimulatedDay::SimulatedDay(bool sparse_references) {
    replay::ExchangeConfig config;
    config.lines.resize(1);
    config.market.sparse_references = sparse_references;
    if (const char* messages = std::getenv("MILLRACE_BENCH_MESSAGES")) {
        config.market.messages = std::strtoull(messages, nullptr, 10);
        config.market.peak_orders = static_cast<std::uint32_t>(config.market.messages * 3 / 40);
    }
    replay::Exchange exchange(config, [this](const replay::SimulatedPacket& packet) {
        bytes_.insert(bytes_.end(), packet.bytes.begin(), packet.bytes.end());
        sizes_.push_back(static_cast<std::uint32_t>(packet.bytes.size()));
    });
    while (exchange.step()) {
    }
    messages_ = exchange.next_sequence() - 1;
    shape_ = exchange.market().shape();
    for (std::uint32_t symbol = 0; symbol < config.market.symbols; ++symbol) {
        final_.push_back(exchange.market().best(symbol, true));
        final_.push_back(exchange.market().best(symbol, false));
    }
    for_each_packet([this](std::span<const std::uint8_t> packet) {
        const Frame frame = MoldUdp64::parse(packet);
        MoldUdp64::Walker walker(frame.blocks);
        for (std::uint32_t i = 0; i < frame.count; ++i) {
            const auto message = walker.next();
            using namespace venues::itch50;
            const char type = static_cast<char>(message[0]);
            if (type == AddOrder::kType || type == AddOrderMpid::kType) {
                reference_max_ = std::max(reference_max_, wire::view<AddOrder>(message).order_reference.value());
            } else if (type == OrderReplace::kType) {
                reference_max_ = std::max(reference_max_, wire::view<OrderReplace>(message).new_order_reference.value());
            }
        }
    });
}

std::string SimulatedDay::describe() const {
    return fmt::format(
        "{} messages in {} packets, {} symbols, {} orders alive at the peak, levels a side p50 {} p90 {} p99 {}, "
        "{:.1f} % of adds make a level, {:.1f} % are 14 levels deep or deeper",
        messages_, packets(), symbols(), shape_.live_orders_peak, shape_.levels_percentile(50),
        shape_.levels_percentile(90), shape_.levels_percentile(99),
        100.0 * static_cast<double>(shape_.new_levels) / static_cast<double>(shape_.adds),
        100.0 * static_cast<double>(shape_.deep_adds) / static_cast<double>(shape_.adds));
}

}  // namespace millrace::bench
