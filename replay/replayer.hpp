// Drives a session from captures: at full speed or at the captured pace, several files merged by
// capture time or one after the other, on the caller's thread.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "millrace/core/clock.hpp"
#include "millrace/feed/packet.hpp"
#include "millrace/feed/session_config.hpp"
#include "millrace/replay/capture_reader.hpp"
#include "millrace/replay/line_map.hpp"
#include "millrace/replay/merge.hpp"
#include "millrace/replay/pacing.hpp"

namespace millrace::replay {

struct ReplayConfig {
    double pace = 0;          // 1 as captured, 2 twice as fast; 0 as fast as it goes
    bool sequential = false;  // files one after the other instead of merged by capture time
    std::vector<Endpoint> destinations;  // only packets to these; all when empty
};

class Replayer {
  public:
    using Readers = std::vector<std::unique_ptr<CaptureReader>>;

    // Either all files are BinaryFILE or none is; throws Error(usage) otherwise.
    Replayer(Readers readers, ReplayConfig config);

    // What the session of run() should be made with: room for every line, and, where a file is a live feed's
    // recording that holds what was asked for again, a recovery line, so that a gap waits for it as it did live.
    [[nodiscard]] SessionConfig session_config(SessionConfig config);

    // Runs to the end and finishes the session. `keep_on` is asked now and then; false stops the
    // replay there, and the session is finished all the same.
    template <class Session, class KeepOn>
    void run(Session& session, KeepOn&& keep_on) {
        const Timestamp begin = MonotonicClock::now();
        if (records_) run_or_refuse_records(session, keep_on);
        else run_packets(session, keep_on);
        session.finish();
        seconds_ = static_cast<double>(MonotonicClock::now() - begin) / 1e9;
    }
    template <class Session>
    void run(Session& session) {
        run(session, [] { return true; });
    }

    // First packet in to last event out.
    [[nodiscard]] double seconds() const { return seconds_; }
    [[nodiscard]] const LineMap& lines() const { return lines_; }
    // Which line of the session the packets of one of them go to.
    [[nodiscard]] LineId to_session(LineId line) const {
        return recovery_line_ && lines_.lines()[line].is_recovery() ? *recovery_line_ : line;
    }
    // Datagrams to destinations that are no line of this replay.
    [[nodiscard]] std::uint64_t passed_over() const { return passed_over_; }
    // BinaryFILE has records and no packets.
    [[nodiscard]] bool of_records() const { return records_; }
    [[nodiscard]] const Readers& readers() const { return readers_; }

    // For progress: bytes of all files together, and how far reading is.
    [[nodiscard]] std::uint64_t bytes_total() const;
    [[nodiscard]] std::uint64_t bytes_read() const;

  private:
    // How many packets pass between two questions whether to go on.
    static constexpr std::uint64_t kAskEvery = 4096;

    // Packets that are handed to the session together, so that their cache misses overlap: at full speed, where
    // their bytes stay and the session takes several at a time. Else each is handed on at once.
    template <class Session>
    class Batch {
      public:
        Batch(Session& session, bool together) : session_(session), most_(together && kTakesSeveral ? kMost : 1) {}
        void add(const Packet& packet) {
            packets_[count_++] = packet;
            if (count_ == most_) hand_on();
        }
        void hand_on() {
            const std::span packets(packets_.data(), std::exchange(count_, 0));
            if constexpr (kTakesSeveral) session_.on_packets(packets);
            else if (!packets.empty()) session_.on_packet(packets.front());
        }

      private:
        static constexpr bool kTakesSeveral = requires(Session& s, std::span<const Packet> p) { s.on_packets(p); };
        static constexpr std::size_t kMost = 64;

        Session& session_;
        std::size_t most_;
        std::size_t count_ = 0;
        std::array<Packet, kMost> packets_;
    };

    template <class Session, class KeepOn>
    void run_packets(Session& session, KeepOn& keep_on) {
        Merge source(readers_, config_.sequential ? MergeOrder::sequential : MergeOrder::by_time);
        PaceSchedule schedule(config_.pace);
        const bool stay = std::ranges::all_of(readers_, [](const auto& reader) { return reader->payloads_stay(); });
        Batch<Session> batch(session, stay && config_.pace == 0 && !recovery_line_);
        Datagram datagram;
        std::uint64_t packets = 0;
        while (source.next(datagram)) {
            if (++packets % kAskEvery == 0) {
                batch.hand_on();
                if (!keep_on()) return;
            }
            const std::optional<LineId> line = lines_.line_of(source.reader(), datagram);
            if (!line) {
                ++passed_over_;
                continue;
            }
            if (config_.pace > 0) {
                const Timestamp due = schedule.due(datagram.captured_at, MonotonicClock::now());
                if (!wait_until(due, keep_on)) return;
            }
            CapturedLine& captured = lines_[*line];
            ++captured.received;
            if (datagram.truncated) ++captured.truncated;
            else batch.add(Packet{to_session(*line), datagram.captured_at, datagram.payload});
            if (recovery_line_) give_up_in_time(session, datagram.captured_at);
        }
        batch.hand_on();
    }

    // An answer that the recording does not hold is not waited for to the end. What is asked for is of no interest.
    template <class Session>
    void give_up_in_time(Session& session, Timestamp captured_at) {
        latest_ = std::max(latest_, captured_at);
        if constexpr (requires { session.next_request(latest_); }) {
            static_cast<void>(session.next_request(latest_));
        }
    }

    template <class Session, class KeepOn>
    void run_or_refuse_records(Session& session, KeepOn& keep_on) {
        if constexpr (requires { session.on_records(1, 0, {}, 0); }) run_records(session, keep_on);
        else refuse_records();
    }
    [[noreturn]] void refuse_records() const;

    template <class Session, class KeepOn>
    void run_records(Session& session, KeepOn& keep_on) {
        Records records;
        SequenceNumber first = 1;
        for (const auto& reader : readers_) {
            while (reader->next_records(records)) {
                session.on_records(first, records.count, records.blocks, 0);
                first += records.count;
                if (!keep_on()) return;
            }
        }
    }

    Readers readers_;
    ReplayConfig config_;
    bool records_ = false;
    std::optional<LineId> recovery_line_;  // of the session, where it has one
    Timestamp latest_ = 0;                 // of all packets
    LineMap lines_;
    std::uint64_t passed_over_ = 0;
    double seconds_ = 0;
};

}  // namespace millrace::replay
