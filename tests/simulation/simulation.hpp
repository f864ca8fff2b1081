// One seed, from the exchange to the consumer, on one thread and a clock of its own.
//
// First faults and checks that nothing is ever silently wrong; then the faults end, and everything must be
// right again within a bound.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>

#include "millrace/feed/session.hpp"
#include "tests/simulation/checker.hpp"
#include "tests/simulation/lines.hpp"
#include "tests/simulation/outcome.hpp"
#include "tests/simulation/servers.hpp"

namespace millrace::sim {

template <class Venue>
class Simulation {
  public:
    explicit Simulation(const Options& options)
        : options_(options), plan_(options.seed, options.faults), shape_(options.seed, 6), chaos_(options.seed, 7),
          restarts_(options.seed, 9), ends_(options.seed, 10),
          exchange_(options.seed, static_cast<std::uint32_t>(shape_.between(2, 4)), Venue::kDialect),
          lines_(options.seed, plan_, outcome_.faults), servers_(options.seed, plan_, outcome_.faults, exchange_),
          checker_(exchange_, options.verbose),
          config_(make_config()), session_(std::make_unique<FeedSession>(config_, checker_)) {
        checker_.before_event = [this] { enter_day(); };
        checker_.consumers.emplace_back(FullPolicy::drop_oldest, 4096, exchange_.symbols());
        checker_.consumers.emplace_back(FullPolicy::drop_oldest, 16, exchange_.symbols());
        checker_.consumers.emplace_back(FullPolicy::conflate, 16, exchange_.symbols());
        checker_.lost = [this] { return session_->arbiter().messages_lost(); };
    }

    Outcome run() {
        try {
            safety();
            liveness();
            finish();
        } catch (const std::exception& problem) {  // a Violation, or what the code under test threw
            outcome_.violation = problem.what();
        }
        outcome_.tally = checker_.tally();
        outcome_.log_hash = checker_.log().hash();
        return outcome_;
    }

  private:
    using FeedSession = Session<typename Venue::Production, Checker>;
    static constexpr std::int64_t kEpoch = 1'700'000'000'000'000'000;
    static constexpr std::int64_t kStep = 250'000;       // how often an idle receiver lets time pass
    static constexpr std::int64_t kWindow = 2'000'000;   // reorder_window_ns
    static constexpr std::int64_t kRetransmit = 6'000'000;
    static constexpr std::int64_t kQuiet = 4'000'000;    // quality.quiet_ns
    // How often an idle exchange is heard, and how long after a restart that may go unnoticed.
    static constexpr std::int64_t kHeartbeat = 200'000'000;
    static constexpr std::int64_t kRestBound = 10'000'000;
    static constexpr std::int64_t kRestartBound = 10'000'000'000;
    static constexpr std::int64_t kRestartBoundWithClock = 400'000'000'000;  // behind which it may lie for long
    // The longest that a feed may wait for a message, by what it may ask for; and the longest from the end of
    // the faults until every book is exact again.
    static constexpr std::int64_t kGapBound = 2 * kWindow + 4 * kStep;
    static constexpr std::int64_t kAskBound = kGapBound + kRetransmit + 2 * Servers<Venue>::kAnswerTimeout;
    static constexpr std::int64_t kRecoveryBound = kAskBound + 50'000'000;

    [[nodiscard]] SessionConfig make_config() {
        SessionConfig config;
        config.limits = {8, 96, 96};
        config.reorder_window_packets = static_cast<std::uint32_t>(shape_.between(2, 24));
        config.reorder_window_ns = kWindow;
        config.datagram_bytes_max = 512;
        config.quality.quiet_ns = kQuiet;
        config.quality.compare_messages = 256;
        config.quality.doubt_outliers = true;
        config.quality.suspect = static_cast<SuspectPolicy>(shape_.below(3));
        if constexpr (Venue::kRecovers) configure_recovery(config);
        if (plan_.has(Fault::limits)) {
            count(Fault::limits);
            config.limits.orders = static_cast<std::uint32_t>(shape_.between(8, 30));
            config.limits.levels = static_cast<std::uint32_t>(shape_.between(8, 30));
            config.limits.books = static_cast<std::uint32_t>(shape_.between(1, exchange_.symbols()));
        }
        if (shape_.per_mille(100)) config.symbols = {Symbol(Venue::symbol(0)), Symbol(Venue::symbol(1))};
        return config;
    }

