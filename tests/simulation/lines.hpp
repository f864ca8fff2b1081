// The lines between exchange and host: each cuts the messages into packets as it likes, and loses, doubles,
// delays, reorders and corrupts them as the seed's plan says.
#pragma once

#include <cstdint>
#include <queue>
#include <vector>

#include "tests/simulation/exchange.hpp"
#include "tests/simulation/faults.hpp"
#include "tests/simulation/place.hpp"

namespace millrace::sim {

// What was done to a datagram on its way.
enum class Harm : std::uint8_t { none, framing, header, message, wrong };

// A datagram on its way, with what it holds told apart from its bytes.
struct Datagram {
    std::int64_t due = 0;
    std::uint64_t number = 0;   // in order of sending; breaks ties
    std::uint8_t line = 0;
    Harm harm = Harm::none;
    bool oversize = false;      // longer than a receive buffer
    std::uint32_t day = 0;
    std::uint64_t first = 0;
    std::uint32_t count = 0;
    std::uint64_t wrong = 0;    // for Harm::wrong: which message says something else than it should
    Bytes bytes;

    friend bool operator>(const Datagram& a, const Datagram& b) {
        return a.due != b.due ? a.due > b.due : a.number > b.number;
    }
};

template <class Venue>
class Lines {
  public:
    static constexpr std::size_t kLines = 2;

    Lines(std::uint64_t seed, const FaultPlan& plan, FaultCounts& counts)
        : plan_(plan), counts_(counts), chance_(seed, 3), corruption_(seed, 4), cuts_(seed, 5) {
        for (std::size_t i = 0; i < kLines; ++i) {
            lines_[i].delay = static_cast<std::int64_t>(cuts_.between(2, 40)) * 1000;
            lines_[i].cut = cuts_.between(0, 1000);
        }
    }

    // Sends a run of messages on both lines. `messages[i]` is number first + i of the day.
    void send(std::int64_t now, const Day& day, std::uint64_t first, const std::vector<Bytes>& messages) {
        outages(now);
        for (std::size_t line = 0; line < kLines; ++line) {
            for (std::size_t at = 0; at < messages.size();) {
                Datagram d = start(now, line, day, first + at);
                do {
                    Venue::append(d.bytes, messages[at++]);
                    ++d.count;
                } while (at < messages.size() && !cuts_.per_mille(lines_[line].cut));
                transmit(now, std::move(d));
            }
        }
    }
    void heartbeat(std::int64_t now, const Day& day) {
        for (std::size_t line = 0; line < kLines; ++line) transmit(now, start(now, line, day, day.last_sequence() + 1));
    }
    void end_of_session(std::int64_t now, const Day& day) {
        for (std::size_t line = 0; line < kLines; ++line) {
            Datagram d = start(now, line, day, day.last_sequence() + 1);
            Venue::end_of_session(place_of(now, d, day), d.bytes);
            transmit(now, std::move(d));
        }
    }
    // One packet, on one line, that says that the day is over and that its message `next` will not come.
    void false_end(std::int64_t now, const Day& day, std::uint64_t next) {
        Datagram d = start(now, next % kLines, day, next);
        Venue::end_of_session(place_of(now, d, day), d.bytes);
        transmit(now, std::move(d));
    }
    // From now on the lines behave.
    void heal() {
        healed_ = true;
        for (Line& line : lines_) line.down_until = 0;
    }
    // The lines bring nothing before this moment.
    void join_at(std::int64_t moment) {
        for (Line& line : lines_) line.down_until = moment;
    }

    [[nodiscard]] bool empty() const { return under_way_.empty(); }
    [[nodiscard]] std::int64_t next_due() const { return under_way_.top().due; }
    [[nodiscard]] Datagram take() {
        Datagram d = under_way_.top();
        under_way_.pop();
        return d;
    }

  private:
    struct Line {
        std::int64_t delay = 0;
        std::uint64_t cut = 0;         // per mille, after each message
        std::int64_t down_until = 0;
        std::uint64_t burst_left = 0;  // datagrams still to lose
        std::int64_t last_due = 0;
    };

