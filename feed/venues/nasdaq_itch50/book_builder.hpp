// What TotalView-ITCH 5.0 messages do to books (specification sections 4.1 to 4.9: add, modify, trade).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <utility>

#include "millrace/core/paged_array.hpp"
#include "millrace/core/planted.hpp"
#include "millrace/feed/book_context.hpp"
#include "millrace/feed/session.hpp"
#include "millrace/feed/venues/nasdaq_itch50/messages.hpp"

namespace millrace::venues::itch50 {

template <BookHandler Handler>
class BookBuilder {
    using Bytes = std::span<const std::uint8_t>;

  public:
    static constexpr PriceScale kScale{4};
    static constexpr BookDetail kDetail = detail_of<Handler>();

    explicit BookBuilder(BookContext<Handler>& context) : context_(context), by_locate_(65536) {}

    // Where an add was seen to have its level.
    struct Hint {
        LevelSlot level = kNoLevel;
    };
    // Looking ahead (see BookStore) at all messages of a window: a step for all of them before the next one,
    // and each kind of message in a loop of its own, so that no branch depends on what comes next.
    void look_ahead(std::span<const Bytes> window, std::span<Hint> hints) {
        if (window.size() < 2) {
            if (!window.empty()) look_at_one(window[0], hints[0]);
            return;
        }
        const BookStore& store = context_.store();
        seen_.sort(window, by_locate_.data(), store);
        const std::array adds{seen_.of(Kind::add, false), seen_.of(Kind::add, true)};
        const std::span<SeenOrder> young = seen_.of(Kind::change, false);
        const std::span<SeenOrder> old = seen_.of(Kind::change, true);
        for (const std::span<SeenOrder> some : adds) {
            for (SeenOrder& add : some) {
                const Bytes m = window[add.message];
                store.look_at_book(*add.book);
                add.guess = store.look_at_level(*add.book, side_of(m), price_of(m));
            }
        }
        for (const SeenOrder& add : adds[1]) store.look_at_old_order(add.id);
        for (const SeenOrder& change : young) {
            store.look_at_young_order(change.id);
            store.look_at_book(*change.book);
        }
        for (const SeenOrder& change : old) {
            store.look_at_old_order(change.id);
            store.look_at_book(*change.book);
        }
        for (SeenOrder& change : young) change.where = store.look_for_young_order(change.id);
        for (SeenOrder& change : old) change.where = store.look_for_old_order(change.id);
        for (const std::span<SeenOrder> some : adds) {
            for (SeenOrder& add : some) {
                add.where = store.look_for_level(add.guess);
                hints[add.message].level = add.where;
            }
        }
        for (const SeenOrder& change : young) store.template look_behind_order<kDetail>(*change.book, change.where);
        for (const SeenOrder& change : old) store.template look_behind_order<kDetail>(*change.book, change.where);
        if constexpr (kDetail == BookDetail::full) {
            for (const std::span<SeenOrder> some : adds) {
                for (const SeenOrder& add : some) store.look_behind_level(add.where);
            }
        }
    }

    [[nodiscard, gnu::always_inline]] inline Applied apply(Bytes m, const Hint& hint) {
        if (m.empty()) return Applied::malformed;
        switch (static_cast<char>(m[0])) {
            case AddOrder::kType: return with<AddOrder>(m, hint);
            case AddOrderMpid::kType: return with<AddOrderMpid>(m, hint);
            case OrderExecuted::kType: return with<OrderExecuted>(m);
            case OrderExecutedWithPrice::kType: return with<OrderExecutedWithPrice>(m);
            case OrderCancel::kType: return with<OrderCancel>(m);
            case OrderDelete::kType: return with<OrderDelete>(m);
            case OrderReplace::kType: return with<OrderReplace>(m);
            case Trade::kType: return with<Trade>(m);
            case CrossTrade::kType: return with<CrossTrade>(m);
            case BrokenTrade::kType: return with<BrokenTrade>(m);
            case StockDirectory::kType: return with<StockDirectory>(m);
            case StockTradingAction::kType: return with<StockTradingAction>(m);
            case RegShoRestriction::kType: return with<RegShoRestriction>(m);
            case OperationalHalt::kType: return with<OperationalHalt>(m);
            case Noii::kType: return with<Noii>(m);
            default: return apply_other(m);
        }
    }

