// How the cost of a message and the memory of a live order grow with symbols, live orders and depth: one of the three
// is swept while the others stay as they are. Prints CSV; bench/growth.py draws it.
//
// Not the simulated day, whose depth follows from its orders, but steady traffic: as many orders stay alive, one is
// added for each that is deleted, all symbols are equally busy, all levels of a side equally long. Four of five
// deletes are of one of the last thousand orders, the others of any. Ours and the plain reference design take the
// same packets.
#include <fmt/format.h>

#include <array>
#include <memory>
#include <vector>

#include "bench/book_runs.hpp"
#include "bench/claims.hpp"
#include "millrace/core/random.hpp"
#include "millrace/feed/framing/moldudp64.hpp"

namespace {

using namespace millrace;
using namespace millrace::bench;
using namespace millrace::venues::itch50;

constexpr std::uint64_t kMessages = 2'000'000;  // measured, when the orders are there
constexpr std::size_t kPacketBytes = 500;
constexpr std::size_t kYoung = 1'000;

struct Point {
    const char* sweep;
    std::uint32_t symbols = 2'000;
    std::uint32_t orders = 200'000;
    std::uint32_t levels = 20;  // a side
};

class Traffic {
  public:
    explicit Traffic(const Point& point) : point_(point) {
        for (std::uint32_t locate = 1; locate <= point.symbols; ++locate) put(directory(locate));
        while (live_.size() < point.orders) add();
        finish_packet();
        fill_packets_ = sizes_.size();
        for (std::uint64_t i = 0; i < kMessages / 2; ++i) {
            remove();
            add();
        }
        finish_packet();
    }
    [[nodiscard]] std::uint64_t reference_max() const { return reference_; }

    // The packets that fill the books, or those behind them.
    template <class Use>
    void for_each_packet(bool fill, Use&& use) const {
        std::size_t at = 0;
        for (std::size_t i = 0; i < sizes_.size(); at += sizes_[i++]) {
            if ((i < fill_packets_) == fill) use(std::span(bytes_).subspan(at, sizes_[i]));
        }
    }

  private:
    struct Live {
        std::uint64_t reference;
        std::uint16_t locate;
    };
    template <class M>
    [[nodiscard]] M message(std::uint32_t locate) const {
        M m{};
        m.message_type.set(M::kType);
        m.stock_locate.set(static_cast<std::uint16_t>(locate));
        return m;
    }
    [[nodiscard]] StockDirectory directory(std::uint32_t locate) const {
        auto m = message<StockDirectory>(locate);
        m.stock.set(fmt::format("S{}", locate));
        return m;
    }
    void add() {
        const auto locate = static_cast<std::uint32_t>(1 + random_.next() % point_.symbols);
        const bool bid = random_.next() % 2 == 0;
        const auto level = static_cast<std::uint32_t>(random_.next() % point_.levels);
        auto m = message<AddOrder>(locate);
        m.order_reference.set(++reference_);
        m.side.set(bid ? 'B' : 'S');
        m.shares.set(100);
        m.stock.set(fmt::format("S{}", locate));
        m.price.set(bid ? 1'000'000 - 100 * level : 1'000'100 + 100 * level);
        put(m);
        live_.push_back({reference_, static_cast<std::uint16_t>(locate)});
    }
    void remove() {
        const std::size_t within = random_.next() % 5 != 0 ? std::min(kYoung, live_.size()) : live_.size();
        const std::size_t chosen = live_.size() - 1 - random_.next() % within;
        auto m = message<OrderDelete>(live_[chosen].locate);
        m.order_reference.set(live_[chosen].reference);
        put(m);
        // One that is not young takes the place of the one that goes, so that the last ones stay the young ones.
        const std::size_t young = live_.size() - std::min(kYoung, live_.size());
        if (chosen < young) live_[chosen] = live_[young];
        live_.erase(live_.begin() + static_cast<std::ptrdiff_t>(std::max(chosen, young)));
    }
    template <class M>
    void put(const M& m) {
        if (open_ && builder_.append(wire::bytes_of(m))) return static_cast<void>(++sequence_);
        finish_packet();
        builder_.begin(sequence_++);
        MILLRACE_VERIFY(builder_.append(wire::bytes_of(m)));
        open_ = true;
    }
    void finish_packet() {
        if (!open_) return;
        const auto packet = builder_.finish();
        bytes_.insert(bytes_.end(), packet.begin(), packet.end());
        sizes_.push_back(static_cast<std::uint32_t>(packet.size()));
        open_ = false;
    }

