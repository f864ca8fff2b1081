#include "millrace/replay/simulator/iex_servers.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "millrace/feed/framing/iex_tp.hpp"
#include "millrace/feed/venues/iex/venue.hpp"

namespace millrace::replay {

namespace {

using Bytes = std::span<const std::uint8_t>;

constexpr Nanoseconds kIdle = 10'000'000'000;  // of a client that asks for nothing
constexpr std::size_t kSegmentMax = sizeof(IexTpHeader) + 65'535;
constexpr std::size_t kOutputMax = 65'536;     // that waits for a slow client

[[nodiscard]] IexTpPacketBuilder builder_of(const IexTpStream& stream, std::span<std::uint8_t> room) {
    return {room, {stream.message_protocol_id.value(), stream.channel_id.value(), stream.session_id.value()}};
}

// Puts one segment with the messages from `next` to `last` that fit, and moves `next` behind them.
template <class Put>
void put_segment(const IexTpStream& stream, const MessageStore& store, std::span<std::uint8_t> room,
                 SequenceNumber& next, SequenceNumber last, Put&& put) {
    IexTpPacketBuilder builder = builder_of(stream, room);
    builder.begin(next, store.offset(next));
    while (next <= last && store.holds(next) && builder.append(store[next])) ++next;
    put(builder.finish(kSimulatedMidnight));
}

// Half of a connection that all of IEX's have: what waits to be sent, and the patience with a silent client.
class IexConnection : public ServerConnection {
  public:
    explicit IexConnection(Timestamp now) : heard_at_(now) {}

    [[nodiscard]] Bytes output() const override { return std::span(out_).subspan(out_sent_); }
    void sent(std::size_t bytes) override {
        out_sent_ += bytes;
        if (out_sent_ < out_.size()) return;
        out_.clear();
        out_sent_ = 0;
    }
    [[nodiscard]] bool wants_close() const override { return closing_; }

  protected:
    void say(Bytes bytes) { out_.insert(out_.end(), bytes.begin(), bytes.end()); }
    void close() { closing_ = true; }
    void hear(Bytes bytes, Timestamp now) {
        heard_.insert(heard_.end(), bytes.begin(), bytes.end());
        heard_at_ = now;
    }
    void look_at_clock(Timestamp now) { closing_ = closing_ || now - heard_at_ >= kIdle; }

    std::vector<std::uint8_t> heard_;

  private:
    std::vector<std::uint8_t> out_;
    std::size_t out_sent_ = 0;
    Timestamp heard_at_;
    bool closing_ = false;
};

// One request, answered from the past and, for messages that are still to come, as they come.
class GapFillConnection final : public IexConnection {
  public:
    GapFillConnection(const IexTpStream& stream, const SentMessages& sent, Timestamp now)
        : IexConnection(now), stream_(stream), sent_(sent), room_(kSegmentMax) {}

    void on_bytes(Bytes bytes, Timestamp now) override {
        hear(bytes, now);
        if (asked_ || heard_.size() < sizeof(IexTpRequest)) return;
        const std::size_t ranges = overlay<IexTpRequest>(heard_).range_count.value();
        if (ranges > kRangesMax) return close();
        if (heard_.size() < sizeof(IexTpRequest) + ranges * sizeof(IexTpRange)) return;
        const auto parsed = parse_iex_request(heard_, stream_);
        if (!parsed) return close();
        ranges_ = *parsed;
        asked_ = true;
        next_ = ranges_.empty() ? 1 : ranges_.front().first;
    }
    void on_time(Timestamp now) override {
        if (!asked_) return look_at_clock(now);
        while (!wants_close() && output().size() < kOutputMax) {
            if (done_ == ranges_.size() || !sent_.store.holds(next_)) return close();
            const SequenceNumber last = ranges_[done_].last;
            put_segment(stream_, sent_.store, room_, next_, last, [this](Bytes segment) { say(segment); });
            if (next_ <= last) continue;
            if (++done_ < ranges_.size()) next_ = ranges_[done_].first;
        }
    }

  private:
    static constexpr std::size_t kRangesMax = 1'000;

    IexTpStream stream_;
    const SentMessages& sent_;
    std::vector<std::uint8_t> room_;
    std::vector<SequenceRange> ranges_;
    std::size_t done_ = 0;  // so many of them
    SequenceNumber next_ = 1;
    bool asked_ = false;
};

class SnapConnection final : public IexConnection {
  public:
    SnapConnection(const IexTpStream& stream, std::string token, const IexSnapshotBooks& books,
                   const SentMessages& sent, Timestamp now)
        : IexConnection(now), stream_(stream), token_(std::move(token)), books_(books), sent_(sent) {}

    void on_bytes(Bytes bytes, Timestamp now) override { hear(bytes, now); }
    void on_time(Timestamp now) override {
        look_at_clock(now);
        while (!wants_close() && heard_.size() >= sizeof(SnapHead)) {
            const std::size_t size = sizeof(wire::u16le) + overlay<SnapHead>(heard_).length.value();
            if (heard_.size() < size || (size == sizeof(SnapRequest) && books_.in_transit())) return;
            if (size == sizeof(SnapRequest) && overlay<SnapHead>(heard_).type.value() == SnapRequest::kType) {
                respond(overlay<SnapRequest>(heard_));
            } else {
                refuse(SnapError::kUnknown);
            }
            heard_.erase(heard_.begin(), heard_.begin() + static_cast<std::ptrdiff_t>(size));
        }
    }

