// A connection to RabbitMQ with one channel by rabbitmq-c, which knows AMQP 0-9-1. One thread's.
#pragma once

#include <amqp.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/core/types.hpp"
#include "millrace/feed/streams/url.hpp"

namespace millrace::streams {

[[nodiscard]] inline std::string_view text_of(amqp_bytes_t bytes) {
    return {static_cast<const char*>(bytes.bytes), bytes.len};
}
// Valid as long as the text is.
[[nodiscard]] inline amqp_bytes_t bytes_of(std::string_view text) {
    return {text.size(), const_cast<char*>(text.data())};
}

// Entries of a table that the caller keeps until it was sent.
class RabbitTable {
  public:
    void add(std::string_view key, std::string_view text);
    void add(std::string_view key, std::int64_t number);
    void add(std::string_view key, RabbitTable& table);
    void add_true(std::string_view key);
    [[nodiscard]] amqp_table_t get() {
        return {static_cast<int>(entries_.size()), entries_.data()};
    }

  private:
    std::vector<amqp_table_entry_t> entries_;
};

// How a queue is made where it does not exist yet.
struct RabbitQueue {
    std::string name;
    std::string exchange;           // bound to it by `keys`; empty: not bound here
    std::string type = "quorum";    // or "stream" or "classic"; all are durable
    std::vector<std::string> keys;  // of bindings
};
// Its `type` and `bind` (keys behind commas, "#" for all). Throws Error(usage).
[[nodiscard]] RabbitQueue take_queue(Url& url, std::string name, std::string exchange);

class RabbitConnection {
  public:
    static constexpr amqp_channel_t kChannel = 1;

    // Takes its options from the URL: `vhost`, `heartbeat_s`, `timeout_ms`. Throws Error(usage).
    explicit RabbitConnection(Url& url);

    // Connects, logs in as $MILLRACE_AMQP_USER with $MILLRACE_AMQP_PASSWORD ("guest" where they are
    // not set), and opens the channel. False: `problem` in one line.
    [[nodiscard]] bool open(std::string& problem);
    // Says good-bye where the server still listens: what was sent before is then with it.
    void close();
    [[nodiscard]] int timeout_ms() const { return timeout_ms_; }
    [[nodiscard]] bool is_open() const { return state_ != nullptr; }
    [[nodiscard]] amqp_connection_state_t get() const { return state_.get(); }

    // A durable topic exchange of that name.
    [[nodiscard]] bool declare_exchange(const std::string& name, std::string& problem);
    [[nodiscard]] bool declare(const RabbitQueue& queue, std::string& problem);
    // What the last call of rabbitmq-c was answered; false after a problem.
    [[nodiscard]] bool answered(std::string& problem);

    enum class Step : std::uint8_t { frame, none, lost };
    // The next frame, waiting at most so long for it; heartbeats are seen to. Valid until the next
    // call of release().
    [[nodiscard]] Step next(int wait_ms, amqp_frame_t& frame, std::string& problem);
    // One heartbeat, and at most one a second, for a time in which next() is not called.
    void keep_alive();
    // What the server says when it closes channel or connection; false for any other frame.
    [[nodiscard]] bool is_farewell(const amqp_frame_t& frame, std::string& problem) const;
    void release() { amqp_maybe_release_buffers(state_.get()); }
    // Whether so many bytes can be written without waiting for the server.
    [[nodiscard]] bool has_room(std::size_t bytes) const;
    // Closes and says why.
    bool lost(std::string_view why, std::string& problem);
    // The same of a connection that was there, by the library's code.
    bool broken(int code, std::string& problem);

  private:
    struct StateDeleter {
        void operator()(amqp_connection_state_t state) const { amqp_destroy_connection(state); }
    };
    [[nodiscard]] amqp_socket_t* make_socket(std::string& problem);
    [[nodiscard]] bool judge(const amqp_rpc_reply_t& reply, std::string& problem);
    void watch_socket();

    HostPort at_;
    std::string where_;  // for messages
    bool encrypted_;
    std::string vhost_;
    int heartbeat_s_;
    int timeout_ms_;
    std::size_t send_buffer_ = 0;
    Timestamp beat_at_ = 0;  // when keep_alive() sent the last one
    std::unique_ptr<amqp_connection_state_t_, StateDeleter> state_;
};

}  // namespace millrace::streams
