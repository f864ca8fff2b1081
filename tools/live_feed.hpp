// One feed of `millrace live`: its decoder thread, its recorder, and what the main thread may ask
// of it.
#pragma once

#include <atomic>
#include <cstring>
#include <exception>
#include <filesystem>
#include <future>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include "endpoint_text.hpp"
#include "line_summary.hpp"
#include "live_handler.hpp"
#include "millrace/core/cpu.hpp"
#include "millrace/feed/feed.hpp"
#include "millrace/replay/recorder.hpp"
#include "schema_names.hpp"
#include "silent_lines.hpp"
#include "sinks.hpp"
#include "summary.hpp"

namespace millrace::tools {

// Called by the main thread, seldom; hence virtual.
class LiveFeed {
  public:
    virtual ~LiveFeed() = default;
    [[nodiscard]] virtual const std::string& name() const = 0;
    // Opens everything and starts the decoder thread. Throws Error.
    virtual void start() = 0;
    // What was chosen and granted, in one line.
    [[nodiscard]] virtual std::string description() const = 0;
    // Where its packets should come from: "A 239.255.0.1:26477 on lo, B ...".
    [[nodiscard]] virtual std::string sources() const = 0;
    // A packet has come, by any line.
    [[nodiscard]] virtual bool heard() const = 0;
    // The session's end was announced and nothing is missing.
    [[nodiscard]] virtual bool ended() const = 0;
    // The feed contradicted itself, and quality.suspect says to stop then.
    [[nodiscard]] virtual bool stopped() const = 0;
    [[nodiscard]] virtual BookPage turn_page() = 0;
    // What is new of its servers, its recording and silent lines, a line each; what was said before is not said again.
    [[nodiscard]] virtual std::vector<std::string> news() = 0;
    // Joins the decoder thread. Then, and not before, the two below may be called.
    virtual void stop() = 0;
    [[nodiscard]] virtual FeedSummary summary() const = 0;
    // First packet in to last event out.
    [[nodiscard]] virtual double seconds() const = 0;
};

template <class Venue>
class LiveVenueFeed final : public LiveFeed {
  public:
    LiveVenueFeed(const FeedConfig& config, std::filesystem::path record_to,
                  const SinkOptions& flags = {})
        : config_(config), record_to_(std::move(record_to)), handler_(config.session.limits.books),
          feed_(config, handler_) {
        const SinkOptions sinks = flags.urls.empty()
                                      ? SinkOptions{config.sinks.urls, config.sinks.schemas}
                                      : flags;
        if (sinks.urls.empty()) return;
        const dbn::MakerConfig maker = maker_config(
            std::string(Venue::kId), schema_set(sinks.schemas), config.session.limits.books);
        check_made(maker.schemas);
        sinks_ = std::make_unique<Sinks>(sinks, config.name, maker, nullptr);
        handler_.send_to(*sinks_, maker);
    }
    ~LiveVenueFeed() override { join(); }

    [[nodiscard]] const std::string& name() const override { return config_.name; }

    void start() override {
        if (!record_to_.empty()) {
            recorder_ =
                std::make_unique<replay::Recorder>(record_to_, recorded_lines(), kNotPinned);
        }
        const auto started = std::make_shared<std::promise<void>>();
        std::future<void> result = started->get_future();
        thread_ =
            start_thread("decoder", config_.threads.decoder, [this, started] { run(*started); });
        result.get();
    }

    [[nodiscard]] std::string description() const override {
        return config_.name + ": " + std::string(millrace::name(feed_.backend().backend)) + " (" +
               feed_.backend().reason + "), " + std::string(millrace::name(config_.receive.mode)) +
               ", idle " + std::string(millrace::name(feed_.idle_strategy())) +
               ", socket buffer " + std::to_string(feed_.socket_buffer_bytes()) + " bytes";
    }
    [[nodiscard]] std::string sources() const override {
        std::string text;
        for (const LineConfig& line : config_.lines) text += (text.empty() ? "" : ", ") + source_of(line);
        return text;
    }
    [[nodiscard]] bool heard() const override { return heard_.load(std::memory_order_relaxed); }
    [[nodiscard]] bool ended() const override { return ended_.load(std::memory_order_relaxed); }
    [[nodiscard]] bool stopped() const override {
        return stopped_.load(std::memory_order_relaxed);
    }
    [[nodiscard]] BookPage turn_page() override { return handler_.turn_page(); }
    void stop() override {
        join();
        if (sinks_ != nullptr) sinks_->stop();
    }

