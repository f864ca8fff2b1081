// The handler of a feed's session: DBN records of the callbacks, and the feed's own events.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "events.hpp"
#include "millrace/feed/handler.hpp"
#include "millrace/feed/streams/dbn/record_maker.hpp"

namespace millrace::python {

// Hands records to `sink`, each instrument's name before its first record.
template <class Sink>
class NamingSink {
  public:
    NamingSink(std::uint32_t instruments, Sink& sink) : sink_(sink), named_(instruments) {}

    void on_record(const dbn::MadeRecord& record, const Symbol& symbol,
                   std::span<const std::uint8_t> bytes) {
        name(record.instrument, symbol);
        sink_.on_record(bytes);
    }
    void on_packet_end() {}

    void name(InstrumentId instrument, const Symbol& symbol) {
        if (named_[value(instrument)]) return;
        named_[value(instrument)] = true;
        sink_.on_instrument(dbn::RecordMaker::id_of(instrument), symbol);
    }
    template <dbn::Record M>
    void put(const M& record) {
        sink_.on_record({reinterpret_cast<const std::uint8_t*>(&record), sizeof(record)});
    }

  private:
    Sink& sink_;
    std::vector<bool> named_;  // by instrument
};

// `sink` is borrowed; it gets on_record(bytes) in order and on_instrument(number, symbol).
template <class Sink>
class ChannelHandler {
  public:
    ChannelHandler(const dbn::MakerConfig& config, Sink& sink)
        : publisher_(config.venue.publisher), sink_(config.instruments, sink),
          maker_(config, sink_) {}

    void on_book(const OrderBook& book, const BookUpdate& update) { maker_.on_book(book, update); }
    void on_trade(const OrderBook& book, const Trade& trade) { maker_.on_trade(book, trade); }
    void on_status(const OrderBook& book, const TradingStatus& status) {
        maker_.on_status(book, status);
    }
    void on_imbalance(const OrderBook& book, const Imbalance& imbalance) {
        maker_.on_imbalance(book, imbalance);
    }
    void on_instrument(const OrderBook& book, const InstrumentDetails& details) {
        maker_.on_instrument(book, details);
    }
    void on_packet_end() { maker_.on_packet_end(); }

    void on_gap(SequenceRange missing) {
        sink_.put(gap_event(publisher_, 0, missing.first, missing.last));
    }
    void on_quality(const OrderBook& book, Quality quality) {
        sink_.name(book.instrument(), book.symbol());
        const std::uint32_t instrument = dbn::RecordMaker::id_of(book.instrument());
        sink_.put(quality_event(publisher_, instrument, book, quality));
    }

    // Told by the source, not by a session.
    void on_reconnect(LineId line, std::uint64_t count) {
        auto event = dbn::make<ReconnectEvent>(dbn::Rtype{kReconnectType});
        event.publisher_id.set(publisher_);
        event.count.set(count);
        event.line.set(line);
        sink_.put(event);
    }

  private:
    std::uint16_t publisher_;
    NamingSink<Sink> sink_;
    dbn::DbnMaker<NamingSink<Sink>> maker_;
};

}  // namespace millrace::python
