// Batches from a queue of RabbitMQ: a quorum queue, whose messages are acknowledged after
// processing and go to one consumer each; or a stream, which every consumer reads for itself.
#pragma once

#include <string>

#include "millrace/core/types.hpp"
#include "millrace/feed/streams/rabbitmq/connection.hpp"
#include "millrace/feed/streams/source.hpp"

namespace millrace::streams {

class RabbitSource final : public Source {
  public:
    // Takes its options from the URL: `type`, `exchange`, `bind`, `from`, `prefetch`, `follow`, and
    // those of the connection. Throws Error(usage).
    explicit RabbitSource(Url& url);
    ~RabbitSource() override = default;

    // Throws Error(resource) when the queue is not to be had.
    void open() override;
    [[nodiscard]] Next next(int wait_ms, Received& received) override;
    [[nodiscard]] const std::string& problem() const override { return problem_; }
    void close() override;
    void keep_alive() override { connection_.keep_alive(); }
    [[nodiscard]] std::uint64_t lag() const override { return waiting_; }
    [[nodiscard]] bool from_start() const override { return is_stream() ? from_start_ : !by_hand_; }
    [[nodiscard]] bool commit_by_hand() override { return by_hand_ = true; }
    void processed(std::uint64_t batches) override;
    [[nodiscard]] bool commit() override;
    [[nodiscard]] std::string position() const override { return position_; }

  private:
    struct Message {
        std::uint64_t tag = 0;     // of the delivery; 0: none has begun
        std::int64_t offset = -1;  // in a stream
        std::uint64_t size = 0;    // of the body
        bool headed = false;       // the header has come
        Envelope envelope;
        bool has_envelope = false;
        std::string body;
        [[nodiscard]] bool complete() const { return headed && body.size() >= size; }
    };
    // What names a message to the server, or to who reads on behind it.
    struct Place {
        std::uint64_t tag;
        std::int64_t offset;
    };

    [[nodiscard]] bool is_stream() const { return queue_.type == "stream"; }
    void take_from(Url& url);
    void reach_queue();
    void consume();
    [[nodiscard]] Next read_message(int wait_ms);
    // Whether the message is of the kind of queue that was asked for.
    [[nodiscard]] bool of_that_kind();
    // Of the message that was read before: nobody looks at it any more.
    void pass_message();
    // These are false after a problem.
    [[nodiscard]] bool count(std::uint64_t& messages);
    [[nodiscard]] bool ask_for_one();
    [[nodiscard]] bool take(const amqp_frame_t& frame);
    [[nodiscard]] bool acknowledge();
    void take_header(const amqp_frame_t& frame);
    [[nodiscard]] Next idle();

    std::string where_;  // for messages
    RabbitConnection connection_;
    RabbitQueue queue_;
    std::string from_;  // of a stream: its x-stream-offset, if that is a text
    std::uint64_t prefetch_;
    bool follow_;
    bool from_start_ = true;  // of a stream
    Message message_;
    bool given_ = false;           // message_ went to the caller
    std::uint64_t got_tag_ = 0;    // of a message that was asked for, and whose frames are to come
    std::uint64_t processed_ = 0;  // since the last acknowledgement
    std::uint64_t processed_tag_ = 0;
    std::uint64_t waiting_ = 0;       // when it was last asked
    std::int64_t first_offset_ = -1;  // of a stream: what is before is not asked for
    bool delivered_ = false;          // anything, ever
    Timestamp opened_at_ = 0;
    int quiet_ = 0;  // how often in a row nothing came and nothing waited
    bool by_hand_ = false;
    HandedOut<Place> handed_out_;  // by hand
    std::string position_;         // by hand, of a stream
    std::string problem_;
};

}  // namespace millrace::streams
