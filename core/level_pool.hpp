// Price levels with their queues, in lines of 64 bytes that never move.
//
// Book, side and price say where a level lies: in one of the two lines of a pair, so that an order that joins it
// needs no search. When both are taken a level gets one of the spare lines, and its pair counts it: whoever misses
// in such a pair asks the book's ladder instead, so a crowded pair costs a search and never more.
//
// A level keeps the tags of its first eight orders beside its totals, in order of arrival; the ninth and
// later ones stand in chunks of twelve, a ring of lines that the level names by its last one. An order names
// the line it stands in, so that taking it out touches that line, the level, and at a line's edge a
// neighbour. Spare lines are reused last in, first out, while they are still in the cache.
#pragma once

#include <bit>
#include <cstdint>

#include "millrace/core/error.hpp"
#include "millrace/core/lanes.hpp"
#include "millrace/core/order_map.hpp"
#include "millrace/core/paged_array.hpp"
#include "millrace/core/prefetch.hpp"
#include "millrace/core/types.hpp"

namespace millrace {

// Number of a line; 0 is none. An order's `where` is the line it stands in, with kChunk set in a chunk.
using LevelSlot = std::uint32_t;
inline constexpr LevelSlot kNoLevel = 0;
inline constexpr std::uint32_t kChunk = 1U << 29;

struct alignas(kCacheLine) PriceLevel {
    static constexpr std::uint32_t kTags = 8;

    OrderTag tags[kTags];
    Price price;
    Quantity quantity;            // sum over the orders of the level
    std::uint32_t orders;         // how many there are; 0 where the venue does not tell
    std::uint32_t book_and_side;  // (book number + 1) * 2 + side; 0: the line is free
    std::uint32_t last_chunk;     // 0: all orders are in `tags`
    std::uint16_t count;          // of tags in use
    std::uint16_t left_out;       // first line of a pair: levels that belong here and lie in spare lines
};
static_assert(sizeof(PriceLevel) == kCacheLine);

struct alignas(kCacheLine) QueueChunk {
    static constexpr std::uint32_t kTags = 12;

    OrderTag tags[kTags];
    LevelSlot level;
    std::uint32_t count;
    std::uint32_t ahead;   // neighbours in the ring of chunks: the first one is behind the last one
    std::uint32_t behind;
};
static_assert(sizeof(QueueChunk) == kCacheLine);

class LevelPool {
  public:
    // Pairs so many that one level in five, at the limit, does not find room in its own. Chunks for orders beyond
    // the eighth of a level: half full they hold `orders_max`.
    LevelPool(std::uint32_t levels_max, std::uint32_t orders_max, const MemoryWish& memory)
        : levels_max_(levels_max), spare_levels_max_(levels_max / 4 + 64), chunks_max_(orders_max / 6 + 64),
          paired_lines_(levels_max / 5 * 3 * 2 + 8), free_(0), fresh_(paired_lines_ + kFirstPair),
          lines_(std::size_t{fresh_} + spare_levels_max_ + chunks_max_, memory) {
        MILLRACE_VERIFY(lines_.size() < kChunk);
    }

    [[nodiscard]] PriceLevel& operator[](LevelSlot slot) { return lines_[slot].level; }
    [[nodiscard]] const PriceLevel& operator[](LevelSlot slot) const { return lines_[slot].level; }
    [[nodiscard]] QueueChunk& chunk(std::uint32_t line) { return lines_[line & ~kChunk].chunk; }
    [[nodiscard]] const QueueChunk& chunk(std::uint32_t line) const { return lines_[line & ~kChunk].chunk; }
    [[nodiscard]] LevelSlot level_of(std::uint32_t where) const {
        return (where & kChunk) != 0 ? chunk(where).level : where;
    }
    [[nodiscard]] const void* line(std::uint32_t where) const { return &lines_[where & ~kChunk]; }
    void prefetch(std::uint32_t where) const { millrace::prefetch(line(where)); }