    // Which instrument a message is about, as far as its locate tells: a key of 0 may be about any, since the
    // message is about the market, or says what a locate stands for.
    [[nodiscard]] static std::uint16_t key_of(Bytes m) {
        if (m.size() < kLocateEnd || static_cast<char>(m[0]) == StockDirectory::kType) return 0;
        return wire::u16be{{m[1], m[2]}}.value();
    }
    // Null where the instrument has no book, because nobody wants it, or because it has not been named yet.
    [[nodiscard]] OrderBook* book_of_key(std::uint16_t key) const {
        const std::uint32_t entry = by_locate_[key];
        return entry < kFirstBook ? nullptr : &book_of(entry);
    }
    [[nodiscard]] bool is_named(std::uint16_t key) const { return by_locate_[key] != kUnnamed; }
    [[nodiscard]] OrderBook* book_named_by(Bytes m) const {
        return m.size() < kLocateEnd ? nullptr : book_of_key(wire::u16be{{m[1], m[2]}}.value());
    }
    // Whether a message gives a book's locate to another instrument.
    [[nodiscard]] bool renames(Bytes m) const {
        const bool names = m.size() >= sizeof(StockDirectory) && static_cast<char>(m[0]) == StockDirectory::kType;
        return names && renames(wire::view<StockDirectory>(m));
    }

    // A new session assigns its locates afresh.
    void reset() {
        for (std::size_t i = 0; i < by_locate_.size(); ++i) by_locate_[i] = kUnnamed;
    }

    // Calls `see(locate, book)` for every locate that stands for a book, in ascending order.
    template <class See>
    void for_each_instrument(See&& see) const {
        for (std::uint32_t locate = 0; locate < by_locate_.size(); ++locate) {
            if (by_locate_[locate] >= kFirstBook) see(locate, std::as_const(book_of(by_locate_[locate])));
        }
    }

  private:
    // What by_locate_ holds: nothing known, a symbol nobody wants, or a book's number + kFirstBook.
    static constexpr std::uint32_t kUnnamed = 0;
    static constexpr std::uint32_t kUnwanted = 1;
    static constexpr std::uint32_t kFirstBook = 2;
    static constexpr std::size_t kLocateEnd = 3;      // type and locate

    // A message alone: what it needs is at least fetched at once.
    void look_at_one(Bytes bytes, Hint& hint) const {
        hint = {};
        if (bytes.size() < sizeof(OrderDelete)) return;
        const auto& m = wire::view<OrderDelete>(bytes);
        const Look look = kLooks[bytes[0]];
        const std::uint32_t entry = by_locate_[m.stock_locate.value()];
        if (look.kind == Kind::other || entry < kFirstBook || bytes.size() < look.bytes) return;
        const BookStore& store = context_.store();
        const OrderBook& book = book_of(entry);
        store.look_at_book(book);
        store.look_at_order(OrderId{m.order_reference.value()});
        if (look.kind != Kind::add) return;
        hint.level = store.look_for_level(store.look_at_level(book, side_of(bytes), price_of(bytes)));
    }

    // What looking ahead makes of a message, by its type, and how long that has to be for it.
    enum class Kind : std::uint8_t { other, add, change };
    struct Look {
        Kind kind = Kind::other;
        std::uint8_t bytes = 0;
    };
    static constexpr auto kLooks = [] {
        std::array<Look, 256> looks{};
        for (const char type : {AddOrder::kType, AddOrderMpid::kType}) {
            looks[static_cast<unsigned char>(type)] = {Kind::add, sizeof(AddOrder)};
        }
        for (const char type : {OrderExecuted::kType, OrderExecutedWithPrice::kType, OrderCancel::kType,
                                OrderDelete::kType, OrderReplace::kType}) {
            looks[static_cast<unsigned char>(type)] = {Kind::change, sizeof(OrderDelete)};
        }
        return looks;
    }();

