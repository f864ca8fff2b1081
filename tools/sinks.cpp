#include "sinks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "console.hpp"
#include "millrace/core/clock.hpp"
#include "millrace/core/error.hpp"
#include "millrace/feed/streams/edges.hpp"
#include "schema_names.hpp"

namespace millrace::tools {

namespace {

constexpr Nanoseconds kSecond = 1'000'000'000;
constexpr Nanoseconds kPatience = 2 * kSecond;  // what is over sooner is not told of

// A problem without the name that it begins with.
std::string_view why_of(const std::string& name, std::string_view problem) {
    if (problem.rfind(name + ": ", 0) == 0) problem.remove_prefix(name.size() + 2);
    return problem;
}

// Asks whether to go on waiting for a sink, and says once that this is what the feed does, and why.
class Waiting {
  public:
    Waiting(std::string name, std::function<std::string()> trouble, std::function<bool()> keep_on)
        : name_(std::move(name)), trouble_(std::move(trouble)), keep_on_(std::move(keep_on)) {}

    bool operator()() {
        const Timestamp now = MonotonicClock::now();
        if (now - asked_at_ > kSecond) since_ = now;  // it went on in between
        asked_at_ = now;
        if (!told_ && now - since_ > kPatience) {
            const std::string trouble = trouble_();
            tell("waiting for {}{}{}", name_, trouble.empty() ? "" : ": ", why_of(name_, trouble));
            told_ = true;
        }
        return keep_on_();
    }

  private:
    std::string name_;
    std::function<std::string()> trouble_;
    std::function<bool()> keep_on_;
    Timestamp since_ = 0;
    Timestamp asked_at_ = 0;
    bool told_ = false;
};

// Who would rather leave records out than wait does not wait at the end either.
bool leaves_out(streams::WhenFull policy) {
    return policy == streams::WhenFull::drop_oldest || policy == streams::WhenFull::conflate;
}

SinkSummary summarise(const std::string& name, const streams::StreamSink& sink) {
    const streams::SinkStats stats = sink.stats();
    SinkSummary summary;
    summary.name = name;
    summary.problem = sink.problem();
    summary.ledger = {{"made", stats.made},
                      {"acknowledged", stats.acknowledged},
                      {"ring_full", stats.ring_full},
                      {"dropped", stats.dropped},
                      {"conflated", stats.conflated},
                      {"unsent", stats.unsent}};
    summary.counters = {{"batches", stats.batches},
                        {"spilled", stats.spilled},
                        {"refused", stats.refused},
                        {"resent", stats.resent},
                        {"connects", stats.connects},
                        {"backlog_bytes_max", stats.backlog_bytes_max}};
    for (const streams::EdgeCounter& counter : sink.edge_counters())
        summary.counters.emplace_back(counter.name, counter.count);
    summary.unsent = stats.unsent;
    summary.balance = stats.balance();
    return summary;
}

}  // namespace

Sinks::Sinks(const SinkOptions& options, const std::string& feed, const dbn::MakerConfig& config,
             const std::function<bool()>& keep_waiting) {
    for (const std::string& text : options.urls) {
        streams::Url url = streams::parse_url(text);
        streams::SinkConfig sink;
        sink.feed = feed;
        sink.dataset = config.venue.dataset;
        sink.schemas = config.schemas;
        sink.instruments = config.instruments;
        if (keep_waiting) {
            sink.when_full = streams::WhenFull::block;
            const auto trouble = [this, i = sinks_.size()] { return sinks_[i]->trouble(); };
            sink.keep_waiting = Waiting(url.text(), trouble, keep_waiting);
        }
        std::unique_ptr<streams::Edge> edge = streams::make_edge(url, sink);
        if (leaves_out(sink.when_full)) sink.keep_waiting = {};
        if (sink.when_full == streams::WhenFull::block && !keep_waiting) {
            throw Error(ExitCode::usage,
                        fmt::format("{}: a live feed waits for nobody; policy is drop_oldest, "
                                    "conflate or spill",
                                    url.text()));
        }
        names_.push_back(url.text());
        sinks_.push_back(std::make_unique<streams::StreamSink>(sink, std::move(edge)));
    }
}

Sinks::~Sinks() = default;

void Sinks::on_record(const dbn::MadeRecord& made, const Symbol& symbol,
                      std::span<const std::uint8_t> bytes) {
    for (const auto& sink : sinks_) sink->on_record(made, symbol, bytes);
}

std::uint64_t Sinks::made() const { return sinks_.empty() ? 0 : sinks_.front()->stats().made; }

std::vector<std::string> Sinks::news() {
    std::vector<std::string> lines;
    watched_.resize(sinks_.size());
    for (std::size_t i = 0; i < sinks_.size(); ++i) {
        Watched& watched = watched_[i];
        const std::string trouble = sinks_[i]->trouble();
        const Timestamp now = MonotonicClock::now();
        if (trouble.empty()) {
            if (watched.told) lines.push_back(fmt::format("{}: takes records again", names_[i]));
            watched = {};
            continue;
        }
        if (watched.since == 0) watched.since = now;
        if (watched.told || now - watched.since < kPatience) continue;
        watched.told = true;
        lines.push_back(fmt::format("{}: takes nothing: {}", names_[i], why_of(names_[i], trouble)));
    }
    return lines;
}

void Sinks::stop() {
    for (const auto& sink : sinks_) sink->stop();
}

std::vector<SinkSummary> Sinks::summaries() const {
    std::vector<SinkSummary> all;
    for (std::size_t i = 0; i < sinks_.size(); ++i)
        all.push_back(summarise(names_[i], *sinks_[i]));
    return all;
}

bool all_is_well(const std::vector<SinkSummary>& sinks) {
    // What nobody asked for, unlike what a policy leaves out.
    const auto is_loss = [](const Named& counter) {
        return (counter.first == "fenced" || counter.first == "refused") && counter.second != 0;
    };
    return std::all_of(sinks.begin(), sinks.end(), [&](const SinkSummary& sink) {
        return sink.balance == 0 && sink.unsent == 0 &&
               std::none_of(sink.counters.begin(), sink.counters.end(), is_loss);
    });
}

}  // namespace millrace::tools
