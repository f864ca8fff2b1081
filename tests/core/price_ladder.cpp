#include "millrace/core/price_ladder.hpp"

#include <map>
#include <memory>
#include <random>

#include "tests/support/catch.hpp"

using namespace millrace;

// Keys that stand close together, and some at the ends of 64 bits, where differences do not fit.
TEST_CASE("PriceLadder: whatever keys come and go, it is sorted and finds each") {
    const std::uint64_t seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    LadderPool pool(4'000, 2, {});
    const auto ladder = std::make_unique<PriceLadder>();
    std::map<std::int64_t, LevelSlot, std::greater<>> twin;
    LevelSlot next = 1;
    for (int step = 0; step < 40'000; ++step) {
        const auto centre = static_cast<std::int64_t>(step / 4'000) * 3'000'000'000;
        std::int64_t key = centre + static_cast<std::int64_t>(random() % 60);
        if (random() % 50 == 0) key = static_cast<std::int64_t>(random());
        if (random() % 50 == 0) key = centre + static_cast<std::int64_t>(random() % 0x2'0000'0000) - 0x1'0000'0000;
        if (!twin.empty() && random() % 40 == 0) key = twin.begin()->first;
        const PriceLadder::Place place = ladder->find(key);
        const auto known = twin.find(key);
        REQUIRE(place.slot == (known == twin.end() ? kNoLevel : known->second));
        if (known != twin.end()) {
            ladder->erase(place);
            twin.erase(known);
        } else {
            REQUIRE(ladder->insert(place, key, next, pool));
            twin[key] = next++;
        }
        REQUIRE(ladder->size() == twin.size());
        REQUIRE(ladder->best() == (twin.empty() ? kNoLevel : twin.begin()->second));
        if (step % 500 != 0) continue;
        std::uint32_t depth = 0;
        for (const auto& [sorted, slot] : twin) REQUIRE(ladder->at(depth++) == slot);
    }
}