    // The line where a level lies if it can, else in the other one of the pair.
    [[nodiscard]] LevelSlot home(std::uint32_t book_and_side, Price price) const {
        const std::uint64_t hash = static_cast<std::uint64_t>(value(price)) * 0x9e3779b97f4a7c15ULL +
                                   book_and_side * 0xd6e8feb86659fd93ULL;
        return kFirstPair + static_cast<std::uint32_t>(((hash >> 32) * paired_lines_) >> 32);
    }
    struct Found {
        LevelSlot slot = kNoLevel;
        bool certain = true;  // false: not in its pair, but perhaps in the book
    };
    [[nodiscard, gnu::always_inline]] Found find(LevelSlot home, std::uint32_t book_and_side, Price price) const {
        const PriceLevel& first = lines_[home].level;
        const PriceLevel& second = lines_[home ^ 1].level;
        const bool at_first = (first.book_and_side == book_and_side) & (first.price == price);
        const bool at_second = (second.book_and_side == book_and_side) & (second.price == price);
        if (at_first | at_second) return {at_first ? home : home ^ 1, true};
        return {kNoLevel, lines_[home & ~1U].level.left_out == 0};
    }

    [[nodiscard]] std::uint32_t size() const { return levels_; }
    // Every LevelSlot is below this.
    [[nodiscard]] std::size_t lines() const { return lines_.size(); }
    [[nodiscard]] std::uint32_t chunks() const { return chunks_; }
    [[nodiscard]] std::size_t bytes() const { return lines_.bytes(); }
    [[nodiscard]] PageKind pages() const { return lines_.pages(); }

    // An empty level; kNoLevel when the limit is reached.
    [[nodiscard]] LevelSlot take(LevelSlot home, std::uint32_t book_and_side, Price price) {
        if (levels_ == levels_max_) return kNoLevel;
        LevelSlot slot = home;
        if (lines_[slot].level.book_and_side != 0) slot ^= 1;
        if (lines_[slot].level.book_and_side != 0) {
            std::uint16_t& left_out = lines_[home & ~1U].level.left_out;
            if (spare_levels_ == spare_levels_max_ || left_out == kLeftOutMax) return kNoLevel;
            ++spare_levels_;
            ++left_out;
            slot = take_line();
        }
        ++levels_;
        PriceLevel& level = lines_[slot].level;
        level.price = price;
        level.quantity = 0;
        level.orders = 0;
        level.book_and_side = book_and_side;
        level.last_chunk = 0;
        level.count = 0;
        return slot;
    }
    void give_back(LevelSlot slot) {
        --levels_;
        PriceLevel& level = lines_[slot].level;
        if (slot >= paired_lines_ + kFirstPair) {
            --spare_levels_;
            --lines_[home(level.book_and_side, level.price) & ~1U].level.left_out;
            give_back_line(slot);
        }
        level.book_and_side = 0;
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
        if (level.last_chunk != 0 || level.count == PriceLevel::kTags || clash(level, tag)) {
            return join_chunk(slot, level, tag, joined);
        }
        const std::uint32_t n = level.count++;
        level.tags[n] = tag;
        joined = {slot, n == 0, level.tags[(n - 1) % PriceLevel::kTags]};
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
        PriceLevel& level = lines_[where].level;
        const std::uint32_t at = place_of<PriceLevel>(level.tags, tag);
        left = {at > 0, at + 1 < level.count, level.tags[(at - 1) % PriceLevel::kTags],
                level.tags[(at + 1) % PriceLevel::kTags]};
        if (!left.has_behind && level.last_chunk != 0) {
            left.has_behind = true;
            left.behind = first_chunk(level).tags[0];
        }
        lanes::close_gap<PriceLevel::kTags>(level.tags, at);
        --level.count;
    }

    // Gives back the chunks of a level that is to go. Calls see(where, tags, count) for each of its lines.
    template <class See>
    void clear_queue(LevelSlot slot, See&& see) {
        PriceLevel& level = (*this)[slot];
        see(slot, level.tags, level.count);
        while (level.last_chunk != 0) {
            const std::uint32_t line = level.last_chunk;
            see(line | kChunk, chunk(line).tags, chunk(line).count);
            remove_chunk(line, level);
        }
    }

    // Tags of ids above 32 bits may be equal; those never share a line, so that a tag names one order of it.
    void expect_clashes() { clashes_ = true; }

    [[nodiscard]] const QueueChunk& first_chunk(const PriceLevel& level) const {
        return chunk(chunk(level.last_chunk).behind);
    }

  private:
    // Either of the two; which one is for whoever names the line to know.
    union alignas(kCacheLine) Line {
        PriceLevel level;
        QueueChunk chunk;
    };
    static_assert(sizeof(Line) == kCacheLine);

