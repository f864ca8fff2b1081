#include "millrace/feed/consumer_ring.hpp"

#include <map>
#include <thread>
#include <vector>

#include "millrace/core/random.hpp"
#include "tests/support/catch.hpp"

using namespace millrace;

namespace {

// Several words that have to agree, so that a torn copy shows.
struct Event {
    std::uint64_t number = 0;
    std::uint64_t again[6]{};

    static Event of(std::uint64_t number) {
        Event event;
        event.number = number;
        for (std::uint64_t& word : event.again) word = ~number;
        return event;
    }
    [[nodiscard]] bool whole() const {
        for (const std::uint64_t word : again) {
            if (word != ~number) return false;
        }
        return true;
    }
};

bool closes(const ConsumerStats& s) { return s.pushed == s.popped + s.dropped + s.conflated + s.occupancy; }

}  // namespace

TEST_CASE("ConsumerRing: events come out in order, and the occupancy shows before anything is dropped") {
    ConsumerRing<Event> ring(FullPolicy::drop_oldest, 8);
    for (std::uint64_t i = 1; i <= 8; ++i) ring.push(Event::of(i));
    CHECK(ring.stats().occupancy == 8);
    CHECK(ring.stats().capacity == 8);
    CHECK(ring.stats().dropped == 0);
    Event event;
    for (std::uint64_t i = 1; i <= 8; ++i) {
        REQUIRE(ring.pop(event) == Popped::event);
        CHECK(event.number == i);
    }
    CHECK(ring.pop(event) == Popped::nothing);
    CHECK(closes(ring.stats()));
}

TEST_CASE("ConsumerRing: drop_oldest tells the exact number dropped, before the next event") {
    ConsumerRing<Event> ring(FullPolicy::drop_oldest, 8);
    for (std::uint64_t i = 1; i <= 13; ++i) ring.push(Event::of(i));
    CHECK(ring.stats().dropped == 5);
    CHECK(ring.stats().occupancy == 8);
    Event event;
    REQUIRE(ring.pop(event) == Popped::resync);
    CHECK(ring.lost() == 5);
    for (std::uint64_t i = 6; i <= 13; ++i) {
        REQUIRE(ring.pop(event) == Popped::event);
        CHECK(event.number == i);
    }
    CHECK(ring.pop(event) == Popped::nothing);
    CHECK(ring.stats().popped == 8);
    CHECK(closes(ring.stats()));
}

TEST_CASE("ConsumerRing: a consumer that stands still leaves one beside it untouched") {
    ConsumerRing<Event> still(FullPolicy::drop_oldest, 4);
    ConsumerRing<Event> fast(FullPolicy::drop_oldest, 4);
    Event event;
    for (std::uint64_t i = 1; i <= 1000; ++i) {
        still.push(Event::of(i));
        fast.push(Event::of(i));
        REQUIRE(fast.pop(event) == Popped::event);
        CHECK(event.number == i);
    }
    CHECK(fast.stats().dropped == 0);
    CHECK(still.stats().dropped == 996);
}

TEST_CASE("ConsumerRing: conflate keeps the newest of each key and every event without one") {
    ConsumerRing<Event> ring(FullPolicy::conflate, 64, 4);
    for (std::uint64_t i = 0; i < 40; ++i) ring.push(Event::of(1000 + i), static_cast<std::uint32_t>(i % 4));
    for (std::uint64_t i = 0; i < 40; ++i) ring.push(Event::of(i));
    CHECK(ring.stats().conflated == 36);
    CHECK(ring.stats().occupancy == 44);
    Event event;
    for (std::uint64_t i = 0; i < 40; ++i) {
        REQUIRE(ring.pop(event) == Popped::event);
        CHECK(event.number == i);
    }
    for (std::uint64_t i = 0; i < 4; ++i) {
        REQUIRE(ring.pop(event) == Popped::event);
        CHECK(event.number == 1036 + i);
    }
    CHECK(ring.pop(event) == Popped::nothing);
    ring.push(Event::of(7), 2);
    REQUIRE(ring.pop(event) == Popped::event);
    CHECK(event.number == 7);
    CHECK(ring.stats().dropped == 0);
    CHECK(closes(ring.stats()));
}

TEST_CASE("ConsumerRing: block loses nothing between two threads, and close lets the producer go") {
    ConsumerRing<Event> ring(FullPolicy::block, 16);
    constexpr std::uint64_t kEvents = 20'000;
    std::thread producer([&] {
        for (std::uint64_t i = 1; i <= kEvents; ++i) ring.push(Event::of(i));
    });
    Event event;
    for (std::uint64_t i = 1; i <= kEvents;) {
        if (ring.pop(event) != Popped::event) {
            std::this_thread::yield();
            continue;
        }
        REQUIRE(event.number == i++);
        REQUIRE(event.whole());
    }
    producer.join();
    CHECK(ring.stats().popped == kEvents);
    ring.close();
    for (std::uint64_t i = 1; i <= 20; ++i) ring.push(Event::of(i));
    CHECK(ring.stats().dropped == 4);
    CHECK(closes(ring.stats()));
}

TEST_CASE("ConsumerRing: overrun at random by another thread, every event is whole and every loss is counted") {
    ConsumerRing<Event> ring(FullPolicy::drop_oldest, 16);
    constexpr std::uint64_t kEvents = 200'000;
    std::atomic<bool> done{false};
    std::thread producer([&] {
        for (std::uint64_t i = 1; i <= kEvents; ++i) ring.push(Event::of(i));
        done.store(true);
    });
    std::uint64_t next = 1;
    std::uint64_t popped = 0;
    std::uint64_t lost = 0;
    Event event;
    for (;;) {
        const bool last_look = done.load();
        const Popped what = ring.pop(event);
        if (what == Popped::nothing && last_look) break;
        if (what == Popped::resync) {
            lost += ring.lost();
            next += ring.lost();
        }
        if (what != Popped::event) continue;
        REQUIRE(event.whole());
        REQUIRE(event.number == next);
        ++next;
        ++popped;
    }
    producer.join();
    CHECK(popped + lost == kEvents);
    CHECK(ring.stats().dropped == lost);
    CHECK(ring.stats().popped == popped);
    CHECK(closes(ring.stats()));
}

TEST_CASE("ConsumerRing: conflated at random by another thread, the last of each key arrives") {
    constexpr std::uint32_t kKeys = 8;
    ConsumerRing<Event> ring(FullPolicy::conflate, 16, kKeys);
    std::map<std::uint32_t, std::uint64_t> last;
    std::atomic<bool> done{false};
    std::thread producer([&] {
        Random random(42);
        for (std::uint64_t i = 0; i < 100'000; ++i) {
            const auto key = static_cast<std::uint32_t>(random.below(kKeys));
            ring.push(Event::of(i * kKeys + key), key);
            last[key] = i * kKeys + key;
        }
        done.store(true);
    });
    std::map<std::uint32_t, std::uint64_t> seen;
    Event event;
    for (;;) {
        const bool last_look = done.load();
        if (ring.pop(event) == Popped::event) {
            REQUIRE(event.whole());
            std::uint64_t& of_key = seen[static_cast<std::uint32_t>(event.number % kKeys)];
            REQUIRE(event.number >= of_key);
            of_key = event.number;
        } else if (last_look) {
            break;
        }
    }
    producer.join();
    CHECK(seen == last);
    CHECK(closes(ring.stats()));
}
