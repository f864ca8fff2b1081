// Batches to a topic exchange of RabbitMQ: a message a batch, its routing key made of event and
// symbol, its headers the envelope, confirmed by the server in a window. Its message id is the same
// when it is sent again, so that consumers know it by that.
#pragma once

#include <deque>
#include <span>
#include <string>
#include <vector>

#include "millrace/feed/streams/address.hpp"
#include "millrace/feed/streams/rabbitmq/connection.hpp"
#include "millrace/feed/streams/sink.hpp"

namespace millrace::streams {

class RabbitEdge final : public Edge {
  public:
    // Takes its options from the URL: `key`, `window`, `mandatory`, `queue`, `type`, `bind` and
    // those of the connection. Throws Error(usage).
    RabbitEdge(Url& url, const SinkConfig& config);

    [[nodiscard]] bool connect(std::string& problem) override;
    [[nodiscard]] Sent send(const Batch& batch) override;
    [[nodiscard]] bool poll(int wait_ms, Acks& acks, std::string& problem) override;
    [[nodiscard]] bool healthy() const override { return !blocked_ && !refuses_; }
    void disconnect() override;
    [[nodiscard]] std::vector<EdgeCounter> counters() const override;

  private:
    // Given to the edge and not confirmed. What of the batch is a copy is so because batches move.
    struct Message {
        std::uint64_t tag = 0;  // of the channel, from 1, in the order of publishing
        std::uint64_t batch = 0;
        Envelope envelope;
        Symbol symbol;
        std::string key;
        std::string id;  // the same whenever it is sent
        std::span<const std::uint8_t> payload;  // the batch's own bytes, which stay
        bool returned = false;  // no queue takes messages of its key
        bool done = false;
    };
    // Whether the server and the socket take so many bytes now.
    [[nodiscard]] bool may_publish(std::size_t bytes) const;
    // These are false when the connection is of no use any more.
    [[nodiscard]] bool publish(Message message);
    [[nodiscard]] bool send_again(std::string& problem);
    [[nodiscard]] bool take(const amqp_frame_t& frame, Acks& acks, std::string& problem);
    [[nodiscard]] bool take_method(const amqp_method_t& method, Acks& acks, std::string& problem);
    void confirm(std::uint64_t tag, bool multiple, bool taken, Acks& acks);
    void settle(Message& message, bool taken, Acks& acks);
    void take_returned(const amqp_basic_properties_t& properties);

    std::string where_;  // for messages
    RabbitConnection connection_;
    std::string exchange_;
    Address key_;
    std::string content_type_;
    std::size_t window_;
    bool mandatory_;
    RabbitQueue queue_;  // without a name: none is made
    std::deque<Message> unconfirmed_;  // on their way, by tag
    std::deque<Message> nacked_;  // refused for now, by batch: to be sent again before all others
    std::size_t allowed_ = 1;     // how many may be on their way: the window, but less after a nack
    Nanoseconds pause_ = 0;       // before nacked_ is tried again
    Timestamp retry_at_ = 0;
    std::uint64_t next_tag_ = 1;
    std::size_t bytes_ = 0;  // of both
    bool blocked_ = false;   // the server takes nothing for now, and has said so
    bool refuses_ = false;   // the last answer was a nack
    std::string problem_;
    std::vector<std::uint64_t> too_large_;  // batches
    std::uint64_t returned_ = 0;
    std::uint64_t times_blocked_ = 0;
    std::uint64_t nacks_ = 0;
    std::uint64_t sent_again_ = 0;
};

}  // namespace millrace::streams
