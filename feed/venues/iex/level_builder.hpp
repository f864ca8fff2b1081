// DEEP: what rests at each price. A transaction may take several messages, of which the last one says so;
// until then the book stays as it was, and then all of it is applied before any of it is told.
#pragma once

#include "millrace/core/paged_array.hpp"
#include "millrace/core/planted.hpp"
#include "millrace/feed/venues/iex/notices.hpp"

namespace millrace::venues::iex {

template <BookHandler Handler>
class LevelBuilder : Notices<Handler> {
    using Base = Notices<Handler>;
    using typename Base::Bytes;
    friend Base;

  public:
    explicit LevelBuilder(BookContext<Handler>& context)
        : Base(context, BookDepth::levels), steps_(kStepsMax + 1), pending_(context.store().limits().books) {}

    using Hint = std::uint32_t;  // number of a book
    static constexpr int kLookSteps = 3;
    template <int Step>
    void look_ahead(Bytes m, Hint& hint) const {
        if (m.size() < sizeof(PriceLevelBuyUpdate)) return;
        const SymbolText& symbol = wire::view<PriceLevelBuyUpdate>(m).symbol;
        if (Step == 0) symbols_.prefetch(symbol);
        if (Step == 1) hint = symbols_.find(symbol);
        if (Step == 0 || hint == SymbolIndex::kNoBook) return;
        const BookStore& store = context_.store();
        if (Step == 1) store.look_at_book(store.book_at(hint));
        if (Step == 2) {
            const bool buys = m[0] == PriceLevelBuyUpdate::kType;
            store.look_at_side(store.book_at(hint), buys ? Side::bid : Side::ask);
        }
    }

    [[nodiscard]] Applied apply(Bytes m, Hint) {
        return this->dispatch(*this, m, std::type_identity<DeepMessages>{});
    }

    // What was not complete when the stream ended never will be.
    void reset() {
        Base::reset();
        if (planted(Bug::half_event_survives_session)) return;
        for (std::size_t i = 0; i < pending_.size(); ++i) pending_[i] = {};
        used_ = 0;
        free_ = 0;
    }
    // The same for books that are made anew from a snapshot: `made_anew(book)` tells which.
    template <class MadeAnew>
    void forget_incomplete(MadeAnew&& made_anew) {
        if (planted(Bug::half_event_survives_snapshot)) return;
        for (const OrderBook& book : context_.store().books()) {
            Queue& queue = pending_[value(book.instrument())];
            if (queue.first == 0 || !made_anew(book)) continue;
            steps_[queue.last].next = free_;
            free_ = queue.first;
            queue = {};
        }
    }
    // Nothing more will come: of a book whose transaction is not complete more was said than it shows.
    void finish() {
        for (OrderBook& book : context_.store().books()) {
            if (pending_[value(book.instrument())].first != 0) context_.distrust(book, Quality::recovering);
        }
    }
    using Base::book_named_by;
    using Base::ended;

  private:
    using Base::context_;
    using Base::on;
    using Base::symbols_;

    // Of all transactions at once; a real one has a handful.
    static constexpr std::uint32_t kStepsMax = 16'384;

    struct Step {
        EventHeader header;
        BookChange change;
        std::uint32_t next;  // number of the next step of its transaction, or of the next free one; 0: none
        BookStatus status;
    };
    // The steps of a book's transaction so far, by number, from 1.
    struct Queue {
        std::uint32_t first;
        std::uint32_t last;
    };

    [[nodiscard]] Applied on(const PriceLevelBuyUpdate& m) { return level(m, Side::bid); }
    [[nodiscard]] Applied on(const PriceLevelSellUpdate& m) { return level(m, Side::ask); }
    [[nodiscard]] Applied level(const PriceLevel& m, Side side) {
        return this->with_book(m.symbol, [&](OrderBook& book) {
            const bool complete = (m.second.value() & PriceLevel::kComplete) != 0;
            BookChange change{side, false, price_of(m.price), m.size.value(), 0};
            Queue& queue = pending_[value(book.instrument())];
            const bool each_step = WantsEachStep<Handler> || planted(Bug::half_event_shown);
            if (each_step || (complete && queue.first == 0)) return show_step(book, change, complete);
            if (!hold(queue, change)) {
                // No room to wait for the end: what there is of the transaction is shown as in transit.
                context_.count(FaultCounter::event_split);
                show(book, queue, false);
                return show_step(book, change, complete);
            }
            if (complete) show(book, queue, true);
        });
    }

    // The removal of a level that is not there changes nothing and is no contradiction: IEX sends it, 6 of the 7,105
    // updates of a capture without a gap.
    [[nodiscard]] BookStatus set(OrderBook& book, BookChange& change) {
        return context_.store().set_level(book, change.side, change.price, change.quantity, 0, change);
    }
    void show_step(OrderBook& book, BookChange& change, bool complete) {
        const BookStatus status = set(book, change);
        if (status != BookStatus::ok) return context_.fault(book, status);
        context_.level(book, change, complete, context_.header.sequence);
    }

    [[nodiscard]] bool hold(Queue& queue, const BookChange& change) {
        std::uint32_t number = free_;
        if (number != 0) free_ = steps_[number].next;
        else if (used_ < kStepsMax) number = ++used_;
        else return false;
        steps_[number] = {context_.header, change, 0, BookStatus::ok};
        if (queue.first == 0) queue.first = number;
        else steps_[queue.last].next = number;
        queue.last = number;
        return true;
    }

    // Applies what waited, then tells of it; `complete` when that is the whole transaction.
    void show(OrderBook& book, Queue& queue, bool complete) {
        const EventHeader now = context_.header;
        const bool last_in_packet = context_.last_in_packet;
        const SequenceNumber applied = steps_[queue.last].header.sequence;
        for (std::uint32_t i = queue.first; i != 0; i = steps_[i].next) {
            steps_[i].status = set(book, steps_[i].change);
        }
        for (std::uint32_t i = queue.first; i != 0; i = steps_[i].next) {
            if (steps_[i].status != BookStatus::ok) context_.fault(book, steps_[i].status);
        }
        for (std::uint32_t i = queue.first; i != 0;) {
            Step& step = steps_[i];
            const bool last = i == queue.last;
            context_.header = step.header;
            context_.last_in_packet = last_in_packet && last;
            const SequenceNumber stands_at = planted(Bug::whole_event_stands_behind) ? step.header.sequence : applied;
            if (step.status == BookStatus::ok) context_.level(book, step.change, complete && last, stands_at);
            const std::uint32_t next = step.next;
            step.next = free_;
            free_ = i;
            i = next;
        }
        queue = {};
        context_.header = now;
        context_.last_in_packet = last_in_packet;
    }

    PagedArray<Step> steps_;  // by number
    PagedArray<Queue> pending_;  // by instrument
    std::uint32_t used_ = 0;  // the highest number ever used
    std::uint32_t free_ = 0;
};

}  // namespace millrace::venues::iex
