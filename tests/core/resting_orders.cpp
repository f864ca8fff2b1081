#include "millrace/core/resting_orders.hpp"

#include <random>
#include <unordered_map>

#include "tests/support/catch.hpp"

using namespace millrace;

namespace {

constexpr std::uint32_t kOrders = 3000;

// Orders by id as a plain map keeps them, beside the ones under test.
class Pair {
  public:
    void add(std::uint64_t id, std::uint32_t quantity, std::uint32_t where) {
        const OrderSlot slot = orders_.room_for(OrderId{id});
        if (twin_.contains(id)) {
            REQUIRE(slot == RestingOrders::kDuplicate);
        } else if (twin_.size() == kOrders) {
            REQUIRE(slot == kNoSlot);
        } else {
            REQUIRE(slot < RestingOrders::kDuplicate);
            orders_.put(slot, OrderId{id}, quantity, where);
            twin_[id] = {quantity, where};
        }
    }
    void erase(std::uint64_t id) {
        const OrderSlot slot = orders_.find(OrderId{id});
        REQUIRE((slot != kNoSlot) == (twin_.erase(id) != 0));
        if (slot != kNoSlot) orders_.erase(slot);
    }
    void require_equal() const {
        REQUIRE(orders_.size() == twin_.size());
        for (const auto& [id, order] : twin_) {
            const OrderSlot slot = orders_.find(OrderId{id});
            REQUIRE(slot != kNoSlot);
            REQUIRE(orders_.id(slot) == OrderId{id});
            REQUIRE(orders_.quantity(slot) == order.first);
            REQUIRE(orders_.where(slot) == order.second);
            REQUIRE(orders_.find_tagged(tag_of(OrderId{id}), order.second) == slot);
        }
    }
    [[nodiscard]] const auto& twin() const { return twin_; }

  private:
    RestingOrders orders_{kOrders};
    std::unordered_map<std::uint64_t, std::pair<std::uint32_t, std::uint32_t>> twin_;
};

}  // namespace

TEST_CASE("RestingOrders: whatever ids come, the same orders rest as in a plain map") {
    const std::uint64_t seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    Pair pair;
    // Begins anywhere, at the end of 64 bits too; goes on in small steps, and now and then in a large one.
    const std::uint64_t begins[] = {0, random(), (std::uint64_t{1} << 32) - 3000, ~std::uint64_t{0} - 20'000};
    std::uint64_t next = begins[random() % 4];
    std::uint32_t where = 0;
    for (int step = 0; step < 200'000; ++step) {
        next += random() % 8;
        if (random() % 20'000 == 0) next += random() % 100'000;
        if (random() % 50'000 == 0) next = random();
        const std::uint64_t id = random() % 10 == 0 ? next - random() % 20'000 : next;
        // Each order names another line: no two of them may have one tag in one line.
        const std::uint64_t joins = random() % 100 == 0 ? random() : id;
        if (random() % 9 < 5) pair.add(joins, static_cast<std::uint32_t>(random()), ++where);
        else pair.erase(next - random() % 500);
        if (step % 10'000 == 0) pair.require_equal();
        if (pair.twin().size() > kOrders - 50) {
            while (pair.twin().size() > kOrders / 2) pair.erase(pair.twin().begin()->first);
        }
    }
    pair.require_equal();
    while (!pair.twin().empty()) pair.erase(pair.twin().begin()->first);
    pair.require_equal();
}

TEST_CASE("RestingOrders: it takes as many orders as it promises, dense or sparse, and no more") {
    const std::uint64_t stride = GENERATE(std::uint64_t{1}, std::uint64_t{4}, std::uint64_t{8}, std::uint64_t{1'000},
                                          std::uint64_t{0x9e3779b97f4a7c15});
    Pair pair;
    for (std::uint64_t i = 1; i <= kOrders + 5; ++i) pair.add(i * stride, 1, static_cast<std::uint32_t>(i));
    CHECK(pair.twin().size() == kOrders);
    pair.require_equal();
}

TEST_CASE("RestingOrders: a feed that goes on far from where it began gets its window there") {
    RestingOrders orders(1'000);
    const auto add = [&](std::uint64_t id) {
        const OrderSlot slot = orders.room_for(OrderId{id});
        REQUIRE(slot < RestingOrders::kDuplicate);
        orders.put(slot, OrderId{id}, 1, 1);
        return slot;
    };
    const OrderSlot before = add(100);
    OrderSlot after = 0;
    for (std::uint64_t id = 5'000'000; id < 5'003'000; ++id) {
        after = add(id);
        if (id < 5'002'999) orders.erase(orders.find(OrderId{id}));
    }
    // Slots of the window are above those of the table.
    CHECK((before & after) >> 31 == 1);
    CHECK(orders.find(OrderId{100}) != kNoSlot);
    CHECK(orders.size() == 2);
}