    void configure_recovery(SessionConfig& config) {
        const std::uint64_t mode = shape_.below(10);
        RecoveryConfig& recovery = config.recovery;
        if (mode >= 2 && mode != 9) recovery.retransmit_servers = static_cast<std::uint8_t>(shape_.between(1, 2));
        if (mode >= 4) recovery.snapshot_servers = static_cast<std::uint8_t>(shape_.between(1, 2));
        recovery.request_messages_max = static_cast<std::uint32_t>(shape_.between(2, 20));
        recovery.gap_messages_max = shape_.between(20, 300);
        recovery.attempts = static_cast<std::uint32_t>(shape_.between(1, 2));
        recovery.answer_timeout_ns = Servers<Venue>::kAnswerTimeout;
        recovery.request_interval_ns = 100'000;
        recovery.retransmit_ns = kRetransmit;
        recovery.hold_bytes = shape_.between(500, 6000);
        recovery.snapshot_timeout_ns = 2 * kQuiet;
        recovery.snapshot_retry_ns = 500'000;
        recovery.snapshot_retry_max_ns = 4'000'000;
        recovery.backlog_bytes = shape_.between(500, 6000);
    }

    // ---- the exchange's side ----

    void safety() {
        exchange_.open_day(midnight());
        send_new(0);
        if (plan_.has(Fault::late_join)) {
            count(Fault::late_join);
            lines_.join_at(static_cast<std::int64_t>(chaos_.between(100, 3000)) * 1000);
        }
        const auto batches = static_cast<std::uint32_t>(shape_.between(20, 120));
        outcome_.batches = std::min(batches, options_.batches_max);
        for (std::uint32_t i = 0; i < outcome_.batches; ++i) {
            batch();
            mischief();
        }
    }
    void liveness() {
        lines_.heal();
        servers_.heal();
        healed_ = true;
        stalled_until_ = 0;
        for (int i = 0; i < 12; ++i) batch();
        if (shape_.per_mille(300) && now_ - day_began_ > 5'000'000) roll_over();
        for (int i = 0; i < 12; ++i) batch();
        const std::int64_t bound = now_ + (config_.recovery.enabled() ? kRecoveryBound : 4 * kGapBound);
        while (now_ < bound) {
            lines_.heartbeat(now_, exchange_.today());
            advance(now_ + 2 * kWindow);
        }
    }
    void batch() {
        const auto messages = shape_.between(1, 6);
        const auto pause = static_cast<std::int64_t>(shape_.between(5, shape_.per_mille(30) ? 4000 : 150)) * 1000;
        const std::uint64_t before = exchange_.today().last_sequence();
        for (std::uint64_t i = 0; i < messages; ++i) exchange_.act(midnight());
        send_new(before);
        if (pause > 1'000'000) {
            advance(now_ + pause / 2);
            lines_.heartbeat(now_, exchange_.today());
        }
        advance(now_ + pause);
    }
    void send_new(std::uint64_t after) {
        Day& day = exchange_.today();
        messages_.clear();
        for (std::uint64_t at = after + 1; at <= day.last_sequence(); ++at) {
            messages_.emplace_back();
            Venue::encode(day.event(at), day.number(), exchange_.symbols(), messages_.back());
            day.record_size(messages_.back().size());
        }
        lines_.send(now_, day, after + 1, messages_);
    }
    void roll_over() {
        const Day& day = exchange_.today();
        if (chaos_.per_mille(700)) {
            lines_.end_of_session(now_, day);
            ended_day_ = day.number();
        }
        if (chaos_.per_mille(500)) advance(now_ + kStep);
        exchange_.open_day(midnight());
        day_began_ = now_;
        send_new(0);
    }
    // The exchange begins anew under the same session, and has no more to say until that is noticed.
    void restart() {
        count(Fault::restart);
        tainted_day_ = std::max(tainted_day_, exchange_.today().number());  // its messages are taken for other copies
        exchange_.restart_day(midnight());
        asked_ = {};
        servers_.restart();
        day_began_ = now_;
        send_new(0);
        const std::int64_t bound = now_ + (plan_.has(Fault::clock_step) ? kRestartBoundWithClock : kRestartBound);
        while (day_number() != exchange_.today().number()) {
            if (now_ > bound) violate("a restart under the same session is not noticed");
            idle(kHeartbeat);
            lines_.heartbeat(now_, exchange_.today());
        }
    }
    // Time in which nothing happens, once what is under way has come to rest.
    void idle(std::int64_t time) {
        advance(now_ + kRestBound);
        now_ += time;
        waiting_since_ = now_;
    }
    // Where the feed's own lines have come in a day.
    [[nodiscard]] std::uint64_t heard_on(std::uint32_t day) const { return heard_end_.first == day ? heard_end_.second : 0; }
    // What the lines have brought tells the new stream from the old one.
    [[nodiscard]] bool can_restart() const {
        const Day& day = exchange_.today();
        const auto& arbiter = session_->arbiter();
        constexpr std::uint64_t kMuch = 60;  // more than a stream begins with
        return day_number() == day.number() && arbiter.next_expected() > kMuch && heard_on(day.number()) > kMuch;
    }
    // Of a day that goes on, now and then after a silence: it names a message that has come.
    void false_end() {
        const std::uint64_t known = session_->arbiter().known_end();
        if (!Venue::kEndsByPacket || known == 1 || day_number() != exchange_.today().number()) return;
        count(Fault::false_end);
        lines_.false_end(now_, exchange_.today(), ends_.between(1, known - 1));
        if (ends_.per_mille(300)) advance(now_ + 2 * kQuiet);
    }
    // The faults that are not a line's.
    void mischief() {
        const auto strikes = [&](Fault fault) { return chaos_.per_mille(plan_.of(fault)); };
        const std::int64_t much = static_cast<std::int64_t>(chaos_.between(1, 3000)) * 1000;
        const bool forwards = chaos_.per_mille(500);
        // Sessions are days apart; here at least so far that no packet of the last but one is still on its way.
        if (strikes(Fault::rollover) && now_ - day_began_ > 5'000'000) {
            count(Fault::rollover);
            roll_over();
        }
        if (strikes(Fault::clock_step)) {
            count(Fault::clock_step);
            clock_step_ += forwards ? much * 1000 : -much * 1000;
        }
        if (strikes(Fault::full_ring)) stalled_until_ = now_ + much;
        if (strikes(Fault::interface_flap)) {
            count(Fault::interface_flap);
            down_until_ = now_ + much;
        }
        if (strikes(Fault::silence)) {
            count(Fault::silence);
            advance(now_ + kQuiet + 2 * much);
        }
        if (strikes(Fault::slow_consumer)) slow_until_ = now_ + 4 * much;
        if (restarts_.per_mille(plan_.of(Fault::restart)) && can_restart()) restart();
        if (ends_.per_mille(plan_.of(Fault::false_end))) false_end();
    }
    void count(Fault fault) { ++outcome_.faults[static_cast<std::size_t>(fault)]; }

