// Turns a handler's callbacks into DBN records, for a chosen set of schemas.
//
// RecordMaker collects the records of one packet, since only its end tells which record is the last
// of its instrument's event (DBN's flag "last"); DbnMaker hands them to a sink. Nothing allocates
// after construction.
//
// What becomes of a message (fact sheet, section 11): an add is A; an execution is T, F, C, without
// T when it is not to be printed; a partial cancel is C with what was taken off; a removal is C with
// what was left; a replacement is C and A; a hidden trade or an auction is T without side. MBP
// records show the book at the end of the packet, one for each instrument whose levels changed, and
// before each trade the book as it was.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <vector>

#include "millrace/feed/handler.hpp"
#include "millrace/feed/streams/dbn/layouts.hpp"
#include "millrace/feed/streams/dbn/records.hpp"
#include "millrace/feed/streams/dbn/venue_traits.hpp"

namespace millrace::dbn {

// A set of schemas.
class SchemaSet {
  public:
    constexpr SchemaSet() = default;
    constexpr SchemaSet(std::initializer_list<Schema> schemas) {
        for (const Schema schema : schemas) add(schema);
    }
    constexpr void add(Schema schema) { bits_ |= std::uint32_t{1} << static_cast<unsigned>(schema); }
    [[nodiscard]] constexpr bool has(Schema schema) const {
        return (bits_ >> static_cast<unsigned>(schema) & 1) != 0;
    }
    [[nodiscard]] constexpr bool empty() const { return bits_ == 0; }
    [[nodiscard]] constexpr int size() const { return std::popcount(bits_); }
    // The only one, or `mixed`.
    [[nodiscard]] constexpr Schema schema() const {
        return size() == 1 ? static_cast<Schema>(std::countr_zero(bits_)) : Schema::mixed;
    }

  private:
    std::uint32_t bits_ = 0;
};

// The schemas that can be made of callbacks.
inline constexpr SchemaSet kMadeSchemas{Schema::mbo,        Schema::trades, Schema::tbbo,
                                        Schema::mbp_1,      Schema::mbp_10, Schema::status,
                                        Schema::definition, Schema::imbalance, Schema::statistics};

struct MakerConfig {
    SchemaSet schemas{Schema::mbo};
    VenueTraits venue;
    std::uint32_t date = 0;          // YYYYMMDD, where there are no receive times; 0: none
    std::uint32_t instruments = 10'000;  // as many as the session has room for
};

// A finished record and where it comes from.
struct MadeRecord {
    InstrumentId instrument{};
    std::uint32_t offset = 0;  // in the packet's bytes
    std::uint16_t size = 0;
    Quality quality = Quality::live;
    std::uint64_t sequence = 0;
};

class RecordMaker {
  public:
    explicit RecordMaker(const MakerConfig& config);

    void on_book(const OrderBook& book, const BookUpdate& update);
    void on_trade(const OrderBook& book, const millrace::Trade& trade);
    void on_status(const OrderBook& book, const TradingStatus& status);
    void on_imbalance(const OrderBook& book, const millrace::Imbalance& imbalance);
    void on_instrument(const OrderBook& book, const InstrumentDetails& details);

    // Ends the event: adds what shows the book as it is now, and marks the last records.
    void finish_packet();
    // What finish_packet() left; valid until the next callback.
    [[nodiscard]] std::span<const MadeRecord> records() const { return records_; }
    [[nodiscard]] std::span<const std::uint8_t> bytes(const MadeRecord& record) const {
        return {&bytes_[record.offset], record.size};
    }
    void clear();

    // True when the packet's records may not all fit any more; then it must be finished early.
    [[nodiscard]] bool nearly_full() const { return used_ + kReserve > kCapacity; }
    // Without receive times each message is an event of its own.
    [[nodiscard]] bool starts_event(const EventHeader& header) const {
        return header.received_at == 0 && !records_.empty() &&
               records_.back().sequence != header.sequence;
    }

    // The id that stands for an instrument in the records: its number in the feed, from 1.
    [[nodiscard]] static constexpr std::uint32_t id_of(InstrumentId instrument) {
        return value(instrument) + 1;
    }

  private:
    static constexpr std::size_t kLevels = 10;
    static constexpr std::size_t kCapacity = std::size_t{4} << 20;
    static constexpr std::size_t kReserve = 64 * 1024;

    // What an MBP record says was done.
    struct LevelChange {
        char action = 'N';
        char side = 'N';
        std::uint8_t depth = 0;
        std::int64_t price = kUndefPrice;
        std::uint32_t size = 0;
    };
    struct Instrument {
        bool seen = false;
        bool changed_top = false;     // since the last MBP-1 record
        bool changed_levels = false;  // since the last MBP-10 record
        LevelChange change_top;
        LevelChange change_levels;
        EventHeader last;  // of the message that changed them
        Quality quality = Quality::live;
    };
    using Levels = std::array<Level, kLevels>;

