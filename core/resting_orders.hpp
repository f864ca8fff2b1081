// Every resting order of a feed: young ones where their id says, old ones in a table.
//
// An exchange hands ids out in order and most orders die young. Ids of a window, which follows the newest id, have
// a place each in a ring: no search, no hash, and neighbours in one cache line. What is still alive when the window
// leaves it behind moves to the table (order_map.hpp). So do ids that lie too far ahead of the window, such as those
// of an exchange that spreads them over 64 bits: these all live in the table, at its cost and no more.
//
// Memory: made and touched at construction. Reaching the limit is a status, never a stall.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

#include "millrace/core/order_map.hpp"
#include "millrace/core/paged_array.hpp"
#include "millrace/core/prefetch.hpp"

namespace millrace {

class RestingOrders {
  public:
    static constexpr OrderSlot kDuplicate = OrderMap::kDuplicate;

    // Room for `orders_max` orders, whatever their ids. Throws Error(memory).
    explicit RestingOrders(std::uint32_t orders_max, const MemoryWish& memory = {})
        : table_(orders_max, memory), orders_max_(orders_max),
          ids_(std::min(std::bit_ceil(std::max<std::uint64_t>(orders_max, kStep)), kIdsMax)), ring_(ids_, memory) {}

    [[nodiscard]] std::uint32_t size() const { return young_ + table_.size(); }
    [[nodiscard]] std::uint32_t capacity() const { return orders_max_; }
    [[nodiscard]] std::size_t bytes() const { return ring_.bytes() + table_.bytes(); }
    [[nodiscard]] PageKind pages() const { return std::min(ring_.pages(), table_.pages()); }

    // Whether an order of this id, if it rests, is a young one, but for those that the window has caught up with.
    [[nodiscard]] bool in_window(OrderId id) const { return value(id) - first_ < ids_; }
    // What find() and room_for() are to read, of an id in the window, and of any other; and where its order stands as
    // far as that tells, 0 where it does not.
    void prefetch_young(OrderId id) const { millrace::prefetch(&ring_[place_of(id)]); }
    void prefetch_old(OrderId id) const { table_.prefetch(id); }
    [[nodiscard]] std::uint32_t where_if_young(OrderId id) const { return ring_[place_of(id)].where; }
    [[nodiscard]] std::uint32_t where_if_old(OrderId id) const {
        const OrderSlot slot = table_.find(id);
        return slot == kNoSlot ? 0 : table_.where(slot);
    }

    [[nodiscard]] OrderId id(OrderSlot slot) const { return is_young(slot) ? id_at(slot) : table_.id(slot); }
    [[nodiscard]] std::uint32_t quantity(OrderSlot slot) const {
        return is_young(slot) ? young(slot).quantity : table_.quantity(slot);
    }
    void set_quantity(OrderSlot slot, std::uint32_t quantity) {
        if (is_young(slot)) young(slot).quantity = quantity;
        else table_.set_quantity(slot, quantity);
    }
    // What put() was given.
    [[nodiscard]] std::uint32_t where(OrderSlot slot) const {
        return is_young(slot) ? young(slot).where : table_.where(slot);
    }

    // kNoSlot when no such order rests.
    [[nodiscard, gnu::always_inline]] OrderSlot find(OrderId id) const { return look_up(id).slot; }
    // The same with all that is known of it.
    struct Found {
        OrderSlot slot = kNoSlot;
        std::uint32_t quantity = 0;
        std::uint32_t where = 0;
    };
    [[nodiscard, gnu::always_inline]] Found look_up(OrderId id) const {
        if (in_window(id)) {
            const OrderSlot place = place_of(id);
            const Young young = ring_[place];
            if (young.where != 0) [[likely]] return {place | kYoung, young.quantity, young.where};
            if (!may_be_ahead(id)) return {};
        }
        const OrderSlot slot = table_.find(id);
        if (slot == kNoSlot) [[unlikely]] return {};
        return {slot, table_.quantity(slot), table_.where(slot)};
    }

