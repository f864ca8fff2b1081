// Multicast lines as a feed: the decoder thread of `millrace live`, with channels for its
// strategy.
#include <array>
#include <memory>

#include "disposal.hpp"
#include "millrace/feed/feed.hpp"
#include "sources.hpp"
#include "venue_producer.hpp"

namespace millrace::python {

namespace {

const FeedConfig& chosen_feed(const Config& config, const LiveOptions& options) {
    if (options.feed.empty() && config.feeds.size() == 1) return config.feeds.front();
    std::string names;
    for (const FeedConfig& feed : config.feeds) {
        if (feed.name == options.feed) return feed;
        names += (names.empty() ? "" : ", ") + feed.name;
    }
    throw Error(ExitCode::usage,
                options.title + ": choose one of its feeds by feed=...: " + names);
}

FeedConfig feed_config(const LiveOptions& options) {
    const Config config = parse_config(options.config, options.title);
    FeedConfig feed = chosen_feed(config, options);
    if (!options.symbols.empty()) feed.session.symbols.clear();
    for (const std::string& symbol : options.symbols) feed.session.symbols.emplace_back(symbol);
    if (options.instruments != 0) feed.session.limits.books = options.instruments;
    if (options.orders != 0) feed.session.limits.orders = options.orders;
    if (options.levels != 0) feed.session.limits.levels = options.levels;
    return feed;
}

template <class Venue>
class LiveProducer final : public VenueProducer<Venue> {
    using Base = VenueProducer<Venue>;
    using VenueFeed = FeedHandler<Venue, typename Base::Handler>;

  public:
    LiveProducer(const LiveOptions& options, const FeedConfig& config)
        : Base(options), config_(config), until_end_(options.until_end) {}
    ~LiveProducer() override {
        this->stop();
        dispose_of(std::move(feed_));
    }

  protected:
    void run() override {
        feed_ =
            std::make_unique<VenueFeed>(config_, this->make_handler(config_.session.limits.books));
        feed_->start();
        ready_ = true;
        // After the end of the session the other lines' last packets are still on their way.
        constexpr Nanoseconds kLinger = 500'000'000;
        Timestamp ended_at = 0;
        while (!this->stopping() && !past_end_) {
            const std::size_t packets = poll();
            if (packets > 0) {
                last_at_ = MonotonicClock::now();
                if (first_at_ == 0) first_at_ = last_at_;
                continue;
            }
            this->publish();
            this->serve();
            feed_->idle();
            const bool ended = until_end_ && feed_->session().ended() &&
                               !feed_->session().arbiter().gap_open();
            if (!ended) ended_at = 0;
            else if (ended_at == 0) ended_at = MonotonicClock::now();
            else if (MonotonicClock::now() - ended_at > kLinger) break;
        }
        feed_->stop();
        this->publish();
    }
    [[nodiscard]] const typename Base::VenueSession* session() const override {
        return ready_ ? &feed_->session() : nullptr;
    }
    [[nodiscard]] std::vector<tools::LineSummary> lines() const override {
        std::vector<tools::LineSummary> lines;
        for (const LineStats& stats : feed_->lines()) {
            using net::ReceiveCounter;
            tools::LineSummary& line = lines.emplace_back();
            line.name = stats.name;
            line.received = stats.received[ReceiveCounter::received];
            line.truncated = stats.received[ReceiveCounter::truncated];
            line.queue_full = stats.received[ReceiveCounter::queue_full];
            line.in_flight = stats.in_flight;
            line.kernel = stats.received[ReceiveCounter::kernel_drops];
            line.no_buffers = stats.received[ReceiveCounter::no_buffers];
        }
        return lines;
    }
    void add_to_summary(tools::FeedSummary& summary) const override {
        summary.name = config_.name;
        summary.backend = name(feed_->backend().backend);
    }
    [[nodiscard]] double seconds() const override {
        return static_cast<double>(last_at_ - first_at_) / 1e9;
    }

  private:
    // The tap is called just before a packet is handled, so that what it does comes after the one
    // before it.
    std::size_t poll() {
        Timestamp last = 0;
        const std::size_t packets = feed_->poll([&](const Packet& packet) {
            if (last != 0) this->packet_done(last);
            last = packet.received_at;
            look_for_reconnect(packet.line);
            past_end_ = past_end_ || this->past_end(packet.received_at);
            this->set_time(packet.received_at);
        });
        if (packets > 0) this->packet_done(last);
        return packets;
    }

    // Before the first packet of the new connection.
    void look_for_reconnect(LineId line) {
        const std::uint64_t count = feed_->reconnects(line);
        if (count == reconnects_[line]) return;
        reconnects_[line] = count;
        this->tell_reconnect(line, count);
    }

    FeedConfig config_;
    bool until_end_;
    std::unique_ptr<VenueFeed> feed_;
    bool ready_ = false;
    bool past_end_ = false;
    Timestamp first_at_ = 0;  // monotonic, as is last_at_
    Timestamp last_at_ = 0;
    std::array<std::uint64_t, kLinesMax + 1> reconnects_{};  // told, by line; the last: recovery
};

}  // namespace

std::unique_ptr<Producer> live_source(const LiveOptions& options) {
    const FeedConfig config = feed_config(options);
    std::unique_ptr<Producer> out;
    venues::with_venue(config.venue, [&]<class Venue>() {
        out = std::make_unique<LiveProducer<Venue>>(options, config);
    });
    return out;
}

}  // namespace millrace::python