    // ---- the host's side ----

    [[nodiscard]] std::int64_t midnight() const { return 34'200'000'000'000 + now_; }
    [[nodiscard]] Timestamp host_clock() const { return kEpoch + now_ + clock_step_; }

    void advance(std::int64_t until) {
        while (now_ < until) {
            const std::int64_t end = std::min(until, now_ + kStep);
            bool idle = true;
            while (!lines_.empty() && lines_.next_due() <= end) {
                now_ = std::max(now_, lines_.next_due());
                arrive(lines_.take());
                idle = false;
            }
            now_ = end;
            if (now_ < stalled_until_) {
                waiting_since_ = now_;
                continue;
            }
            decode();
            if (idle) {
                session_->on_time(host_clock());
                after_step(false);
            }
            recover();
            consume();
        }
    }
    // The first consumer keeps up; the others do, but for a while.
    void consume() {
        checker_.consumers[0].work(~std::uint64_t{0});
        for (Consumer& consumer : checker_.consumers) {
            if (now_ >= slow_until_) consumer.work(~std::uint64_t{0});
            consumer.check(false);
        }
        const std::uint64_t missed = checker_.consumers[1].missed() + checker_.consumers[2].missed();
        if (missed != missed_ && now_ < slow_until_) count(Fault::slow_consumer);
        missed_ = missed;
        if (checker_.consumers[0].missed() != 0) violate("a consumer that keeps up misses events");
    }
    // What the I/O side does every few moments.
    void recover() {
        const auto request = session_->next_request(now_);
        if constexpr (Venue::kRecovers) {
            if (request && request->kind == RecoveryRequest::Kind::retransmit) check_request(*request);
            if (request) servers_.ask(*request, now_);
            servers_.advance(now_, [this](Datagram d) { arrive(std::move(d)); }, *session_);
        }
        after_step(false);
        no_silence();
    }
    void arrive(Datagram d) {
        if (now_ < down_until_ && !healed_) return;  // the interface is down
        if (d.oversize) {
            ++truncated_;
            return;
        }
        if (ring_.size() >= kRing) return count(Fault::full_ring);
        d.due = host_clock();  // the kernel's receive time
        ring_.push_back(std::move(d));
        if (now_ >= stalled_until_) decode();
    }
    void decode() {
        for (const Datagram& d : ring_) {
            hand_over(d);
            ++behind_packets_;
            const std::uint32_t day_before = day_number();
            const std::uint64_t stray = session_->arbiter().messages_stray();
            session_->on_packet({d.line, d.due, d.bytes});
            note_begun(d, day_before);
            const bool doubted = session_->arbiter().messages_stray() > stray;
            if (d.harm == Harm::none && !doubted) checker_.taken(d.day, d.first, d.count);
            if (d.line < Lines<Venue>::kLines && d.harm != Harm::framing) heard_at_ = now_;
            after_step(false);
        }
        ring_.clear();
    }
    // Notes what the session is about to see.
    void hand_over(const Datagram& d) {
        if (options_.verbose) {
            fmt::print(stderr, "{:>8} us: line {} session {}: {} messages from {}{}\n", now_ / 1000, d.line, d.day,
                       d.count, d.first, d.harm == Harm::none ? "" : ", corrupted");
            if (d.harm != Harm::none) fmt::print(stderr, "    {:02x}\n", fmt::join(d.bytes, ""));
        }
        if (d.harm == Harm::framing) {
            ++malformed_[d.line];
            return;
        }
        ++arbitrated_[d.line];
        decoded_ += d.count;
        // Nobody can tell one of these from the beginning of another session, or from much that was lost.
        if (d.harm == Harm::header) return;
        if (d.harm == Harm::message || d.harm == Harm::wrong) tainted_day_ = std::max(tainted_day_, d.day);
        if (d.day < day_seen_) return;
        if (d.harm == Harm::wrong) checker_.handed_wrong(d.day, d.wrong);
        if (d.day == day_number() || begins_session(d)) note_handed(d);
    }
    // What a session's first packet says comes to be used sooner or later.
    [[nodiscard]] bool begins_session(const Datagram& d) const {
        const bool restarted = d.day > 1 && day_of(d).restarts() != exchange_.days()[d.day - 2].restarts();
        return d.first <= 1 && !restarted;
    }
    [[nodiscard]] const Day& day_of(const Datagram& d) const { return exchange_.days()[d.day - 1]; }
    // Of a session that begins, the session may wait for a second packet before it believes it.
    void note_begun(const Datagram& d, std::uint32_t day_before) {
        if (d.harm == Harm::header || d.harm == Harm::framing || begins_session(d)) return;
        if (d.day != day_before && d.day == day_number()) note_handed(d);
    }
    void note_handed(const Datagram& d) {
        checker_.handed(d.day, d.first, d.count);
        if (handed_end_.size() <= d.day) handed_end_.resize(d.day + 1, 1);
        handed_end_[d.day] = std::max(handed_end_[d.day], d.first + d.count);
        if (d.line < Lines<Venue>::kLines) heard_end_ = {d.day, std::max(heard_on(d.day), d.first + d.count)};
    }