    // A free place for an id, taken by put() before anything else; kDuplicate, or kNoSlot where there is none.
    [[nodiscard, gnu::always_inline]] OrderSlot room_for(OrderId id) {
        if (!in_window(id) || may_be_ahead(id)) [[unlikely]] return room_beyond(id);
        const OrderSlot place = place_of(id);
        if (ring_[place].where != 0) [[unlikely]] return kDuplicate;
        return size() == orders_max_ ? kNoSlot : place | kYoung;
    }
    // `where` is the caller's: not 0, and of the bits of OrderMap::kWhere.
    [[gnu::always_inline]] void put(OrderSlot slot, OrderId id, std::uint32_t quantity, std::uint32_t where) {
        if (!is_young(slot)) [[unlikely]] return table_.put(slot, id, quantity, where);
        young(slot) = {quantity, where};
        ++young_;
    }
    [[gnu::always_inline]] void erase(OrderSlot slot) {
        if (!is_young(slot)) return table_.erase(slot);
        young(slot).where = 0;
        --young_;
    }

    // The order with this tag that put() was given `where` for. Requires that there is exactly one.
    [[nodiscard]] OrderSlot find_tagged(OrderTag tag, std::uint32_t where) const {
        // The window touches at most two values of an id's upper half; with one of them the tag gives the lower half.
        for (const std::uint64_t id_in_window : {first_, first_ + ids_ - 1}) {
            const OrderTag mixture = tag_of(OrderId{id_in_window}) ^ static_cast<OrderTag>(id_in_window);
            const OrderId id{(id_in_window >> 32 << 32) | (tag ^ mixture)};
            if (in_window(id) && ring_[place_of(id)].where == where) return place_of(id) | kYoung;
        }
        return table_.find_tagged(tag, where);
    }

    // Erases every order whose `where` the predicate is true of. Looks at all places there are.
    template <class Predicate>
    void erase_if(Predicate&& predicate) {
        for (std::uint32_t place = 0; place < ids_; ++place) {
            if (ring_[place].where != 0 && predicate(ring_[place].where)) erase(place | kYoung);
        }
        table_.erase_if(predicate);
    }

  private:
    struct Young {
        std::uint32_t quantity;
        std::uint32_t where;  // 0: the place is free
    };
    static constexpr OrderSlot kYoung = 1U << 31;  // in slots of the ring
    static constexpr std::uint64_t kIdsMax = 1U << 30;
    static constexpr std::uint32_t kStep = 128;    // ids by which the window moves
    static constexpr std::uint32_t kAgreed = 1024;  // so many ids in a row that lie elsewhere, but together: ...
    static constexpr std::uint32_t kDense = 64;     // ... one among so many at least

    [[nodiscard]] static bool is_young(OrderSlot slot) { return (slot & kYoung) != 0; }
    [[nodiscard]] Young& young(OrderSlot slot) { return ring_[slot & ~kYoung]; }
    [[nodiscard]] const Young& young(OrderSlot slot) const { return ring_[slot & ~kYoung]; }
    [[nodiscard]] std::uint32_t place_of(OrderId id) const {
        return static_cast<std::uint32_t>(value(id)) & static_cast<std::uint32_t>(ids_ - 1);
    }
    [[nodiscard]] OrderId id_at(OrderSlot slot) const {
        return OrderId{first_ + ((slot - first_) & (ids_ - 1))};
    }
    // The id may have gone to the table because the window had not come as far.
    [[nodiscard]] bool may_be_ahead(OrderId id) const { return value(id) <= ahead_max_; }

