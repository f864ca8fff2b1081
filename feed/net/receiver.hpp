// The receiver of a line, or of several: whichever backend the config and the kernel agree on.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include "millrace/feed/net/af_packet_receiver.hpp"
#include "millrace/feed/net/elastic_buffers.hpp"
#include "millrace/feed/net/io_uring_receiver.hpp"
#include "millrace/feed/net/receive_config.hpp"
#include "millrace/feed/net/recvmmsg_receiver.hpp"
#include "millrace/feed/net/socket.hpp"
#include "millrace/feed/net/soup_receiver.hpp"

namespace millrace::net {

// Which backend was taken and why: for one line in the log, and for export.
struct BackendChoice {
    Backend backend = Backend::recvmmsg;
    std::string reason;
};
// Tries what the config asks for. Throws Error(backend) where it requires what the kernel refuses.
[[nodiscard]] BackendChoice choose_backend(const ReceiveConfig& config);

class Receiver {
  public:
    // Opens the sockets of `lines`, numbered from `first_line`. Throws Error.
    Receiver(const std::vector<LineConfig>& lines, LineId first_line, std::size_t line_count,
             const ReceiveConfig& config, Backend backend, const ElasticTiming& timing = {});

    // On the thread that will poll.
    void start() {
        std::visit([](auto& backend) { backend.start(); }, backend_);
    }
    template <class Sink>
    std::size_t poll(Sink&& sink) {
        std::size_t taken = 0;
        if (datagrams_) {
            taken = std::visit([&](auto& backend) { return poll(backend, sink); }, backend_);
        }
        if (soup_.any()) taken += soup_.poll(sink);
        return taken;
    }
    void wait() {
        if (datagrams_) std::visit([](auto& backend) { backend.wait(); }, backend_);
        else soup_.wait();
    }
    void release(std::uint32_t buffer) {
        if (SoupReceiver::owns(buffer)) return soup_.release(buffer);
        std::visit(
            [&]<class OneBackend>(OneBackend& backend) {
                if (kElastic<OneBackend> && elastic_.retired(buffer)) return elastic_.come_home(1);
                backend.release(buffer);
            },
            backend_);
    }
    // On the control thread: more or fewer buffers, as the line wants. `received`: datagrams so far.
    void look_after_buffers(Timestamp now, std::uint64_t received) {
        if (datagrams_ && frames_ == nullptr) elastic_.look(now, received);
    }
    [[nodiscard]] ReceiveCounters& counters(LineId line) {
        if (soup_lines_[line]) return soup_.counters(line);
        return std::visit([line](auto& backend) -> ReceiveCounters& { return backend.counters(line); }, backend_);
    }
    [[nodiscard]] std::span<const std::uint8_t> bytes(const Received& received) const {
        if (SoupReceiver::owns(received.buffer)) return soup_.bytes(received);
        return frames_ != nullptr ? frames_->bytes(received) : payload(arena_, received);
    }
    [[nodiscard]] std::uint32_t datagrams(const Received& received) const {
        return received.several ? datagrams_in(received.length, segment_bytes(arena_, received)) : 1;
    }
    // Calls `use(bytes)` for each datagram that was received together.
    template <class Use>
    void for_each_datagram(const Received& received, Use&& use) const {
        std::span<const std::uint8_t> rest = bytes(received);
        if (!received.several) return use(rest);
        const std::size_t each = segment_bytes(arena_, received);
        while (!rest.empty()) {
            const std::size_t n = std::min(each, rest.size());
            use(rest.first(n));
            rest = rest.subspan(n);
        }
    }
    // How many buffers may ever be out at once.
    [[nodiscard]] std::size_t buffers() const {
        return (frames_ != nullptr ? frames_->buffers() : arena_.buffers()) +
               (soup_.any() ? std::size_t{SoupReceiver::kBuffers} : 0);
    }
    // The smallest receive buffer the kernel granted a socket.
    [[nodiscard]] std::size_t socket_buffer_bytes() const { return socket_buffer_bytes_; }

  private:
    using AnyBackend = std::variant<IoUringReceiver, RecvmmsgReceiver, AfPacketReceiver>;

    [[nodiscard]] AnyBackend make(const std::vector<LineConfig>& lines, const ReceiveConfig& config, Backend backend,
                                  std::size_t line_count);
    [[nodiscard]] std::vector<ReceivingSocket> open(const std::vector<LineConfig>& lines, const ReceiveConfig& config,
                                                    Backend backend);

    template <class OneBackend, class Sink>
    std::size_t poll(OneBackend& backend, Sink& sink) {
        const std::size_t taken = backend.poll(sink);
        if constexpr (kElastic<OneBackend>) elastic_.settle(backend, backend.counters(first_line_));
        return taken;
    }
    // Packet rings are made at their size.
    template <class OneBackend>
    static constexpr bool kElastic = !std::is_same_v<OneBackend, AfPacketReceiver>;

    LineId first_line_;  // counts what becomes of the buffers, which its lines share
    PacketArena arena_;
    ElasticBuffers elastic_;
    std::vector<LineSockets> lines_;
    std::size_t socket_buffer_bytes_ = 0;
    AnyBackend backend_;
    AfPacketReceiver* frames_ = nullptr;  // backend_, where that has buffers of its own
    SoupReceiver soup_;
    std::vector<bool> soup_lines_;  // by line
    bool datagrams_ = false;        // there is a line that is not SoupBinTCP
};

// One that has started; null where it cannot be opened.
[[nodiscard]] std::unique_ptr<Receiver> try_to_open(const std::vector<LineConfig>& lines, const ReceiveConfig& config,
                                                    Backend backend) noexcept;

}  // namespace millrace::net
