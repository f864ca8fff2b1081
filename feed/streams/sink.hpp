// Every way out of the feed, in one frame: hot thread -> ring -> one thread an edge.
//
// The hot thread copies records into a ring and does nothing else. The sink's thread makes batches
// of them, each a symbol's records in a complete DBN stream (or as text) behind an envelope, keeps
// what is not acknowledged, and gives it to the edge: Kafka, Redis, ... When an edge cannot
// follow, the policy decides, and what is left out is counted. Ledger, zero whenever the sink has
// stopped: made = acknowledged + ring full + dropped + conflated + unsent.
#pragma once

#include <fmt/format.h>

#include <array>
#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "millrace/feed/streams/batch.hpp"
#include "millrace/feed/streams/dbn/codec.hpp"
#include "millrace/feed/streams/dbn/record_maker.hpp"
#include "millrace/feed/streams/record_ring.hpp"
#include "millrace/feed/streams/spill.hpp"

namespace millrace::streams {

enum class Payload : std::uint8_t {
    dbn,  // a complete DBN stream
    json,
    csv,
    records,  // DBN's records alone, for an edge that makes a stream of its own of them
};

// What to do when the edge cannot follow.
enum class WhenFull : std::uint8_t {
    block,        // the feed waits: for replay only
    drop_oldest,  // what waits longest is left out
    conflate,  // of the book records that wait, only the newest of each symbol stay; trades stay
    spill,     // what finds no room in memory waits on disk; what finds none there is left out
};

struct SinkConfig {
    std::string feed = "feed";  // with the symbol, names a stream
    std::string dataset;
    dbn::SchemaSet schemas;
    Payload payload = Payload::dbn;
    WhenFull when_full = WhenFull::drop_oldest;
    bool by_symbol = true;  // a stream for each symbol; else one of the whole feed
    bool by_event = false;  // with by_symbol: a stream for each kind of a symbol's records
    std::uint32_t instruments = 10'000;
    std::size_t ring_records = 1 << 16;
    std::size_t backlog_bytes = std::size_t{64}
                                << 20;  // cap of what waits, with what is in flight
    std::string spill_folder;  // with `spill`; empty: the system's folder of temporary files
    std::uint64_t spill_bytes = std::uint64_t{1} << 30;  // cap of what waits there
    std::uint32_t batch_records = 256;
    bool end_marks = true;  // each stream ends with a batch without records
    Nanoseconds linger = 5'000'000;            // how long a batch waits for more records
    Nanoseconds stop_within = 30'000'000'000;  // how long stop() waits for acknowledgements
    std::uint32_t epoch = 0;                   // 0: the second of the start
    int cpu = -1;
    // Asked now and then by stop() while it waits for acknowledgements, for however long, and with
    // `block` by the feed's thread while it waits for room. After false what finds no room is
    // counted, and stop_within begins. Empty: at once.
    std::function<bool()> keep_waiting;
};

// What an edge counts beyond the frame's ledger.
struct EdgeCounter {
    std::string_view name;
    std::uint64_t count = 0;
};

// Collects the ids of batches of which it is known what became.
struct Acks {
    std::vector<std::uint64_t> taken;    // the other side has them
    std::vector<std::uint64_t> refused;  // and these it will never take: they count as dropped
};

// A way out; used by the sink's thread alone, hence virtual.
class Edge {
  public:
    enum class Sent : std::uint8_t { accepted, full, failed };

    virtual ~Edge() = default;
    // Takes what is not waited for, such as a port: once, before all else. Throws Error.
    virtual void open() {}
    // What the instrument of that number, a record's instrument_id, is called: told once, before
    // the first batch with records of it, connected or not.
    virtual void on_symbol(std::uint32_t, const Symbol&) {}
    // True when batches can be sent. Else `problem` says why not, in one line without secrets.
    [[nodiscard]] virtual bool connect(std::string& problem) = 0;
    // The batch stays where it is until it was acknowledged, or disconnect() was called.
    [[nodiscard]] virtual Sent send(const Batch& batch) = 0;
    // Handles what came back, waiting for it at most so long. False when the connection is lost.
    [[nodiscard]] virtual bool poll(int wait_ms, Acks& acks, std::string& problem) = 0;
    // False while the other side is not to be reached, though the edge itself will go on trying.
    [[nodiscard]] virtual bool healthy() const { return true; }
    // Forgets everything that was sent and not acknowledged.
    virtual void disconnect() = 0;
    [[nodiscard]] virtual std::vector<EdgeCounter> counters() const { return {}; }
};

enum class EdgeState : std::uint8_t { connecting, live, degraded, backoff, stopped };
[[nodiscard]] std::string_view name(EdgeState state);

struct SinkStats {
    EdgeState state = EdgeState::connecting;
    std::uint64_t made = 0;          // records that came from the feed
    std::uint64_t acknowledged = 0;  // records that the other side has
    std::uint64_t ring_full = 0;
    std::uint64_t dropped = 0;
    std::uint64_t conflated = 0;
    std::uint64_t unsent = 0;   // given up at the stop
    std::uint64_t batches = 0;  // sealed
    std::uint64_t refused = 0;  // of `dropped`: records that the other side will never take
    std::uint64_t resent = 0;   // batches to be sent again after a connection was lost
    std::uint64_t connects = 0;
    std::uint64_t spilled = 0;  // records that have waited on disk
    std::uint64_t backlog_bytes = 0;
    std::uint64_t backlog_bytes_max = 0;

    [[nodiscard]] std::int64_t balance() const {
        return static_cast<std::int64_t>(made) -
               static_cast<std::int64_t>(acknowledged + ring_full + dropped + conflated + unsent);
    }
};

// Models dbn::RecordSink.
class StreamSink {
  public:
    StreamSink(const SinkConfig& config, std::unique_ptr<Edge> edge);
    ~StreamSink();
    StreamSink(const StreamSink&) = delete;
    StreamSink& operator=(const StreamSink&) = delete;