    [[nodiscard]] FeedSummary summary() const override {
        FeedSummary feed = summarise(config_.name, feed_.session(), summarise(feed_.lines()));
        feed.backend = millrace::name(feed_.backend().backend);
        feed.latency = summarise(handler_.latency());
        if (config_.recovery.any()) {
            for (std::size_t i = 0; i < kRecoveryCounters.size(); ++i) {
                feed.recovery.emplace_back(kRecoveryCounters[i].name,
                                           feed_.session().recovery()[static_cast<RecoveryCounter>(i)]);
            }
        }
        if (recorder_ != nullptr) feed.recording = recording();
        if (sinks_ != nullptr) feed.sinks = sinks_->summaries();
        for (const Trouble& trouble : all_troubles()) {
            feed.troubles.push_back({trouble.server, std::string(info(trouble.problem).name), trouble.times});
        }
        return feed;
    }
    [[nodiscard]] std::vector<std::string> news() override {
        std::vector<std::string> lines;
        for (const Trouble& trouble : all_troubles()) {
            if (!told_.insert({trouble.server, trouble.problem}).second) continue;
            const ServerProblemInfo& what = info(trouble.problem);
            lines.push_back(config_.name + ": " + trouble.server + " " + std::string(what.says) + "; " +
                            std::string(what.try_this));
        }
        note_recording(lines);
        note_silence(lines);
        if (sinks_ != nullptr && !stop_.load(std::memory_order_relaxed)) {
            for (std::string& line : sinks_->news()) lines.push_back(config_.name + ": " + std::move(line));
        }
        return lines;
    }

    [[nodiscard]] double seconds() const override {
        return static_cast<double>(last_at_ - first_at_) / 1e9;
    }

  private:
    struct Trouble {
        std::string server;
        ServerProblem problem;
        std::uint64_t times;
    };
    [[nodiscard]] std::vector<Trouble> all_troubles() const {
        std::vector<Trouble> out;
        for (const ServerTrouble& trouble : feed_.troubles()) {
            const std::string kind = trouble.snapshots ? "snapshot server " : "retransmission server ";
            out.push_back({kind + trouble.server.text(), trouble.problem, trouble.times});
        }
        const std::vector<LineStats> lines = feed_.stats().lines;
        for (std::size_t i = 0; i < config_.lines.size(); ++i) {
            if (!config_.lines[i].soup) continue;
            const std::string server = "line " + config_.lines[i].name + ", server " + config_.lines[i].soup->text();
            const std::uint64_t refused = lines[i].received[net::ReceiveCounter::refused];
            const std::uint64_t failed = lines[i].received[net::ReceiveCounter::failed];
            if (refused != 0) out.push_back({server, ServerProblem::login, refused});
            if (failed != 0) out.push_back({server, ServerProblem::unreachable, failed});
        }
        return out;
    }

    [[nodiscard]] RecordingSummary recording() const {
        RecordingSummary out{record_to_.string(), recorder_->written(), recorder_->lost(), {}};
        if (recorder_->problem() != 0) out.problem = std::strerror(recorder_->problem());
        return out;
    }
    // The first time that packets are missing in the recording, and when it can take no more.
    void note_recording(std::vector<std::string>& lines) {
        if (recorder_ == nullptr) return;
        const std::string where = config_.name + ": " + record_to_.string() + ": ";
        if (const int problem = recorder_->problem(); problem != 0) {
            if (!std::exchange(told_of_end_, true)) {
                lines.push_back(where + std::strerror(problem) +
                                "; nothing more is recorded, the feed goes on; make room, and record to another file");
            }
        } else if (recorder_->lost() != 0 && !std::exchange(told_of_loss_, true)) {
            lines.push_back(where + "the disk cannot follow, packets are left out and counted; record to a faster one");
        }
    }

    // Behind the end that was announced silence says nothing.
    void note_silence(std::vector<std::string>& lines) {
        if (ended() || stop_.load(std::memory_order_relaxed)) return;
        const std::vector<std::string> changes = silent_.look(MonotonicClock::now(), feed_.stats().lines);
        lines.insert(lines.end(), changes.begin(), changes.end());
    }

