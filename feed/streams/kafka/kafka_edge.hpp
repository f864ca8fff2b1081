// Batches to a Kafka topic by librdkafka's idempotent producer: a message a batch, its key the
// symbol, partitioned as Java's clients do it, its headers the envelope.
#pragma once

#include <string>
#include <vector>

#include "millrace/feed/streams/address.hpp"
#include "millrace/feed/streams/kafka/settings.hpp"
#include "millrace/feed/streams/sink.hpp"

namespace millrace::streams {

class KafkaEdge final : public Edge {
  public:
    // Takes its options from the URL: `profile`, `last`, and those of librdkafka. Throws Error(usage).
    KafkaEdge(Url& url, const SinkConfig& config);

    // Throws Error(usage) for settings that do not go together.
    void open() override;
    [[nodiscard]] bool connect(std::string& problem) override;
    [[nodiscard]] Sent send(const Batch& batch) override;
    [[nodiscard]] bool poll(int wait_ms, Acks& acks, std::string& problem) override;
    [[nodiscard]] bool healthy() const override { return !all_down_; }
    void disconnect() override;
    [[nodiscard]] std::vector<EdgeCounter> counters() const override;

  private:
    static void on_delivery(rd_kafka_t*, const rd_kafka_message_t* message, void* edge);
    static void on_error(rd_kafka_t* client, int code, const char* reason, void* edge);
    void deliver(const rd_kafka_message_t& message);
    [[nodiscard]] Sent refused(rd_kafka_resp_err_t code, const Batch& batch);
    void take_last(Url& url, const SinkConfig& config);
    [[nodiscard]] bool make_last_topics(std::string& problem);
    void send_last(const Batch& batch);

    std::string where_;  // for messages
    Address topic_;
    Address last_{""};  // topics of last values; empty: none are written
    std::vector<std::string> last_wanted_;  // of these, those that may not be there
    std::size_t bytes_max_;  // with librdkafka at most: what it has cannot be taken back
    KafkaSettings settings_;
    KafkaClient client_;
    Acks acks_;
    std::size_t bytes_ = 0;  // with librdkafka
    std::uint64_t others_failed_ = 0;
    bool all_down_ = false;
    bool lost_ = false;  // a batch could not be delivered: all must be sent again, in order
    std::string problem_;
};

}  // namespace millrace::streams
