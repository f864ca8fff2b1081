#include "qualify/workload.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <filesystem>
#include <memory>

#include "millrace/core/error.hpp"
#include "millrace/replay/replayer.hpp"
#include "millrace/replay/simulator/exchange.hpp"

namespace millrace::tools {

// Stands where a replayer's session would.
struct Collector {
    Workload& load;
    void on_packet(const Packet& packet) { load.add(packet); }
    void finish() {}
};

namespace {

constexpr std::uint32_t kSpareOrders = 100'000;  // beyond those alive at the peak
constexpr std::uint64_t kAskEvery = 10'000;

[[noreturn]] void given_up() { throw Error(ExitCode::failure, "interrupted before anything was measured"); }

}  // namespace

void Workload::add(const Packet& packet) {
    entries_.push_back({bytes_.size(), packet.received_at, static_cast<std::uint32_t>(packet.bytes.size()), packet.line});
    bytes_.insert(bytes_.end(), packet.bytes.begin(), packet.bytes.end());
    checksum_ = static_cast<std::uint32_t>(crc32_z(checksum_, packet.bytes.data(), packet.bytes.size()));
}

Workload Workload::simulated(std::uint64_t messages, std::uint32_t symbols, std::uint64_t seed,
                             const KeepOn& keep_on) {
    replay::ExchangeConfig config;
    config.lines.resize(1);
    config.market.messages = messages;
    config.market.symbols = symbols;
    config.market.seed = seed;
    config.market.peak_orders = static_cast<std::uint32_t>(messages * 3 / 40);
    Workload load;
    replay::Exchange exchange(config, [&](const replay::SimulatedPacket& packet) {
        load.add({0, packet.time, packet.bytes});
    });
    for (std::uint64_t steps = 0; exchange.step(); ++steps) {
        if (steps % kAskEvery == 0 && !keep_on(exchange.next_sequence(), messages)) given_up();
    }
    const replay::StreamShape& shape = exchange.market().shape();
    load.session_.lines = 1;
    load.session_.limits.books = symbols;
    load.session_.limits.orders = shape.live_orders_peak + kSpareOrders;
    load.description_ = fmt::format(
        "simulated {} day, seed {}: {} messages in {} packets, {} symbols, {} orders alive at the peak, levels a side "
        "p50 {} p90 {} p99 {}",
        config.venue, seed, exchange.next_sequence() - 1, load.packets(), symbols, shape.live_orders_peak,
        shape.levels_percentile(50), shape.levels_percentile(90), shape.levels_percentile(99));
    return load;
}

Workload Workload::captured(const std::string& file, const SessionConfig& session, const KeepOn& keep_on) {
    replay::Replayer::Readers readers;
    readers.push_back(std::make_unique<replay::CaptureReader>(file));
    replay::Replayer replayer(std::move(readers), {});
    Workload load;
    Collector collector{load};
    bool whole = true;
    replayer.run(collector, [&] { return whole = keep_on(replayer.bytes_read(), replayer.bytes_total()); });
    if (!whole) given_up();
    load.session_ = replayer.session_config(session);
    load.damage_ = replayer.readers().front()->damage();
    const std::size_t lines = replayer.lines().lines().size();
    load.description_ = fmt::format("{}: {} packets on {} line{}", std::filesystem::path(file).filename().string(),
                                    load.packets(), lines, lines == 1 ? "" : "s");
    return load;
}

}  // namespace millrace::tools
