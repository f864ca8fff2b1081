#include "millrace/feed/net/receiver.hpp"

#include <algorithm>
#include <bit>

#include "millrace/core/error.hpp"

namespace millrace::net {

namespace {

constexpr std::uint32_t kBuffersMax = 32'768;  // of an io_uring buffer ring
constexpr std::uint32_t kTogetherMax = 65'535;  // bytes that UDP_GRO puts together

std::uint32_t buffer_count(std::uint32_t of_a_line, std::size_t lines) {
    const std::size_t wanted = std::size_t{of_a_line} * lines;
    return static_cast<std::uint32_t>(std::bit_ceil(std::clamp<std::size_t>(wanted, 2, kBuffersMax)));
}

PacketArena arena_of(const ReceiveConfig& config, Backend backend, std::size_t lines) {
    if (backend == Backend::af_packet) return {2, 64, HugePages::off};  // which has frames of its own
    const std::uint32_t bytes = config.gro ? kTogetherMax : config.buffer_bytes;
    const std::uint32_t most = config.gro ? config.buffers : std::max(config.buffers, config.buffers_max);
    return {buffer_count(config.buffers, lines), buffer_count(most, lines), (bytes + kBufferHead + 63) / 64 * 64,
            config.huge_pages ? HugePages::best : HugePages::off};
}

std::vector<PacketLine> packet_lines(const std::vector<LineConfig>& lines, LineId first_line) {
    std::vector<PacketLine> out;
    for (std::size_t i = 0; i < lines.size(); ++i) {
        if (lines[i].soup) continue;
        out.push_back({static_cast<LineId>(first_line + i), find_interface(lines[i].interface), {}});
        for (const GroupConfig& group : lines[i].groups) {
            out.back().groups.push_back(endpoint_of(group.address, group.port));
        }
    }
    return out;
}

}  // namespace

BackendChoice choose_backend(const ReceiveConfig& config) {
    if (config.backend == Backend::recvmmsg) return {Backend::recvmmsg, "as configured"};
    if (config.backend == Backend::af_packet) {
        const std::string refusal = af_packet_refusal();
        if (refusal.empty()) return {Backend::af_packet, "as configured"};
        if (config.require_backend) throw Error(ExitCode::backend, "receive.require_backend: " + refusal);
        ReceiveConfig other = config;
        other.backend = Backend::automatic;
        return {choose_backend(other).backend, refusal};
    }
    const std::string refusal = io_uring_refusal(buffer_count(std::max(config.buffers, config.buffers_max), 1));
    if (refusal.empty()) {
        return {Backend::io_uring, config.backend == Backend::io_uring ? "as configured" : "the kernel allows it"};
    }
    if (config.require_backend) {
        throw Error(ExitCode::backend, "receive.require_backend: " + refusal);
    }
    return {Backend::recvmmsg, refusal};
}

Receiver::Receiver(const std::vector<LineConfig>& lines, LineId first_line, std::size_t line_count,
                   const ReceiveConfig& config, Backend backend, const ElasticTiming& timing)
    : first_line_(first_line), arena_(arena_of(config, backend, lines.size())), elastic_(arena_, timing),
      backend_(make(lines, config, backend, line_count)),
      soup_(lines, first_line, line_count, config.buffer_bytes, backend), soup_lines_(line_count) {
    for (std::size_t i = 0; i < lines.size(); ++i) {
        soup_lines_[first_line + i] = lines[i].soup.has_value();
        datagrams_ = datagrams_ || !lines[i].soup;
    }
    frames_ = std::get_if<AfPacketReceiver>(&backend_);
    if (datagrams_ && frames_ == nullptr) counters(first_line)[ReceiveCounter::buffers] = arena_.usable();
}

Receiver::AnyBackend Receiver::make(const std::vector<LineConfig>& lines, const ReceiveConfig& config, Backend backend,
                                    std::size_t line_count) {
    std::vector<ReceivingSocket> sockets = open(lines, config, backend);
    if (backend == Backend::io_uring) {
        return AnyBackend(std::in_place_type<IoUringReceiver>, arena_, std::move(sockets), line_count);
    }
    if (backend == Backend::recvmmsg) {
        return AnyBackend(std::in_place_type<RecvmmsgReceiver>, arena_, std::move(sockets), line_count);
    }
    // The sockets are members of the groups, and their ports taken; nobody reads them.
    for (const LineSockets& line : lines_) {
        for (const Socket& socket : line.sockets) silence(socket);
    }
    return AnyBackend(std::in_place_type<AfPacketReceiver>, packet_lines(lines, first_line_), config, line_count);
}

std::vector<ReceivingSocket> Receiver::open(const std::vector<LineConfig>& lines, const ReceiveConfig& config,
                                            Backend backend) {
    std::vector<ReceivingSocket> sockets;
    for (std::size_t i = 0; i < lines.size(); ++i) {
        if (lines[i].soup) continue;
        lines_.push_back(open_line(lines[i], config.socket_buffer_bytes));
        const std::size_t granted = lines_.back().buffer_bytes;
        socket_buffer_bytes_ = socket_buffer_bytes_ == 0 ? granted : std::min(socket_buffer_bytes_, granted);
        for (const Socket& socket : lines_.back().sockets) {
            if (config.gro && backend != Backend::af_packet) receive_together(socket);
            sockets.push_back({socket.fd(), static_cast<LineId>(first_line_ + i), 0});
        }
    }
    return sockets;
}

std::unique_ptr<Receiver> try_to_open(const std::vector<LineConfig>& lines, const ReceiveConfig& config,
                                      Backend backend) noexcept {
    try {
        auto receiver = std::make_unique<Receiver>(lines, LineId{0}, lines.size(), config, backend);
        receiver->start();
        return receiver;
    } catch (...) {
        return nullptr;
    }
}

}  // namespace millrace::net