    // An add, or a message that changes an order, of an instrument that has a book.
    struct SeenOrder {
        OrderId id;
        const OrderBook* book;
        const LevelSlot* guess;  // of an add: what the first step finds
        std::uint32_t where;     // level, chunk or none: what the second step finds
        std::uint32_t message;   // its place in the window
    };
    // Those of a window, by kind. What all of them have a deletion has, which is the shortest. Kept by the builder,
    // since a stack would have to grow for it.
    class Seen {
      public:
        void sort(std::span<const Bytes> window, const std::uint32_t* by_locate, const BookStore& store) {
            for (std::size_t at = 0; at < orders_.size(); ++at) ends_[at] = orders_[at].data();
            const OrderBook* const books = store.books().data();
            std::uint32_t message = 0;
            for (const Bytes bytes : window) {
                const std::uint32_t number = message++;
                if (bytes.size() < sizeof(OrderDelete)) [[unlikely]] continue;
                const auto& m = wire::view<OrderDelete>(bytes);
                const Look look = kLooks[bytes[0]];
                const OrderId id{m.order_reference.value()};
                const std::uint32_t entry = by_locate[m.stock_locate.value()];
                const bool wanted = (entry >= kFirstBook) & (bytes.size() >= look.bytes);
                SeenOrder*& end = ends_[place_of(look.kind, !store.may_be_young(id))];
                end->id = id;
                end->book = books + (entry >= kFirstBook ? entry - kFirstBook : 0);
                end->message = number;
                end += static_cast<std::ptrdiff_t>(wanted);
            }
        }
        // Those whose order is in the table if it rests, or else may be a young one.
        [[nodiscard]] std::span<SeenOrder> of(Kind kind, bool old) {
            const std::size_t at = place_of(kind, old);
            return {orders_[at].data(), ends_[at]};
        }

      private:
        [[nodiscard]] static std::size_t place_of(Kind kind, bool old) {
            return 2 * static_cast<std::size_t>(kind) + static_cast<std::size_t>(old);
        }

        std::array<std::array<SeenOrder, kLookRoom>, 6> orders_{};
        std::array<SeenOrder*, 6> ends_{};
    };

    [[nodiscard]] static Side side_of(Bytes add) { return side_of(wire::view<AddOrder>(add).side.value()); }
    [[nodiscard]] static Price price_of(Bytes add) { return Price{wire::view<AddOrder>(add).price.value()}; }
    [[nodiscard]] static Side side_of(char code) { return code == 'B' ? Side::bid : Side::ask; }
    [[nodiscard]] static bool is_side(char code) {
        // By a bit of each, since a branch could not predict which of the two it is.
        const auto at = static_cast<unsigned char>(code - 'B');
        constexpr std::uint32_t kSides = 1U | 1U << ('S' - 'B');
        return (at < 32 && (kSides >> at & 1) != 0) || planted(Bug::any_side_is_ask);
    }
    static constexpr std::uint32_t kPriceMax = 2'000'000'000;  // 200,000.0000: section 3, "Price (4)"
    [[nodiscard]] OrderBook& book_of(std::uint32_t entry) const {
        return context_.store().books()[entry - kFirstBook];
    }

    // A function for each kind of message, so that the registers of one are not those of all.
    template <wire::Message M, class... Hints>
    [[nodiscard, gnu::noinline]] Applied with(Bytes bytes, const Hints&... hints) {
        if (bytes.size() < sizeof(M)) return Applied::malformed;
        const M& m = wire::view<M>(bytes);
        context_.header.exchange_time = m.time();
        return on(m, hints...);
    }

    // Runs `apply(book)` on the book of a locate, or says why there is none.
    template <class Apply>
    [[nodiscard, gnu::always_inline]] Applied with_book(std::uint16_t locate, Apply&& apply) {
        const std::uint32_t entry = by_locate_[locate];
        if (entry >= kFirstBook) [[likely]] {
            apply(book_of(entry));
            return Applied::delivered;
        }
        if (entry == kUnwanted) return Applied::filtered;
        context_.fault(FaultCounter::unknown_instrument);
        return Applied::delivered;
    }
    // The same for messages that spell out their symbol, which names a locate the directory has not.
    template <class M, class Apply>
    [[nodiscard, gnu::always_inline]] Applied with_named_book(const M& m, Apply&& apply) {
        const std::uint16_t locate = m.stock_locate.value();
        if (by_locate_[locate] == kUnnamed) name(locate, m.stock.value());
        return with_book(locate, apply);
    }
    [[nodiscard]] bool renames(const StockDirectory& m) const {
        const OrderBook* book = book_of_key(m.stock_locate.value());
        return book != nullptr && book->symbol() != Symbol(m.stock.value());
    }
    void name(std::uint16_t locate, std::string_view symbol) {
        if (symbol.empty()) return;
        const OrderBook* book = context_.open_book(symbol, kDetail == BookDetail::full ? BookDepth::orders : BookDepth::levels,
                                                     kScale);
        by_locate_[locate] = book == nullptr ? kUnwanted : value(book->instrument()) + kFirstBook;
    }