    // How many polls pass, when they all find packets, between two looks at the drawing thread.
    static constexpr std::uint32_t kServeEvery = 256;

    // A line may have several groups; the recording shows the first of them.
    [[nodiscard]] std::vector<replay::RecordedLine> recorded_lines() const {
        std::vector<replay::RecordedLine> lines;
        for (const LineConfig& line : config_.lines) {
            const GroupConfig& group = line.soup ? *line.soup : line.groups.front();
            lines.push_back({line.name, endpoint_of(group.address, group.port)});
        }
        // What was asked for again, as a line of its own, so that a replay finds it.
        const RecoveryServers& asked = config_.recovery;
        const auto& servers = asked.retransmit.empty() ? asked.retransmit_tcp : asked.retransmit;
        if (config_.recovery.any()) {
            lines.push_back({std::string(kRecoveryLineName),
                             servers.empty() ? lines.front().destination
                                             : endpoint_of(servers.front().address,
                                                           servers.front().port)});
        }
        return lines;
    }

    void run(std::promise<void>& started) {
        try {
            feed_.start();
        } catch (...) {
            started.set_exception(std::current_exception());
            return;
        }
        started.set_value();
        const auto tap = [this](const Packet& packet) {
            if (recorder_ != nullptr) recorder_->record(packet);
        };
        std::uint32_t busy = 0;
        while (!stop_.load(std::memory_order_relaxed)) {
            const std::size_t packets = feed_.poll(tap);
            if (packets > 0) note_time();
            if (packets > 0 && ++busy % kServeEvery != 0) continue;
            handler_.serve_page(feed_.session());
            stopped_.store(feed_.session().stopped(), std::memory_order_relaxed);
            ended_.store(has_ended(), std::memory_order_relaxed);
            if (packets == 0) feed_.idle();
        }
        feed_.stop(tap);
        if (recorder_ == nullptr) return;
        try {
            recorder_->close();
        } catch (const Error&) {
            // The recorder keeps what it was.
        }
    }
    // The end was announced, nothing has contradicted that, and nothing is missing or it is long past hope; sooner where
    // all servers have failed.
    [[nodiscard]] bool has_ended() {
        constexpr Nanoseconds kLinger = 200'000'000;
        constexpr Nanoseconds kHope = 15'000'000'000;
        constexpr Nanoseconds kLittleHope = 2'000'000'000;
        const auto& session = feed_.session();
        if (!session.ended()) announced_at_ = 0;
        if (!session.ended()) return false;
        const Timestamp now = MonotonicClock::now();
        if (announced_at_ == 0) announced_at_ = now;
        if (now - announced_at_ < kLinger) return false;
        return (!session.arbiter().gap_open() && !session.recovering()) ||
               now - announced_at_ >= (session.without_servers() ? kLittleHope : kHope);
    }
    void note_time() {
        last_at_ = MonotonicClock::now();
        if (first_at_ != 0) return;
        first_at_ = last_at_;
        heard_.store(true, std::memory_order_relaxed);
    }
    void join() {
        stop_.store(true, std::memory_order_relaxed);
        if (thread_.joinable()) thread_.join();
    }

    FeedConfig config_;
    std::filesystem::path record_to_;
    std::unique_ptr<Sinks> sinks_;  // their threads run from the start to stop()
    LiveHandler handler_;
    FeedHandler<Venue, LiveHandler> feed_;        // the decoder thread's until it was joined
    std::unique_ptr<replay::Recorder> recorder_;  // likewise
    Timestamp first_at_ = 0;                      // likewise, as is last_at_; monotonic
    Timestamp last_at_ = 0;
    Timestamp announced_at_ = 0;      // of the session's end; decoder only
    std::set<std::pair<std::string, ServerProblem>> told_;  // main only, as are those below
    SilentLines silent_{config_};
    bool told_of_end_ = false;
    bool told_of_loss_ = false;
    std::atomic<bool> heard_{false};    // decoder writes, main reads
    std::atomic<bool> ended_{false};    // likewise
    std::atomic<bool> stopped_{false};  // likewise
    std::atomic<bool> stop_{false};   // main writes, decoder reads
    std::thread thread_;
};

}  // namespace millrace::tools