    [[nodiscard, gnu::noinline]] OrderSlot room_beyond(OrderId id) {
        if (find(id) != kNoSlot) return kDuplicate;
        if (size() == orders_max_) return kNoSlot;
        if (size() == 0) {
            ahead_max_ = 0;
            begin_window(id);
        }
        if (value(id) > first_ && !in_window(id)) follow(id);
        if (in_window(id)) return place_of(id) | kYoung;
        if (value(id) > first_) ahead_max_ = std::max(ahead_max_, value(id));
        return table_.room_for(id);
    }
    // Moves the window towards an id ahead of it: a step an order, so that no order waits for many, or where the
    // feed has gone on far away for some time, all at once. Ids too sparse for a window never get one.
    void follow(OrderId id) {
        if (value(id) - first_ < 2 * ids_) return static_cast<void>(move_window());
        const bool together = value(id) - elsewhere_ < needed_ * kDense;
        agreed_ = together ? agreed_ + 1 : 0;
        if (!together) elsewhere_ = value(id);
        if (agreed_ < needed_) return;
        // The next time only after so many that they pay for it.
        needed_ = std::max<std::uint64_t>(kAgreed, ids_ / 8);
        agreed_ = 0;
        while (young_ != 0 && move_window()) {}
        if (young_ == 0) begin_window(id);
    }
    // No window reaches beyond 64 bits.
    void begin_window(OrderId id) {
        first_ = std::min(value(id), std::uint64_t{0} - ids_) & ~std::uint64_t{kStep - 1};
        leaving_count_ = 0;
    }
    // Takes one step. False, and nothing is lost, when the table has no room for what is still alive there.
    bool move_window() {
        if (first_ > std::uint64_t{0} - ids_ - kStep) return false;
        for (std::uint32_t i = 0; i < leaving_count_; ++i) {
            if (!move_to_table(OrderId{first_ + leaving_[i]})) return false;
        }
        leaving_count_ = 0;
        // What came to these ids since then.
        if (!is_step_empty()) [[unlikely]] {
            for (std::uint32_t i = 0; i < kStep; ++i) {
                if (!move_to_table(OrderId{first_ + i})) return false;
            }
        }
        first_ += kStep;
        list_leaving();
        return true;
    }
    // False when there is no room.
    [[nodiscard]] bool move_to_table(OrderId id) {
        Young& old = ring_[place_of(id)];
        if (old.where == 0) return true;
        const OrderSlot slot = table_.room_for(id);
        if (slot >= kDuplicate) {
            ahead_max_ = std::max(ahead_max_, value(id));  // what has moved is in the table before its time
            return false;
        }
        table_.put(slot, id, old.quantity, old.where);
        old.where = 0;
        --young_;
        return true;
    }
    [[nodiscard]] bool is_step_empty() const {
        const Young* const step = &ring_[place_of(OrderId{first_})];
        std::uint32_t any = 0;
        for (std::uint32_t i = 0; i < kStep; ++i) any |= step[i].where;
        return any == 0;
    }
    // What will have to move next, without a branch for each id, since which of them are alive nobody can predict; and
    // what is to be read of the ring then.
    void list_leaving() {
        const Young* const step = &ring_[place_of(OrderId{first_})];
        std::uint32_t count = 0;
#pragma GCC unroll 16
        for (std::uint32_t i = 0; i < kStep; ++i) {
            leaving_[count] = static_cast<std::uint8_t>(i);
            count += static_cast<std::uint32_t>(step[i].where != 0);
        }
        leaving_count_ = count;
        for (std::uint32_t i = 0; i < count; ++i) table_.prefetch(OrderId{first_ + leaving_[i]});
        for (std::uint32_t i = 0; i < kStep; i += kCacheLine / sizeof(Young)) {
            millrace::prefetch(&ring_[place_of(OrderId{first_ + kStep + i})]);
        }
    }

    OrderMap table_;
    std::uint32_t orders_max_;
    std::uint32_t young_ = 0;
    std::uint64_t first_ = 0;      // of the ids of the window
    std::uint64_t ids_;            // in the window; a power of two
    std::uint64_t ahead_max_ = 0;  // no larger id went to the table before its window came
    std::uint64_t elsewhere_ = 0;  // ids near this one were far ahead of the window, ...
    std::uint64_t agreed_ = 0;     // ... so many in a row
    std::uint64_t needed_ = kAgreed;
    std::uint32_t leaving_count_ = 0;  // of the next step's ids those that were alive when the window came there: ...
    std::array<std::uint8_t, kStep> leaving_{};  // ... by how much they are above first_
    PagedArray<Young> ring_;       // by the lower bits of the id
};

}  // namespace millrace
