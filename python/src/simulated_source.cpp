// The exchange simulator as a feed, without sockets: for trying things out, and for tests.
#include <memory>

#include "disposal.hpp"
#include "millrace/core/clock.hpp"
#include "millrace/feed/venues/nasdaq_itch50/venue.hpp"
#include "millrace/replay/pacing.hpp"
#include "millrace/replay/simulator/exchange.hpp"
#include "sources.hpp"
#include "venue_producer.hpp"

namespace millrace::python {

namespace {

// Midnight in New York of 2 January 2024, from which the simulated exchange counts.
constexpr Timestamp kMidnight = Timestamp{1'704'171'600} * 1'000'000'000;

replay::ExchangeConfig exchange_config(const SimulatedOptions& options) {
    replay::ExchangeConfig config;
    config.market.messages = options.messages;
    config.market.symbols = options.symbols_count;
    config.market.peak_orders = options.peak_orders;
    config.market.messages_per_second = options.rate;
    config.market.seed = options.seed;
    config.never_on_all = !options.lose_on_all;
    config.lines.resize(options.lines);
    for (replay::LineFaults& line : config.lines) line.loss = options.loss;
    return config;
}

using Venue = venues::NasdaqItch50;

class SimulatedProducer final : public VenueProducer<Venue> {
  public:
    explicit SimulatedProducer(const SimulatedOptions& options)
        : VenueProducer(options), config_(session_config(options)), schedule_(options.pace),
          paced_(options.pace > 0), received_(options.lines),
          exchange_(exchange_config(options),
                    [this](const replay::SimulatedPacket& packet) { on_packet(packet); }) {
        config_.lines = options.lines;
    }
    ~SimulatedProducer() override {
        stop();
        dispose_of(std::move(session_));
    }

  protected:
    void run() override {
        session_ = std::make_unique<VenueSession>(config_, make_handler(config_.limits.books));
        wait_between_packets();
        const Timestamp begin = MonotonicClock::now();
        while (!ended_ && !stopping() && exchange_.step()) {
        }
        session_->finish();
        publish();
        seconds_ = static_cast<double>(MonotonicClock::now() - begin) / 1e9;
    }
    [[nodiscard]] const VenueSession* session() const override { return session_.get(); }
    [[nodiscard]] std::vector<tools::LineSummary> lines() const override {
        std::vector<tools::LineSummary> lines(received_.size());
        for (std::size_t i = 0; i < lines.size(); ++i) {
            lines[i].name = std::string(1, static_cast<char>('A' + i));
            lines[i].received = received_[i];
        }
        return lines;
    }
    [[nodiscard]] double seconds() const override { return seconds_; }

  private:
    void on_packet(const replay::SimulatedPacket& packet) {
        const Timestamp received_at = kMidnight + packet.time;
        if (ended_ || stopping()) return;
        if (past_end(received_at)) {
            ended_ = true;
            return;
        }
        if (paced_) {
            const Timestamp due = schedule_.due(received_at, MonotonicClock::now());
            if (!replay::wait_until(due, [this] { return serve(), !stopping(); })) return;
        }
        set_time(received_at);
        ++received_[packet.line];
        session_->on_packet(Packet{packet.line, received_at, packet.bytes});
        packet_done(received_at);
    }

    SessionConfig config_;
    replay::PaceSchedule schedule_;
    bool paced_;
    bool ended_ = false;
    double seconds_ = 0;
    std::vector<std::uint64_t> received_;  // by line
    replay::Exchange exchange_;
    std::unique_ptr<VenueSession> session_;
};

}  // namespace

std::unique_ptr<Producer> simulated_source(const SimulatedOptions& options) {
    return std::make_unique<SimulatedProducer>(options);
}

}  // namespace millrace::python
