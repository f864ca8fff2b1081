#include "millrace/replay/simulator/snapshot_books.hpp"

#include <fmt/format.h>

#include "millrace/feed/venues/nasdaq_itch50/messages.hpp"

namespace millrace::replay {

namespace itch = venues::itch50;

namespace {

using Message = std::span<const std::uint8_t>;

template <class M>
[[nodiscard]] const M* as(Message message) {
    if (message.size() < sizeof(M) || static_cast<char>(message[0]) != M::kType) return nullptr;
    return &wire::view<M>(message);
}

}  // namespace

void SnapshotBooks::apply(Message message) {
    const auto keep = [&](std::map<std::uint16_t, Bytes>& last, std::uint16_t locate) {
        last[locate] = Bytes(message.begin(), message.end());
    };
    if (message.empty()) return;
    if (const auto* m = as<itch::StockDirectory>(message)) return keep(directory_, m->stock_locate.value());
    if (const auto* m = as<itch::StockTradingAction>(message)) return keep(trading_, m->stock_locate.value());
    if (const auto* m = as<itch::RegShoRestriction>(message)) return keep(short_sale_, m->stock_locate.value());
    if (const auto* m = as<itch::OperationalHalt>(message)) return keep(operational_, m->stock_locate.value());
    if (as<itch::SystemEvent>(message)) event_.assign(message.begin(), message.end());
    if (as<itch::AddOrder>(message) || as<itch::AddOrderMpid>(message)) return add(message);
    if (as<itch::OrderReplace>(message)) return replace(message);
    if (const auto* m = as<itch::OrderExecuted>(message)) {
        reduce(m->order_reference.value(), m->executed_shares.value());
    } else if (const auto* priced = as<itch::OrderExecutedWithPrice>(message)) {
        reduce(priced->order_reference.value(), priced->executed_shares.value());
    } else if (const auto* cancel = as<itch::OrderCancel>(message)) {
        reduce(cancel->order_reference.value(), cancel->cancelled_shares.value());
    } else if (const auto* gone = as<itch::OrderDelete>(message)) {
        reduce(gone->order_reference.value(), ~std::uint32_t{0});
    }
}

void SnapshotBooks::add(Message message) {
    const auto& m = wire::view<itch::AddOrder>(message);  // an attributed one begins the same
    const std::uint64_t reference = m.order_reference.value();
    orders_[reference] = {Bytes(message.begin(), message.end()), m.shares.value(), ++places_};
    queue_[places_] = reference;
}

void SnapshotBooks::reduce(std::uint64_t reference, std::uint32_t shares) {
    const auto found = orders_.find(reference);
    if (found == orders_.end()) return;
    if (shares < found->second.shares) {
        found->second.shares -= shares;
        return;
    }
    queue_.erase(found->second.place);
    orders_.erase(found);
}

void SnapshotBooks::replace(Message message) {
    const auto& m = wire::view<itch::OrderReplace>(message);
    const auto found = orders_.find(m.original_order_reference.value());
    if (found == orders_.end()) return;
    Bytes bytes = found->second.add;
    auto& renewed = *reinterpret_cast<itch::AddOrder*>(bytes.data());
    renewed.order_reference.set(m.new_order_reference.value());
    renewed.price.set(m.new_price.value());
    renewed.shares.set(m.new_shares.value());
    renewed.timestamp.set(m.timestamp.value());
    reduce(m.original_order_reference.value(), ~std::uint32_t{0});
    add(bytes);
}

std::vector<SnapshotBooks::Bytes> SnapshotBooks::snapshot(SequenceNumber next) const {
    std::vector<Bytes> out;
    if (!event_.empty()) out.push_back(event_);
    for (const auto* kind : {&directory_, &trading_, &short_sale_, &operational_}) {
        for (const auto& [locate, message] : *kind) out.push_back(message);
    }
    for (const auto& [place, reference] : queue_) {
        const Order& order = orders_.at(reference);
        Bytes& add = out.emplace_back(order.add);
        reinterpret_cast<itch::AddOrder*>(add.data())->shares.set(order.shares);
    }
    const std::string end = fmt::format("G{:>20}", next);
    out.emplace_back(end.begin(), end.end());
    return out;
}

}  // namespace millrace::replay