    // ---- what must hold ----

    // What is asked for is missing; not too often, and not twice in a row of a server that does not answer.
    void check_request(const RecoveryRequest& request) {
        const SequenceRange missing = session_->arbiter().missing();
        if (request.first != missing.first || request.count == 0 || request.count > missing.size()) {
            violate("{} messages from {} asked for, missing are {}-{}", request.count, request.first,
                    missing.first, missing.last);
        }
        const bool again = request.first == asked_.first && request.session == asked_.session;
        const bool soon = asked_at_ != 0 && now_ - asked_at_ < config_.recovery.request_interval_ns;
        if (soon) violate("messages from {} asked for {} ns after the last request", request.first, now_ - asked_at_);
        if (again && config_.recovery.retransmit_servers > 1 && request.server == asked_.server) {
            violate("server {} asked again for messages from {}", request.server, request.first);
        }
        asked_ = request;
        asked_at_ = now_;
    }

    // The day whose stream the arbiter is in; 0 before any.
    [[nodiscard]] std::uint32_t day_number() const {
        if (!session_->arbiter().in_session()) return 0;
        const std::uint32_t session = Venue::session_of(session_->arbiter().session());
        const std::uint64_t restarts = session_->recovery()[RecoveryCounter::restarts];
        const auto& days = exchange_.days();
        const auto day = std::find_if(days.rbegin(), days.rend(), [&](const Day& each) {
            return each.session() == session && each.restarts() == restarts;
        });
        if (day == days.rend()) violate("session {} after {} restarts does not exist", session, restarts);
        return day->number();
    }
    void enter_day() {
        const std::uint32_t number = day_number();
        if (number != 0) checker_.enter(exchange_.days()[number - 1]);
    }

