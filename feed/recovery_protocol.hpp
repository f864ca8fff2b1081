// How a venue is asked for what was missed and how its answers read: bytes in, bytes out. The recovery thread
// (feed/net/recovery_client.hpp) has the sockets; none of this is on the hot path, hence virtual.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "millrace/core/types.hpp"
#include "millrace/feed/gap_recovery.hpp"
#include "millrace/feed/server_problem.hpp"

namespace millrace {

class SnapshotSink {
  public:
    virtual void on_snapshot_message(std::span<const std::uint8_t> message) = 0;
    // That was all; live messages go on with number `next`.
    virtual void on_snapshot_end(SequenceNumber next) = 0;

  protected:
    ~SnapshotSink() = default;
};

// Takes one snapshot over one connection. Whoever asks for it decides when to try again. `now` is any clock
// that does not go back.
class SnapshotClient {
  public:
    enum class State : std::uint8_t { going, done, failed };

    virtual ~SnapshotClient() = default;

    [[nodiscard]] State state() const { return state_; }
    // Why it failed.
    [[nodiscard]] ServerProblem problem() const { return problem_; }
    // Bytes to send; tell how many were taken.
    [[nodiscard]] virtual std::span<const std::uint8_t> output() const = 0;
    virtual void sent(std::size_t bytes, Timestamp now) = 0;

    virtual void on_connecting(Timestamp now) = 0;
    virtual void on_connected(Timestamp now) = 0;
    // Before the end of the snapshot that is a failure.
    virtual void on_closed() { fail(ServerProblem::cut); }
    virtual void on_bytes(std::span<const std::uint8_t> bytes, Timestamp now, SnapshotSink& sink) = 0;
    // What it handed over is no message of any venue.
    void on_nonsense() { fail(ServerProblem::nonsense); }
    virtual void on_time(Timestamp now) = 0;
    // To be called again and again: hands over at most `bytes` of messages, each behind two more, that could not
    // be handed over as they came.
    virtual void hand_over(std::size_t bytes, SnapshotSink& sink) {
        static_cast<void>(bytes);
        static_cast<void>(sink);
    }

  protected:
    // The first reason counts.
    void fail(ServerProblem why) {
        if (state_ != State::going) return;
        state_ = State::failed;
        problem_ = why;
    }

    State state_ = State::going;

  private:
    ServerProblem problem_ = ServerProblem::none;
};

// Who logs in at the snapshot servers, as far as they ask.
struct SnapshotLogin {
    std::string username;
    std::string password;
    std::string token;
    Nanoseconds timeout_ns = 10'000'000'000;  // of silence
};

// Cuts what comes over one connection into packets, as they would have come by UDP.
class PacketCutter {
  public:
    using Put = std::function<void(std::span<const std::uint8_t> packet)>;

    virtual ~PacketCutter() = default;
    // Puts what is complete in packets of at most `room` bytes. False when these are no such packets.
    [[nodiscard]] virtual bool on_bytes(std::span<const std::uint8_t> bytes, std::size_t room, const Put& put) = 0;
};

class RecoveryProtocol {
  public:
    virtual ~RecoveryProtocol() = default;

    // Appends what asks for messages again: a datagram, or all that is said over a connection.
    virtual void write_request(const RecoveryRequest& request, std::vector<std::uint8_t>& out) const = 0;
    // The answer's by TCP; null for venues that answer by UDP alone.
    [[nodiscard]] virtual std::unique_ptr<PacketCutter> packet_cutter() const { return nullptr; }
    // Null for venues without snapshots.
    [[nodiscard]] virtual std::unique_ptr<SnapshotClient> snapshot_client(const RecoveryRequest& request,
                                                                          const SnapshotLogin& login) const = 0;
};

}  // namespace millrace
