// Batches to a Kafka topic exactly once: a shard's writer, one transactional producer. Whoever
// begins to write as a shard fences all who did before, so that two never interleave; what they
// had not committed nobody who reads committed messages will see. With each transaction goes what
// it adds to the catalogue, from which a replay that was killed is resumed.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "millrace/feed/streams/kafka/kafka_catalogue.hpp"

namespace millrace::streams {

class KafkaShard final : public Edge {
  public:
    // Takes its options from the URL: `shard`, `run`, `commit_ms`, and those of librdkafka. Throws
    // Error(usage).
    KafkaShard(Url& url, const SinkConfig& config);

    // For a run asks the servers how far that came. Throws Error(resource) when they do not answer.
    void open() override;
    [[nodiscard]] bool connect(std::string& problem) override;
    [[nodiscard]] Sent send(const Batch& batch) override;
    [[nodiscard]] bool poll(int wait_ms, Acks& acks, std::string& problem) override;
    void disconnect() override;
    [[nodiscard]] std::vector<EdgeCounter> counters() const override;

  private:
    enum class State : std::uint8_t { idle, open, committing, aborting };
    struct Latest {  // of a stream in the present transaction
        Symbol symbol;
        Envelope envelope;
    };

    [[nodiscard]] bool initialise(int wait_ms, Nanoseconds patience);
    void resume(const ShardPosition& position);
    [[nodiscard]] Envelope numbered(Envelope envelope) const;
    [[nodiscard]] bool begin();
    [[nodiscard]] rd_kafka_resp_err_t produce(const std::string& topic, std::string_view key,
                                              std::span<const std::uint8_t> value,
                                              const Envelope& envelope);
    [[nodiscard]] Sent put(const Batch& batch);
    [[nodiscard]] bool put_catalogue();
    void commit(int wait_ms);
    void abort(int wait_ms);
    void settle();
    [[nodiscard]] bool due() const;
    [[nodiscard]] bool failed(rd_kafka_error_t* error);
    void look_for_end();

    std::string where_;  // for messages
    std::string topic_;
    ShardName name_;
    KafkaSettings settings_;
    KafkaSettings reader_;  // of the catalogue
    KafkaClient client_;
    Nanoseconds commit_every_ = 0;
    bool has_fenced_ = false;   // all writers before
    bool initialised_ = false;  // and knows what they have committed
    std::uint32_t epoch_min_ = 0;  // no batch is of an older one,
    std::uint32_t epoch_max_ = ~std::uint32_t{0};  // nor of a newer one: of a run that is resumed
    bool gone_ = false;  // another writer has the shard, or this one is broken for good
    State state_ = State::idle;
    Timestamp began_at_ = 0;
    std::size_t bytes_ = 0;                            // of the present transaction
    std::vector<std::uint64_t> sent_;                  // ids of its batches
    std::unordered_map<std::uint64_t, Latest> touched_;
    std::map<std::uint64_t, std::uint64_t> done_;  // committed before the start, by stream
    Acks acks_;
    std::uint64_t transactions_ = 0;
    std::uint64_t aborted_ = 0;
    std::uint64_t resumed_ = 0;  // records that were there before the start
    std::string problem_;
};

// The batch without its first `records` records, which a complete DBN stream may lose.
[[nodiscard]] Batch without_first(const Batch& batch, std::uint64_t records);

}  // namespace millrace::streams
