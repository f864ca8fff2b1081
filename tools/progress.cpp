#include "progress.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

#include "millrace/core/clock.hpp"

namespace millrace::tools {

namespace {

constexpr Nanoseconds kRedrawAfter = 200'000'000;

std::string in_thousands(double number) {
    if (number >= 1e9) return fmt::format("{:.1f} G ", number / 1e9);
    if (number >= 1e6) return fmt::format("{:.1f} M ", number / 1e6);
    if (number >= 1e3) return fmt::format("{:.1f} k ", number / 1e3);
    return fmt::format("{:.0f} ", number);
}

std::string duration(double seconds) {
    const auto whole = static_cast<std::uint64_t>(seconds);
    if (whole < 60) return fmt::format("{} s", whole);
    if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
    return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
}

}  // namespace

Progress::Progress(std::string title)
    : title_(std::move(title)), terminal_(isatty(STDERR_FILENO) == 1),
      began_at_(MonotonicClock::now()) {}

std::string Progress::line(const std::string& title, std::uint64_t done, std::uint64_t total,
                           std::uint64_t items, const char* unit, double seconds) {
    constexpr std::size_t kBar = 20;
    const double rate = seconds > 0 ? static_cast<double>(items) / seconds : 0;
    std::string text = title + " ";
    if (total > 0) {
        const double share =
            static_cast<double>(done < total ? done : total) / static_cast<double>(total);
        const auto filled = static_cast<std::size_t>(share * kBar);
        text += fmt::format("[{:<{}}] {:3.0f} %  ", std::string(filled, '#'), kBar, share * 100);
        text += fmt::format("{}{}/s", in_thousands(rate), unit);
        if (done > 0 && share < 1)
            text += fmt::format("  {} left", duration(seconds / share - seconds));
    } else {
        text += fmt::format("{}{}  {}{}/s", in_thousands(static_cast<double>(items)), unit,
                            in_thousands(rate), unit);
    }
    return text;
}

void Progress::update(std::uint64_t done, std::uint64_t total, std::uint64_t items,
                      const char* unit) {
    if (!terminal_) return;
    const Timestamp now = MonotonicClock::now();
    if (now - drawn_at_ < kRedrawAfter) return;
    drawn_at_ = now;
    drawn_ = true;
    const double seconds = static_cast<double>(now - began_at_) / 1e9;
    std::fprintf(stderr, "\r\x1b[K%s", line(title_, done, total, items, unit, seconds).c_str());
}

void Progress::clear() {
    if (!std::exchange(drawn_, false)) return;
    std::fputs("\r\x1b[K", stderr);
}

}  // namespace millrace::tools
