#include "bench/simulated_day.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>

#include "millrace/feed/framing/moldudp64.hpp"
#include "millrace/feed/venues/nasdaq_itch50/messages.hpp"
#include "millrace/replay/simulator/exchange.hpp"

namespace millrace::bench {
namespace {

std::string beside_program(bool sparse, std::uint64_t messages) {
    const auto folder = std::filesystem::read_symlink("/proc/self/exe").parent_path();
    return folder / fmt::format("day-{}-{}.bin", sparse ? "sparse" : "dense", messages);
}

// As a handler adds them up, but byte by byte: numbers by value, text by its first eight bytes.
std::uint64_t sum_of(std::span<const std::uint8_t> message) {
    const wire::MessageLayout* layout = venues::itch50::layout_of_type(static_cast<char>(message[0]));
    std::uint64_t sum = 0;
    for (const wire::FieldLayout& field : layout->fields) {
        std::uint64_t number = 0;
        if (field.kind == wire::FieldKind::reserved) continue;
        for (std::size_t i = 0; i < field.size; ++i) {
            const std::uint64_t byte = message[field.offset + i];
            if (field.kind != wire::FieldKind::text) number = number << 8 | byte;
            else if (i < 8) number |= byte << (8 * i);
        }
        sum += number;
    }
    return sum;
}

std::string describe(const replay::StreamShape& shape, std::uint64_t messages, std::uint64_t packets,
                     std::uint32_t symbols) {
    return fmt::format(
        "{} messages in {} packets, {} symbols, {} orders alive at the peak, levels a side p50 {} p90 {} p99 {}, "
        "{:.1f} % of adds make a level, {:.1f} % are 14 levels deep or deeper",
        messages, packets, symbols, shape.live_orders_peak, shape.levels_percentile(50),
        shape.levels_percentile(90), shape.levels_percentile(99),
        100.0 * static_cast<double>(shape.new_levels) / static_cast<double>(shape.adds),
        100.0 * static_cast<double>(shape.deep_adds) / static_cast<double>(shape.adds));
}

}  // namespace

const SimulatedDay& SimulatedDay::get(bool sparse_references) {
    static const auto load_or_make = [](bool sparse) {
        const char* wanted = std::getenv("MILLRACE_BENCH_MESSAGES");
        const std::uint64_t messages = wanted == nullptr ? kMessages : std::strtoull(wanted, nullptr, 10);
        SimulatedDay day;
        if (!day.load(beside_program(sparse, messages))) day = make(messages, sparse);
        return day;
    };
    if (!sparse_references) {
        static const SimulatedDay dense = load_or_make(false);
        return dense;
    }
    static const SimulatedDay sparse = load_or_make(true);
    return sparse;
}

SimulatedDay SimulatedDay::make(std::uint64_t messages, bool sparse_references, std::uint32_t symbols) {
    replay::ExchangeConfig config;
    config.lines.resize(1);
    config.market.sparse_references = sparse_references;
    config.market.messages = messages;
    config.market.symbols = symbols;
    config.market.peak_orders = static_cast<std::uint32_t>(messages * 3 / 40);
    SimulatedDay day;
    std::vector<std::uint8_t> bytes;
    replay::Exchange exchange(
        config,
        [&](const replay::SimulatedPacket& packet) {
            bytes.insert(bytes.end(), packet.bytes.begin(), packet.bytes.end());
            day.sizes_.push_back(static_cast<std::uint32_t>(packet.bytes.size()));
        },
        [&](std::span<const std::uint8_t> message) { day.see(message); });
    while (exchange.step()) {
    }
    const replay::StreamShape& shape = exchange.market().shape();
    day.facts_.messages = exchange.next_sequence() - 1;
    day.facts_.packets = day.sizes_.size();
    day.facts_.live_orders_peak = shape.live_orders_peak;
    for (std::uint32_t symbol = 0; symbol < symbols; ++symbol) {
        day.final_.push_back(exchange.market().best(symbol, true));
        day.final_.push_back(exchange.market().best(symbol, false));
    }
    day.facts_.bytes = bytes.size();
    day.facts_.symbols = symbols;
    day.bytes_ = MappedMemory(bytes.size());
    std::memcpy(day.bytes_.data(), bytes.data(), bytes.size());
    day.shape_ = describe(shape, day.facts_.messages, day.packets(), symbols);
    day.facts_.shape_bytes = day.shape_.size();
    return day;
}

void SimulatedDay::see(std::span<const std::uint8_t> message) {
    using namespace venues::itch50;
    const char type = static_cast<char>(message[0]);
    if (type == AddOrder::kType || type == AddOrderMpid::kType) {
        facts_.reference_max = std::max(facts_.reference_max, wire::view<AddOrder>(message).order_reference.value());
    } else if (type == OrderReplace::kType) {
        facts_.reference_max =
            std::max(facts_.reference_max, wire::view<OrderReplace>(message).new_order_reference.value());
    }
    facts_.sum_of_fields += sum_of(message);
}

void SimulatedDay::save(const std::string& path) const {
    std::ofstream file(path + ".part", std::ios::binary);
    const auto write = [&](const void* from, std::size_t size) {
        file.write(static_cast<const char*>(from), static_cast<std::streamsize>(size));
    };
    write(&facts_, sizeof(facts_));
    write(shape_.data(), shape_.size());
    write(final_.data(), final_.size() * sizeof(final_[0]));
    write(sizes_.data(), sizes_.size() * sizeof(sizes_[0]));
    write(bytes_.data(), facts_.bytes);
    file.close();
    if (!file) throw std::runtime_error("cannot write " + path);
    std::filesystem::rename(path + ".part", path);
}

bool SimulatedDay::load(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    const auto read = [&](void* to, std::size_t size) {
        file.read(static_cast<char*>(to), static_cast<std::streamsize>(size));
    };
    read(&facts_, sizeof(facts_));
    if (!file) return false;
    shape_.resize(facts_.shape_bytes);
    final_.resize(2 * facts_.symbols);
    sizes_.resize(facts_.packets);
    bytes_ = MappedMemory(facts_.bytes);
    read(shape_.data(), shape_.size());
    read(final_.data(), final_.size() * sizeof(final_[0]));
    read(sizes_.data(), sizes_.size() * sizeof(sizes_[0]));
    read(bytes_.data(), facts_.bytes);
    return static_cast<bool>(file);
}

}  // namespace millrace::bench
