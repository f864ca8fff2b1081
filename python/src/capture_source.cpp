// Captures, read at full speed or paced, as a feed.
#include <array>
#include <memory>
#include <span>

#include "disposal.hpp"
#include "endpoint_text.hpp"
#include "millrace/feed/venues/venue_list.hpp"
#include "millrace/replay/detect.hpp"
#include "millrace/replay/replayer.hpp"
#include "sources.hpp"
#include "venue_producer.hpp"
#include "verdict.hpp"

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
        for (const std::string& group : options.groups)
            groups_ += (groups_.empty() ? "" : " or ") + group;
        constexpr bool kDayNeeded = dbn::traits_of<Venue>().time_origin != dbn::TimeOrigin::utc;
        if (replayer_.of_records() && kDayNeeded && options.date == 0) {
            throw Error(ExitCode::usage, options.files.front() +
                                             ": BinaryFILE does not tell the day of its messages; "
                                             "give it with date=\"2024-01-31\"");
        }
        if (!replayer_.of_records() && options.date != 0) {
            throw Error(ExitCode::usage,
                        options.files.front() +
                            ": packets tell the day of their messages; leave date= out");
        }
    }
    ~CaptureProducer() override {
        this->stop();
        dispose_of(std::move(session_));
    }

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
        judge(this->feed_now());
    }
    [[nodiscard]] const typename Base::VenueSession* session() const override {
        return session_.get();
    }
    [[nodiscard]] std::vector<tools::LineSummary> lines() const override {
        std::vector<tools::LineSummary> lines = tools::lines_of(replayer_);
        for (tools::LineSummary& line : lines)
            if (line.line) line.in_flight = in_flight_[*line.line];
        return lines;
    }
    [[nodiscard]] std::vector<std::string> remarks_now(const std::string& where) const override {
        std::vector<std::string> lines = Base::remarks_now(where);
        const bool ended = session_ != nullptr && !this->stopping();
        if (ended && this->feed_now().packets() + session_->messages()[MessageCounter::decoded] == 0)
            lines.push_back(where + ": there is no packet or record of a feed in it; is it whole?");
        return lines;
    }
    [[nodiscard]] double seconds() const override { return replayer_.seconds(); }

  private:
    static constexpr std::uint64_t kTellEvery = 1024;

    // The session looks ahead over packets that come together, as long as there is nothing to be
    // done between two of them.
    void on_packets(std::span<const Packet> packets) {
        for (const Packet& packet : packets) ++in_flight_[packet.line];
        while (!packets.empty()) {
            const Timestamp first_at = packets.front().received_at;
            if (this->stopping() || this->past_end(first_at)) throw EndOfReplay{};
            this->set_time(first_at);
            const std::span<const Packet> piece = packets.first(piece_of(packets));
            for (const Packet& packet : piece) --in_flight_[packet.line];
            session_->on_packets(piece);
            after(piece.back().received_at, piece.size());
            packets = packets.subspan(piece.size());
        }
    }
    // How many of them may be handed on at once: no time that was asked for lies between them, and
    // channels have room for what they bring.
    [[nodiscard]] std::size_t piece_of(std::span<const Packet> packets) const {
        constexpr std::size_t kBytesMost = 4096;
        std::size_t n = 1;
        if (this->in_step()) return n;
        std::size_t bytes = packets.front().bytes.size();
        for (; n < packets.size(); ++n) {
            bytes += packets[n].bytes.size();
            if (bytes > kBytesMost) break;
            if (!this->alike(packets.front().received_at, packets[n].received_at)) break;
        }
        return n;
    }
    void on_records(SequenceNumber first, std::uint32_t count,
                    std::span<const std::uint8_t> blocks, Timestamp received_at) {
        if (this->stopping()) throw EndOfReplay{};
        session_->on_records(first, count, blocks, received_at);
        after(received_at, 1);
    }
    std::optional<RecoveryRequest> next_request(Timestamp now) { return session_->next_request(now); }
    void after(Timestamp received_at, std::size_t packets) {
        this->packets_done(received_at, packets);
        untold_ += packets;
        if (untold_ < kTellEvery) return;
        untold_ = 0;
        this->set_bytes(replayer_.bytes_read(), replayer_.bytes_total());
    }
    void on_finish() {
        session_->finish();
        this->publish();
    }
    // What brought nothing of what was asked for is not what was meant.
    void judge(const tools::FeedSummary& feed) const {
        const std::string& first = replayer_.readers().front()->title();
        if (tools::reads_as_nothing(feed)) {
            throw Error(ExitCode::format, first + ": nothing in it reads as " +
                                              std::string(Venue::kId) +
                                              "; leave venue= out, or name another one");
        }
        if (!groups_.empty() && !this->stopping() && feed.packets() == 0) {
            throw Error(ExitCode::usage, first + ": no packet goes to " + groups_ +
                                             "; stats() of a feed without groups= names where "
                                             "they go");
        }
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
    std::string groups_;  // that were asked for, in words
    replay::Replayer replayer_;
    std::unique_ptr<typename Base::VenueSession> session_;
    // Packets that were read and are not with the session, by its lines.
    std::array<std::uint64_t, kLinesMax + 1> in_flight_{};
    std::size_t untold_ = 0;  // packets since set_bytes()
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
