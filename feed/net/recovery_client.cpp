#include "millrace/feed/net/recovery_client.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "millrace/core/clock.hpp"
#include "millrace/core/cpu.hpp"
#include "millrace/core/error.hpp"

namespace millrace::net {

namespace {
constexpr int kNapMs = 1;
// Buffers kept back for retransmissions, so that a long snapshot does not starve them.
constexpr std::size_t kBuffersForPackets = 64;
// Bytes of a snapshot that a read brings at most, and that are handed over before buffers are counted again.
constexpr std::size_t kAtOnce = 65'536;
}  // namespace

RecoveryClient::RecoveryClient(std::unique_ptr<RecoveryProtocol> protocol, const RecoveryServers& servers,
                               const RecoveryConfig& config, LineId line, std::uint32_t buffer_bytes)
    : protocol_(std::move(protocol)), servers_(servers), line_(line), timeout_ns_(config.snapshot_timeout_ns),
      arena_(kBuffers, (std::max(buffer_bytes, 2'048U) + kBufferHead + 63) / 64 * 64, HugePages::off),
      watch_(servers.retransmit_count(), config.answer_timeout_ns), requests_(64),
      answers_(std::size_t{kBuffers} + 64), back_(kBuffers),
      problems_(servers.retransmit_count() + servers.snapshot.size()) {
    for (std::uint32_t i = kBuffers; i > 0; --i) free_.push_back(i - 1);
    for (const GroupConfig& server : servers.retransmit) {
        udp_.push_back(connect_to(server, SOCK_DGRAM));
        if (udp_.back().fd() < 0) {
            throw_errno(ExitCode::resource, "retransmission server " + server.text(), errno,
                        "check the address and that it can be reached from here");
        }
    }
    polled_.reserve(udp_.size() + 2);
    thread_ = start_thread("recovery", kNotPinned, [this] { run(); });
}

void RecoveryClient::stop() {
    stop_.store(true, std::memory_order_relaxed);
    if (thread_.joinable()) thread_.join();
}

void RecoveryClient::run() {
    while (!stop_.load(std::memory_order_relaxed)) {
        std::uint32_t buffer = 0;
        while (back_.pop(buffer)) free_.push_back(buffer);
        try {
            step();
        } catch (const std::exception&) {
            // No memory for a connection: as if the server had hung up.
            gap_fill_.reset();
            end_snapshot(Answer::Kind::failed, 0, ServerProblem::cut);
        }
        published_.publish(counters_);
        polled_.clear();
        for (const Socket& socket : udp_) polled_.push_back({socket.fd(), POLLIN, 0});
        if (gap_fill_ != nullptr && !free_.empty()) polled_.push_back({gap_fill_->fd(), POLLIN, 0});
        if (tcp_ != nullptr && free_.size() > kBuffersForPackets) polled_.push_back({tcp_->fd(), POLLIN, 0});
        ::poll(polled_.data(), polled_.size(), kNapMs);
    }
}

void RecoveryClient::step() {
    const Timestamp now = MonotonicClock::now();
    take_requests(now);
    receive_packets();
    go_on_with_gap_fill();
    look_for_silence(now);
    go_on_with_snapshot(now);
}

void RecoveryClient::take_requests(Timestamp now) {
    RecoveryRequest request;
    while (requests_.pop(request)) {
        if (request.kind == RecoveryRequest::Kind::retransmit) send_request(request, now);
        else begin_snapshot(request, now);
    }
}

void RecoveryClient::look_for_silence(Timestamp now, bool given_up) {
    if (const auto server = watch_.silent(now, given_up)) problems_.note(*server, ServerProblem::silent);
}

void RecoveryClient::send_request(const RecoveryRequest& request, Timestamp now) {
    look_for_silence(now, request.after_silence);
    watch_.on_request(request.server, now);
    gap_fill_.reset();  // the request before it was answered, or never will be
    request_.clear();
    protocol_->write_request(request, request_);
    if (request.server >= udp_.size()) return begin_gap_fill(request);
    // One that does not get out counts as one that is not answered.
    static_cast<void>(::send(udp_[request.server].fd(), request_.data(), request_.size(),
                             MSG_DONTWAIT | MSG_NOSIGNAL));
}

void RecoveryClient::receive_packets() {
    for (std::size_t server = 0; server < udp_.size(); ++server) {
        while (!free_.empty()) {
            const std::uint32_t buffer = free_.back();
            const std::size_t room = arena_.buffer_bytes() - kBufferHead;
            const long size =
                recv(udp_[server].fd(), arena_[buffer] + kBufferHead, room, MSG_DONTWAIT | MSG_TRUNC);
            if (size < 0) {
                if (errno != ECONNREFUSED) break;  // nothing there
                problems_.note(server, ServerProblem::unreachable);
                watch_.on_answer(server);
                break;
            }
            watch_.on_answer(server);
            if (hand_over_packet(server, buffer, static_cast<std::size_t>(size))) free_.pop_back();
        }
    }
}

bool RecoveryClient::hand_over_packet(std::size_t server, std::uint32_t buffer, std::size_t bytes) {
    ++counters_[ReceiveCounter::received];
    counters_[ReceiveCounter::bytes] += bytes;
    if (bytes > arena_.buffer_bytes() - kBufferHead) {
        ++counters_[ReceiveCounter::truncated];
        return false;
    }
    Answer answer;
    answer.server = static_cast<std::uint8_t>(server);
    answer.received = {SystemClock::now(), buffer, static_cast<std::uint16_t>(bytes), line_, 0};
    if (!answers_.has_room()) {
        ++counters_[ReceiveCounter::queue_full];
        return false;
    }
    // Published first: as soon as it is in the ring it may be counted as arbitrated.
    ++counters_[ReceiveCounter::handed_over];
    published_.publish(counters_);
    static_cast<void>(answers_.push(answer));
    return true;
}

// A connection for each request, as the servers want it: they hang up when they have answered.
void RecoveryClient::begin_gap_fill(const RecoveryRequest& request) {
    const std::size_t server = request.server - udp_.size();
    if (server >= servers_.retransmit_tcp.size()) return;
    gap_fill_server_ = request.server;
    cutter_ = protocol_->packet_cutter();
    gap_fill_ = std::make_unique<TcpStream>(servers_.retransmit_tcp[server], servers_.backend);
    request_sent_ = 0;
}

void RecoveryClient::go_on_with_gap_fill() {
    if (gap_fill_ == nullptr) return;
    bool good = true;
    if (gap_fill_->state() == TcpStream::State::open) {
        good = take_gap_fill();
        if (!good) problems_.note(gap_fill_server_, ServerProblem::nonsense);
    } else if (gap_fill_->state() == TcpStream::State::closed) {
        problems_.note(gap_fill_server_, ServerProblem::unreachable);
        watch_.on_answer(gap_fill_server_);
    }
    // Its end is no failure: whether all has come shows in what is missing.
    if (!good || gap_fill_->state() == TcpStream::State::closed) gap_fill_.reset();
}

// False for what is no answer.
bool RecoveryClient::take_gap_fill() {
    request_sent_ += gap_fill_->send(std::span(request_).subspan(request_sent_));
    while (free_.size() > kBuffersForPackets) {
        const auto bytes = gap_fill_->receive();
        if (bytes.empty()) break;
        watch_.on_answer(gap_fill_server_);
        const bool good = cutter_->on_bytes(bytes, arena_.buffer_bytes() - kBufferHead,
                                            [this](std::span<const std::uint8_t> packet) { hand_over_copy(packet); });
        if (!good) return false;
    }
    return true;
}

void RecoveryClient::hand_over_copy(std::span<const std::uint8_t> packet) {
    if (free_.empty()) {
        ++counters_[ReceiveCounter::received];
        ++counters_[ReceiveCounter::queue_full];
        return;
    }
    const std::uint32_t buffer = free_.back();
    std::memcpy(arena_[buffer] + kBufferHead, packet.data(), packet.size());
    if (hand_over_packet(gap_fill_server_, buffer, packet.size())) free_.pop_back();
}

void RecoveryClient::begin_snapshot(const RecoveryRequest& request, Timestamp now) {
    if (filling_ != kNoBuffer) free_.push_back(std::exchange(filling_, kNoBuffer));
    filled_ = 0;
    // The one before was waited for in vain, or is no longer wanted.
    const bool in_vain = snapshot_ != nullptr && now - snapshot_heard_at_ >= timeout_ns_ / 2;
    if (in_vain) note_snapshot_problem(connected_ ? ServerProblem::silent : ServerProblem::unreachable);
    snapshot_id_ = request.id;
    const std::size_t server = request.server % servers_.snapshot.size();
    snapshot_server_ = servers_.retransmit_count() + server;
    snapshot_ = protocol_->snapshot_client(request, {servers_.username, servers_.password, servers_.token, timeout_ns_});
    tcp_ = std::make_unique<TcpStream>(servers_.snapshot[server], servers_.backend);
    snapshot_->on_connecting(now);
    snapshot_heard_at_ = now;
    connected_ = false;
    begun_ = false;
}

// Told with the first message, so that books are not emptied for a server that is not there.
void RecoveryClient::tell_begin() {
    if (begun_) return;
    begun_ = true;
    tell(Answer::Kind::begin);
}

RecoveryClient::Answer RecoveryClient::answer_of(Answer::Kind kind) const {
    Answer answer;
    answer.kind = kind;
    answer.server = static_cast<std::uint8_t>(snapshot_server_);
    answer.id = snapshot_id_;
    return answer;
}

void RecoveryClient::tell(Answer::Kind kind, SequenceNumber next, ServerProblem problem) {
    Answer answer = answer_of(kind);
    answer.next = next;
    answer.problem = problem;
    static_cast<void>(answers_.push(answer));
}

bool RecoveryClient::enough_buffers() {
    return free_.size() > kBuffersForPackets + kAtOnce / (arena_.buffer_bytes() - kBufferHead) * 2;
}

// What a snapshot brings, on its way into buffers.
struct SnapshotMessages final : SnapshotSink {
    explicit SnapshotMessages(RecoveryClient& c) : client(c) {}
    void on_snapshot_message(std::span<const std::uint8_t> message) override { client.add_message(message); }
    void on_snapshot_end(SequenceNumber number) override { next = number; }

    RecoveryClient& client;
    std::optional<SequenceNumber> next;
};

void RecoveryClient::go_on_with_snapshot(Timestamp now) {
    if (snapshot_ == nullptr) return;
    SnapshotMessages messages(*this);
    const auto before = tcp_->state();
    if (before == TcpStream::State::open) {
        if (!std::exchange(connected_, true)) snapshot_->on_connected(now);
        snapshot_->sent(tcp_->send(snapshot_->output()), now);
        while (enough_buffers() && snapshot_->state() == SnapshotClient::State::going) {
            const auto bytes = tcp_->receive();
            if (bytes.empty()) break;
            snapshot_->on_bytes(bytes, now, messages);
            snapshot_heard_at_ = now;
            heard_.store(snapshot_id_, std::memory_order_relaxed);
        }
    }
    if (enough_buffers()) snapshot_->hand_over(kAtOnce, messages);
    if (tcp_->state() == TcpStream::State::closed) snapshot_->on_closed();
    snapshot_->on_time(now);
    flush_messages();
    if (snapshot_->state() == SnapshotClient::State::done) end_snapshot(Answer::Kind::end, messages.next.value_or(0));
    else if (snapshot_->state() == SnapshotClient::State::failed) {
        end_snapshot(Answer::Kind::failed, 0, connected_ ? snapshot_->problem() : ServerProblem::unreachable);
    }
}

void RecoveryClient::end_snapshot(Answer::Kind kind, SequenceNumber next, ServerProblem problem) {
    if (kind == Answer::Kind::end) tell_begin();
    if (problem != ServerProblem::none && snapshot_ != nullptr) note_snapshot_problem(problem);
    tell(kind, next, problem);
    snapshot_.reset();
    tcp_.reset();
}

void RecoveryClient::add_message(std::span<const std::uint8_t> message) {
    tell_begin();
    const std::size_t need = message.size() + 2;
    const std::size_t room = arena_.buffer_bytes() - kBufferHead;
    if (need > room) {
        snapshot_->on_nonsense();  // none is as long
        return;
    }
    if (filling_ != kNoBuffer && filled_ + need > room) flush_messages();
    if (filling_ == kNoBuffer) {
        MILLRACE_VERIFY(!free_.empty());  // enough_buffers() saw to that
        filling_ = free_.back();
        free_.pop_back();
        filled_ = 0;
    }
    std::uint8_t* at = arena_[filling_] + kBufferHead + filled_;
    at[0] = static_cast<std::uint8_t>(message.size() >> 8);
    at[1] = static_cast<std::uint8_t>(message.size());
    if (!message.empty()) std::memcpy(at + 2, message.data(), message.size());
    filled_ += static_cast<std::uint32_t>(need);
}

void RecoveryClient::flush_messages() {
    if (filling_ == kNoBuffer) return;
    Answer answer = answer_of(Answer::Kind::messages);
    answer.received = {0, filling_, static_cast<std::uint16_t>(filled_), line_, 0};
    if (!answers_.push(answer)) free_.push_back(filling_);
    filling_ = kNoBuffer;
}

}  // namespace millrace::net
