// What producers of all sources of packets do with a session of a venue.
#pragma once

#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "channel_handler.hpp"
#include "session_producer.hpp"

namespace millrace::python {

template <class Venue>
class VenueProducer : public SessionProducer<Venue, ChannelHandler<VenueProducer<Venue>>> {
  public:
    using Handler = ChannelHandler<VenueProducer>;
    using VenueSession = Session<Venue, Handler>;

    explicit VenueProducer(const SourceOptions& options)
        : start_(options.start), end_(options.end), date_(options.date) {}

    [[nodiscard]] std::string dataset() const override {
        return std::string(dbn::traits_of<Venue>().dataset);
    }

    // ---- the handler's sink ----

    void on_record(std::span<const std::uint8_t> record) {
        if ((before_start_ || by_event_time_) && !is_event(record) && !in_time(record)) return;
        this->append(record);
    }
    void on_instrument(std::uint32_t instrument, const Symbol& symbol) {
        this->symbol_table().add(instrument, symbol);
    }

  protected:
    // Made when the feed starts, since only then it is known which schemas are wanted.
    [[nodiscard]] Handler& make_handler(std::uint32_t instruments) {
        dbn::MakerConfig config;
        config.schemas = {};
        for (const std::string& schema : this->schemas()) {
            const dbn::SchemaInfo* info = dbn::schema_named(schema);
            MILLRACE_VERIFY(info != nullptr);
            config.schemas.add(info->schema);
        }
        config.venue = dbn::traits_of<Venue>();
        config.date = date_;
        config.instruments = instruments;
        this->symbol_table().reserve(instruments);
        handler_ = std::make_unique<Handler>(config, *this);
        return *handler_;
    }
    void tell_reconnect(LineId line, std::uint64_t count) { handler_->on_reconnect(line, count); }

    // Records before the start time are left out; books are made all the same.
    void set_time(Timestamp received_at) {
        before_start_ = received_at < start_;
        this->snap(received_at);
    }
    // For sources without receive times: records are told apart by their own time.
    void use_event_time() {
        by_event_time_ = start_ != std::numeric_limits<Timestamp>::min() ||
                         end_ != std::numeric_limits<Timestamp>::max();
    }
    // Whether a packet may be handled together with an earlier one, for which set_time() was called.
    [[nodiscard]] bool alike(Timestamp earlier, Timestamp received_at) const {
        return (earlier < start_) == (received_at < start_) && !past_end(received_at) &&
               !this->must_snap(received_at);
    }
    [[nodiscard]] bool past_end(Timestamp received_at) const { return received_at >= end_; }

  private:
    // The feed's own events are told before the start as well.
    [[nodiscard]] static bool is_event(std::span<const std::uint8_t> record) {
        return is_event_type(record[1]);
    }
    [[nodiscard]] bool in_time(std::span<const std::uint8_t> record) const {
        if (!by_event_time_) return !before_start_;
        std::int64_t event_at = 0;
        std::memcpy(&event_at, record.data() + 8, sizeof(event_at));
        return event_at >= start_ && event_at < end_;
    }

    Timestamp start_;
    Timestamp end_;
    std::uint32_t date_;
    bool before_start_ = false;
    bool by_event_time_ = false;
    std::unique_ptr<Handler> handler_;
};

// What a replay drives instead of the session: the session, and between packets the producer's own
// work.
template <class Venue, class Source>
class Driven {
  public:
    explicit Driven(Source& source) : source_(source) {}

    void on_packets(std::span<const Packet> packets) { source_.on_packets(packets); }
    std::optional<RecoveryRequest> next_request(Timestamp now)
        requires requires(Source& s) { s.next_request(now); }
    {
        return source_.next_request(now);
    }
    void on_records(SequenceNumber first, std::uint32_t count,
                    std::span<const std::uint8_t> blocks, Timestamp received_at)
        requires WalksRecords<typename Venue::Framing>
    {
        source_.on_records(first, count, blocks, received_at);
    }
    void finish() { source_.on_finish(); }

  private:
    Source& source_;
};

}  // namespace millrace::python
