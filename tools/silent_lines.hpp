// What is told of lines that fall silent, and are heard again, while a feed runs: a line of text for each change.
#pragma once

#include <algorithm>
#include <bitset>
#include <string>
#include <vector>

#include "millrace/core/types.hpp"
#include "millrace/feed/config.hpp"
#include "millrace/feed/feed.hpp"
#include "millrace/feed/line_watch.hpp"
#include "millrace/feed/net/socket.hpp"

namespace millrace::tools {

// Where a line's packets should come from: "A 239.255.0.1:26477 on lo".
[[nodiscard]] inline std::string source_of(const LineConfig& line) {
    std::string text = line.name;
    for (const GroupConfig& group : line.groups) text += " " + group.text();
    return text + (line.soup ? " from " + line.soup->text() : " on " + line.interface);
}

class SilentLines {
  public:
    // `config` is borrowed. A line is silent after quality.quiet_ms, but not sooner than a second, so that what comes
    // now and then is no flood of lines.
    explicit SilentLines(const FeedConfig& config) : config_(config), watch_(config.lines.size(), patience(config)) {}

    // What has changed by `now` (monotonic), given what lines have brought so far.
    [[nodiscard]] std::vector<std::string> look(Timestamp now, const std::vector<LineStats>& stats) {
        std::vector<std::string> out;
        watch_.look(now, [&](LineId line) { return packets(stats[line]); });
        for (std::size_t i = 0; i < config_.lines.size(); ++i) {
            // Of those that have not been heard at all a line of its own tells.
            const bool silent = watch_.silent(static_cast<LineId>(i)) && packets(stats[i]) != 0;
            if (silent == told_[i]) continue;
            told_[i] = silent;
            out.push_back(config_.name + ": line " + (silent ? silence_of(config_.lines[i]) : heard(config_.lines[i])));
        }
        return out;
    }

  private:
    static constexpr Nanoseconds kSecond = 1'000'000'000;

    [[nodiscard]] static Nanoseconds patience(const FeedConfig& config) {
        const Nanoseconds quiet = config.session.quality.quiet_ns;
        return quiet == 0 ? 0 : std::max(quiet, kSecond);
    }
    [[nodiscard]] static std::uint64_t packets(const LineStats& line) { return line.decoded[LineCounter::arbitrated]; }
    [[nodiscard]] std::string silence_of(const LineConfig& line) const {
        const std::string how_long = std::to_string(patience(config_) / kSecond);
        const std::string text = source_of(line) + " is silent for " + how_long + " s; ";
        if (line.soup) return text + "does the exchange still send?";
        if (net::interface_index(line.interface) == 0) {
            return text + "interface " + line.interface + " is gone, and the line goes on when it is back";
        }
        return text + "does the exchange still send, is the interface up?";
    }
    [[nodiscard]] static std::string heard(const LineConfig& line) { return line.name + " is heard again"; }

    const FeedConfig& config_;
    LineWatch watch_;
    std::bitset<kLinesMax> told_;  // as silent
};

}  // namespace millrace::tools
