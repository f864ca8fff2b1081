// The DBN gateway: serves the feed's records to any number of clients of DBN's live protocol.
//
// All clients read one log of records, each at its own place, and what all have passed is
// acknowledged. When the log is full, the policy decides about the clients that are still at its
// oldest records: the feed waits for them, they lose the records (and are told), or the records
// are conflated for each of them alone.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "millrace/feed/net/socket.hpp"
#include "millrace/feed/streams/sink.hpp"
#include "millrace/feed/streams/tcp/gateway_client.hpp"
#include "millrace/feed/streams/tcp/gateway_sockets.hpp"
#include "millrace/feed/streams/url.hpp"

namespace millrace::streams {

class Gateway final : public Edge, GatewayListener {
  public:
    // Takes its options from the URL: `clients`, how many to wait for before the first record, and
    // `backend`. Throws Error(usage, backend).
    Gateway(Url& url, const SinkConfig& config);

    // Listens from now on. Throws Error(config, resource).
    void open() override;
    void on_symbol(std::uint32_t id, const Symbol& symbol) override {
        symbols_[id - 1] = symbol;
        ++known_;
    }
    [[nodiscard]] bool connect(std::string& problem) override;
    [[nodiscard]] Sent send(const Batch& batch) override;
    [[nodiscard]] bool poll(int wait_ms, Acks& acks, std::string& problem) override;
    void disconnect() override;
    [[nodiscard]] std::vector<EdgeCounter> counters() const override;

  private:
    // Records that the sink keeps until they are acknowledged.
    struct Chunk {
        std::uint64_t id;
        std::span<const std::uint8_t> records;
        std::uint32_t count;  // of them
    };
    // A client and where in the log it is.
    struct Reader {
        Reader(const LiveOffer& offer, std::uint64_t session, std::size_t held_max, Timestamp now)
            : client(offer, session, held_max, now) {}
        GatewayClient client;
        std::uint64_t chunk = 0;  // counting all there ever were
        std::size_t offset = 0;   // in it, in bytes
        bool finished = false;    // was told that this was all
    };

    void on_accept(std::uint32_t number) override;
    void on_bytes(std::uint32_t number, std::span<const char> bytes) override;
    void on_hang_up(std::uint32_t number) override { readers_.at(number).client.on_hang_up(); }
    void serve(std::uint32_t number, Reader& reader);
    void send_last(std::uint32_t number, Reader& reader);
    void part_with_gone();
    void fill(Reader& reader);
    void drop_oldest();
    void trim(Acks& acks);
    [[nodiscard]] std::uint64_t end() const { return first_ + log_.size(); }

    LiveOffer offer_;
    WhenFull when_full_;
    std::size_t bytes_max_;
    std::uint32_t clients_wanted_;
    GatewayBackend backend_;
    HostPort at_;
    net::Socket listener_;
    std::unique_ptr<GatewaySockets> sockets_;  // null while it is not connected
    bool by_io_uring_ = false;
    bool closing_ = false;
    Timestamp now_ = 0;  // of the present turn
    std::vector<Symbol> symbols_;  // by instrument id, from 1
    std::size_t known_ = 0;        // how many of them there are
    std::deque<Chunk> log_;
    std::uint64_t first_ = 0;  // the number of the log's first chunk
    std::size_t bytes_ = 0;    // of the log
    std::vector<std::uint64_t> dropped_;  // chunks that left the log before their time
    std::map<std::uint32_t, Reader> readers_;  // by the number of the connection
    std::uint64_t sessions_ = 0;
    std::uint64_t started_ = 0;
    GatewayClient::Counters past_;  // of clients that have gone
};

}  // namespace millrace::streams
