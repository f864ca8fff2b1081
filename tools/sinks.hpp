// The --sink flags of live and replay: a feed's records to every edge that was named.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "record_replay.hpp"
#include "summary.hpp"

namespace millrace::streams {
class StreamSink;
}

namespace millrace::tools {

struct SinkOptions {
    std::vector<std::string> urls;
    std::vector<std::string> schemas{"mbo"};
};

class Sinks final : public RecordTaker {
  public:
    // Opens all of them; their threads start. `keep_waiting` is asked by a feed that waits for a
    // sink of policy `block`, which is refused where it is empty. Throws Error.
    Sinks(const SinkOptions& options, const std::string& feed, const dbn::MakerConfig& config,
          const std::function<bool()>& keep_waiting);
    ~Sinks() override;
    Sinks(const Sinks&) = delete;
    Sinks& operator=(const Sinks&) = delete;

    // The feed's thread.
    void on_record(const dbn::MadeRecord& made, const Symbol& symbol,
                   std::span<const std::uint8_t> bytes) override;

    // Records made so far; any thread.
    [[nodiscard]] std::uint64_t made() const;

    // What is to be told of sinks that have taken nothing for a while, or take records again. Any one thread.
    [[nodiscard]] std::vector<std::string> news();

    // When the feed's thread is done: sends what is left, and ends their threads.
    void stop();
    // After stop().
    [[nodiscard]] std::vector<SinkSummary> summaries() const;

  private:
    std::vector<std::string> names_;  // URLs without their options
    struct Watched {
        Timestamp since = 0;  // it is in trouble; 0: it is not
        bool told = false;
    };
    std::vector<Watched> watched_;
    std::vector<std::unique_ptr<streams::StreamSink>> sinks_;
};

// Whether all records arrived or are counted, and none was given up at the end.
[[nodiscard]] bool all_is_well(const std::vector<SinkSummary>& sinks);

}  // namespace millrace::tools
