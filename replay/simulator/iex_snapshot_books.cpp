#include "millrace/replay/simulator/iex_snapshot_books.hpp"

#include <string_view>

namespace millrace::replay {

namespace iex = venues::iex;

namespace {

using Message = std::span<const std::uint8_t>;

template <class M>
[[nodiscard]] const M* as(Message message) {
    if (message.size() < sizeof(M) || static_cast<char>(message[0]) != M::kType) return nullptr;
    return &wire::view<M>(message);
}
// A kept message, to be changed.
template <class M>
[[nodiscard]] M& within(IexSnapshotBooks::Bytes& bytes) {
    return *reinterpret_cast<M*>(bytes.data());
}

// What is told of a symbol besides its book, in the order of a snapshot: the directory comes before all.
constexpr std::string_view kNotices = "HEOPX";

}  // namespace

void IexSnapshotBooks::apply(Message message) {
    if (as<iex::SystemEvent>(message) != nullptr) return event_.assign(message.begin(), message.end());
    if (message.size() < sizeof(iex::CodePrefix)) return;
    const std::string symbol(wire::view<iex::RetailLiquidityIndicator>(message).symbol.value());
    Book& book = books_[symbol];
    const char type = static_cast<char>(message[0]);
    if (as<iex::PriceLevelBuyUpdate>(message) != nullptr || as<iex::PriceLevelSellUpdate>(message) != nullptr) {
        change_level(book, symbol, message);
    } else if (const auto* added = as<iex::AddOrder>(message)) {
        book.orders[added->order_id.value()].assign(message.begin(), message.end());
    } else if (const auto* modified = as<iex::OrderModify>(message)) {
        modify(book, *modified);
    } else if (const auto* gone = as<iex::OrderDelete>(message)) {
        book.orders.erase(gone->order_id.value());
    } else if (const auto* executed = as<iex::OrderExecuted>(message)) {
        execute(book, *executed);
    } else if (as<iex::ClearBook>(message) != nullptr) {
        book.orders.clear();
    } else if (type == 'D' || type == 'I' || kNotices.find(type) != std::string_view::npos) {
        book.told[type].assign(message.begin(), message.end());
    }
}

void IexSnapshotBooks::change_level(Book& book, const std::string& symbol, Message message) {
    const auto& m = wire::view<iex::PriceLevelBuyUpdate>(message);  // a seller's has the same fields
    const std::pair key{m.message_type.value(), m.price.value()};
    if ((m.second.value() & iex::PriceLevel::kComplete) != 0) in_transit_.erase(symbol);
    else in_transit_[symbol] = true;
    if (m.size.value() == 0) {
        book.levels.erase(key);
        return;
    }
    Bytes& level = book.levels[key];
    level.assign(message.begin(), message.end());
    within<iex::PriceLevelBuyUpdate>(level).second.set(iex::PriceLevel::kComplete);
}

// The time is the one that the order's place in its queue is from.
void IexSnapshotBooks::modify(Book& book, const iex::OrderModify& m) {
    const auto found = book.orders.find(m.order_id.value());
    if (found == book.orders.end()) return;
    auto& add = within<iex::AddOrder>(found->second);
    add.size = m.size;
    add.price = m.price;
    if ((m.second.value() & iex::OrderModify::kKeepsPriority) == 0) add.timestamp = m.timestamp;
}

void IexSnapshotBooks::execute(Book& book, const iex::OrderExecuted& m) {
    const auto found = book.orders.find(m.order_id.value());
    if (found == book.orders.end()) return;
    auto& add = within<iex::AddOrder>(found->second);
    if (m.size.value() < add.size.value()) add.size.set(add.size.value() - m.size.value());
    else book.orders.erase(found);
}

std::vector<IexSnapshotBooks::Bytes> IexSnapshotBooks::snapshot() const {
    std::vector<Bytes> out;
    const auto tell = [&](const Book& book, char type) {
        if (const auto found = book.told.find(type); found != book.told.end()) out.push_back(found->second);
    };
    for (const auto& [symbol, book] : books_) tell(book, 'D');
    if (!event_.empty()) out.push_back(event_);
    for (const auto& [symbol, book] : books_) {
        for (const char type : kNotices) tell(book, type);
        for (const auto& [key, level] : book.levels) out.push_back(level);
        for (const auto& [id, add] : book.orders) out.push_back(add);
        tell(book, 'I');
    }
    return out;
}

}  // namespace millrace::replay
