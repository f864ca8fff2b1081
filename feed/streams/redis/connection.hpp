// A connection to a Redis server by hiredis, which knows the protocol. One thread's.
#pragma once

#include <hiredis/hiredis.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/feed/streams/url.hpp"

namespace millrace::streams {

struct RedisReplyDeleter {
    void operator()(redisReply* reply) const { freeReplyObject(reply); }
};
using RedisReply = std::unique_ptr<redisReply, RedisReplyDeleter>;
using RedisCommand = std::vector<std::string_view>;

[[nodiscard]] inline std::string_view text_of(const redisReply& reply) {
    return {reply.str, reply.len};
}
[[nodiscard]] inline bool is_error(const redisReply& reply) {
    return reply.type == REDIS_REPLY_ERROR;
}

class RedisConnection {
  public:
    explicit RedisConnection(HostPort at) : at_(std::move(at)) {}

    // Connects, logs in with $MILLRACE_REDIS_USER and $MILLRACE_REDIS_PASSWORD where they are set,
    // and asks whether the server serves. Takes at most about 400 ms. False: `problem` in one line.
    [[nodiscard]] bool open(std::string& problem);
    void close() { context_.reset(); }
    [[nodiscard]] bool is_open() const { return context_ != nullptr; }

    // A command and its answer, waiting at most so long; null when there is none, and the
    // connection is closed then.
    [[nodiscard]] RedisReply ask(const RedisCommand& command, int wait_ms, std::string& problem);

    // Pipelined: queues a command, and takes answers in the order of the commands.
    void append(const RedisCommand& command);
    // Writes and reads what can be without waiting longer than `wait_ms` for the server. False
    // when the connection is lost.
    [[nodiscard]] bool exchange(int wait_ms, std::string& problem);
    // Bytes of the commands that were appended since the kernel had taken all of them.
    [[nodiscard]] std::size_t unwritten() const { return unwritten_; }
    // Null when there is no whole answer yet, or what came is no answer: exchange() tells that.
    [[nodiscard]] RedisReply next();

  private:
    struct ContextDeleter {
        void operator()(redisContext* context) const { redisFree(context); }
    };
    [[nodiscard]] bool lost(std::string& problem);

    HostPort at_;
    std::unique_ptr<redisContext, ContextDeleter> context_;
    std::size_t unwritten_ = 0;
};

}  // namespace millrace::streams
