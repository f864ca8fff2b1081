// The ring between the feed's thread and a sink's, beside a queue that is obvious.
#include <deque>
#include <random>
#include <string>
#include <thread>

#include "millrace/feed/streams/record_ring.hpp"
#include "tests/support/catch.hpp"

using namespace millrace::streams;

namespace {

struct Entry {
    RecordRing::Head head;
    std::string bytes;
};

// Of any size up to 1,000 bytes, which tell its number.
Entry entry_of(std::uint64_t number, std::mt19937_64& random) {
    Entry entry;
    entry.bytes.assign(random() % 1'000, static_cast<char>(number));
    entry.head.instrument = static_cast<std::uint32_t>(random());
    entry.head.size = static_cast<std::uint16_t>(entry.bytes.size());
    entry.head.kind = number % 50 == 0 ? RecordRing::Kind::symbol : RecordRing::Kind::record;
    entry.head.quality = static_cast<std::uint8_t>(random() % 4);
    entry.head.sequence = random();
    entry.head.number = number;
    return entry;
}

bool push(RecordRing& ring, const Entry& entry) {
    return ring.push(entry.head, reinterpret_cast<const std::uint8_t*>(entry.bytes.data()));
}

bool is_same(const Entry& entry, const RecordRing::Head& head, std::span<const std::uint8_t> bytes) {
    return head.instrument == entry.head.instrument && head.kind == entry.head.kind &&
           head.quality == entry.head.quality && head.sequence == entry.head.sequence &&
           head.number == entry.head.number &&
           entry.bytes == std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

}  // namespace

TEST_CASE("record ring: gives what was put into it, in order, and is full when its room is used", "[sink]") {
    constexpr std::size_t kRoom = 8'192;
    const auto seed = std::random_device{}();
    INFO("seed " << seed);
    std::mt19937_64 random(seed);
    RecordRing ring(kRoom);
    std::deque<Entry> waiting;
    std::uint64_t number = 0;
    std::uint64_t refusals = 0;
    for (int turn = 0; turn < 20'000; ++turn) {
        for (std::uint64_t most = random() % 30; most > 0; --most) {
            const Entry entry = entry_of(++number, random);
            if (push(ring, entry)) {
                waiting.push_back(entry);
                continue;
            }
            ++refusals;
            std::size_t used = 0;
            for (const Entry& each : waiting) used += sizeof(each.head) + each.bytes.size() + 7;
            // What it needs, and what is skipped before the end where it finds no place, are at most one entry each.
            REQUIRE(used + 2 * (sizeof(entry.head) + 1'000 + 7) > kRoom);
            break;
        }
        std::uint64_t most = random() % 30;
        const std::size_t before = waiting.size();
        const std::size_t seen = ring.take([&](const RecordRing::Head& head, std::span<const std::uint8_t> bytes) {
            REQUIRE(!waiting.empty());
            REQUIRE(is_same(waiting.front(), head, bytes));
            waiting.pop_front();
            return most-- > 1;
        });
        REQUIRE(seen == before - waiting.size());
    }
    CHECK(refusals > 100);
}

TEST_CASE("record ring: two threads lose nothing and mix up nothing", "[sink]") {
    constexpr std::uint64_t kEntries = 200'000;
    RecordRing ring(1 << 14);
    std::thread feed([&] {
        std::mt19937_64 random(7);
        for (std::uint64_t number = 1; number <= kEntries; ++number) {
            const Entry entry = entry_of(number, random);
            while (!push(ring, entry)) std::this_thread::yield();
        }
    });
    std::mt19937_64 random(7);
    std::uint64_t good = 0;
    for (std::uint64_t seen = 0; seen < kEntries;) {
        const std::size_t took = ring.take([&](const RecordRing::Head& head, std::span<const std::uint8_t> bytes) {
            good += is_same(entry_of(head.number, random), head, bytes) ? 1U : 0U;
            return true;
        });
        if (took == 0) std::this_thread::yield();
        seen += took;
    }
    feed.join();
    CHECK(good == kEntries);
}
