// The plain design that stands in for the fastest correct open book builders: an order reference indexes a
// flat vector of 12-byte slots; a side is a vector of (price, level) with the best at the back, scanned
// linearly; levels hold totals only. No queue, no events, no bounds checks, no prefetch. It is the
// baseline of the book benchmarks and the twin that checks their totals.
#pragma once

#include <cstdint>
#include <memory_resource>
#include <span>
#include <vector>

#include "millrace/core/memory.hpp"
#include "millrace/feed/venues/nasdaq_itch50/messages.hpp"

namespace millrace::bench {

class ReferenceBook {
    struct Slot {
        std::uint32_t shares;
        std::uint32_t level;
        std::uint16_t locate;
        std::uint8_t ask;
    };
    static_assert(sizeof(Slot) == 12);
    struct Step {
        std::int64_t key;  // higher is better: the price of a bid, minus the price of an ask
        std::uint32_t level;
    };
    struct Total {
        std::uint32_t price;
        std::uint32_t orders;
        std::uint64_t shares;
    };

  public:
    struct Best {
        std::uint32_t price = 0;
        std::uint64_t shares = 0;
        std::uint32_t orders = 0;
        friend bool operator==(const Best&, const Best&) = default;
    };

    // References up to `reference_max` and levels up to `levels_max` may occur. All its memory lies on the
    // pages of `wish`, touched here when that says so.
    ReferenceBook(std::uint64_t reference_max, std::size_t levels_max, const MemoryWish& wish)
        : memory_(wish.prefault ? MappedMemory(bytes_for(reference_max, levels_max), wish.pages)
                                : MappedMemory::reserve(bytes_for(reference_max, levels_max), wish.pages)) {
        slots_.reserve(reference_max + 1);
        if (wish.prefault) slots_.resize(reference_max + 1);
        totals_.reserve(levels_max);
        free_.reserve(levels_max);
        sides_.resize(2 * 65536);
    }

    void apply(std::span<const std::uint8_t> bytes) {
        using namespace venues::itch50;
        switch (static_cast<char>(bytes[0])) {
            case AddOrder::kType:
            case AddOrderMpid::kType: {
                const auto& m = wire::view<AddOrder>(bytes);
                add(m.order_reference.value(), m.stock_locate.value(), m.side.value() == 'S', m.price.value(),
                    m.shares.value());
                break;
            }
            case OrderExecuted::kType: {
                const auto& m = wire::view<OrderExecuted>(bytes);
                reduce(m.order_reference.value(), m.executed_shares.value());
                break;
            }
            case OrderExecutedWithPrice::kType: {
                const auto& m = wire::view<OrderExecutedWithPrice>(bytes);
                reduce(m.order_reference.value(), m.executed_shares.value());
                break;
            }
            case OrderCancel::kType: {
                const auto& m = wire::view<OrderCancel>(bytes);
                reduce(m.order_reference.value(), m.cancelled_shares.value());
                break;
            }
            case OrderDelete::kType: {
                const std::uint64_t reference = wire::view<OrderDelete>(bytes).order_reference.value();
                reduce(reference, slots_[reference].shares);
                break;
            }
            case OrderReplace::kType: {
                const auto& m = wire::view<OrderReplace>(bytes);
                const Slot old = slots_[m.original_order_reference.value()];
                reduce(m.original_order_reference.value(), old.shares);
                add(m.new_order_reference.value(), old.locate, old.ask != 0, m.new_price.value(),
                    m.new_shares.value());
                break;
            }
            default: break;
        }
    }

    [[nodiscard]] Best best(std::uint16_t locate, bool ask) const {
        const auto& side = sides_[std::size_t{locate} * 2 + (ask ? 1 : 0)];
        if (side.empty()) return {};
        const Total& total = totals_[side.back().level];
        return {total.price, total.shares, total.orders};
    }

  private:
    void add(std::uint64_t reference, std::uint16_t locate, bool ask, std::uint32_t price, std::uint32_t shares) {
        auto& side = sides_[std::size_t{locate} * 2 + (ask ? 1 : 0)];
        const std::int64_t key = ask ? -std::int64_t{price} : std::int64_t{price};
        std::size_t i = side.size();
        while (i > 0 && side[i - 1].key > key) --i;
        if (i == 0 || side[i - 1].key != key) {
            side.insert(side.begin() + static_cast<std::ptrdiff_t>(i), Step{key, take_level(price)});
            ++i;
        }
        Total& total = totals_[side[i - 1].level];
        total.shares += shares;
        ++total.orders;
        if (reference >= slots_.size()) slots_.resize(reference + 1);
        slots_[reference] = {shares, side[i - 1].level, locate, static_cast<std::uint8_t>(ask ? 1 : 0)};
    }

    void reduce(std::uint64_t reference, std::uint32_t shares) {
        Slot& slot = slots_[reference];
        Total& total = totals_[slot.level];
        total.shares -= shares;
        slot.shares -= shares;
        if (slot.shares != 0 || --total.orders != 0) return;
        auto& side = sides_[std::size_t{slot.locate} * 2 + slot.ask];
        std::size_t i = side.size();
        while (side[i - 1].level != slot.level) --i;
        side.erase(side.begin() + static_cast<std::ptrdiff_t>(i - 1));
        free_.push_back(slot.level);
    }

    std::uint32_t take_level(std::uint32_t price) {
        if (free_.empty()) {
            totals_.push_back({price, 0, 0});
            return static_cast<std::uint32_t>(totals_.size() - 1);
        }
        const std::uint32_t level = free_.back();
        free_.pop_back();
        totals_[level] = {price, 0, 0};
        return level;
    }

    // Slots, levels, and what the sides take: their own vectors, doubled as they grow.
    [[nodiscard]] static std::size_t bytes_for(std::uint64_t reference_max, std::size_t levels_max) {
        return (reference_max + 1) * sizeof(Slot) + levels_max * (sizeof(Total) + 4 + 8 * sizeof(Step)) +
               (std::size_t{64} << 20);
    }

    MappedMemory memory_;
    std::pmr::monotonic_buffer_resource arena_{memory_.data(), memory_.capacity(), std::pmr::null_memory_resource()};
    std::pmr::unsynchronized_pool_resource pool_{&arena_};
    std::pmr::vector<Slot> slots_{&arena_};
    std::pmr::vector<Total> totals_{&arena_};
    std::pmr::vector<std::uint32_t> free_{&arena_};
    std::pmr::vector<std::pmr::vector<Step>> sides_{&pool_};
};

}  // namespace millrace::bench