    template <class L>
    [[nodiscard]] static std::uint32_t place_of(const OrderTag* tags, OrderTag tag) {
        const std::uint32_t same = lanes::match<L::kTags>(tags, tag);
        MILLRACE_ASSERT(same != 0);
        return static_cast<std::uint32_t>(std::countr_zero(same)) % L::kTags;
    }
    template <class L>
    [[nodiscard]] bool clash(const L& line, OrderTag tag) const {
        return clashes_ && (lanes::match<L::kTags>(line.tags, tag) & ((1U << line.count) - 1)) != 0;
    }
    [[nodiscard]] bool needs_chunk(const PriceLevel& level, OrderTag tag) const {
        if (level.last_chunk == 0) return level.count == PriceLevel::kTags || clash(level, tag);
        const QueueChunk& last = chunk(level.last_chunk);
        return last.count == QueueChunk::kTags || clash(last, tag);
    }

    [[nodiscard, gnu::noinline]] bool join_chunk(LevelSlot slot, PriceLevel& level, OrderTag tag, Joined& joined) {
        const bool appends = needs_chunk(level, tag);
        if (appends && chunks_ == chunks_max_) return false;
        joined.alone = false;
        if (level.last_chunk == 0) {
            joined.alone = level.count == 0;
            joined.ahead = level.tags[(level.count + PriceLevel::kTags - 1) % PriceLevel::kTags];
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
        ++chunks_;
        const std::uint32_t line = take_line();
        QueueChunk& added = chunk(line);
        added.level = slot;
        added.count = 0;
        if (level.last_chunk == 0) {
            added.ahead = added.behind = line;
        } else {
            QueueChunk& last = chunk(level.last_chunk);
            added.ahead = level.last_chunk;
            added.behind = last.behind;
            chunk(last.behind).ahead = line;
            last.behind = line;
        }
        level.last_chunk = line;
    }

    [[gnu::noinline]] void leave_chunk(std::uint32_t line, OrderTag tag, Left& left) {
        QueueChunk& at_chunk = lines_[line].chunk;
        PriceLevel& level = lines_[at_chunk.level].level;
        const std::uint32_t at = place_of<QueueChunk>(at_chunk.tags, tag);
        left = {at > 0, at + 1 < at_chunk.count, at_chunk.tags[at > 0 ? at - 1 : 0],
                at_chunk.tags[(at + 1) % QueueChunk::kTags]};
        const bool is_last = level.last_chunk == line;
        if (!left.has_ahead) {
            const QueueChunk& ahead = chunk(at_chunk.ahead);
            if (at_chunk.ahead != level.last_chunk) {  // not the first of the ring
                left.has_ahead = true;
                left.ahead = ahead.tags[ahead.count - 1];
            } else if (level.count > 0) {
                left.has_ahead = true;
                left.ahead = level.tags[level.count - 1];
            }
        }
        if (!left.has_behind && !is_last) {
            left.has_behind = true;
            left.behind = chunk(at_chunk.behind).tags[0];
        }
        lanes::close_gap<QueueChunk::kTags>(at_chunk.tags, at);
        if (--at_chunk.count == 0) remove_chunk(line, level);
    }

    void remove_chunk(std::uint32_t line, PriceLevel& level) {
        const QueueChunk& gone = lines_[line].chunk;
        if (gone.behind == line) {
            level.last_chunk = 0;
        } else {
            chunk(gone.ahead).behind = gone.behind;
            chunk(gone.behind).ahead = gone.ahead;
            if (level.last_chunk == line) level.last_chunk = gone.ahead;
        }
        --chunks_;
        give_back_line(line);
    }

    [[nodiscard]] std::uint32_t take_line() {
        if (free_ == 0) return fresh_++;
        const std::uint32_t line = free_;
        free_ = lines_[line].chunk.behind;
        return line;
    }
    void give_back_line(std::uint32_t line) {
        lines_[line].chunk.behind = free_;
        free_ = line;
    }

    static constexpr std::uint16_t kLeftOutMax = 0xffff;
    static constexpr std::uint32_t kFirstPair = 2;  // lines before it: none, since 0 is no level

    std::uint32_t levels_max_;
    std::uint32_t spare_levels_max_;
    std::uint32_t chunks_max_;
    std::uint32_t paired_lines_;
    std::uint32_t levels_ = 0;
    std::uint32_t spare_levels_ = 0;
    std::uint32_t chunks_ = 0;
    std::uint32_t free_;   // chain of spare lines given back, through chunk.behind
    std::uint32_t fresh_;  // lines from here on were never used
    bool clashes_ = false;
    PagedArray<Line> lines_;
};

}  // namespace millrace