    template <class M>
    [[nodiscard]] Applied add(const M& m, const Hint& hint) {
        if (!is_side(m.side.value()) || m.price.value() > kPriceMax) return Applied::malformed;
        return with_named_book(m, [&](OrderBook& book) __attribute__((always_inline)) {
            BookChange change;
            const OrderId id{m.order_reference.value()};
            const BookStatus status = context_.store().template add<kDetail>(book, id, side_of(m.side.value()),
                                                           Price{m.price.value()}, m.shares.value(), change,
                                                           hint.level);
            if (status == BookStatus::ok) context_.update(book, BookAction::add, id, change);
            else context_.fault(book, status);
        });
    }
    [[nodiscard]] Applied on(const AddOrder& m, const Hint& hint) { return add(m, hint); }
    [[nodiscard]] Applied on(const AddOrderMpid& m, const Hint& hint) { return add(m, hint); }

    // An execution: the trade first, so that the last event of a message is the change of the book.
    void execute(OrderBook& book, OrderId id, Quantity shares, millrace::Trade trade) {
        BookChange change;
        if (!trade.printable && planted(Bug::unprinted_execution_ignored)) return;
        const BookStatus status = context_.store().template reduce<kDetail>(book, id, shares, change);
        if (status != BookStatus::ok) return context_.fault(book, status);
        if (shares == 100 && planted(Bug::execution_twice)) {
            static_cast<void>(context_.store().template reduce<kDetail>(book, id, shares, change));
        }
        trade.side = planted(Bug::trade_side_flipped) ? opposite(change.side) : change.side;
        trade.order = id;
        trade.quantity = shares;
        if (trade.kind == TradeKind::execution) trade.price = change.price;
        context_.trade(book, trade);
        context_.update(book, BookAction::execute, id, change);
    }
    [[nodiscard]] Applied on(const OrderExecuted& m) {
        return with_book(m.stock_locate.value(), [&](OrderBook& book) {
            millrace::Trade trade;
            trade.match_number = m.match_number.value();
            execute(book, OrderId{m.order_reference.value()}, m.executed_shares.value(), trade);
        });
    }
    [[nodiscard]] Applied on(const OrderExecutedWithPrice& m) {
        return with_book(m.stock_locate.value(), [&](OrderBook& book) {
            millrace::Trade trade;
            trade.kind = TradeKind::priced;
            trade.price = Price{m.execution_price.value()};
            trade.printable = m.printable.value() == 'Y' || planted(Bug::printable_ignored);
            trade.match_number = m.match_number.value();
            execute(book, OrderId{m.order_reference.value()}, m.executed_shares.value(), trade);
        });
    }

    [[nodiscard]] Applied on(const OrderCancel& m) {
        return with_book(m.stock_locate.value(), [&](OrderBook& book) {
            BookChange change;
            const OrderId id{m.order_reference.value()};
            Quantity shares = m.cancelled_shares.value();
            if (planted(Bug::cancel_sets)) shares = book.find(id).value_or(Order{}).quantity - shares;
            const BookStatus status = context_.store().template reduce<kDetail>(book, id, shares, change);
            if (status == BookStatus::ok) context_.update(book, BookAction::reduce, id, change);
            else context_.fault(book, status);
        });
    }
    [[nodiscard]] Applied on(const OrderDelete& m) {
        return with_book(m.stock_locate.value(), [&](OrderBook& book) __attribute__((always_inline)) {
            BookChange change;
            const OrderId id{m.order_reference.value()};
            const BookStatus status = context_.store().template remove<kDetail>(book, id, change);
            if (status == BookStatus::ok) context_.update(book, BookAction::remove, id, change);
            else context_.fault(book, status);
        });
    }
    [[nodiscard]] Applied on(const OrderReplace& m) {
        if (m.new_price.value() > kPriceMax) return Applied::malformed;
        return with_book(m.stock_locate.value(), [&](OrderBook& book) {
            BookChange removed;
            BookChange added;
            const OrderId id{m.original_order_reference.value()};
            const OrderId new_id{m.new_order_reference.value()};
            const BookStatus status = context_.store().template replace<kDetail>(book, id, new_id, Price{m.new_price.value()},
                                                               m.new_shares.value(), removed, added);
            if (status == BookStatus::ok) context_.replaced(book, id, removed, new_id, added);
            else context_.fault(book, status);
        });
    }

