// Captures, read at full speed or paced, as a feed.
#include <memory>

#include "endpoint_text.hpp"
#include "millrace/feed/venues/venue_list.hpp"
#include "millrace/replay/detect.hpp"
#include "millrace/replay/replayer.hpp"
#include "sources.hpp"
#include "venue_producer.hpp"

namespace millrace::python {

namespace {

// Thrown out of the replayer, between two packets, by a source that is asked to stop or past its
// end.
struct EndOfReplay {};

replay::Replayer open_replayer(const CaptureOptions& options) {
    replay::Replayer::Readers readers;
    for (const std::string& file : options.files) {
        readers.push_back(std::make_unique<replay::CaptureReader>(file));
    }
    replay::ReplayConfig config;
    config.pace = options.pace;
    config.sequential = options.sequential;
    for (const std::string& group : options.groups) {
        config.destinations.push_back(tools::parse_endpoint(group));
    }
    return {std::move(readers), std::move(config)};
}

template <class Venue>
class CaptureProducer final : public VenueProducer<Venue> {
    using Base = VenueProducer<Venue>;
    friend class Driven<Venue, CaptureProducer>;

  public:
    explicit CaptureProducer(const CaptureOptions& options)
        : Base(options), config_(session_config(options)), replayer_(open_replayer(options)) {
        constexpr bool kDayNeeded = dbn::traits_of<Venue>().time_origin != dbn::TimeOrigin::utc;
        if (replayer_.of_records() && kDayNeeded && options.date == 0) {
            throw Error(ExitCode::usage, options.files.front() +
                                             ": BinaryFILE does not tell the day of its messages; "
                                             "give it with date=\"2024-01-31\"");
        }
    }
    ~CaptureProducer() override { this->stop(); }

  protected:
    void run() override {
        session_ = std::make_unique<typename Base::VenueSession>(
            replayer_.session_config(config_), this->make_handler(config_.limits.books));
        if (replayer_.of_records()) this->use_event_time();
        this->set_bytes(0, replayer_.bytes_total());
        // A lockstep consumer may not have asked for anything yet.
        this->wait_between_packets();
        Driven<Venue, CaptureProducer> driven(*this);
        try {
            // Asked between packets, also while a paced replay waits for the next one.
            replayer_.run(driven, [this] {
                this->serve();
                return !this->stopping();
            });
        } catch (const EndOfReplay&) {
            session_->finish();
            this->publish();
        }
        this->set_bytes(replayer_.bytes_read(), replayer_.bytes_total());
        report_damage();
    }
    [[nodiscard]] const typename Base::VenueSession* session() const override {
        return session_.get();
    }
    [[nodiscard]] std::vector<tools::LineSummary> lines() const override {
        return tools::lines_of(replayer_);
    }
    [[nodiscard]] double seconds() const override { return replayer_.seconds(); }

  private:
    static constexpr std::uint64_t kTellEvery = 1024;

    void on_packet(const Packet& packet) {
        if (this->stopping() || this->past_end(packet.received_at)) throw EndOfReplay{};
        this->set_time(packet.received_at);
        session_->on_packet(packet);
        after(packet.received_at);
    }
    void on_records(SequenceNumber first, std::uint32_t count,
                    std::span<const std::uint8_t> blocks, Timestamp received_at) {
        if (this->stopping()) throw EndOfReplay{};
        session_->on_records(first, count, blocks, received_at);
        after(received_at);
    }
    std::optional<RecoveryRequest> next_request(Timestamp now) { return session_->next_request(now); }
    void after(Timestamp received_at) {
        this->packet_done(received_at);
        if (++packets_ % kTellEvery == 0) {
            this->set_bytes(replayer_.bytes_read(), replayer_.bytes_total());
        }
    }
    void on_finish() {
        session_->finish();
        this->publish();
    }
    void report_damage() const {
        for (const auto& reader : replayer_.readers()) {
            if (!reader->damage().empty()) {
                throw Error(ExitCode::format, reader->title() + ": " + reader->damage() +
                                                  "; the records up to there are good");
            }
        }
    }

    SessionConfig config_;
    replay::Replayer replayer_;
    std::unique_ptr<typename Base::VenueSession> session_;
    std::uint64_t packets_ = 0;
};

// The venue named, or the one that the files' bytes tell of.
std::string venue_of(const CaptureOptions& options) {
    std::string known;
    venues::for_each_venue([&]<class Venue>() {
        if (options.venue == Venue::kId) known = Venue::kId;
    });
    if (!known.empty()) return known;
    if (options.venue.empty()) {
        for (const std::string& file : options.files) {
            const std::string_view found = replay::detect_venue(file);
            if (!found.empty()) return std::string(found);
        }
    }
    std::string ids;
    venues::for_each_venue(
        [&]<class Venue>() { ids += (ids.empty() ? "" : ", ") + std::string(Venue::kId); });
    throw Error(
        ExitCode::usage,
        options.venue.empty()
            ? options.files.front() + ": its bytes tell of no venue; name one by venue=: " + ids
            : "no venue is called " + options.venue + "; there are " + ids);
}

}  // namespace

std::unique_ptr<Producer> capture_source(const CaptureOptions& options) {
    const std::string venue = venue_of(options);
    std::unique_ptr<Producer> out;
    venues::with_venue(
        venue, [&]<class Venue>() { out = std::make_unique<CaptureProducer<Venue>>(options); });
    return out;
}

}  // namespace millrace::python