  private:
    void respond(const SnapRequest& request) {
        const SequenceNumber last = sent_.store.next() - 1;
        if (!token_.empty() && request.token.value() != token_) return refuse(SnapError::kBadToken);
        if (request.channel_id.value() != stream_.channel_id.value()) return refuse(SnapError::kNoSuchChannel);
        if (request.session_id.value() != stream_.session_id.value()) return refuse(SnapError::kNoSuchSession);
        if (request.minimum_sequence.value() > last) return refuse(SnapError::kNotYet);
        std::vector<std::uint8_t> data;
        for (const auto& message : books_.snapshot()) append_data(data, message, last);
        auto start = snap_message<SnapStart>();
        start.bytes.set(sizeof(SnapStart) + data.size() + sizeof(SnapEnd));
        auto end = snap_message<SnapEnd>();
        end.sequence.set(last);
        say(raw_bytes(start));
        say(data);
        say(raw_bytes(end));
    }
    void refuse(char why) {
        auto error = snap_message<SnapError>();
        error.code.set(why);
        say(raw_bytes(error));
    }
    // The message stands behind two lengths, as in the documents' examples.
    void append_data(std::vector<std::uint8_t>& out, Bytes message, SequenceNumber last) const {
        std::vector<std::uint8_t> nested(sizeof(wire::u16le) + message.size());
        wire::u16le length{};
        length.set(message.size());
        std::memcpy(nested.data(), &length, sizeof(length));
        std::memcpy(nested.data() + sizeof(length), message.data(), message.size());
        std::vector<std::uint8_t> room(sizeof(IexTpHeader) + sizeof(length) + nested.size());
        IexTpPacketBuilder builder = builder_of(stream_, room);
        builder.begin(last, 0);
        MILLRACE_VERIFY(builder.append(nested));
        const Bytes segment = builder.finish(kSimulatedMidnight);
        const SnapHead head = snap_message<SnapData>(sizeof(SnapHead) + segment.size());
        append_raw(out, head);
        out.insert(out.end(), segment.begin(), segment.end());
    }

    IexTpStream stream_;
    std::string token_;
    const IexSnapshotBooks& books_;
    const SentMessages& sent_;
};

[[nodiscard]] IexTpStream stream_of(IexFeed feed, std::string_view session) {
    IexTpStream stream{};
    stream.message_protocol_id.set(iex_protocol(feed));
    stream.channel_id.set(1);
    stream.session_id.set(iex_session_id(session));
    return stream;
}

}  // namespace

std::optional<std::vector<SequenceRange>> parse_iex_request(Bytes bytes, const IexTpStream& stream) {
    if (bytes.size() < sizeof(IexTpRequest)) return std::nullopt;
    const auto& request = overlay<IexTpRequest>(bytes);
    const std::size_t count = request.range_count.value();
    const Bytes ranges = bytes.subspan(sizeof(IexTpRequest));
    if (request.version.value() != IexTpHeader::kVersion || !(request.stream == stream) ||
        request.request_type.value() != IexTpRequest::kSequenced || ranges.size() / sizeof(IexTpRange) < count) {
        return std::nullopt;
    }
    std::vector<SequenceRange> out;
    std::int64_t before = 0;
    for (std::size_t i = 0; i < count; ++i) {
        const auto& range = overlay<IexTpRange>(ranges.subspan(i * sizeof(IexTpRange)));
        const std::int64_t first = range.first.value();
        const std::int64_t last = range.last.value();
        if (first <= before || last < first) return std::nullopt;
        out.push_back({static_cast<SequenceNumber>(first), static_cast<SequenceNumber>(last)});
        before = last;
    }
    return out;
}

IexServers::IexServers(IexFeed feed, const VenueServersConfig& config)
    : feed_(feed), stream_(stream_of(feed, config.session)), token_(config.token), buffer_(config.packet_bytes_max) {}

void IexServers::answer(Bytes request, const MessageStore& store, const Put& put) {
    const auto ranges = parse_iex_request(request, stream_);
    if (!ranges) return;
    std::uint64_t messages = 0;
    for (const SequenceRange& range : *ranges) messages += range.size();
    if (messages > IexTpRequest::kMessagesMax || (messages > 0 && !store.holds(ranges->back().last))) return;
    if (ranges->empty()) {
        SequenceNumber next = store.next();
        put_segment(stream_, store, buffer_, next, 0, put);
    }
    for (const SequenceRange& range : *ranges) {
        for (SequenceNumber next = range.first; next <= range.last;) {
            put_segment(stream_, store, buffer_, next, range.last, put);
        }
    }
}

std::unique_ptr<ServerConnection> IexServers::gap_fill(const SentMessages& sent, Timestamp now) {
    return std::make_unique<GapFillConnection>(stream_, sent, now);
}

std::unique_ptr<ServerConnection> IexServers::snapshot(const SentMessages& sent, Timestamp now) {
    if (feed_ == IexFeed::tops) return nullptr;
    return std::make_unique<SnapConnection>(stream_, token_, books_, sent, now);
}

}  // namespace millrace::replay
