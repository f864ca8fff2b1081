// Millrace's one public include: receive a feed and get its books on your own thread.
//
//     struct Strategy { void on_book(const millrace::OrderBook&, const millrace::BookUpdate&); ... };
//     Strategy strategy;
//     millrace::FeedHandler<millrace::venues::NasdaqItch50, Strategy> feed{millrace::load_config("feed.toml"), strategy};
//     feed.subscribe({"AAPL", "MSFT"});
//     while (running) if (feed.poll() == 0) feed.idle();
#pragma once

#include <sched.h>

#include <array>
#include <chrono>
#include <initializer_list>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "millrace/core/clock.hpp"
#include "millrace/core/error.hpp"
#include "millrace/core/published.hpp"
#include "millrace/feed/config.hpp"
#include "millrace/feed/handler.hpp"
#include "millrace/feed/net/buffer_control.hpp"
#include "millrace/feed/net/receiver_thread.hpp"
#include "millrace/feed/net/recovery_client.hpp"
#include "millrace/feed/session.hpp"
#include "millrace/feed/venues/venue_list.hpp"

namespace millrace {

// What one line has seen so far, on both sides of its queue.
struct LineStats {
    std::string name;
    net::ReceiveCounters received;
    LineCounters decoded;
    std::uint64_t in_flight = 0;  // in the queue to the decoder
    std::uint64_t link_downs = 0;  // times its interface was down, or gone, when it was found silent

    // Of the packet ledger; zero whenever it is read.
    [[nodiscard]] std::int64_t balance() const {
        using net::ReceiveCounter;
        return static_cast<std::int64_t>(received[ReceiveCounter::received]) -
               static_cast<std::int64_t>(decoded[LineCounter::arbitrated] + decoded[LineCounter::malformed] +
                                         received[ReceiveCounter::truncated] + received[ReceiveCounter::queue_full] +
                                         in_flight);
    }
};

// What was wrong with a server, and how often.
struct ServerTrouble {
    bool snapshots = false;  // else retransmissions are asked of it
    GroupConfig server;
    ServerProblem problem = ServerProblem::none;
    std::uint64_t times = 0;
};

// Both ledgers of a feed, as any thread may read them while it runs.
struct FeedStats {
    MessageCounters messages;
    std::vector<LineStats> lines;  // the config's and, where there are servers to ask, "recovery"

    // Zero whenever it is read.
    [[nodiscard]] std::int64_t balance() const {
        std::int64_t sum = millrace::balance(messages);
        for (const LineStats& line : lines) sum += line.balance();
        return sum;
    }
};

// Receives the lines of one feed and drives a session with what arrives. The thread that calls poll() is
// the decoder: it arbitrates, decodes, updates books and runs the handler's callbacks. `handler` is
// borrowed and must outlive the feed.
template <class Venue, BookHandler Handler>
class FeedHandler {
  public:
    FeedHandler(const FeedConfig& config, Handler& handler) : config_(config), handler_(handler) {}
    // The feed of this venue in a config. Throws Error(config) when there is not exactly one.
    FeedHandler(const Config& config, Handler& handler) : FeedHandler(only_feed_of(config, Venue::kId), handler) {}
    ~FeedHandler() { stop(); }
    FeedHandler(const FeedHandler&) = delete;
    FeedHandler& operator=(const FeedHandler&) = delete;

    // Keeps books for these symbols only, instead of those the config names. Before the first poll.
    void subscribe(std::initializer_list<Symbol> symbols) { config_.session.symbols = symbols; }

    // Takes the memory, opens the lines and starts the receivers; the first poll does it where nobody has.
    // Throws Error with the exit code of what went wrong.
    void start();

    // Handles what has arrived and returns how many packets that were; never waits.
    std::size_t poll() {
        return poll([](const Packet&) {});
    }
    // The same; every packet is shown to `tap` just before the session gets it.
    template <class Tap>
    std::size_t poll(Tap&& tap) {
        if (session_ == nullptr) start();
        const bool looks_if_idle = ++polls_ % idle_looks_every_ == 0;
        const std::size_t taken = receiver_ != nullptr ? poll_receiver(tap, looks_if_idle) : poll_threads(tap);
        taken_since_ += taken;
        if (taken != 0 ? ++busy_polls_ % kLookEvery != 0 : !looks_if_idle) return taken;
        const std::size_t recovered = recover(tap);
        taken_since_ += recovered;
        // Messages also come free by time alone.
        if (taken_since_ != 0 || session_->messages() != published_messages_) publish();
        return taken + recovered;
    }