    [[nodiscard]] Applied on(const Trade& m) {
        return with_named_book(m, [&](OrderBook& book) {
            millrace::Trade trade;
            trade.kind = TradeKind::hidden;
            trade.side = side_of(m.side.value());
            trade.price = Price{m.price.value()};
            trade.quantity = m.shares.value();
            trade.match_number = m.match_number.value();
            context_.trade(book, trade);
        });
    }
    [[nodiscard]] Applied on(const CrossTrade& m) {
        return with_named_book(m, [&](OrderBook& book) {
            millrace::Trade trade;
            trade.kind = TradeKind::cross;
            trade.cross_type = m.cross_type.value();
            trade.price = Price{m.cross_price.value()};
            trade.quantity = m.shares.value();
            trade.match_number = m.match_number.value();
            context_.trade(book, trade);
        });
    }
    [[nodiscard]] Applied on(const BrokenTrade& m) {
        return with_book(m.stock_locate.value(), [&](OrderBook& book) {
            millrace::Trade trade;
            trade.kind = TradeKind::broken;
            trade.match_number = m.match_number.value();
            context_.trade(book, trade);
        });
    }

    [[nodiscard]] Applied on(const StockDirectory& m) {
        if (!context_.header.from_snapshot && renames(m)) context_.fault(FaultCounter::renamed_instrument);
        name(m.stock_locate.value(), m.stock.value());
        if (by_locate_[m.stock_locate.value()] == kUnnamed) return Applied::delivered;
        return with_book(m.stock_locate.value(), [&](OrderBook& book) {
            InstrumentDetails details;
            details.venue_id = m.stock_locate.value();
            details.listing_mic = mic_of(m.market_category.value());
            details.round_lot = m.round_lot_size.value();
            details.classification = m.issue_classification.value();
            details.sub_type = m.issue_sub_type.raw;
            context_.instrument(book, details);
        });
    }
    // The market that lists the stock, by its category (specification section 4.2.1).
    [[nodiscard]] static std::string_view mic_of(char category) {
        switch (category) {
            case 'Q':
            case 'G':
            case 'S': return "XNAS";
            case 'N': return "XNYS";
            case 'A': return "XASE";
            case 'P': return "ARCX";
            case 'Z': return "BATS";
            case 'V': return "IEXG";
            default: return {};
        }
    }
    [[nodiscard]] static TradingState state_of(char code) {
        switch (code) {
            case 'T': return TradingState::trading;
            case 'Q': return TradingState::quotation_only;
            case 'P': return TradingState::paused;
            case 'H': return TradingState::halted;
            default: return TradingState::unknown;
        }
    }
    [[nodiscard]] Applied on(const StockTradingAction& m) {
        return with_named_book(m, [&](OrderBook& book) {
            TradingStatus status;
            status.code = m.state.value();
            status.state = state_of(status.code);
            status.reason = m.reason.raw;
            context_.status(book, status);
        });
    }
    [[nodiscard]] Applied on(const RegShoRestriction& m) {
        return report(m, TradingStatus::What::short_sale, m.action.value());
    }
    [[nodiscard]] Applied on(const OperationalHalt& m) {
        return report(m, TradingStatus::What::operational_halt, m.action.value());
    }
    [[nodiscard]] Applied on(const Noii& m) {
        return with_named_book(m, [&](OrderBook& book) {
            Imbalance imbalance;
            imbalance.auction_type = m.cross_type.value();
            imbalance.direction = m.direction.value();
            imbalance.price_variation = m.price_variation.value();
            imbalance.reference_price = Price{m.current_reference_price.value()};
            imbalance.near_price = Price{m.near_price.value()};
            imbalance.far_price = Price{m.far_price.value()};
            imbalance.paired = m.paired_shares.value();
            imbalance.imbalance = m.imbalance_shares.value();
            context_.imbalance(book, imbalance);
        });
    }
    template <class M>
    [[nodiscard]] Applied report(const M& m, TradingStatus::What what, char code) {
        return with_named_book(m, [&](OrderBook& book) {
            TradingStatus status;
            status.what = what;
            status.state = book.trading_state();
            status.code = code;
            context_.status(book, status);
        });
    }

    // Known types that no callback carries yet, and unknown ones.
    [[nodiscard]] Applied apply_other(Bytes m) {
        const wire::MessageLayout* layout = layout_of_type(static_cast<char>(m[0]));
        if (layout == nullptr) return Applied::unknown;
        if (!layout->fits(m)) return Applied::malformed;
        const bool unwanted = by_locate_[wire::view<SystemEvent>(m).stock_locate.value()] == kUnwanted;
        return unwanted ? Applied::filtered : Applied::delivered;
    }

    BookContext<Handler>& context_;
    PagedArray<std::uint32_t> by_locate_;
    Seen seen_;
};

}  // namespace millrace::venues::itch50