    Point point_;
    Random random_{1};
    std::uint64_t reference_ = 0;
    std::vector<Live> live_;  // oldest first, more or less
    std::vector<std::uint8_t> buffer_ = std::vector<std::uint8_t>(kPacketBytes);
    MoldUdp64PacketBuilder builder_{buffer_, "GROWTH"};
    SequenceNumber sequence_ = 1;
    bool open_ = false;
    std::vector<std::uint8_t> bytes_;
    std::vector<std::uint32_t> sizes_;
    std::size_t fill_packets_ = 0;
};

struct Cost {
    double ns_a_message = 0;
    double bytes = 0;
};

Cost cost_of_ours(const Point& point, const Traffic& traffic) {
    const double before = resident_bytes();
    CountingHandler handler;
    SessionConfig config;
    config.lines = 1;
    config.limits.books = point.symbols;
    config.limits.orders = point.orders + 1'000;
    config.limits.levels = std::min(point.orders, point.symbols * 2 * point.levels) + 1'000;
    const auto session = std::make_unique<FullBooks>(config, handler);
    std::array<Packet, bench::kBatch> batch;
    std::size_t n = 0;
    const auto take = [&](std::span<const std::uint8_t> packet) {
        batch[n++] = {0, 0, packet};
        if (n == batch.size()) session->on_packets({batch.data(), std::exchange(n, 0)});
    };
    const auto hand_on = [&] { session->on_packets({batch.data(), std::exchange(n, 0)}); };
    traffic.for_each_packet(true, take);
    hand_on();
    const Stopwatch watch;
    traffic.for_each_packet(false, take);
    hand_on();
    const double ns = watch.ns() / static_cast<double>(kMessages);
    MILLRACE_VERIFY(balance(session->messages()) == 0);
    MILLRACE_VERIFY(session->messages()[MessageCounter::delivered] ==
                    point.symbols + point.orders + kMessages);
    return {ns, resident_bytes() - before};
}

double cost_of_reference(const Traffic& traffic) {
    ReferenceBook books(traffic.reference_max(), 4'000'000, {});
    const auto take = [&](std::span<const std::uint8_t> packet) {
        const Frame frame = MoldUdp64::parse(packet);
        MoldUdp64::Walker walker(frame.blocks);
        for (std::uint32_t i = 0; i < frame.count; ++i) books.apply(walker.next());
    };
    traffic.for_each_packet(true, take);
    const Stopwatch watch;
    traffic.for_each_packet(false, take);
    return watch.ns() / static_cast<double>(kMessages);
}

std::vector<Point> points() {
    std::vector<Point> all;
    for (const std::uint32_t symbols : {30U, 100U, 300U, 1'000U, 3'000U, 10'000U, 30'000U}) {
        all.push_back({"symbols", symbols});
    }
    for (const std::uint32_t orders : {10'000U, 30'000U, 100'000U, 300'000U, 1'000'000U, 3'000'000U}) {
        all.push_back({"orders", 2'000, orders});
    }
    for (const std::uint32_t levels : {2U, 5U, 10U, 20U, 50U, 100U, 200U, 500U}) {
        all.push_back({"levels", 100, 200'000, levels});
    }
    return all;
}

}  // namespace

int main() {
    fmt::print("sweep,symbols,orders,levels,ns_a_message,reference_ns_a_message,bytes_a_live_order\n");
    for (const Point& point : points()) {
        const Traffic traffic(point);
        const Cost ours = cost_of_ours(point, traffic);
        fmt::print("{},{},{},{},{:.1f},{:.1f},{:.0f}\n", point.sweep, point.symbols, point.orders, point.levels,
                   ours.ns_a_message, cost_of_reference(traffic), ours.bytes / point.orders);
        std::fflush(stdout);
    }
}
