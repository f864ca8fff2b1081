// A feed's own thread: it drives a session from whatever the source is and appends records to the
// channels that Python reads. Python is never touched here.
#pragma once

#include <unistd.h>

#include <array>
#include <atomic>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "bell.hpp"
#include "book_image.hpp"
#include "channel.hpp"
#include "millrace/core/error.hpp"
#include "symbol_table.hpp"

namespace millrace::python {

// How far a source is, and how far behind what it reads from.
struct Progress {
    std::uint64_t packets = 0;       // handled
    Timestamp last_received_at = 0;  // of the last packet
    std::uint64_t bytes_read = 0;    // of files
    std::uint64_t bytes_total = 0;
};

class Producer {
  public:
    Producer() = default;
    virtual ~Producer() = default;  // who derives calls stop() in its own destructor
    Producer(const Producer&) = delete;
    Producer& operator=(const Producer&) = delete;

    // ---- any thread ----

    // Has records of this schema made. Throws Error(usage) for one that callbacks cannot make,
    // that does not go with another, or that was not asked for before the start.
    void want(const std::string& schema);
    // Throws Error(resource) beyond kChannelsMax.
    [[nodiscard]] std::shared_ptr<RecordChannel> open(const ChannelConfig& config);
    void start();
    // Returns when the thread has ended. In the child of a fork, where there is no thread, at
    // once.
    void stop();
    [[nodiscard]] bool started() const { return started_.load(std::memory_order_acquire); }
    [[nodiscard]] bool finished() const { return finished_.load(std::memory_order_acquire); }
    // True in a process that this feed was not made in: its thread is not there, and where its files
    // are read is the parent's as well.
    [[nodiscard]] bool foreign() const;
    // After finished(): how it went wrong; empty when it did not.
    [[nodiscard]] const std::optional<Error>& problem() const { return problem_; }
    [[nodiscard]] Progress progress() const;
    // DBN's name for what this source is of.
    [[nodiscard]] virtual std::string dataset() const = 0;
    [[nodiscard]] Bell& bell() { return bell_; }
    [[nodiscard]] const SymbolTable& symbols() const { return *symbols_; }
    [[nodiscard]] std::shared_ptr<const SymbolTable> share_symbols() const { return symbols_; }

    // Before the start: keeps copies of these symbols' books as they are when the first packet
    // received at or after each of these times (ascending) comes.
    void snap_at(std::vector<Timestamp> times, std::vector<Symbol> symbols);
    // Waits for the end of the source: the books at each time, or at the end where that came
    // earlier.
    [[nodiscard]] std::vector<std::vector<std::optional<BookImage>>> snapshots();

    // By channel, in the order in which they were opened, the rows that the consumer is done with;
    // nothing where a channel does not count any more. Returns where the source would go on, and
    // tells its server so when `commit` is true. Throws Error(usage) for a source that does not keep
    // such a place, Error(resource) when the server does not take it.
    [[nodiscard]] std::string processed(const std::vector<std::optional<std::uint64_t>>& rows,
                                        bool commit);

    // Between two packets, on the producer's thread or, when that has ended, here.
    [[nodiscard]] std::string digest();
    [[nodiscard]] std::string stats_json();
    // What whoever reads the rows alone would overlook, a line each that begins with `where`.
    [[nodiscard]] std::vector<std::string> remarks(const std::string& where);
    [[nodiscard]] std::optional<BookImage> book(const Symbol& symbol, bool with_orders);
    [[nodiscard]] std::vector<BookImage> books();
    // Those of them that have not appeared.
    [[nodiscard]] std::vector<std::string> symbols_missing(const std::vector<std::string>& asked);

  protected:
    // The thread: runs to the end of the source, or until stopping(). Throws Error.
    virtual void run() = 0;
    // Whether this source can make records of a schema of DBN.
    [[nodiscard]] virtual bool makes(const std::string& schema) const;
    [[nodiscard]] virtual std::string digest_now() const = 0;
    [[nodiscard]] virtual std::string stats_now() const = 0;
    [[nodiscard]] virtual std::vector<std::string> remarks_now(const std::string&) const {
        return {};
    }
    [[nodiscard]] virtual std::optional<BookImage> book_now(const Symbol& symbol,
                                                            bool with_orders) const = 0;
    [[nodiscard]] virtual std::vector<BookImage> books_now() const = 0;
    [[nodiscard]] virtual bool knows_now(const Symbol& symbol) const { return symbols_->has(symbol); }
    [[nodiscard]] virtual std::string processed_now(
        const std::vector<std::optional<std::uint64_t>>& rows, bool commit);
    // By whoever stopped the thread, when that is over: to let go of what is of no use any more.
    virtual void on_stopped() {}
    // Wakes a thread that sleeps in the kernel.
    virtual void nudge() {}
    // Again and again, about every second, while the thread waits for room or to be asked for more.
    virtual void while_waiting() {}