    // For a thread whose poll found nothing: spins, yields or sleeps, as configured.
    void idle();

    // Opens a line anew at the next look, as is done by itself (ReceiveCounter::restarts) when a line's receiver has
    // failed, and when it is silent on an interface that was removed and made again.
    void reopen(LineId line) { upkeep_[line].wanted = true; }

    // Stops receiving, handles what is in the queues, and gives up what is still missing.
    void stop() {
        stop([](const Packet&) {});
    }
    template <class Tap>
    void stop(Tap&& tap);

    // After start().
    [[nodiscard]] const Session<Venue, Handler>& session() const { return *session_; }
    [[nodiscard]] const OrderBook* book(const Symbol& symbol) const { return session_->book(symbol); }
    [[nodiscard]] const net::BackendChoice& backend() const { return backend_; }
    [[nodiscard]] Idle idle_strategy() const { return idle_; }
    [[nodiscard]] std::size_t socket_buffer_bytes() const {
        return receiver_ != nullptr ? receiver_->socket_buffer_bytes() : threads_.front()->socket_buffer_bytes();
    }
    // On the thread that polls. Behind the config's lines, where there are servers to ask, what these sent
    // as a line "recovery".
    [[nodiscard]] std::vector<LineStats> lines() const { return lines_of(counters_now()); }
    // On any thread: as of the last poll but a few. What a receiver
    // has handed over since then is in flight.
    [[nodiscard]] FeedStats stats() const {
        const Counters counters = published_.read();
        return {counters.messages, lines_of(counters)};
    }
    // On any thread, after start(): what was wrong with which server that was asked for what was missed. Lines by
    // TCP count theirs in LineStats (ReceiveCounter::refused, failed).
    [[nodiscard]] std::vector<ServerTrouble> troubles() const;
    // On the thread that polls: how often a TCP line that had been lost was there again.
    [[nodiscard]] std::uint64_t reconnects(LineId line) const {
        if (line >= config_.lines.size() || !config_.lines[line].soup) return 0;
        if (receiver_ == nullptr) return threads_[line]->counters()[net::ReceiveCounter::reconnects];
        return receiver_->counters(line)[net::ReceiveCounter::reconnects];
    }

  private:
    static constexpr std::size_t kBatch = 32;
    // How many polls pass, when they all find packets, between two looks at the time and at what recovery needs; and
    // when none does, on a thread that spins: a clock read is a tenth of such a poll.
    static constexpr std::uint32_t kLookEvery = 64;
    static constexpr std::uint32_t kSpinningLookEvery = 16;
    // Between two looks at whether lines have to be opened anew.
    static constexpr Nanoseconds kUpkeepEvery = 250'000'000;
    // Between the kernel stamping a datagram and its socket showing it.
    static constexpr Nanoseconds kStampSlack = 1'000'000;

    // What the polling thread counts, as one block; the receiving side too where it is this thread.
    struct Counters {
        MessageCounters messages;
        struct Line {
            net::ReceiveCounters received;
            LineCounters decoded;
            std::uint64_t link_downs;
        };
        std::array<Line, kLinesMax + 1> lines;  // the last one in use for what servers sent
    };
    [[nodiscard]] std::size_t line_count() const { return config_.lines.size() + (recovery_ != nullptr ? 1 : 0); }
    [[nodiscard]] Counters counters_now() const;
    // Must read what receivers published after `counters`, so that these have handed over what was arbitrated.
    [[nodiscard]] std::vector<LineStats> lines_of(const Counters& counters) const;
    void publish() {
        published_messages_ = session_->messages();
        taken_since_ = 0;
        published_.publish(counters_now(), sizeof(MessageCounters) + line_count() * sizeof(typename Counters::Line));
    }