    [[nodiscard]] bool strikes(Fault fault) {
        const bool struck = chance_.per_mille(plan_.of(fault));
        return struck && !healed_;
    }
    void count(Fault fault) { ++counts_[static_cast<std::size_t>(fault)]; }
    [[nodiscard]] static Place place_of(std::int64_t now, const Datagram& d, const Day& day) {
        return {day.session(), d.first, day.offset(d.first), now};
    }
    [[nodiscard]] static Datagram start(std::int64_t now, std::size_t line, const Day& day, std::uint64_t first) {
        Datagram d;
        d.line = static_cast<std::uint8_t>(line);
        d.day = day.number();
        d.first = first;
        Venue::begin_packet(place_of(now, d, day), d.bytes);
        return d;
    }
    void outages(std::int64_t now) {
        const std::int64_t length = static_cast<std::int64_t>(chance_.between(100, 6000)) * 1000;
        const std::uint64_t which = chance_.below(kLines);
        if (strikes(Fault::line_down)) {
            count(Fault::line_down);
            lines_[which].down_until = now + length;
        }
        if (strikes(Fault::both_down)) {
            count(Fault::both_down);
            for (Line& line : lines_) line.down_until = now + length;
        }
    }
    [[nodiscard]] bool lost(Line& line, std::int64_t now) {
        const std::uint64_t burst = chance_.between(2, 12);
        if (strikes(Fault::burst_loss)) {
            count(Fault::burst_loss);
            line.burst_left = burst;
        }
        const bool single = strikes(Fault::loss);
        if (now < line.down_until) return true;
        if (line.burst_left > 0 && !healed_) {
            --line.burst_left;
            return true;
        }
        if (single) count(Fault::loss);
        return single;
    }
    void transmit(std::int64_t now, Datagram d) {
        Line& line = lines_[d.line];
        const bool gone = lost(line, now);
        const bool doubled = strikes(Fault::duplication);
        const bool delayed = strikes(Fault::reordering);
        const std::int64_t delay = static_cast<std::int64_t>(chance_.between(20, 1500)) * 1000;
        const std::int64_t jitter = static_cast<std::int64_t>(chance_.below(20'000));
        d.oversize = strikes(Fault::truncation);
        if (gone) return;
        corrupt(d);
        if (d.oversize) count(Fault::truncation);
        // Without the fault a line keeps its order.
        d.due = now + line.delay + jitter;
        if (d.due < line.last_due) d.due = line.last_due;
        line.last_due = d.due;
        if (delayed) {
            count(Fault::reordering);
            d.due += delay;
        }
        d.number = ++sent_;
        under_way_.push(d);
        if (!doubled) return;
        count(Fault::duplication);
        d.number = ++sent_;
        d.due += delay / 2;
        under_way_.push(std::move(d));
    }
    void corrupt(Datagram& d) {
        const bool framing = strikes(Fault::corrupt_framing);
        const bool header = strikes(Fault::corrupt_header);
        const bool type = strikes(Fault::corrupt_type);
        const bool payload = strikes(Fault::wrong_payload);
        const bool length = strikes(Fault::corrupt_length);
        const bool range = strikes(Fault::corrupt_range);
        if (framing) {
            Venue::break_framing(d.bytes, corruption_);
            return harm(d, Harm::framing, Fault::corrupt_framing);
        }
        if (header) {
            Venue::break_header(d.bytes, corruption_);
            return harm(d, Harm::header, Fault::corrupt_header);
        }
        if (d.count == 0) return;
        if (length && Venue::break_length(d.bytes, corruption_)) {
            return harm(d, Harm::message, Fault::corrupt_length);
        }
        if (range && Venue::break_range(d.bytes, corruption_)) {
            return harm(d, Harm::message, Fault::corrupt_range);
        }
        if (!type && !payload) return;
        const auto which = type ? Venue::break_type(d.bytes, corruption_) : Venue::falsify(d.bytes, corruption_);
        if (!which) return;
        d.wrong = d.first + *which;
        harm(d, Harm::wrong, type ? Fault::corrupt_type : Fault::wrong_payload);
    }
    void harm(Datagram& d, Harm harm, Fault fault) {
        d.harm = harm;
        count(fault);
    }

    const FaultPlan& plan_;
    FaultCounts& counts_;
    Rng chance_;
    Rng corruption_;
    Rng cuts_;
    bool healed_ = false;
    Line lines_[kLines];
    std::uint64_t sent_ = 0;
    std::priority_queue<Datagram, std::vector<Datagram>, std::greater<>> under_way_;
};

}  // namespace millrace::sim