    void after_step(bool all) {
        enter_day();
        const std::uint32_t day = day_number();
        const SequenceNumber next = session_->arbiter().next_expected();
        const MessageCounters messages = session_->messages();
        if (balance(messages) != 0) violate("messages: balance {}", balance(messages));
        reconcile(messages, day, next);
        if (day == 0) return;
        if (next > exchange_.days()[day - 1].last_sequence() + 1) violate("message {} is expected already", next);
        checker_.between(session_->books(), next, all);
        no_false_alarm(day);
        no_standstill(next);
        no_haste();
    }
    // Every sequence number that was passed has been applied or given up.
    void reconcile(const MessageCounters& m, std::uint32_t day, SequenceNumber next) {
        using enum MessageCounter;
        const std::uint64_t lost = session_->arbiter().messages_lost();
        const std::uint64_t logged = m[held] - session_->arbiter().messages_held();
        const std::uint64_t passed =
            m[delivered] + m[filtered] + m[unknown] + m[malformed] + m[superseded] + m[given_up] + logged +
            lost;
        if (day != day_seen_) {
            const std::uint64_t whole_day = day_seen_ == 0 ? 0 : handed_end_[day_seen_] - 1;
            passed_before_ += whole_day;
            given_up_before_ = lost;
            day_seen_ = day;
        }
        if (passed != passed_before_ + next - 1) {
            violate("{} messages passed and {} accounted for", passed_before_ + next - 1, passed);
        }
        if (logged != 0 && !session_->recovering()) violate("{} messages wait for no snapshot", logged);
        std::uint64_t first = 0;
        for (LineId line = 0; line < session_->arbiter().line_count(); ++line) {
            first += session_->arbiter().line(line)[LineCounter::first];
        }
        if (first != passed - lost) violate("{} messages applied, {} brought first by a line", passed - lost, first);
        if (m[decoded] != decoded_) violate("{} messages decoded of {}", m[decoded], decoded_);
        for (LineId line = 0; line < session_->arbiter().line_count(); ++line) {
            const LineCounters& counters = session_->arbiter().line(line);
            if (counters[LineCounter::arbitrated] != arbitrated_[line] ||
                counters[LineCounter::malformed] != malformed_[line]) {
                violate("line {}: {} packets arbitrated of {}, {} malformed of {}", line,
                        counters[LineCounter::arbitrated], arbitrated_[line], counters[LineCounter::malformed],
                        malformed_[line]);
            }
        }
    }
    // Where nothing was given up and nothing contradicted itself, no book is flagged.
    void no_false_alarm(std::uint32_t day) const {
        if (session_->recovering() || session_->stopped()) return;
        if (tainted_day_ >= day || plan_.has(Fault::limits)) return;
        if (now_ - heard_at_ >= kQuiet) return;
        const bool snapshots = config_.recovery.snapshot_servers != 0;
        if (!snapshots && session_->arbiter().messages_lost() != given_up_before_) return;
        for (const OrderBook& book : session_->books()) {
            if (book.quality() != Quality::live) violate("{} is flagged for nothing", book.symbol().view());
        }
    }
    // A feed that was heard and is heard no more has no live book.
    void no_silence() const {
        if (now_ - heard_at_ < kQuiet + 3 * kStep || heard_at_ == 0) return;
        if (session_->ended() && (!Venue::kEndsByPacket || day_number() <= ended_day_)) return;
        for (const OrderBook& book : session_->books()) {
            if (book.quality() == Quality::live) violate("{} is live in silence", book.symbol().view());
        }
    }
    // A gap is given up when the window's time or room is over, and not before.
    void no_haste() {
        const std::uint64_t lost = std::exchange(lost_seen_, session_->arbiter().messages_lost());
        const bool hasty = lost != lost_seen_ && day_seen_ == day_before_ &&
                           (!behind_ || (now_ - behind_since_ <= kWindow &&
                                         behind_packets_ < config_.reorder_window_packets));
        const bool comparable = !config_.recovery.enabled() && !plan_.has(Fault::clock_step) && !plan_.has(Fault::full_ring);
        if (hasty && comparable) violate("a gap is given up {} ns after it was noticed", now_ - behind_since_);
        if (!behind_ || !session_->arbiter().gap_open()) {
            behind_since_ = now_;
            // With a packet that bears out a session comes the one that was doubted.
            behind_packets_ = day_seen_ != day_before_ ? 1 : 0;
        }
        behind_ = session_->arbiter().gap_open();
        day_before_ = day_seen_;
    }
    void no_standstill(SequenceNumber next) {
        const bool waiting = session_->arbiter().gap_open() && next == waiting_for_;
        if (!waiting) waiting_since_ = now_;
        waiting_for_ = next;
        const std::int64_t bound = config_.recovery.enabled() ? kAskBound : kGapBound;
        if (now_ - waiting_since_ > bound) violate("waits for message {} and does not give it up", next);
    }