    // `looks`: if it finds nothing, lets waiting for a missing message time out.
    template <class Tap>
    std::size_t poll_receiver(Tap& tap, bool looks);
    template <class Tap>
    std::size_t poll_threads(Tap& tap);
    template <class Tap>
    std::size_t drain(Tap& tap);
    // Drains one line's queue; its buffers are all back then.
    template <class Tap>
    std::size_t drain(net::ReceiverThread& thread, Tap& tap);
    void open(const SessionConfig& session, LineId recovery_line);
    void note_interfaces();
    [[nodiscard]] bool has_to_reopen(std::size_t line);
    template <class Tap>
    void keep_up(Timestamp now, Tap& tap);
    template <class Tap>
    [[nodiscard]] bool reopen_now(std::size_t line, Tap& tap);
    // Asks for what is missing, and takes what has come of it.
    template <class Tap>
    std::size_t recover(Tap& tap) {
        const Timestamp now = MonotonicClock::now();
        if (now - kept_up_at_ >= kUpkeepEvery) keep_up(now, tap);
        const auto request = session_->next_request(now);
        if (recovery_ == nullptr) return 0;
        if (request) recovery_->ask(*request);
        return recovery_->deliver(*session_, [&](const net::Received& received, std::span<const std::uint8_t> bytes) {
            const Packet packet{received.line, received.received_at, bytes};
            session_->on_packets({&packet, 1}, tap);
        });
    }
    // The first so many receives of the batch, whose buffers are of `receiver`: handled together, so that their cache
    // misses overlap, and given back.
    template <class Receiver, class Tap>
    void handle_batch(std::size_t count, Receiver& receiver, Tap& tap) {
        std::size_t packets = 0;
        const auto hand_on = [&] { session_->on_packets({packets_.data(), std::exchange(packets, 0)}, tap); };
        for (std::size_t i = 0; i < count; ++i) {
            receiver.for_each_datagram(batch_[i], [&](std::span<const std::uint8_t> bytes) {
                packets_[packets++] = {batch_[i].line, batch_[i].received_at, bytes};
                if (packets == packets_.size()) hand_on();
            });
        }
        hand_on();
        for (std::size_t i = 0; i < count; ++i) receiver.release(batch_[i].buffer);
    }

