#include "millrace/feed/venues/iex/recovery.hpp"

#include <algorithm>

#include "millrace/core/wire.hpp"
#include "millrace/feed/venues/iex/messages.hpp"

namespace millrace::venues::iex {

// ---- gap fill ----

void Recovery::write_request(const RecoveryRequest& request, std::vector<std::uint8_t>& out) const {
    IexTpRequest head{};
    head.version.set(IexTpHeader::kVersion);
    head.request_type.set(IexTpRequest::kSequenced);
    head.stream = IexTpStream::of(request.session);
    head.range_count.set(1);
    append_raw(out, head);
    IexTpRange range{};
    range.first.set(static_cast<std::int64_t>(request.first));
    range.last.set(static_cast<std::int64_t>(request.first + request.count - 1));
    append_raw(out, range);
}

bool SegmentCutter::on_bytes(std::span<const std::uint8_t> bytes, std::size_t room, const Put& put) {
    kept_.insert(kept_.end(), bytes.begin(), bytes.end());
    std::size_t at = 0;
    while (kept_.size() - at >= sizeof(IexTpHeader)) {
        const auto rest = std::span(kept_).subspan(at);
        const auto& header = wire::view<IexTpHeader>(rest);
        if (header.version.value() != IexTpHeader::kVersion) return false;
        const std::size_t size = sizeof(IexTpHeader) + header.payload_length.value();
        if (rest.size() < size) break;
        if (size <= room) put(rest.first(size));
        else if (!split(rest.first(size), room, put)) return false;
        at += size;
    }
    kept_.erase(kept_.begin(), kept_.begin() + static_cast<std::ptrdiff_t>(at));
    return true;
}

bool SegmentCutter::split(std::span<const std::uint8_t> segment, std::size_t room, const Put& put) {
    const auto& header = wire::view<IexTpHeader>(segment);
    BlockWalker<wire::ByteOrder::little> walker(segment.subspan(sizeof(IexTpHeader)));
    room_.resize(std::max(room, sizeof(IexTpHeader)));
    IexTpPacketBuilder builder(room_, {header.message_protocol_id.value(), header.channel_id.value(),
                                       header.session_id.value()});
    builder.begin(static_cast<SequenceNumber>(header.first_message_sequence_number.value()),
                  static_cast<std::uint64_t>(header.stream_offset.value()));
    for (std::uint32_t left = header.message_count.value(); left > 0; --left) {
        if (!walker.has_next()) return false;
        const auto message = walker.next();
        if (builder.append(message)) continue;
        if (builder.count() != 0) put(builder.finish(header.send_time.value()));
        builder.begin_next();
        if (!builder.append(message)) return false;
    }
    put(builder.finish(header.send_time.value()));
    return walker.rest().empty();
}

// ---- snapshots ----

SnapClient::SnapClient(const RecoveryRequest& request, const SnapshotLogin& login)
    : stream_(IexTpStream::of(request.session)), request_(snap_message<SnapRequest>()) {
    request_.token.set(login.token);
    request_.channel_id = stream_.channel_id;
    request_.session_id = stream_.session_id;
    request_.minimum_sequence.set(request.first - 1);
}

void SnapClient::on_connected(Timestamp) { append_raw(out_, request_); }

void SnapClient::on_bytes(std::span<const std::uint8_t> bytes, Timestamp, SnapshotSink& sink) {
    kept_.insert(kept_.end(), bytes.begin(), bytes.end());
    std::size_t at = 0;
    while (state_ == State::going && !complete_ && kept_.size() - at >= sizeof(SnapHead)) {
        const auto rest = std::span(kept_).subspan(at);
        const std::size_t size = sizeof(wire::u16le) + overlay<SnapHead>(rest).length.value();
        if (size < sizeof(SnapHead)) return fail();
        if (rest.size() < size) break;
        taken_ += size;
        take(rest.first(size), sink);
        at += size;
    }
    kept_.erase(kept_.begin(), kept_.begin() + static_cast<std::ptrdiff_t>(at));
}

void SnapClient::take(std::span<const std::uint8_t> message, SnapshotSink& sink) {
    const char type = overlay<SnapHead>(message).type.value();
    if (promised_ == 0) {
        if (type == SnapStart::kType) return take_start(message);
        if (type == SnapError::kType) return take_error(message);
        return fail();
    }
    if (taken_ > promised_) return fail();
    if (type == SnapData::kType) take_data(message, sink);
    else if (type == SnapEnd::kType) take_end(message);
    else fail();
}

void SnapClient::take_error(std::span<const std::uint8_t> message) {
    if (message.size() < sizeof(SnapError)) return fail();
    switch (overlay<SnapError>(message).code.value()) {
        case SnapError::kBadToken: return fail(ServerProblem::token);
        case SnapError::kNoSuchChannel:
        case SnapError::kNoSuchSession: return fail(ServerProblem::session);
        case SnapError::kNotYet: return fail(ServerProblem::not_yet);
        default: return fail(ServerProblem::cut);
    }
}

void SnapClient::take_start(std::span<const std::uint8_t> message) {
    if (message.size() < sizeof(SnapStart)) return fail();
    promised_ = overlay<SnapStart>(message).bytes.value();
    if (promised_ < sizeof(SnapStart) + sizeof(SnapEnd) || promised_ > kBytesMax) fail();
}

void SnapClient::take_data(std::span<const std::uint8_t> message, SnapshotSink& sink) {
    if (message.size() < sizeof(SnapData) || !(IexTpStream::of(overlay<SnapData>(message).header) == stream_)) {
        return fail();
    }
    using Walker = BlockWalker<wire::ByteOrder::little>;
    Walker walker(message.subspan(sizeof(SnapData)));
    if (!walker.has_next()) return fail();
    auto bytes = walker.next();
    // In the documents' examples the message stands behind a second length.
    if (Walker nested(bytes); nested.has_next()) {
        const auto inner = nested.next();
        if (nested.rest().empty()) bytes = inner;
    }
    const bool add = bytes.size() >= sizeof(AddOrder) && static_cast<char>(bytes[0]) == AddOrder::kType;
    if (add) keep(bytes);
    else sink.on_snapshot_message(bytes);
}

void SnapClient::keep(std::span<const std::uint8_t> add) {
    queue_.push_back({wire::view<AddOrder>(add).timestamp.value(), adds_.size()});
    adds_.insert(adds_.end(), add.begin(), add.begin() + sizeof(AddOrder));
}

void SnapClient::take_end(std::span<const std::uint8_t> message) {
    if (message.size() < sizeof(SnapEnd) || taken_ != promised_) return fail();
    next_ = overlay<SnapEnd>(message).sequence.value() + 1;
    complete_ = true;
    // Those of one moment stay in the order in which they came.
    std::sort(queue_.begin(), queue_.end(),
              [](const Add& a, const Add& b) { return a.time != b.time ? a.time < b.time : a.at < b.at; });
}

void SnapClient::hand_over(std::size_t bytes, SnapshotSink& sink) {
    if (state_ != State::going || !complete_) return;
    constexpr std::size_t kEach = sizeof(AddOrder) + sizeof(wire::u16le);
    for (; bytes >= kEach && handed_over_ < queue_.size(); bytes -= kEach) {
        sink.on_snapshot_message(std::span(adds_).subspan(queue_[handed_over_++].at, sizeof(AddOrder)));
    }
    if (handed_over_ < queue_.size()) return;
    sink.on_snapshot_end(next_);
    state_ = State::done;
}

}  // namespace millrace::venues::iex