    // Hot thread.
    void on_record(const dbn::MadeRecord& made, const Symbol& symbol,
                   std::span<const std::uint8_t> bytes);
    void on_packet_end() {}

    // Any one thread, once, when the hot thread is done: sends what is left and joins.
    void stop();

    [[nodiscard]] SinkStats stats() const;
    // Why the edge takes nothing at present, in one line; empty while it does. Any thread.
    [[nodiscard]] std::string trouble() const;
    // The last problem of the edge; empty when there was none. After stop().
    [[nodiscard]] const std::string& problem() const { return problem_; }
    // Of the edge. After stop().
    [[nodiscard]] std::vector<EdgeCounter> edge_counters() const { return edge_->counters(); }

  private:
    struct Stream {
        std::uint64_t id = 0;
        Batch open;
        Timestamp opened_at = 0;
        std::uint64_t made = 0;  // the number of the last record that came
        std::uint64_t told = 1;  // the number behind the last record that was given to the edge
        std::uint8_t why = 0;    // what was left out of it so far: a WhyLeftOut
        std::uint32_t date = 0;  // that the metadata names
        std::vector<std::uint8_t> metadata;
    };

    // The number of the stream that an instrument's records of that type are in.
    [[nodiscard]] std::size_t stream_of(std::uint32_t instrument, std::uint8_t rtype) const {
        return config_.by_symbol ? instrument * events_.size() + event_of_[rtype] : 0;
    }
    [[nodiscard]] bool push(const RecordRing::Head& head, const void* bytes);
    void run();
    void read_clocks();
    [[nodiscard]] bool take_from_ring();
    void take_symbol(std::uint32_t instrument, std::span<const std::uint8_t> bytes);
    std::size_t take_record(const RecordRing::Head& head, std::span<const std::uint8_t> record);
    void append(Batch& batch, const Symbol& symbol, dbn::RecordView record);
    void begin_batch(std::size_t number, const RecordRing::Head& head, dbn::RecordView first);
    void put_metadata(Stream& stream, dbn::Schema event, dbn::RecordView first);
    void seal(std::size_t stream);
    void seal_due(bool all);
    void make_room();
    void conflate();
    void drop_waiting();
    void leave_out(Batch& batch, WhyLeftOut why);
    void put_on_disk(Batch& batch);
    void take_from_disk();
    void put_end_marks();
    [[nodiscard]] Edge::Sent give(Batch& batch);
    [[nodiscard]] std::size_t first_unsent() const;
    void recycle(Batch& batch);
    void work_edge();
    void lose_connection();
    void handle_acks();
    std::uint64_t settle(std::vector<std::uint64_t>& ids);
    void update_gauges();
    void note_trouble();

    SinkConfig config_;
    std::unique_ptr<Edge> edge_;
    std::vector<dbn::Schema> events_;             // of which an instrument has a stream each
    std::array<std::uint8_t, 256> event_of_{};  // by rtype
    RecordRing ring_;
    std::vector<std::uint64_t> numbers_;  // hot thread, until stop(): records made of each stream
    std::vector<bool> named_;             // hot thread: whose symbol went into the ring
    bool waits_ = true;                   // hot thread: until keep_waiting() said no

    // Sink thread only.
    Timestamp now_ = 0;  // of the present turn
    fmt::memory_buffer text_;           // of the present record
    std::vector<Symbol> symbols_;  // by instrument
    std::vector<Stream> streams_;
    std::vector<std::size_t> open_;    // streams with an open batch
    std::deque<Batch> backlog_;        // in flight, then waiting
    std::size_t in_flight_ = 0;        // how many of the backlog were given to the edge
    std::size_t bytes_ = 0;            // of the backlog and the open batches
    std::unique_ptr<Spill> spill_;     // null but with that policy
    bool ending_ = false;              // the end marks are in the backlog
    std::uint64_t next_id_ = 1;
    std::uint64_t sealed_ms_ = 0;
    std::vector<std::vector<std::uint8_t>> pool_;
    Acks acks_;
    bool connected_ = false;
    Timestamp retry_at_ = 0;
    Nanoseconds backoff_ = 0;
    std::uint64_t jitter_ = 1;
    std::string problem_;  // others read it after the join
    bool in_trouble_ = false;
    mutable std::mutex trouble_lock_;  // the sink's thread takes it while there is trouble, and once after it
    std::string trouble_;              // under it

    // The hot thread writes the first two, the sink thread the others; anyone reads.
    alignas(kCacheLine) std::atomic<std::uint64_t> made_{0};
    std::atomic<std::uint64_t> ring_full_{0};
    alignas(kCacheLine) std::atomic<std::uint64_t> acknowledged_{0};
    std::atomic<std::uint64_t> dropped_{0};
    std::atomic<std::uint64_t> conflated_{0};
    std::atomic<std::uint64_t> unsent_{0};
    std::atomic<std::uint64_t> spilled_{0};
    std::atomic<std::uint64_t> batches_{0};
    std::atomic<std::uint64_t> refused_{0};
    std::atomic<std::uint64_t> resent_{0};
    std::atomic<std::uint64_t> connects_{0};
    std::atomic<std::uint64_t> backlog_bytes_{0};
    std::atomic<std::uint64_t> backlog_bytes_max_{0};
    std::atomic<EdgeState> state_{EdgeState::connecting};
    std::atomic<bool> stop_{false};     // stop() sets, the sink thread reads
    std::atomic<bool> patient_{false};  // likewise: stop_within has not begun
    std::thread thread_;
};

}  // namespace millrace::streams
