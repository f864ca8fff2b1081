// How IEX gives back what was missed: gap fill by UDP and by TCP, and snapshots by SNAP.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "millrace/feed/framing/iex_tp_requests.hpp"
#include "millrace/feed/recovery_protocol.hpp"

namespace millrace::venues::iex {

// Cuts a stream of segments apart, and segments longer than the room for a packet into several.
class SegmentCutter final : public PacketCutter {
  public:
    [[nodiscard]] bool on_bytes(std::span<const std::uint8_t> bytes, std::size_t room, const Put& put) override;

  private:
    [[nodiscard]] bool split(std::span<const std::uint8_t> segment, std::size_t room, const Put& put);

    std::vector<std::uint8_t> kept_;  // the beginning of a segment
    std::vector<std::uint8_t> room_;
};

// Takes a snapshot of the books of a feed, as of a message that the server chooses. DEEP+ sends orders in no
// order; each carries the time that its place in the queue is from, and is handed over in the order of these.
class SnapClient final : public SnapshotClient {
  public:
    // More than that no server has to say.
    static constexpr std::uint64_t kBytesMax = std::uint64_t{512} << 20;

    SnapClient(const RecoveryRequest& request, const SnapshotLogin& login);

    [[nodiscard]] std::span<const std::uint8_t> output() const override { return std::span(out_).subspan(out_sent_); }
    void sent(std::size_t bytes, Timestamp) override { out_sent_ += bytes; }
    void on_connecting(Timestamp) override {}
    void on_connected(Timestamp) override;
    // A server may hang up when it has said all.
    void on_closed() override {
        if (!complete_) SnapshotClient::on_closed();
    }
    void on_bytes(std::span<const std::uint8_t> bytes, Timestamp, SnapshotSink& sink) override;
    void on_time(Timestamp) override {}
    void hand_over(std::size_t bytes, SnapshotSink& sink) override;

  private:
    struct Add {
        Timestamp time;
        std::size_t at;  // where it lies in adds_
    };

    // Of one SNAP message, which is all there.
    void take(std::span<const std::uint8_t> message, SnapshotSink& sink);
    void take_start(std::span<const std::uint8_t> message);
    void take_data(std::span<const std::uint8_t> message, SnapshotSink& sink);
    void take_end(std::span<const std::uint8_t> message);
    void keep(std::span<const std::uint8_t> add);
    void take_error(std::span<const std::uint8_t> message);
    using SnapshotClient::fail;
    void fail() { fail(ServerProblem::nonsense); }

    IexTpStream stream_;
    SnapRequest request_;
    std::vector<std::uint8_t> out_;
    std::size_t out_sent_ = 0;
    std::vector<std::uint8_t> kept_;  // the beginning of a SNAP message
    std::uint64_t promised_ = 0;      // bytes of the whole answer; 0: it has not begun
    std::uint64_t taken_ = 0;         // of these
    bool complete_ = false;
    SequenceNumber next_ = 0;
    std::vector<std::uint8_t> adds_;
    std::vector<Add> queue_;          // of adds_; by time once it is complete
    std::size_t handed_over_ = 0;     // so many of them
};

class Recovery final : public RecoveryProtocol {
  public:
    void write_request(const RecoveryRequest& request, std::vector<std::uint8_t>& out) const override;
    [[nodiscard]] std::unique_ptr<PacketCutter> packet_cutter() const override {
        return std::make_unique<SegmentCutter>();
    }
    [[nodiscard]] std::unique_ptr<SnapshotClient> snapshot_client(const RecoveryRequest& request,
                                                                  const SnapshotLogin& login) const override {
        return std::make_unique<SnapClient>(request, login);
    }
};

}  // namespace millrace::venues::iex
