// Fetches what a session asks for, on a thread of its own: retransmissions by UDP or TCP, snapshots by TCP. The
// thread that drives the session makes no system call for it: requests and answers travel through rings,
// answers in buffers taken at the start.
#pragma once

#include <poll.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "millrace/core/packet_arena.hpp"
#include "millrace/core/published.hpp"
#include "millrace/core/spsc_ring.hpp"
#include "millrace/feed/answer_watch.hpp"
#include "millrace/feed/framing/frame.hpp"
#include "millrace/feed/gap_recovery.hpp"
#include "millrace/feed/net/received.hpp"
#include "millrace/feed/net/receive_config.hpp"
#include "millrace/feed/net/socket.hpp"
#include "millrace/feed/net/tcp_stream.hpp"
#include "millrace/feed/recovery_protocol.hpp"
#include "millrace/feed/server_problem.hpp"

namespace millrace::net {

class RecoveryClient {
  public:
    // Starts the thread. Throws Error(memory, resource, config).
    RecoveryClient(std::unique_ptr<RecoveryProtocol> protocol, const RecoveryServers& servers,
                   const RecoveryConfig& config, LineId line, std::uint32_t buffer_bytes);
    ~RecoveryClient() { stop(); }
    RecoveryClient(const RecoveryClient&) = delete;
    RecoveryClient& operator=(const RecoveryClient&) = delete;

    // ---- the thread that drives the session ----

    // A request that finds no room counts as one that is not answered.
    void ask(const RecoveryRequest& request) { static_cast<void>(requests_.push(request)); }
    // Feeds what has come to the session; `handle` gets the packets. Returns how many answers that were.
    template <class Session, class Handle>
    std::size_t deliver(Session& session, Handle&& handle);

    // ---- any thread ----

    [[nodiscard]] ReceiveCounters counters() const { return published_.read(); }
    // By server: those asked by UDP, by TCP, and for snapshots.
    [[nodiscard]] const ServerProblems& problems() const { return problems_; }
    void stop();

  private:
    struct Answer {
        enum class Kind : std::uint8_t { packet, begin, messages, end, failed };
        Kind kind = Kind::packet;
        std::uint8_t server = 0;   // of all servers
        std::uint32_t id = 0;      // of the snapshot
        SequenceNumber next = 0;   // end
        ServerProblem problem = ServerProblem::none;  // failed
        Received received;         // packet, messages: where its bytes are
    };
    static constexpr std::uint32_t kBuffers = 1024;
    static constexpr std::uint32_t kNoBuffer = ~std::uint32_t{0};

    // ---- the driver's ----

    template <class Session, class Handle>
    void deliver_packet(const Answer& answer, Session& session, Handle& handle);
    template <class Session>
    void deliver_messages(const Answer& answer, Session& session);

    // ---- the recovery thread's ----

    void run();
    void step();
    void take_requests(Timestamp now);
    void send_request(const RecoveryRequest& request, Timestamp now);
    void look_for_silence(Timestamp now, bool given_up = false);
    void receive_packets();
    void begin_gap_fill(const RecoveryRequest& request);
    void go_on_with_gap_fill();
    [[nodiscard]] bool take_gap_fill();
    // Hands over a packet that lies in a buffer, or is copied into one.
    [[nodiscard]] bool hand_over_packet(std::size_t server, std::uint32_t buffer, std::size_t bytes);
    void hand_over_copy(std::span<const std::uint8_t> packet);
    void begin_snapshot(const RecoveryRequest& request, Timestamp now);
    void go_on_with_snapshot(Timestamp now);
    void tell_begin();
    [[nodiscard]] Answer answer_of(Answer::Kind kind) const;
    void tell(Answer::Kind kind, SequenceNumber next = 0, ServerProblem problem = ServerProblem::none);
    void end_snapshot(Answer::Kind kind, SequenceNumber next, ServerProblem problem = ServerProblem::none);
    void note_snapshot_problem(ServerProblem problem) {
        problems_.note(snapshot_server_, problem);
    }
    [[nodiscard]] bool enough_buffers();
    // The snapshot's messages, from the client below.
    friend struct SnapshotMessages;
    void add_message(std::span<const std::uint8_t> message);
    void flush_messages();