    FeedConfig config_;
    Handler& handler_;
    net::BackendChoice backend_;
    Idle idle_ = Idle::wait;
    std::unique_ptr<Session<Venue, Handler>> session_;
    std::unique_ptr<net::Receiver> receiver_;                   // run to completion
    std::vector<std::unique_ptr<net::ReceiverThread>> threads_;  // one a line
    std::unique_ptr<net::BufferControl> buffer_control_;        // of these, where their buffers may grow
    std::unique_ptr<net::RecoveryClient> recovery_;             // where there are servers to ask
    std::array<net::Received, kBatch> batch_{};
    std::array<Packet, 2 * kBatch> packets_{};
    // Opens all or nothing, so that it can be tried again: closes what is open, unless told to leave it.
    struct Undo {
        FeedHandler* feed;
        ~Undo() {
            if (feed == nullptr) return;
            feed->buffer_control_.reset();
            feed->threads_.clear();
            feed->receiver_.reset();
            feed->recovery_.reset();
        }
    };
    // Of one line, whether it has to be opened anew.
    struct Upkeep {
        unsigned interface = 0;  // its number when the line was opened; 0: not known
        bool wanted = false;
        bool link_down = false;
        std::uint64_t link_downs = 0;
    };
    std::array<Upkeep, kLinesMax> upkeep_{};
    Timestamp kept_up_at_ = 0;
    std::uint32_t idle_looks_every_ = 1;
    std::uint32_t polls_ = 0;
    std::uint32_t busy_polls_ = 0;
    std::size_t taken_since_ = 0;          // packets since the counters were published
    MessageCounters published_messages_;
    Published<Counters> published_;        // the polling thread writes, any reads
    bool stopped_ = false;
};

template <class Venue, BookHandler Handler>
void FeedHandler<Venue, Handler>::start() {
    if (session_ != nullptr) return;
    backend_ = net::choose_backend(config_.receive);
    const bool threads = config_.receive.mode == ReceiveMode::threads;
    // Threads pinned to one CPU have no more than that one.
    const bool shared = threads && shared_cpu(config_.threads) != kNotPinned;
    idle_ = resolve(config_.receive.idle, threads ? config_.lines.size() + 1 : 1, shared ? 1 : available_cpus().size());
    if (idle_ == Idle::spin || idle_ == Idle::pause) idle_looks_every_ = kSpinningLookEvery;
    SessionConfig session = config_.session;
    session.lines = config_.lines.size();
    session.datagram_bytes_max = config_.receive.buffer_bytes;
    session.recovery.retransmit_servers = static_cast<std::uint8_t>(config_.recovery.retransmit_count());
    session.recovery.snapshot_servers = static_cast<std::uint8_t>(config_.recovery.snapshot.size());
    auto made = std::make_unique<Session<Venue, Handler>>(session, handler_);
    Undo undo{this};
    open(session, made->recovery_line());
    undo.feed = nullptr;
    session_ = std::move(made);
}

template <class Venue, BookHandler Handler>
void FeedHandler<Venue, Handler>::open(const SessionConfig& session, LineId recovery_line) {
    if (config_.receive.mode == ReceiveMode::threads) {
        for (std::size_t i = 0; i < config_.lines.size(); ++i) {
            const int cpu = i < config_.threads.receivers.size() ? config_.threads.receivers[i] : kNotPinned;
            threads_.push_back(std::make_unique<net::ReceiverThread>(config_.lines[i], static_cast<LineId>(i),
                                                                     config_.lines.size(), config_.receive,
                                                                     backend_.backend, cpu, idle_));
        }
        if (config_.receive.buffers_max > config_.receive.buffers && !config_.receive.gro) {
            buffer_control_ = std::make_unique<net::BufferControl>(threads_, net::ElasticTiming{}.look_every);
        }
    } else {
        // What has not been handled waits in the sockets, and never in more buffers than one poll takes.
        config_.receive.buffers_max = config_.receive.buffers;
        receiver_ = std::make_unique<net::Receiver>(config_.lines, LineId{0}, config_.lines.size(), config_.receive,
                                                    backend_.backend);
        receiver_->start();
    }
    if constexpr (requires { Venue::recovery_protocol(); }) {
        if (config_.recovery.any()) {
            RecoveryServers servers = config_.recovery;
            servers.backend = backend_.backend;
            recovery_ = std::make_unique<net::RecoveryClient>(Venue::recovery_protocol(), servers, session.recovery,
                                                              recovery_line, config_.receive.buffer_bytes);
        }
    }
    note_interfaces();
}

template <class Venue, BookHandler Handler>
void FeedHandler<Venue, Handler>::note_interfaces() {
    for (std::size_t i = 0; i < config_.lines.size(); ++i) {
        const LineConfig& line = config_.lines[i];
        upkeep_[i].interface = line.soup ? 0 : net::interface_index(line.interface);
    }
}

template <class Venue, BookHandler Handler>
bool FeedHandler<Venue, Handler>::has_to_reopen(std::size_t line) {
    Upkeep& upkeep = upkeep_[line];
    if (!threads_.empty() && threads_[line]->failed()) return true;
    const bool silent = !config_.lines[line].soup && session_->silent(static_cast<LineId>(line));
    const bool down = silent && !net::link_is_up(config_.lines[line].interface);
    upkeep.link_downs += down && !upkeep.link_down ? 1 : 0;
    upkeep.link_down = down;
    if (!silent) return upkeep.wanted;
    const unsigned now = net::interface_index(config_.lines[line].interface);
    if (upkeep.interface == 0) upkeep.interface = now;
    upkeep.wanted = upkeep.wanted || now != upkeep.interface;
    return upkeep.wanted && now != 0;
}

template <class Venue, BookHandler Handler>
template <class Tap>
void FeedHandler<Venue, Handler>::keep_up(Timestamp now, Tap& tap) {
    kept_up_at_ = now;
    for (std::size_t i = 0; i < config_.lines.size() && !stopped_; ++i) {
        // What fails is tried again at the next look; meanwhile the line is silent.
        if (has_to_reopen(i)) upkeep_[i].wanted = !reopen_now(i, tap);
    }
    // A line by TCP may fail, and a link go down, without a packet.
    publish();
}

template <class Venue, BookHandler Handler>
template <class Tap>
bool FeedHandler<Venue, Handler>::reopen_now(std::size_t line, Tap& tap) {
    if (!threads_.empty()) {
        threads_[line]->stop();
        while (drain(*threads_[line], tap) > 0) {
        }
        if (!threads_[line]->restart()) return false;
    } else {
        auto opened = net::try_to_open(config_.lines, config_.receive, backend_.backend);
        if (opened == nullptr) return false;
        for (std::size_t i = 0; i < config_.lines.size(); ++i) {
            opened->counters(static_cast<LineId>(i)) = receiver_->counters(static_cast<LineId>(i));
        }
        receiver_ = std::move(opened);
        ++receiver_->counters(static_cast<LineId>(line))[net::ReceiveCounter::restarts];
        publish();
    }
    if (!config_.lines[line].soup) upkeep_[line].interface = net::interface_index(config_.lines[line].interface);
    return true;
}

template <class Venue, BookHandler Handler>
template <class Tap>
std::size_t FeedHandler<Venue, Handler>::poll_receiver(Tap& tap, bool looks) {
    const Timestamp before = looks ? SystemClock::now() : 0;
    std::size_t count = 0;
    const std::size_t taken = receiver_->poll([&](const net::Received& received) {
        receiver_->counters(received.line)[net::ReceiveCounter::handed_over] += receiver_->datagrams(received);
        batch_[count++] = received;
        if (count == kBatch) handle_batch(std::exchange(count, 0), *receiver_, tap);
    });
    handle_batch(count, *receiver_, tap);
    if (taken == 0 && looks) session_->on_time(before - kStampSlack);
    return taken;
}

template <class Venue, BookHandler Handler>
template <class Tap>
std::size_t FeedHandler<Venue, Handler>::drain(Tap& tap) {
    std::size_t total = 0;
    for (auto& thread : threads_) total += drain(*thread, tap);
    return total;
}

template <class Venue, BookHandler Handler>
template <class Tap>
std::size_t FeedHandler<Venue, Handler>::drain(net::ReceiverThread& thread, Tap& tap) {
    const std::size_t taken = thread.take(batch_.data(), batch_.size());
    handle_batch(taken, thread, tap);
    return taken;
}

template <class Venue, BookHandler Handler>
template <class Tap>
std::size_t FeedHandler<Venue, Handler>::poll_threads(Tap& tap) {
    // Read before the queues are: what was received by then is in them, or has been handled.
    Timestamp until = threads_.front()->idle_at();
    for (const auto& thread : threads_) until = std::min(until, thread->idle_at());
    const std::size_t taken = drain(tap);
    if (taken == 0) session_->on_time(until - kStampSlack);
    return taken;
}

template <class Venue, BookHandler Handler>
void FeedHandler<Venue, Handler>::idle() {
    switch (idle_) {
        case Idle::pause: cpu_pause(); break;
        case Idle::yield: sched_yield(); break;
        case Idle::wait:
            if (receiver_ != nullptr) receiver_->wait();
            else std::this_thread::sleep_for(std::chrono::microseconds(50));
            break;
        case Idle::automatic:
        case Idle::spin: break;
    }
}

template <class Venue, BookHandler Handler>
template <class Tap>
void FeedHandler<Venue, Handler>::stop(Tap&& tap) {
    if (session_ == nullptr || stopped_) return;
    stopped_ = true;
    buffer_control_.reset();
    for (auto& thread : threads_) thread->stop();
    if (recovery_ != nullptr) recovery_->stop();
    while (drain(tap) > 0) {
    }
    while (recover(tap) > 0) {
    }
    session_->finish();
    publish();
}

template <class Venue, BookHandler Handler>
auto FeedHandler<Venue, Handler>::counters_now() const -> Counters {
    Counters now{};
    now.messages = session_->messages();
    for (std::size_t i = 0; i < line_count(); ++i) {
        const auto line = static_cast<LineId>(i);
        now.lines[i].decoded = session_->arbiter().line(line);
        if (i == config_.lines.size()) continue;
        now.lines[i].link_downs = upkeep_[i].link_downs;
        if (receiver_ != nullptr) now.lines[i].received = receiver_->counters(line);
    }
    return now;
}

template <class Venue, BookHandler Handler>
std::vector<ServerTrouble> FeedHandler<Venue, Handler>::troubles() const {
    std::vector<ServerTrouble> out;
    if (recovery_ == nullptr) return out;
    std::vector<GroupConfig> servers = config_.recovery.retransmit;
    servers.insert(servers.end(), config_.recovery.retransmit_tcp.begin(), config_.recovery.retransmit_tcp.end());
    servers.insert(servers.end(), config_.recovery.snapshot.begin(), config_.recovery.snapshot.end());
    for (std::size_t i = 0; i < servers.size(); ++i) {
        for (std::size_t p = 1; p < kServerProblems.size(); ++p) {
            const auto problem = static_cast<ServerProblem>(p);
            const std::uint64_t times = recovery_->problems().times(i, problem);
            if (times != 0) out.push_back({i >= config_.recovery.retransmit_count(), servers[i], problem, times});
        }
    }
    return out;
}

template <class Venue, BookHandler Handler>
std::vector<LineStats> FeedHandler<Venue, Handler>::lines_of(const Counters& counters) const {
    std::vector<LineStats> out;
    for (std::size_t i = 0; i < line_count(); ++i) {
        const bool recovery = i == config_.lines.size();
        LineStats& stats = out.emplace_back();
        stats.name = recovery ? std::string(kRecoveryLineName) : config_.lines[i].name;
        stats.decoded = counters.lines[i].decoded;
        stats.link_downs = counters.lines[i].link_downs;
        stats.received = recovery            ? recovery_->counters()
                         : !threads_.empty() ? threads_[i]->counters()
                                             : counters.lines[i].received;
        stats.in_flight = stats.received[net::ReceiveCounter::handed_over] -
                          (stats.decoded[LineCounter::arbitrated] + stats.decoded[LineCounter::malformed]);
    }
    return out;
}

}  // namespace millrace