    [[nodiscard]] bool wants(Schema schema) const { return config_.schemas.has(schema); }
    [[nodiscard]] bool wants_levels() const {
        return wants(Schema::mbp_1) || wants(Schema::mbp_10) || wants(Schema::tbbo);
    }
    void begin(const OrderBook& book, const EventHeader& header);
    void first_sight(const OrderBook& book, const EventHeader& header);
    template <Record M>
    [[nodiscard]] M start(const OrderBook& book, const EventHeader& header, Rtype rtype);
    template <Record M>
    void stamp(M& record, const EventHeader& header);
    template <Record M>
    void put(const M& record, InstrumentId instrument, Quality quality, SequenceNumber sequence);
    template <Record M>
    void put(const M& record, const OrderBook& book, const EventHeader& header) {
        put(record, book.instrument(), book.quality(), header.sequence);
    }

    void put_mbo(const OrderBook& book, const EventHeader& header, char action, char side,
                 OrderId order, std::int64_t price, std::uint32_t size);
    void put_book_update(const OrderBook& book, const BookUpdate& update);
    void note_levels(const OrderBook& book, const BookUpdate& update);
    void put_trade_levels(const OrderBook& book, const millrace::Trade& trade, char side);
    void put_cross_statistics(const OrderBook& book, const millrace::Trade& trade);
    template <Record M>
    void put_levels(std::uint32_t number, const LevelChange& change, Rtype rtype);
    void mark_last();

    MakerConfig config_;
    MarketClock clock_;
    bool has_receive_time_ = false;
    Timestamp event_at_ = 0;    // of the present message, UTC
    Timestamp receive_at_ = 0;  // likewise
    std::vector<Instrument> instruments_;
    std::vector<Levels> levels_;          // as last shown, by instrument; where records show them
    std::vector<std::uint32_t> changed_;  // numbers of those with changed levels, in order
    std::unique_ptr<std::uint8_t[]> bytes_;  // kCapacity; the packet's records
    std::size_t used_ = 0;                   // of them
    std::vector<MadeRecord> records_;
    // Number of the packet that last marked a record of this instrument and kind, for mark_last().
    std::vector<std::array<std::uint64_t, 8>> marked_;
    std::uint64_t packet_ = 0;
};

template <class S>
concept RecordSink = requires(S& sink, const MadeRecord& record, const Symbol& symbol,
                              std::span<const std::uint8_t> bytes) {
    sink.on_record(record, symbol, bytes);
    sink.on_packet_end();
};

// The handler: a session's callbacks in, DBN records out to `sink`, which is borrowed.
template <RecordSink Sink>
class DbnMaker {
  public:
    DbnMaker(const MakerConfig& config, Sink& sink)
        : maker_(config), sink_(sink), symbols_(config.instruments) {}

    void on_book(const OrderBook& book, const BookUpdate& update) {
        before(book, update);
        maker_.on_book(book, update);
    }
    void on_trade(const OrderBook& book, const millrace::Trade& trade) {
        before(book, trade);
        maker_.on_trade(book, trade);
    }
    void on_status(const OrderBook& book, const TradingStatus& status) {
        before(book, status);
        maker_.on_status(book, status);
    }
    void on_imbalance(const OrderBook& book, const millrace::Imbalance& imbalance) {
        before(book, imbalance);
        maker_.on_imbalance(book, imbalance);
    }
    void on_instrument(const OrderBook& book, const InstrumentDetails& details) {
        before(book, details);
        maker_.on_instrument(book, details);
    }
    // The records carry their book's quality in their flags.
    void on_quality(const OrderBook&, Quality) {}
    void on_gap(SequenceRange) {}

    // All messages of a packet have been applied.
    void on_packet_end() { flush(); }

    [[nodiscard]] Sink& sink() { return sink_; }

  private:
    void before(const OrderBook& book, const EventHeader& header) {
        if (maker_.starts_event(header) || maker_.nearly_full()) flush();
        symbols_[value(book.instrument())] = &book.symbol();
    }
    void flush() {
        maker_.finish_packet();
        for (const MadeRecord& record : maker_.records()) {
            sink_.on_record(record, *symbols_[value(record.instrument)], maker_.bytes(record));
        }
        if (!maker_.records().empty()) sink_.on_packet_end();
        maker_.clear();
    }

    RecordMaker maker_;
    Sink& sink_;
    std::vector<const Symbol*> symbols_;  // by instrument; books stay where they are
};

}  // namespace millrace::dbn
