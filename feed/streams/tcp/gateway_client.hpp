// One client of the DBN gateway: its conversation, what it asked for, and what is to be sent to it. A
// function of bytes and time; its socket is the gateway's.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include "millrace/feed/streams/tcp/held_records.hpp"
#include "millrace/feed/streams/tcp/live_protocol.hpp"

namespace millrace::streams {

class GatewayClient {
  public:
    struct Counters {
        std::uint64_t sent = 0;       // records, of those that it asked for
        std::uint64_t lost = 0;       // because it was slow
        std::uint64_t conflated = 0;  // likewise
    };

    // `held_max` is how many bytes of conflated records are kept for it.
    GatewayClient(const LiveOffer& offer, std::uint64_t session, std::size_t held_max, Timestamp now);

    // True when the connection is over, by whichever side; with ours, when everything is sent.
    [[nodiscard]] bool gone() const { return gone_; }
    void on_hang_up() { gone_ = true; }
    [[nodiscard]] bool started() const { return begun_; }
    [[nodiscard]] const Counters& counters() const { return counters_; }

    // Answers what the client said. `symbols` are the names by instrument id, from 1.
    void on_bytes(std::span<const char> bytes, std::span<const Symbol> symbols, Timestamp now);
    // Says what is due, such as heartbeats. `all_sent`: nothing is on its way.
    void on_time(bool all_sent, Timestamp now);
    // What is to be sent. Whoever does it leaves it empty.
    [[nodiscard]] std::vector<std::uint8_t>& output() { return out_; }
    // Whether more records should be put now.
    [[nodiscard]] bool has_room() const { return out_.size() < kOutput; }

    // Queues those of the records that the client asked for, while there is room. How many bytes of
    // them it has seen to.
    [[nodiscard]] std::size_t put(std::span<const std::uint8_t> records, std::span<const Symbol> symbols);
    // Whether records of any instrument go to it as they are. `known` is how many instruments have a symbol.
    [[nodiscard]] bool takes_all(std::size_t known) const { return plain_ == known && untold_ == 0; }
    // Queues `count` records, which are all that there are, when takes_all().
    void put_all(std::span<const std::uint8_t> records, std::uint64_t count) {
        append(records);
        counters_.sent += count;
    }
    // The client is too slow for this record: it is left out, or held to be conflated.
    void leave_out(dbn::RecordView record, bool conflate, std::span<const Symbol> symbols);
    // Puts what is held while there is room; true when nothing is held any more.
    [[nodiscard]] bool put_held(std::span<const Symbol> symbols);

    // There will be no more records.
    void say_last() {
        if (untold_ != 0) tell_of_loss();
    }

  private:
    static constexpr std::size_t kOutput = 128 << 10;  // and as much may be on its way

    struct Wish {
        bool all = false;
        std::unordered_set<std::string> symbols;
        std::unordered_set<std::string> ids;
    };
    struct Instrument {
        bool known = false;    // `wants` is worked out
        bool all = false;      // it wants all that there is of it
        bool named = false;    // the client was told its symbol
        bool damaged = false;  // records were lost: books made of orders may be wrong from here on
        std::uint32_t wants = 0;  // bits by schema

        [[nodiscard]] bool plain() const { return known && named && !damaged; }
    };

    // Every change of an instrument goes through here, so that plain_ is right.
    template <class Change>
    void alter(Instrument& instrument, Change&& change) {
        plain_ -= instrument.all && instrument.plain() ? 1U : 0U;
        change(instrument);
        plain_ += instrument.all && instrument.plain() ? 1U : 0U;
    }
    void begin(std::span<const Symbol> symbols);
    void subscribe();
    [[nodiscard]] Instrument& instrument(std::uint32_t id, std::span<const Symbol> symbols);
    [[nodiscard]] bool wants(dbn::RecordView record, std::span<const Symbol> symbols);
    [[nodiscard]] bool goes_as_it_is(dbn::RecordView record) const;
    void tell_of_loss();
    void send_record(dbn::RecordView record, std::span<const Symbol> symbols);
    void send_mapping(std::uint32_t id, const Symbol& symbol);
    void send_system(std::uint8_t code, std::string_view text);
    void send_error(std::string_view text);
    void append(std::span<const std::uint8_t> bytes) {
        out_.insert(out_.end(), bytes.begin(), bytes.end());
    }

    const LiveOffer& offer_;
    LiveConversation conversation_;
    bool begun_ = false;
    bool hang_up_ = false;  // when everything is written
    bool gone_ = false;
    std::vector<std::uint8_t> out_;
    Timestamp last_sent_ = 0;
    Timestamp came_at_;
    std::array<Wish, 20> wishes_;  // by schema
    std::vector<Instrument> instruments_;
    std::size_t plain_ = 0;  // of them, whose records all go as they are
    HeldRecords held_;
    std::uint64_t untold_ = 0;  // of the lost, the client has not been told of
    Counters counters_;
};

}  // namespace millrace::streams
