// Every way in beside packets and files: batches with their envelopes from a broker.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "millrace/feed/streams/envelope.hpp"

namespace millrace::streams {

struct Received {
    Envelope envelope{};
    bool has_envelope = false;              // of ours; others' messages may have none
    std::span<const std::uint8_t> payload;  // valid until the next call
    bool gap = false;  // without an envelope: the source knows that something may be missing before
};

// What a source counts itself.
struct SourceCounter {
    std::string_view name;
    std::uint64_t count = 0;
};

// Used by one thread.
class Source {
  public:
    enum class Next : std::uint8_t {
        batch,
        none,  // nothing within the time
        end,   // everything there was at the start of reading has been read
        failed
    };

    virtual ~Source() = default;
    // Before open(): asked while that waits for a server, which ends when it says true. Borrows what it refers to.
    void give_up_when(std::function<bool()> asked) { given_up_ = std::move(asked); }
    // Reaches the server, if there is one: once, before all else. Throws Error(resource).
    virtual void open() {}
    // The next batch, waiting for it at most so long. The one before counts as processed.
    [[nodiscard]] virtual Next next(int wait_ms, Received& received) = 0;
    // After failed: one line.
    [[nodiscard]] virtual const std::string& problem() const = 0;
    // Tells the broker what was processed.
    virtual void close() = 0;
    // At least every second while next() is not called, so that a server that listens for signs of
    // life goes on hearing some. Sends only; what goes wrong is told by next().
    virtual void keep_alive() {}
    // How many batches the broker has that were not read yet, as far as it has told.
    [[nodiscard]] virtual std::uint64_t lag() const { return 0; }
    // Whether it reads from where the streams began, so that each is to begin with record 1.
    [[nodiscard]] virtual bool from_start() const { return true; }

    // What the source itself has counted.
    [[nodiscard]] virtual std::vector<SourceCounter> counters() const { return {}; }

    // ---- for who reads ahead of what it has processed ----

    // Before the first next(): batches count as processed when they are told of, and nothing is
    // committed but by commit(). False where a source cannot do that.
    [[nodiscard]] virtual bool commit_by_hand() { return false; }
    // The first `batches` that next() handed out are processed; never fewer than before.
    virtual void processed(std::uint64_t batches) { static_cast<void>(batches); }
    // With a group: its server has what is processed when this returns. False after a problem; it
    // may be tried again.
    [[nodiscard]] virtual bool commit() { return false; }
    // Where to go on behind what is processed, as the URL's option `from` takes it; empty: at the
    // beginning.
    [[nodiscard]] virtual std::string position() const { return {}; }

  protected:
    [[nodiscard]] bool given_up() const { return given_up_ && given_up_(); }

  private:
    std::function<bool()> given_up_;
};

// What a source handed out and is not processed, oldest first; a mark is whatever names a batch
// to the server.
template <class Mark>
class HandedOut {
  public:
    void add(Mark mark) { marks_.push_back(std::move(mark)); }
    // Takes out what belongs to the first `batches` that were ever added, and shows it.
    template <class See>
    void settle(std::uint64_t batches, See&& see) {
        for (; settled_ < batches && !marks_.empty(); ++settled_) {
            see(marks_.front());
            marks_.pop_front();
        }
    }

  private:
    std::deque<Mark> marks_;
    std::uint64_t settled_ = 0;
};

}  // namespace millrace::streams
