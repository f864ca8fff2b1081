// Batches from a Kafka topic by librdkafka's consumer: all partitions from a point on, or as one of
// a consumer group, whose offsets are stored after processing and committed when it ends or has to
// give partitions up.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "millrace/feed/streams/kafka/settings.hpp"
#include "millrace/feed/streams/source.hpp"

namespace millrace::streams {

class KafkaSource final : public Source {
  public:
    // Takes its options from the URL: `group`, `from`, `from_ms`, `follow`, and those of librdkafka.
    // Throws Error(usage).
    explicit KafkaSource(Url& url);
    ~KafkaSource() override { KafkaSource::close(); }

    // Throws Error(resource) when the topic is not to be had.
    void open() override;
    [[nodiscard]] Next next(int wait_ms, Received& received) override;
    [[nodiscard]] const std::string& problem() const override { return problem_; }
    void close() override;
    [[nodiscard]] std::uint64_t lag() const override;
    [[nodiscard]] bool from_start() const override { return from_start_; }
    [[nodiscard]] bool commit_by_hand() override { return by_hand_ = true; }
    void processed(std::uint64_t batches) override;
    [[nodiscard]] bool commit() override;
    // Of each partition the offset to go on with: "0:1200,1:944".
    [[nodiscard]] std::string position() const override;

  private:
    struct MessageDeleter {
        void operator()(rd_kafka_message_t* message) const { rd_kafka_message_destroy(message); }
    };
    struct PartitionsDeleter {
        void operator()(rd_kafka_topic_partition_list_t* list) const {
            rd_kafka_topic_partition_list_destroy(list);
        }
    };
    struct MetadataDeleter {
        void operator()(const rd_kafka_metadata_t* metadata) const { rd_kafka_metadata_destroy(metadata); }
    };
    using Metadata = std::unique_ptr<const rd_kafka_metadata_t, MetadataDeleter>;
    using Offsets = std::map<std::int32_t, std::int64_t>;  // by partition: the next one to read
    struct Place {
        std::int32_t partition;
        std::int64_t offset;  // behind the message
    };
    using Partitions = std::unique_ptr<rd_kafka_topic_partition_list_t, PartitionsDeleter>;

    static void on_rebalance(rd_kafka_t*, rd_kafka_resp_err_t code,
                             rd_kafka_topic_partition_list_t* partitions, void* source);
    void rebalance(rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t& partitions);
    [[noreturn]] void fail(rd_kafka_resp_err_t code);
    // Of the topic and its partitions. Throws Error(resource) where the servers do not know it.
    [[nodiscard]] Metadata ask_of_topic();
    void subscribe();
    void assign_all();
    // Notes where a partition ends now. False when its server does not answer in time.
    [[nodiscard]] bool find_end(std::int32_t partition);
    // The message came after the start, and is left to the next reader.
    [[nodiscard]] bool is_behind_end(const rd_kafka_message_t& message) const;
    void note_end(const rd_kafka_message_t& message);
    [[nodiscard]] Offsets parse_offsets(const std::string& text) const;
    void store_processed();
    [[nodiscard]] bool at_end() const;

    std::string where_;  // for messages
    std::string topic_;
    std::string group_;
    std::int64_t from_ms_;  // 0: not by time
    bool follow_;
    bool from_start_ = true;
    bool by_hand_ = false;
    HandedOut<Place> handed_out_;  // by hand
    Offsets processed_;            // by hand: what is processed, from the option `from` on
    Offsets committed_;            // what of that the group's server has
    KafkaSettings settings_;
    KafkaClient client_;
    std::unique_ptr<rd_kafka_message_t, MessageDeleter> current_;
    std::vector<std::int32_t> assigned_;  // partitions, ascending
    Offsets ends_;  // behind the last message of each when reading began
    std::vector<std::int32_t> ended_;     // those of them that were read to their end
    std::string problem_;
};

}  // namespace millrace::streams
