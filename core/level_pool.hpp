// Price levels with their queues, in lines that never move.
//
// A level keeps its totals in half a line and, where queues are kept, the tags of its first eight orders in the other
// half, in order of arrival; the ninth and later ones stand in chunks of twelve, a ring of lines that the level names
// by its last one. An order names the level or chunk it stands in, so that taking it out touches that line, the level,
// and at a line's edge a neighbour. Levels and chunks are reused last in, first out, while they are still in the cache.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include "millrace/core/error.hpp"
#include "millrace/core/lanes.hpp"
#include "millrace/core/order_map.hpp"
#include "millrace/core/paged_array.hpp"
#include "millrace/core/prefetch.hpp"
#include "millrace/core/types.hpp"

namespace millrace {

// What is kept: single orders, their places in the queues and a digest of both; or totals by price alone.
enum class BookDetail : std::uint8_t { full, totals };

// Number of a level; 0 is none. An order's `where` is the level it stands in, or a chunk's number with kChunk set.
using LevelSlot = std::uint32_t;
inline constexpr LevelSlot kNoLevel = 0;
inline constexpr std::uint32_t kChunk = 1U << 29;

struct PriceLevel {
    static constexpr std::uint32_t kTags = 8;  // that stand beside it

    Price price;
    Quantity quantity;            // sum over the orders of the level
    std::uint32_t orders;         // how many there are; 0 where the venue does not tell
    std::uint32_t book_and_side;  // (book number + 1) * 2 + side; 0: the level is free
    std::uint32_t last_chunk;     // 0: all orders are beside the level; of a free level: the next one that is free
    std::uint16_t count;          // of tags beside it
    bool doubtful;                // the order of its queue is not known
};
static_assert(sizeof(PriceLevel) == kCacheLine / 2);

struct alignas(kCacheLine) QueueChunk {
    static constexpr std::uint32_t kTags = 12;

    OrderTag tags[kTags];
    LevelSlot level;
    std::uint32_t count;
    std::uint32_t ahead;   // neighbours in the ring of chunks: the first one is behind the last one
    std::uint32_t behind;  // of a free chunk: the next one that is free
};
static_assert(sizeof(QueueChunk) == kCacheLine);

class LevelPool {
  public:
    // Room for `levels_max` levels and, where queues are kept, for chunks that hold `orders_max` orders half full.
    LevelPool(std::uint32_t levels_max, std::uint32_t orders_max, BookDetail detail, const MemoryWish& memory)
        : levels_max_(levels_max), chunks_max_(detail == BookDetail::full ? orders_max / 6 + 64 : 0),
          step_(detail == BookDetail::full ? 2 : 1), fresh_level_(2 * step_ - 1),
          halves_((std::size_t{levels_max} + 1) * step_, memory),
          queues_(std::size_t{chunks_max_} + 1, memory) {
        MILLRACE_VERIFY(halves_.size() < kChunk && queues_.size() < kChunk);
    }

    [[nodiscard]] PriceLevel& operator[](LevelSlot slot) { return halves_[slot].level; }
    [[nodiscard]] const PriceLevel& operator[](LevelSlot slot) const { return halves_[slot].level; }
    // Of the orders beside a level.
    [[nodiscard]] OrderTag* tags(LevelSlot slot) { return halves_[slot - 1].tags; }
    [[nodiscard]] const OrderTag* tags(LevelSlot slot) const { return halves_[slot - 1].tags; }
    [[nodiscard]] QueueChunk& chunk(std::uint32_t number) { return queues_[number & ~kChunk]; }
    [[nodiscard]] const QueueChunk& chunk(std::uint32_t number) const { return queues_[number & ~kChunk]; }
    [[nodiscard]] LevelSlot level_of(std::uint32_t where) const {
        return (where & kChunk) != 0 ? chunk(where).level : where;
    }
    // Whether this is the level of that book, side and price. Any slot there is, or was, may be asked for.
    [[nodiscard]] bool is_at(LevelSlot slot, std::uint32_t book_and_side, Price price) const {
        const PriceLevel& level = (*this)[slot];
        return (level.book_and_side == book_and_side) & (level.price == price);
    }

    // The line that an order stands in, on its way into the cache.
    void prefetch(std::uint32_t where) const {
        const void* const level = halves_.data() + where;
        const void* const chunk = queues_.data() + (where & ~kChunk);
        millrace::prefetch((where & kChunk) != 0 ? chunk : level);
    }
    void prefetch_level(LevelSlot slot) const { millrace::prefetch(halves_.data() + slot); }
    // The end of a level's queue, where it is long. Any slot there is, or was, may be asked for: of a free one this is
    // some other line, or none.
    void prefetch_end(LevelSlot slot) const {
        const std::uint32_t chunk = (*this)[slot].last_chunk & ~kChunk;
        millrace::prefetch(queues_.data() + std::min<std::size_t>(chunk, queues_.size() - 1));
    }