    void finish() {
        after_step(true);
        for (Consumer& consumer : checker_.consumers) {
            consumer.work(~std::uint64_t{0});
            consumer.check(true);
        }
        const LineArbiter& arbiter = session_->arbiter();
        if (arbiter.gap_open() || arbiter.messages_held() != 0) violate("a gap is open at the end");
        if (day_number() != exchange_.today().number()) violate("not in the last session");
        if (arbiter.next_expected() != exchange_.today().last_sequence() + 1) violate("not at the end");
        if (session_->recovering() && !plan_.has(Fault::limits)) violate("still recovering at the end");
        const bool repairs = config_.recovery.snapshot_servers != 0 &&
                             config_.quality.suspect == SuspectPolicy::quarantine && !plan_.has(Fault::limits);
        for (const OrderBook& book : session_->books()) {
            if (repairs && book.quality() != Quality::live) violate("{} is not made good", book.symbol().view());
        }
        EventLog& log = checker_.log();
        const MessageCounters messages = session_->messages();
        for (std::size_t i = 0; i < messages.size(); ++i) log.add(messages[static_cast<MessageCounter>(i)]);
        log.add(session_->digest().content);
        log.add(session_->digest().queue);
    }

    static constexpr std::size_t kRing = 16;

    Options options_;
    Outcome outcome_;
    FaultPlan plan_;
    Rng shape_;   // of the day: how many messages, when
    Rng chaos_;   // of the host
    Rng restarts_;
    Rng ends_;
    Exchange exchange_;
    Lines<Venue> lines_;
    Servers<Venue> servers_;
    Checker checker_;
    SessionConfig config_;
    std::unique_ptr<FeedSession> session_;

    std::int64_t now_ = 0;
    std::int64_t day_began_ = 0;
    std::int64_t clock_step_ = 0;
    std::int64_t stalled_until_ = 0;
    std::int64_t down_until_ = 0;
    std::int64_t heard_at_ = 0;               // when the last packet was handed over
    std::int64_t slow_until_ = 0;
    std::uint64_t missed_ = 0;
    bool healed_ = false;
    std::vector<Bytes> messages_;
    std::vector<Datagram> ring_;

    // What the host was given, counted apart from the code under test.
    std::uint64_t truncated_ = 0;
    std::uint64_t decoded_ = 0;
    std::uint64_t arbitrated_[3]{};
    std::uint64_t malformed_[3]{};
    std::pair<std::uint32_t, std::uint64_t> heard_end_{};  // the last day that a line brought, and how far
    std::vector<SequenceNumber> handed_end_;  // by day: behind the last message known of
    std::uint32_t day_seen_ = 0;
    std::uint32_t ended_day_ = 0;             // the last day whose end was told
    std::uint32_t tainted_day_ = 0;           // the last day of which a contradictory message came
    std::uint64_t passed_before_ = 0;         // messages of the sessions before
    std::uint64_t given_up_before_ = 0;
    SequenceNumber waiting_for_ = 0;
    std::int64_t waiting_since_ = 0;
    bool behind_ = false;                     // a gap is open, without a break ...
    std::int64_t behind_since_ = 0;           // ... since this moment ...
    std::uint64_t behind_packets_ = 0;        // ... and so many packets
    std::uint64_t lost_seen_ = 0;
    std::uint32_t day_before_ = 0;
    RecoveryRequest asked_;
    std::int64_t asked_at_ = 0;
};

}  // namespace millrace::sim
