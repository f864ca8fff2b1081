// A connection to a Redis server by hiredis, which knows the protocol. One thread's.
#pragma once

#include <hiredis/hiredis.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/feed/streams/redis/tls.hpp"
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
    // To the first host of the URL; encrypted for rediss://. Throws Error(usage).
    explicit RedisConnection(const Url& url);

    // Connects, logs in with $MILLRACE_REDIS_USER and $MILLRACE_REDIS_PASSWORD where they are set,
    // and asks whether the server serves. An encrypted one is trusted by the authorities in the file
    // $MILLRACE_REDIS_CA, else by the system's. Takes at most about 400 ms, and 1 s for TLS. False:
    // `problem` in one line.
    [[nodiscard]] bool open(std::string& problem);
    void close();
    [[nodiscard]] bool is_open() const { return context_ != nullptr; }

    // A command and its answer, waiting at most so long; null when there is none, and the
    // connection is closed then.
    [[nodiscard]] RedisReply ask(const RedisCommand& command, int wait_ms, std::string& problem);

    // Pipelined: queues a command, and takes answers in the order of the commands.
    void append(const RedisCommand& command);
    // Writes and reads what can be without waiting longer than `wait_ms` for the server. False
    // when the connection is lost.
    [[nodiscard]] bool exchange(int wait_ms, std::string& problem);
    // Bytes of commands that the kernel has not taken.
    [[nodiscard]] std::size_t unwritten() const { return out_.size() - out_at_; }
    // Null when there is no whole answer yet, or what came is no answer: exchange() tells that.
    [[nodiscard]] RedisReply next();

  private:
    struct ContextDeleter {
        void operator()(redisContext* context) const { redisFree(context); }
    };
    [[nodiscard]] bool lost(std::string_view why, std::string& problem);
    [[nodiscard]] bool log_in(std::string& problem);
    [[nodiscard]] bool write_some(std::string& problem);
    [[nodiscard]] bool read_some(std::string& problem);

    HostPort at_;
    bool encrypted_;
    std::unique_ptr<redisContext, ContextDeleter> context_;
    std::unique_ptr<Tls> tls_;  // null unless encrypted
    std::vector<char> out_;     // commands, on their way
    std::size_t out_at_ = 0;
    std::vector<char> in_;
};

}  // namespace millrace::streams
