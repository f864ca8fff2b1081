// Batches to Redis Streams: pipelined XADD, an entry a batch, its id made of the time at which the
// batch was sealed and the batch's number. What is sent again after a connection was lost is
// therefore refused as a duplicate where it had arrived.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "millrace/feed/streams/redis/connection.hpp"
#include "millrace/feed/streams/sink.hpp"

namespace millrace::streams {

class RedisEdge final : public Edge {
  public:
    // Takes its options from the URL: `maxlen`, `window`, `timeout_ms`. Throws Error(usage).
    RedisEdge(Url& url, const SinkConfig& config);

    [[nodiscard]] bool connect(std::string& problem) override;
    [[nodiscard]] Sent send(const Batch& batch) override;
    [[nodiscard]] bool poll(int wait_ms, Acks& acks, std::string& problem) override;
    void disconnect() override;
    [[nodiscard]] std::vector<EdgeCounter> counters() const override;

  private:
    // An answer that will come.
    struct Expected {
        std::uint64_t batch = 0;
        bool again = false;  // the batch may have arrived over an earlier connection
        bool look = false;   // the answer to whether it did
        std::string key;
        std::string id;
        std::size_t bytes = 0;
    };
    [[nodiscard]] std::string key_of(const Symbol& symbol) const;
    [[nodiscard]] bool take(const redisReply& reply, Acks& acks, std::string& problem);
    void look_for(const Expected& entry);

    RedisConnection connection_;
    std::string where_;  // for messages
    std::string key_;    // "{symbol}" in it stands for the batch's
    std::string feed_;
    std::string maxlen_;
    std::size_t window_;
    Nanoseconds timeout_;
    std::deque<Expected> expected_;
    std::size_t bytes_ = 0;  // of what is expected to be acknowledged
    Timestamp heard_at_ = 0;
    std::uint64_t duplicates_ = 0;
};

}  // namespace millrace::streams
