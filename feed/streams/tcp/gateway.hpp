// The DBN gateway: serves the feed's records to any number of clients of DBN's live protocol.
//
// All clients read one log of records, each at its own place, and what all have passed is
// acknowledged. When the log is full, the policy decides about the clients that are still at its
// oldest records: the feed waits for them, they lose the records (and are told), or the records
// are conflated for each of them alone.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "millrace/feed/net/socket.hpp"
#include "millrace/feed/streams/sink.hpp"
#include "millrace/feed/streams/tcp/gateway_client.hpp"
#include "millrace/feed/streams/url.hpp"

namespace millrace::streams {

class Gateway final : public Edge {
  public:
    // Takes its options from the URL: `clients`, how many to wait for before the first record.
    // Listens at once. Throws Error(usage, config, resource).
    Gateway(Url& url, const SinkConfig& config);

    void on_symbol(std::uint32_t id, const Symbol& symbol) override { symbols_[id - 1] = symbol; }
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
    };
    // A client and where in the log it is.
    struct Reader {
        std::unique_ptr<GatewayClient> client;
        std::uint64_t chunk;  // counting all there ever were
        std::size_t offset;   // in it, in bytes
    };

    void accept_clients(Timestamp now);
    void serve(Reader& reader, Timestamp now);
    void fill(Reader& reader);
    void drop_oldest();
    void trim(Acks& acks);
    void part_with(const Reader& reader);
    [[nodiscard]] std::uint64_t end() const { return first_ + log_.size(); }

    LiveOffer offer_;
    WhenFull when_full_;
    std::size_t bytes_max_;
    std::uint32_t clients_wanted_;
    net::Socket listener_;
    std::vector<Symbol> symbols_;  // by instrument id, from 1
    std::deque<Chunk> log_;
    std::uint64_t first_ = 0;  // the number of the log's first chunk
    std::size_t bytes_ = 0;    // of the log
    std::vector<std::uint64_t> dropped_;  // chunks that left the log before their time
    std::vector<Reader> readers_;
    std::uint64_t sessions_ = 0;
    std::uint64_t started_ = 0;
    GatewayClient::Counters past_;  // of clients that have gone
};

}  // namespace millrace::streams