    [[nodiscard]] std::uint32_t size() const { return levels_; }
    [[nodiscard]] std::uint32_t chunks() const { return chunks_; }
    [[nodiscard]] std::size_t bytes() const { return halves_.bytes() + queues_.bytes(); }
    [[nodiscard]] PageKind pages() const {
        return chunks_max_ == 0 ? halves_.pages() : std::min(halves_.pages(), queues_.pages());
    }

    // An empty level; kNoLevel when the limit is reached.
    [[nodiscard]] LevelSlot take(std::uint32_t book_and_side, Price price) {
        LevelSlot slot = free_level_;
        if (slot != kNoLevel) {
            free_level_ = (*this)[slot].last_chunk;
        } else {
            if (levels_ == levels_max_) return kNoLevel;
            slot = fresh_level_;
            fresh_level_ += step_;
        }
        ++levels_;
        (*this)[slot] = {price, 0, 0, book_and_side, 0, 0, false};
        return slot;
    }
    void give_back(LevelSlot slot) {
        --levels_;
        (*this)[slot].book_and_side = 0;
        (*this)[slot].last_chunk = free_level_;
        free_level_ = slot;
    }

    struct Joined {
        std::uint32_t where;
        bool alone;      // nobody stands ahead
        OrderTag ahead;
    };
    // An order joins the end of the queue. False when that needs a chunk and there is none; an empty level needs none.
    // (Results of several words that a function hands back in registers would be put together in memory first, and
    // stall there.)
    [[nodiscard, gnu::always_inline]] bool join(LevelSlot slot, OrderTag tag, Joined& joined) {
        PriceLevel& level = (*this)[slot];
        OrderTag* const tags = this->tags(slot);
        if (level.last_chunk != 0 || level.count == PriceLevel::kTags || clash<PriceLevel>(tags, level.count, tag)) {
            return join_chunk(slot, level, tag, joined);
        }
        const std::uint32_t n = level.count++;
        tags[n] = tag;
        joined = {slot, n == 0, tags[(n - 1) % PriceLevel::kTags]};
        return true;
    }

    struct Left {
        bool has_ahead;
        bool has_behind;
        OrderTag ahead;
        OrderTag behind;
    };
    // The order with this tag in line `where` leaves. Tells who stood beside it.
    [[gnu::always_inline]] void leave(std::uint32_t where, OrderTag tag, Left& left) {
        if ((where & kChunk) != 0) return leave_chunk(where & ~kChunk, tag, left);
        PriceLevel& level = (*this)[where];
        OrderTag* const tags = this->tags(where);
        const std::uint32_t at = place_of<PriceLevel>(tags, tag);
        left.has_ahead = at > 0;
        left.ahead = tags[(at - 1) % PriceLevel::kTags];
        // Most orders that leave came last.
        if (at + 1 == level.count) {
            left.has_behind = level.last_chunk != 0;
            left.behind = left.has_behind ? first_chunk(level).tags[0] : 0;
        } else {
            left.has_behind = true;
            left.behind = tags[(at + 1) % PriceLevel::kTags];
            lanes::close_gap<PriceLevel::kTags>(tags, at);
        }
        --level.count;
    }

    // Gives back the chunks of a level that is to go. Calls see(where, tags, count) for each of its lines.
    template <class See>
    void clear_queue(LevelSlot slot, See&& see) {
        PriceLevel& level = (*this)[slot];
        see(slot, tags(slot), level.count);
        while (level.last_chunk != 0) {
            const std::uint32_t last = level.last_chunk;
            see(last | kChunk, chunk(last).tags, chunk(last).count);
            remove_chunk(last, level);
        }
    }

    // Tags of ids above 32 bits may be equal; those never share a line, so that a tag names one order of it.
    void expect_clashes() { clashes_ = true; }

    [[nodiscard]] const QueueChunk& first_chunk(const PriceLevel& level) const {
        return chunk(chunk(level.last_chunk).behind);
    }

  private:
    // Of a line. A slot numbers the half with the level; the tags, where there are any, are in the one before it, so
    // that closing gaps between them reads no other line.
    union alignas(kCacheLine / 2) Half {
        PriceLevel level;
        OrderTag tags[PriceLevel::kTags];
    };
    static_assert(sizeof(Half) == kCacheLine / 2);