    std::unique_ptr<RecoveryProtocol> protocol_;     // the thread's
    RecoveryServers servers_;
    LineId line_;
    Nanoseconds timeout_ns_;                         // of a snapshot, without progress
    PacketArena arena_;
    std::vector<Socket> udp_;                        // by server; the thread's
    std::vector<std::uint8_t> request_;              // the thread's, as is what follows
    std::size_t request_sent_ = 0;                   // by gap_fill_
    AnswerWatch watch_;                              // over the retransmission servers
    std::unique_ptr<TcpStream> gap_fill_;
    std::unique_ptr<PacketCutter> cutter_;           // of gap_fill_
    std::unique_ptr<TcpStream> tcp_;
    std::unique_ptr<SnapshotClient> snapshot_;       // over tcp_
    bool connected_ = false;
    Timestamp snapshot_heard_at_ = 0;                // or since when it is waited for
    std::uint32_t snapshot_id_ = 0;
    std::size_t snapshot_server_ = 0;                // of all servers, as is what follows
    std::size_t gap_fill_server_ = 0;
    bool begun_ = false;
    std::uint32_t filling_ = kNoBuffer;              // the buffer that takes messages
    std::uint32_t filled_ = 0;
    std::vector<std::uint32_t> free_;
    std::vector<pollfd> polled_;
    ReceiveCounters counters_;
    SpscRing<RecoveryRequest> requests_;             // driver -> thread
    SpscRing<Answer> answers_;                       // thread -> driver
    SpscRing<std::uint32_t> back_;                   // driver -> thread: buffers to use again
    std::uint32_t nonsense_id_ = 0;                  // driver's: the snapshot of which it was noted last
    ServerProblems problems_;                        // thread and driver note, any reads
    Published<ReceiveCounters> published_;           // thread writes, any reads
    std::atomic<std::uint32_t> heard_{0};            // thread sets: of this snapshot bytes came; driver clears
    std::atomic<bool> stop_{false};                  // any thread sets, the thread reads
    std::thread thread_;
};

template <class Session, class Handle>
std::size_t RecoveryClient::deliver(Session& session, Handle&& handle) {
    if (heard_.load(std::memory_order_relaxed) != 0) session.on_snapshot_progress(heard_.exchange(0));
    Answer answer;
    std::size_t taken = 0;
    while (answers_.pop(answer)) {
        ++taken;
        switch (answer.kind) {
            case Answer::Kind::packet: deliver_packet(answer, session, handle); break;
            case Answer::Kind::begin: session.on_snapshot_begin(answer.id); break;
            case Answer::Kind::messages: deliver_messages(answer, session); break;
            case Answer::Kind::end: session.on_snapshot_end(answer.id, answer.next); break;
            case Answer::Kind::failed: session.on_snapshot_failed(answer.id, answer.problem); break;
        }
        const bool has_buffer = answer.kind == Answer::Kind::packet || answer.kind == Answer::Kind::messages;
        if (has_buffer) static_cast<void>(back_.push(answer.received.buffer));
    }
    return taken;
}

// Whether packets and messages make sense only the session knows.
template <class Session, class Handle>
void RecoveryClient::deliver_packet(const Answer& answer, Session& session, Handle& handle) {
    const auto malformed = [&] { return session.arbiter().line(line_)[LineCounter::malformed]; };
    const std::uint64_t before = malformed();
    handle(answer.received, payload(arena_, answer.received));
    if (malformed() != before) problems_.note(answer.server, ServerProblem::nonsense);
}

template <class Session>
void RecoveryClient::deliver_messages(const Answer& answer, Session& session) {
    const auto malformed = [&] { return session.recovery()[RecoveryCounter::snapshot_malformed]; };
    const std::uint64_t before = malformed();
    BlockWalker<wire::ByteOrder::big> walker(payload(arena_, answer.received));
    while (walker.has_next()) session.on_snapshot_message(answer.id, walker.next());
    if (malformed() == before || std::exchange(nonsense_id_, answer.id) == answer.id) return;
    problems_.note(answer.server, ServerProblem::nonsense);
}

}  // namespace millrace::net
