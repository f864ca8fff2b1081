// What the exchange runs beside its lines: servers that send messages again, and servers of snapshots. They
// are late, stingy, deaf and out of date as the seed's plan says.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "millrace/feed/gap_recovery.hpp"
#include "millrace/feed/recovery_protocol.hpp"
#include "millrace/feed/recovery_config.hpp"
#include "tests/simulation/checker.hpp"
#include "tests/simulation/lines.hpp"

namespace millrace::sim {

template <class Venue>
class Servers {
  public:
    static constexpr std::int64_t kAnswerTimeout = 1'000'000;
    static constexpr std::uint8_t kRecoveryLine = 2;
    static constexpr bool kInParts = recovery_means<typename Venue::Production>().answers_in_parts;

    Servers(std::uint64_t seed, const FaultPlan& plan, FaultCounts& counts, Exchange& exchange)
        : plan_(plan), counts_(counts), rng_(seed, 8), exchange_(exchange) {}

    // What the session asked for.
    void ask(const RecoveryRequest& request, std::int64_t now) {
        if (request.kind == RecoveryRequest::Kind::snapshot) return connect(request, now);
        const Day* day = day_of(request.session);
        const std::int64_t delay = static_cast<std::int64_t>(rng_.between(20, 300)) * 1000;
        const auto late = static_cast<std::int64_t>(rng_.between(1, 3)) * kAnswerTimeout;
        const auto part = rng_.between(1, request.count);
        if (day == nullptr || request.first < 1 || request.first > day->last_sequence()) return;
        if (strikes(Fault::refused_retransmission)) return;
        const std::uint64_t count = strikes(Fault::partial_retransmission) ? part : request.count;
        const std::uint64_t end = std::min(request.first + count, day->last_sequence() + 1);
        const std::int64_t due = now + delay + (strikes(Fault::late_retransmission) ? late : 0);
        // One packet, or as many as it takes.
        for (std::uint64_t next = request.first; next == request.first || (kInParts && next < end);) {
            Datagram d = reply(*day, next, end, now);
            d.due = due;
            next += d.count;
            replies_.push_back(std::move(d));
        }
    }
    // They begin anew with the exchange: what they had been asked for is forgotten.
    void restart() {
        replies_.clear();
        connection_.reset();
    }
    // From now on the servers behave.
    void heal() { healed_ = true; }

    // Whatever answers are due, to `receive(datagram)` and to the session.
    template <class Receive, class Session>
    void advance(std::int64_t now, Receive&& receive, Session& session) {
        for (std::size_t i = 0; i < replies_.size();) {
            if (replies_[i].due > now) {
                ++i;
                continue;
            }
            Datagram d = std::move(replies_[i]);
            replies_.erase(replies_.begin() + static_cast<std::ptrdiff_t>(i));
            receive(std::move(d));
        }
        while (connection_ && connection_->due <= now) serve(session);
    }

  private:
    // One snapshot under way.
    struct Connection {
        std::uint32_t id;
        std::int64_t due;      // when the next piece of the stream arrives
        std::unique_ptr<SnapshotClient> client;
        Bytes stream;          // what the server sends, all told
        std::size_t sent = 0;
        std::size_t cut_at;    // the connection breaks here
        bool begun = false;
    };
    // Hands what the client reads to the session.
    template <class Session>
    struct Sink final : SnapshotSink {
        Sink(Session& s, Connection& c) : session(s), connection(c) {}
        void begin() {
            if (!connection.begun) session.on_snapshot_begin(connection.id);
            connection.begun = true;
        }
        void on_snapshot_message(std::span<const std::uint8_t> message) override {
            begin();
            session.on_snapshot_message(connection.id, message);
        }
        void on_snapshot_end(SequenceNumber next) override {
            begin();
            session.on_snapshot_end(connection.id, next);
        }

        Session& session;
        Connection& connection;
    };

    [[nodiscard]] bool strikes(Fault fault) {
        const bool struck = rng_.per_mille(plan_.of(fault));
        if (struck && !healed_) ++counts_[static_cast<std::size_t>(fault)];
        return struck && !healed_;
    }
    [[nodiscard]] const Day* day_of(const SessionKey& session) const {
        const auto& days = exchange_.days();
        const auto last = std::find_if(days.rbegin(), days.rend(), [&](const Day& day) {
            return Venue::session_key(day.session()) == session;
        });
        return last == days.rend() ? nullptr : &*last;
    }
    // The messages from `first` up to `end` that fit a packet.
    [[nodiscard]] Datagram reply(const Day& day, std::uint64_t first, std::uint64_t end, std::int64_t now) const {
        constexpr std::size_t kRoom = 400;
        Datagram d;
        d.line = kRecoveryLine;
        d.day = day.number();
        d.first = first;
        Venue::begin_packet({day.session(), first, day.offset(first), now}, d.bytes);
        Bytes message;
        while (first + d.count < end && d.bytes.size() < kRoom) {
            message.clear();
            Venue::encode(day.event(first + d.count), day.number(), exchange_.symbols(), message);
            Venue::append(d.bytes, message);
            ++d.count;
        }
        return d;
    }

    void connect(const RecoveryRequest& request, std::int64_t now) {
        const Day& day = exchange_.today();
        const std::uint64_t age = rng_.between(1, 60);
        const bool stale = strikes(Fault::stale_snapshot);
        const bool refused = strikes(Fault::refused_snapshot);
        const bool cut = strikes(Fault::cut_snapshot);
        const std::uint64_t last = day.last_sequence();
        Connection c{request.id, now + static_cast<std::int64_t>(rng_.between(50, 500)) * 1000,
                     Venue::Production::recovery_protocol()->snapshot_client(request, {}), {}, 0, 0, false};
        c.client->on_connecting(now);
        c.client->on_connected(now);
        const auto asked_for = Venue::snapshot_session(c.client->output(), day.session());
        if (!asked_for) violate("a request that asks for no snapshot");
        c.client->sent(c.client->output().size(), now);
        const std::uint64_t taken_at = day.settled(stale ? last - std::min(age, last) : last);
        if (refused || *asked_for != day.session()) Venue::refuse(c.stream);
        else Venue::snapshot(day, taken_at, exchange_.symbols(), c.stream);
        c.cut_at = cut ? rng_.below(c.stream.size()) : c.stream.size();
        connection_.emplace(std::move(c));
    }
    template <class Session>
    void serve(Session& session) {
        Connection& c = *connection_;
        const std::size_t piece = std::min<std::size_t>(rng_.between(1, 600), c.cut_at - c.sent);
        Sink<Session> sink(session, c);
        c.client->on_bytes(std::span(c.stream).subspan(c.sent, piece), c.due, sink);
        c.client->hand_over(rng_.between(40, 600), sink);
        c.sent += piece;
        c.due += static_cast<std::int64_t>(rng_.between(5, 150)) * 1000;
        if (c.sent == c.cut_at) c.client->on_closed();
        if (c.client->state() == SnapshotClient::State::failed) session.on_snapshot_failed(c.id);
        if (c.client->state() != SnapshotClient::State::going) connection_.reset();
    }

    const FaultPlan& plan_;
    FaultCounts& counts_;
    Rng rng_;
    Exchange& exchange_;
    bool healed_ = false;
    std::vector<Datagram> replies_;
    std::optional<Connection> connection_;
};

}  // namespace millrace::sim