    [[nodiscard]] bool stopping() const { return stopping_.load(std::memory_order_relaxed); }
    // For the session's handler: every channel that wants this record gets it.
    void append(std::span<const std::uint8_t> record) {
        const std::size_t channels = channel_count_.load(std::memory_order_acquire);
        for (std::size_t i = 0; i < channels; ++i) {
            if (!channels_[i]->wants(record[1])) continue;
            if (!channels_[i]->append(record)) [[unlikely]]
                wait_for_room(*channels_[i], record);
        }
    }
    // After a packet, or several that were handled together: shows what they brought, answers
    // questions, and waits while a channel is full or asks for no more.
    void packet_done(Timestamp received_at) { packets_done(received_at, 1); }
    void packets_done(Timestamp received_at, std::size_t count) {
        packets_.store(packets_.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
        if (received_at != 0) last_received_at_.store(received_at, std::memory_order_relaxed);
        publish();
        if (command_.load(std::memory_order_relaxed) != nullptr) [[unlikely]]
            serve();
        if (must_wait()) [[unlikely]]
            wait_between_packets();
    }
    void publish();
    [[nodiscard]] std::size_t channel_count() const {
        return channel_count_.load(std::memory_order_acquire);
    }
    [[nodiscard]] const RecordChannel& channel(std::size_t number) const {
        return *channels_[number];
    }
    // Answers a question that was put to this thread.
    void serve();
    void set_bytes(std::uint64_t read, std::uint64_t total) {
        bytes_read_.store(read, std::memory_order_relaxed);
        bytes_total_.store(total, std::memory_order_relaxed);
    }
    // Before a packet is handled.
    void snap(Timestamp received_at) {
        while (must_snap(received_at)) snap_now();
    }
    [[nodiscard]] bool must_snap(Timestamp received_at) const { return received_at >= next_snap_; }
    // Whether a consumer is to see the books after each packet.
    [[nodiscard]] bool in_step() const {
        const std::size_t channels = channel_count_.load(std::memory_order_acquire);
        return channels == 1 && channels_[0]->config().lockstep;
    }
    // What was asked for; fixed from the start on.
    [[nodiscard]] const std::vector<std::string>& schemas() const { return schemas_; }
    [[nodiscard]] SymbolTable& symbol_table() { return *symbols_; }
    void wait_between_packets();

  private:
    static constexpr std::size_t kChannelsMax = 64;
    static constexpr Timestamp kNeverSnap = std::numeric_limits<Timestamp>::max();
    struct Command {
        std::function<void()> work;
        std::atomic<bool> done{false};
    };

    void body();
    void snap_now();
    void control();
    void adapt();
    void between_packets(std::function<void()> work);
    [[nodiscard]] bool must_wait() const {
        const std::size_t channels = channel_count_.load(std::memory_order_acquire);
        for (std::size_t i = 0; i < channels; ++i) {
            if (channels_[i]->parked() || channels_[i]->full()) return true;
        }
        return false;
    }
    void wait_for_room(RecordChannel& channel, std::span<const std::uint8_t> record);

    // Slots below channel_count_ (release: open(), acquire: the producer) are never changed again.
    std::array<std::shared_ptr<RecordChannel>, kChannelsMax> channels_;
    std::atomic<std::size_t> channel_count_{0};
    std::mutex mutex_;  // of those who open, start, stop and ask; never the producer's
    std::vector<std::string> schemas_;
    // Set before the start, then the producer's until it has finished.
    std::vector<Timestamp> snap_times_;
    std::vector<Symbol> snap_symbols_;
    std::vector<std::vector<std::optional<BookImage>>> snaps_;
    Timestamp next_snap_ = kNeverSnap;
    std::shared_ptr<SymbolTable> symbols_ = std::make_shared<SymbolTable>();
    Bell bell_;
    std::atomic<Command*> command_{nullptr};
    std::atomic<bool> started_{false};
    std::atomic<bool> finished_{false};
    std::atomic<bool> stopping_{false};
    std::atomic<std::uint64_t> packets_{0};                      // producer writes
    std::atomic<Timestamp> last_received_at_{0};                 // producer writes
    std::atomic<std::uint64_t> bytes_read_{0}, bytes_total_{0};  // producer writes
    std::optional<Error> problem_;  // producer writes before finished_
    const int process_ = getpid();
    std::thread* control_ = nullptr;  // likewise: gives channels memory
    std::thread* thread_ = nullptr;   // not joined, and leaked, in the child of a fork
};

}  // namespace millrace::python
