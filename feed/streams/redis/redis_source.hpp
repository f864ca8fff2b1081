// Batches from a Redis Stream: read plainly from an id on, or as one of a consumer group, with
// acknowledgement after processing, own pending entries first, and those of dead peers claimed.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "millrace/feed/streams/redis/connection.hpp"
#include "millrace/feed/streams/source.hpp"

namespace millrace::streams {

class RedisSource final : public Source {
  public:
    // Takes its options from the URL: `from`, `follow`, `group`, `consumer`, `claim_ms`. Throws
    // Error(usage).
    explicit RedisSource(Url& url);

    // Throws Error(resource) when the server is not to be had, or the stream, which is waited for
    // with `follow` alone.
    void open() override;
    [[nodiscard]] Next next(int wait_ms, Received& received) override;
    [[nodiscard]] const std::string& problem() const override { return problem_; }
    void close() override;
    [[nodiscard]] bool from_start() const override { return from_start_; }
    [[nodiscard]] bool commit_by_hand() override { return by_hand_ = true; }
    void processed(std::uint64_t batches) override;
    [[nodiscard]] bool commit() override { return acknowledge(); }
    [[nodiscard]] std::string position() const override { return position_; }

  private:
    // Where a consumer of a group is in what it has to do.
    enum class Stage : std::uint8_t { own_pending, claim, fresh };
    struct Entry {
        std::string id;
        Envelope envelope;
        bool has_envelope = false;
        std::string data;
    };

    void open_group();
    void find_end();
    void check_key();
    [[nodiscard]] RedisReply ask(const RedisCommand& command, int wait_ms);
    // These are false after a problem.
    [[nodiscard]] bool fetch_plain(int wait_ms);
    [[nodiscard]] bool fetch_of_group(int wait_ms);
    [[nodiscard]] bool claim();
    void take_entries(const redisReply& entries);
    void current_processed();
    [[nodiscard]] bool acknowledge();
    [[nodiscard]] bool at_end() const;
    [[nodiscard]] bool fresh_to_end() const;

    RedisConnection connection_;
    std::string where_;  // for messages
    std::string key_;
    std::string group_;
    std::string consumer_;
    std::string claim_ms_;
    bool follow_;
    std::string last_id_;
    std::string taken_id_;  // of the last entry that the server handed out
    std::string end_id_;  // of the stream when reading began; empty: nothing was in it
    Stage stage_ = Stage::own_pending;
    std::string claim_from_ = "0-0";
    bool dry_ = false;  // the group had nothing fresh the last time
    std::deque<Entry> entries_;
    Entry current_;
    std::vector<std::string> processed_;  // ids that are not yet acknowledged
    bool from_start_ = true;
    bool by_hand_ = false;
    HandedOut<std::string> handed_out_;  // by hand: ids
    std::string position_;  // by hand: the id after which to go on; empty: from the beginning
    std::string problem_;
};

}  // namespace millrace::streams