    template <class L>
    [[nodiscard]] static std::uint32_t place_of(const OrderTag* tags, OrderTag tag) {
        const std::uint32_t same = lanes::match<L::kTags>(tags, tag);
        MILLRACE_ASSERT(same != 0);
        return std::min(static_cast<std::uint32_t>(std::countr_zero(same)), L::kTags - 1);
    }
    template <class L>
    [[nodiscard]] bool clash(const OrderTag* tags, std::uint32_t count, OrderTag tag) const {
        return clashes_ && (lanes::match<L::kTags>(tags, tag) & ((1U << count) - 1)) != 0;
    }
    [[nodiscard]] bool needs_chunk(LevelSlot slot, const PriceLevel& level, OrderTag tag) const {
        if (level.last_chunk == 0) {
            return level.count == PriceLevel::kTags || clash<PriceLevel>(tags(slot), level.count, tag);
        }
        const QueueChunk& last = chunk(level.last_chunk);
        return last.count == QueueChunk::kTags || clash<QueueChunk>(last.tags, last.count, tag);
    }

    [[nodiscard, gnu::noinline]] bool join_chunk(LevelSlot slot, PriceLevel& level, OrderTag tag, Joined& joined) {
        const bool appends = needs_chunk(slot, level, tag);
        if (appends && chunks_ == chunks_max_) return false;
        joined.alone = false;
        if (level.last_chunk == 0) {
            joined.alone = level.count == 0;
            joined.ahead = tags(slot)[(level.count + PriceLevel::kTags - 1) % PriceLevel::kTags];
        } else {
            const QueueChunk& last = chunk(level.last_chunk);
            joined.ahead = last.tags[last.count - 1];
        }
        if (appends) append_chunk(slot, level);
        QueueChunk& last = chunk(level.last_chunk);
        last.tags[last.count++] = tag;
        joined.where = level.last_chunk | kChunk;
        return true;
    }

    void append_chunk(LevelSlot slot, PriceLevel& level) {
        const std::uint32_t number = take_chunk();
        QueueChunk& added = chunk(number);
        added.level = slot;
        added.count = 0;
        if (level.last_chunk == 0) {
            added.ahead = added.behind = number;
        } else {
            QueueChunk& last = chunk(level.last_chunk);
            added.ahead = level.last_chunk;
            added.behind = last.behind;
            chunk(last.behind).ahead = number;
            last.behind = number;
        }
        level.last_chunk = number;
    }

    [[gnu::noinline]] void leave_chunk(std::uint32_t number, OrderTag tag, Left& left) {
        QueueChunk& at_chunk = chunk(number);
        PriceLevel& level = (*this)[at_chunk.level];
        const std::uint32_t at = place_of<QueueChunk>(at_chunk.tags, tag);
        const bool last_here = at + 1 == at_chunk.count;
        left = {at > 0, !last_here, at_chunk.tags[at > 0 ? at - 1 : 0], at_chunk.tags[last_here ? at : at + 1]};
        const bool is_last = level.last_chunk == number;
        if (!left.has_ahead) {
            const QueueChunk& ahead = chunk(at_chunk.ahead);
            if (at_chunk.ahead != level.last_chunk) {  // not the first of the ring
                left.has_ahead = true;
                left.ahead = ahead.tags[ahead.count - 1];
            } else if (level.count > 0) {
                left.has_ahead = true;
                left.ahead = tags(at_chunk.level)[level.count - 1];
            }
        }
        if (!left.has_behind && !is_last) {
            left.has_behind = true;
            left.behind = chunk(at_chunk.behind).tags[0];
        }
        if (!last_here) lanes::close_gap<QueueChunk::kTags>(at_chunk.tags, at);
        if (--at_chunk.count == 0) remove_chunk(number, level);
    }

    void remove_chunk(std::uint32_t number, PriceLevel& level) {
        const QueueChunk& gone = chunk(number);
        if (gone.behind == number) {
            level.last_chunk = 0;
        } else {
            chunk(gone.ahead).behind = gone.behind;
            chunk(gone.behind).ahead = gone.ahead;
            if (level.last_chunk == number) level.last_chunk = gone.ahead;
        }
        give_back_chunk(number);
    }

    [[nodiscard]] std::uint32_t take_chunk() {
        ++chunks_;
        if (free_chunk_ == 0) return fresh_chunk_++;
        const std::uint32_t number = free_chunk_;
        free_chunk_ = chunk(number).behind;
        return number;
    }
    void give_back_chunk(std::uint32_t number) {
        --chunks_;
        chunk(number).behind = free_chunk_;
        free_chunk_ = number;
    }

    std::uint32_t levels_max_;
    std::uint32_t chunks_max_;
    std::uint32_t step_;  // from one level to the next: a line, or half of one
    std::uint32_t levels_ = 0;
    std::uint32_t chunks_ = 0;
    LevelSlot free_level_ = kNoLevel;  // chains of what was given back, and what was never used: from here on
    LevelSlot fresh_level_;
    std::uint32_t free_chunk_ = 0;
    std::uint32_t fresh_chunk_ = 1;
    bool clashes_ = false;
    PagedArray<Half> halves_;
    PagedArray<QueueChunk> queues_;
};

}  // namespace millrace
