// The slow, obvious book that the fast one is held against: maps and lists, nothing shared with core/.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace millrace::test {

struct TwinOrder {
    std::uint64_t id;
    std::uint64_t quantity;
};

// Orders by price, each price a queue in order of arrival.
class TwinBook {
  public:
    using Levels = std::map<std::int64_t, std::list<TwinOrder>>;  // by price, ascending

    void add(std::uint64_t id, bool bid, std::int64_t price, std::uint64_t quantity) {
        levels(bid)[price].push_back({id, quantity});
        where_[id] = {bid, price};
    }

    bool reduce(std::uint64_t id, std::uint64_t quantity) {
        TwinOrder* order = find(id);
        if (order == nullptr || quantity == 0 || quantity > order->quantity) return false;
        order->quantity -= quantity;
        if (order->quantity == 0) remove(id);
        return true;
    }

    bool remove(std::uint64_t id) {
        const auto place = where_.find(id);
        if (place == where_.end()) return false;
        Levels& side = levels(place->second.bid);
        auto& queue = side.at(place->second.price);
        queue.remove_if([id](const TwinOrder& order) { return order.id == id; });
        if (queue.empty()) side.erase(place->second.price);
        where_.erase(place);
        return true;
    }

    bool replace(std::uint64_t id, std::uint64_t new_id, std::int64_t price, std::uint64_t quantity) {
        const auto place = where_.find(id);
        if (place == where_.end() || where_.count(new_id) != 0 || quantity == 0) return false;
        const bool bid = place->second.bid;
        remove(id);
        add(new_id, bid, price, quantity);
        return true;
    }

    [[nodiscard]] TwinOrder* find(std::uint64_t id) {
        const auto place = where_.find(id);
        if (place == where_.end()) return nullptr;
        for (TwinOrder& order : levels(place->second.bid).at(place->second.price)) {
            if (order.id == id) return &order;
        }
        return nullptr;
    }

    struct Level {
        std::int64_t price;
        std::vector<TwinOrder> orders;
    };
    // From the best level on.
    [[nodiscard]] std::vector<Level> side(bool bid) const {
        std::vector<Level> out;
        for (const auto& [price, queue] : bid ? bids_ : asks_) {
            out.push_back({price, {queue.begin(), queue.end()}});
        }
        if (bid) out = {out.rbegin(), out.rend()};
        return out;
    }
    struct Best {
        std::int64_t price = 0;
        std::uint64_t quantity = 0;
        std::uint64_t orders = 0;
    };
    // Zeroes when the side is empty.
    [[nodiscard]] Best best(bool bid) const {
        const Levels& side = bid ? bids_ : asks_;
        if (side.empty()) return {};
        const auto& [price, queue] = bid ? *side.rbegin() : *side.begin();
        Best best{price, 0, queue.size()};
        for (const TwinOrder& order : queue) best.quantity += order.quantity;
        return best;
    }
    [[nodiscard]] std::size_t order_count() const { return where_.size(); }
    [[nodiscard]] std::vector<std::uint64_t> ids() const {
        std::vector<std::uint64_t> out;
        for (const auto& [id, place] : where_) out.push_back(id);
        return out;
    }

  private:
    struct Place {
        bool bid;
        std::int64_t price;
    };
    [[nodiscard]] Levels& levels(bool bid) { return bid ? bids_ : asks_; }

    Levels bids_;
    Levels asks_;
    std::map<std::uint64_t, Place> where_;
};

}  // namespace millrace::test
