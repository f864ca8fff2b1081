#include "millrace/feed/net/soup_receiver.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>

namespace millrace::net {

namespace {
SoupClientConfig login_of(const LineConfig& line) {
    SoupClientConfig config;
    config.username = line.username;
    config.password = line.password;
    config.next_session = true;
    return config;
}
}  // namespace

SoupReceiver::Line::Line(const LineConfig& config, LineId number, std::uint64_t seed)
    : server(*config.soup), id(number), client(login_of(config), seed) {}

SoupReceiver::SoupReceiver(const std::vector<LineConfig>& lines, LineId first_line, std::size_t line_count,
                           std::uint32_t buffer_bytes, Backend backend)
    : packet_bytes_(std::min(buffer_bytes, 65'000U)), backend_(backend), counters_(line_count) {
    for (std::size_t i = 0; i < lines.size(); ++i) {
        if (!lines[i].soup) continue;
        // Clients of one host, and of several, come back at different moments.
        const std::uint64_t seed = static_cast<std::uint64_t>(getpid()) << 8 | i;
        lines_.push_back(std::make_unique<Line>(lines[i], static_cast<LineId>(first_line + i), seed));
    }
    if (lines_.empty()) return;
    arena_ = std::make_unique<PacketArena>(kBuffers, (buffer_bytes + kBufferHead + 63) / 64 * 64, HugePages::off);
    for (std::uint32_t i = kBuffers; i > 0; --i) free_.push_back(i - 1);
}

void SoupReceiver::wait() {
    std::vector<pollfd> polled;
    for (const auto& line : lines_) {
        if (line->stream != nullptr) polled.push_back({line->stream->fd(), POLLIN, 0});
    }
    ::poll(polled.data(), polled.size(), 1);
}

class SoupReceiver::Packer {
  public:
    Packer(Line& line, std::size_t packet_bytes) : line_(line), buffer_(packet_bytes) { begin_session(); }
    ~Packer() { flush(); }
    Packer(const Packer&) = delete;
    Packer& operator=(const Packer&) = delete;

    void on_login(std::string_view, SequenceNumber next) {
        begin_session();
        on_heartbeat(next);
    }
    void on_message(SequenceNumber n, std::span<const std::uint8_t> message) {
        if (builder_->count() == 0) builder_->begin(n);
        if (builder_->append(message)) return;
        flush();
        builder_->begin(n);
        // What no buffer takes is left out, and shows as a gap.
        static_cast<void>(builder_->append(message));
    }
    void on_heartbeat(SequenceNumber next) {
        flush();
        builder_->begin(next);
        keep(builder_->finish());
    }
    void on_end(SequenceNumber next) {
        flush();
        keep(builder_->end_of_session(next));
        builder_->begin(next);
    }

  private:
    void begin_session() { builder_.emplace(buffer_, line_.client.session()); }
    void flush() {
        if (builder_->count() == 0) return;
        keep(builder_->finish());
        builder_->begin(1);
    }
    void keep(std::span<const std::uint8_t> packet) { line_.packets.emplace_back(packet.begin(), packet.end()); }

    Line& line_;
    std::vector<std::uint8_t> buffer_;
    std::optional<MoldUdp64PacketBuilder> builder_;
};

bool SoupReceiver::advance(Line& line) {
    const Timestamp now = MonotonicClock::now();
    SoupClient& client = line.client;
    if (client.wants_connection(now)) {
        line.stream = std::make_unique<TcpStream>(line.server, backend_);
        client.on_connecting(now);
    }
    if (line.stream == nullptr) return false;
    if (line.stream->state() == TcpStream::State::open && client.state() == SoupClient::State::connecting) {
        client.on_connected(now);
    }
    client.on_time(now);
    if (!client.output().empty()) client.sent(line.stream->send(client.output()), now);
    const auto bytes = line.stream->receive();
    if (!bytes.empty()) {
        Packer packer(line, packet_bytes_);
        client.on_bytes(bytes, now, packer);
        const std::uint64_t logins = client.counters()[SoupCounter::logins];
        if (logins > 1) counters_[line.id][ReceiveCounter::reconnects] = logins - 1;
    }
    if (client.wants_close() || line.stream->state() == TcpStream::State::closed) {
        line.stream.reset();
        client.on_closed(now);
        const bool refused = client.problem() == ServerProblem::login;
        if (refused) ++counters_[line.id][ReceiveCounter::refused];
        else if (!client.between_sessions()) ++counters_[line.id][ReceiveCounter::failed];
    }
    return !bytes.empty();
}

}  // namespace millrace::net
