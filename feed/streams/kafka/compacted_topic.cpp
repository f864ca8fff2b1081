#include "millrace/feed/streams/kafka/compacted_topic.hpp"

#include <array>
#include <memory>

namespace millrace::streams {

namespace {

struct QueueDeleter {
    void operator()(rd_kafka_queue_t* queue) const { rd_kafka_queue_destroy(queue); }
};
struct NewTopicDeleter {
    void operator()(rd_kafka_NewTopic_t* topic) const { rd_kafka_NewTopic_destroy(topic); }
};
struct EventDeleter {
    void operator()(rd_kafka_event_t* event) const { rd_kafka_event_destroy(event); }
};

}  // namespace

std::string ensure_compacted(rd_kafka_t* client, const std::string& topic, int partitions, int wait_ms) {
    std::array<char, 512> problem{};
    const std::unique_ptr<rd_kafka_NewTopic_t, NewTopicDeleter> wanted(
        rd_kafka_NewTopic_new(topic.c_str(), partitions, -1, problem.data(), problem.size()));
    if (wanted == nullptr) return problem.data();
    rd_kafka_NewTopic_set_config(wanted.get(), "cleanup.policy", "compact");
    // Only segments that are closed are compacted, and who starts reads all there is.
    rd_kafka_NewTopic_set_config(wanted.get(), "segment.bytes", "16777216");
    const std::unique_ptr<rd_kafka_queue_t, QueueDeleter> answers(rd_kafka_queue_new(client));
    rd_kafka_NewTopic_t* topics = wanted.get();
    rd_kafka_CreateTopics(client, &topics, 1, nullptr, answers.get());
    const std::unique_ptr<rd_kafka_event_t, EventDeleter> event(rd_kafka_queue_poll(answers.get(), wait_ms));
    if (event == nullptr) return "the servers do not answer";
    if (rd_kafka_event_error(event.get()) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return rd_kafka_event_error_string(event.get());
    std::size_t count = 0;
    const rd_kafka_topic_result_t** results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event.get()), &count);
    for (std::size_t i = 0; i < count; ++i) {
        const rd_kafka_resp_err_t code = rd_kafka_topic_result_error(results[i]);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR && code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
            return topic + ": " + rd_kafka_topic_result_error_string(results[i]);
    }
    return {};
}

}  // namespace millrace::streams
