// Batches to Redis Streams: pipelined XADD, an entry a batch, its id made of the time at which the
// batch was sealed and the batch's number. What is sent again after a connection was lost is
// therefore refused as a duplicate where it had arrived.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "millrace/feed/streams/address.hpp"
#include "millrace/feed/streams/redis/connection.hpp"
#include "millrace/feed/streams/sink.hpp"

namespace millrace::streams {

class RedisEdge final : public Edge {
  public:
    // Takes its options from the URL: `maxlen`, `window`, `timeout_ms`, `last`, `publish`. Throws
    // Error(usage).
    explicit RedisEdge(Url& url);

    [[nodiscard]] bool connect(std::string& problem) override;
    [[nodiscard]] Sent send(const Batch& batch) override;
    [[nodiscard]] bool poll(int wait_ms, Acks& acks, std::string& problem) override;
    void disconnect() override;
    [[nodiscard]] std::vector<EdgeCounter> counters() const override;

  private:
    enum class Asked : std::uint8_t {
        add,    // to take a batch
        look,   // whether it has it from an earlier connection
        other,  // what is worth no second attempt
    };
    // An answer that will come.
    struct Expected {
        std::uint64_t batch = 0;
        Asked asked = Asked::add;
        bool again = false;  // the batch may have arrived over an earlier connection
        std::string key;
        std::string id;
        std::size_t bytes = 0;
    };
    [[nodiscard]] bool take(const redisReply& reply, Acks& acks, std::string& problem);
    void look_for(const Expected& entry);
    void set_last_value(const Batch& batch);
    void publish(const Batch& batch);

    RedisConnection connection_;
    std::string where_;  // for messages
    Address key_;
    Address last_;     // keys of last values; empty: none are set
    Address channel_;  // to publish to; empty: nothing is published
    std::string maxlen_;
    std::size_t window_;
    Nanoseconds timeout_;
    std::deque<Expected> expected_;
    std::size_t bytes_ = 0;  // of what is expected to be acknowledged
    Timestamp heard_at_ = 0;
    std::uint64_t duplicates_ = 0;
    std::uint64_t others_failed_ = 0;
};

}  // namespace millrace::streams
