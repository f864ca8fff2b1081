#include "millrace/feed/streams/rabbitmq/rabbit_edge.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "millrace/core/clock.hpp"
#include "millrace/core/error.hpp"

namespace millrace::streams {

namespace {

constexpr std::uint64_t kWindowMax = 100'000;
// On their way at most, so that memory stays bounded when the server stands still.
constexpr std::size_t kBytesOut = std::size_t{8} << 20;
// RabbitMQ's own limit; it closes the connection on what is larger.
constexpr std::size_t kMessageMax = std::size_t{128} << 20;
// How long a refused message waits before it is sent again; doubled while it is refused.
constexpr Nanoseconds kPauseMin = 10'000'000;
constexpr Nanoseconds kPauseMax = 1'000'000'000;

std::string content_type_of(Payload payload) {
    switch (payload) {
        case Payload::json: return "application/json";
        case Payload::csv: return "text/csv";
        default: return "application/octet-stream";
    }
}

}  // namespace

RabbitEdge::RabbitEdge(Url& url, const SinkConfig& config)
    : where_(url.text()), connection_(url), exchange_(url.path),
      key_(url.take("key", "{event}.{symbol}")), content_type_(content_type_of(config.payload)),
      window_(url.take_number("window", 1'024, kWindowMax)),
      mandatory_(url.take_number("mandatory", 1, 1) != 0),
      queue_(take_queue(url, url.take("queue", ""), exchange_)) {
    if (exchange_.empty()) {
        throw Error(ExitCode::usage,
                    fmt::format("{}: no exchange; write it as amqp://host:port/EXCHANGE", where_));
    }
    if (window_ == 0) throw Error(ExitCode::usage, fmt::format("{}: window is at least 1", where_));
}

bool RabbitEdge::connect(std::string& problem) {
    blocked_ = false;
    if (!connection_.open(problem) || !connection_.declare_exchange(exchange_, problem)) return false;
    if (!queue_.name.empty() && !connection_.declare(queue_, problem)) return false;
    amqp_confirm_select(connection_.get(), RabbitConnection::kChannel);
    next_tag_ = 1;
    allowed_ = window_;
    refuses_ = false;
    pause_ = kPauseMin;
    return connection_.answered(problem);
}

Edge::Sent RabbitEdge::send(const Batch& batch) {
    if (batch.payload.size() > kMessageMax) {
        too_large_.push_back(batch.id);
        return Sent::accepted;
    }
    // What was refused goes first.
    if (!nacked_.empty() || bytes_ > kBytesOut || !may_publish(batch.payload.size()))
        return Sent::full;
    const Envelope& about = batch.envelope;
    std::string id = fmt::format("{}-{}-{}", about.stream.value(), about.epoch.value(),
                                 about.first_record.value());
    bytes_ += batch.payload.size();
    return publish({0, batch.id, about, batch.symbol, key_.of(batch.event, batch.symbol.view()),
                    std::move(id), batch.payload, false, false})
               ? Sent::accepted
               : Sent::failed;
}

bool RabbitEdge::may_publish(std::size_t bytes) const {
    return !blocked_ && unconfirmed_.size() < allowed_ && connection_.has_room(bytes);
}

bool RabbitEdge::publish(Message message) {
    std::array<std::string, kEnvelopeFields> texts;
    RabbitTable headers;
    std::size_t at = 0;
    for_each_field(message.envelope, [&](std::string_view name, std::string_view text) {
        texts[at] = text;
        headers.add(name, texts[at++]);
    });
    headers.add("symbol", message.symbol.view());
    amqp_basic_properties_t properties{};
    properties._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG |
                        AMQP_BASIC_MESSAGE_ID_FLAG | AMQP_BASIC_HEADERS_FLAG;
    properties.content_type = bytes_of(content_type_);
    properties.delivery_mode = AMQP_DELIVERY_PERSISTENT;
    properties.message_id = bytes_of(message.id);
    properties.headers = headers.get();
    const std::string_view body(reinterpret_cast<const char*>(message.payload.data()),
                                message.payload.size());
    const int code = amqp_basic_publish(connection_.get(), RabbitConnection::kChannel,
                                        bytes_of(exchange_), bytes_of(message.key),
                                        mandatory_ ? 1 : 0, 0, &properties, bytes_of(body));
    message.tag = next_tag_++;
    unconfirmed_.push_back(std::move(message));
    if (code == AMQP_STATUS_OK) return true;
    problem_ = fmt::format("{}: {}", where_, amqp_error_string2(code));
    return false;
}

// Few at first and ever more, so that a queue that stays full refuses few, and messages keep their
// order as far as they can.
bool RabbitEdge::send_again(std::string& problem) {
    if (nacked_.empty() || MonotonicClock::now() < retry_at_) return true;
    while (!nacked_.empty() && may_publish(nacked_.front().payload.size())) {
        Message message = std::move(nacked_.front());
        nacked_.pop_front();
        ++sent_again_;
        pause_ = std::min(pause_ * 2, kPauseMax);
        if (publish(std::move(message))) continue;
        problem = std::move(problem_);
        return false;
    }
    return true;
}

void RabbitEdge::settle(Message& message, bool taken, Acks& acks) {
    if (message.done) return;
    message.done = true;
    if (!taken) {
        ++nacks_;
        refuses_ = true;
        allowed_ = 1;
        retry_at_ = MonotonicClock::now() + pause_;
        Message again = message;
        again.done = again.returned = false;
        nacked_.insert(std::upper_bound(nacked_.begin(), nacked_.end(), again.batch,
                                        [](std::uint64_t batch, const Message& other) {
                                            return batch < other.batch;
                                        }),
                       std::move(again));
        return;
    }
    refuses_ = false;
    pause_ = kPauseMin;
    allowed_ = std::min(window_, allowed_ * 2);
    bytes_ -= message.payload.size();
    (message.returned ? acks.refused : acks.taken).push_back(message.batch);
}

// Tags follow each other, so that a message is found by its own.
void RabbitEdge::confirm(std::uint64_t tag, bool multiple, bool taken, Acks& acks) {
    const std::uint64_t first = unconfirmed_.empty() ? next_tag_ : unconfirmed_.front().tag;
    const std::uint64_t end = std::min(tag + 1, next_tag_);
    for (std::uint64_t at = multiple ? first : std::max(first, tag); at < end; ++at)
        settle(unconfirmed_[at - first], taken, acks);
    while (!unconfirmed_.empty() && unconfirmed_.front().done) unconfirmed_.pop_front();
}

// It comes before the confirmation of the same message.
void RabbitEdge::take_returned(const amqp_basic_properties_t& properties) {
    if ((properties._flags & AMQP_BASIC_MESSAGE_ID_FLAG) == 0) return;
    const std::string_view id = text_of(properties.message_id);
    for (Message& message : unconfirmed_) {
        if (message.returned || message.id != id) continue;
        message.returned = true;
        ++returned_;
        return;
    }
}

// False when the connection is of no use any more.
bool RabbitEdge::take_method(const amqp_method_t& method, Acks& acks, std::string& problem) {
    switch (method.id) {
        case AMQP_BASIC_ACK_METHOD: {
            const auto& ack = *static_cast<const amqp_basic_ack_t*>(method.decoded);
            confirm(ack.delivery_tag, ack.multiple != 0, true, acks);
            return true;
        }
        case AMQP_BASIC_NACK_METHOD: {
            const auto& nack = *static_cast<const amqp_basic_nack_t*>(method.decoded);
            problem = fmt::format("{}: the server refuses messages (nack); is a queue full?", where_);
            confirm(nack.delivery_tag, nack.multiple != 0, false, acks);
            return true;
        }
        case AMQP_BASIC_RETURN_METHOD: {
            const auto& back = *static_cast<const amqp_basic_return_t*>(method.decoded);
            problem = fmt::format("{}: {} for key {}; bind a queue, name one by queue=, or say mandatory=0",
                                  where_, text_of(back.reply_text), text_of(back.routing_key));
            return true;
        }
        case AMQP_CONNECTION_BLOCKED_METHOD: {
            const auto& blocked = *static_cast<const amqp_connection_blocked_t*>(method.decoded);
            problem = fmt::format("{}: blocked: {}", where_, text_of(blocked.reason));
            blocked_ = true;
            ++times_blocked_;
            return true;
        }
        case AMQP_CONNECTION_UNBLOCKED_METHOD: blocked_ = false; return true;
        default: return true;
    }
}

bool RabbitEdge::take(const amqp_frame_t& frame, Acks& acks, std::string& problem) {
    if (connection_.is_farewell(frame, problem)) return false;
    if (frame.frame_type == AMQP_FRAME_METHOD)
        return take_method(frame.payload.method, acks, problem);
    // Header and body come of returned messages alone.
    if (frame.frame_type == AMQP_FRAME_HEADER) {
        take_returned(*static_cast<const amqp_basic_properties_t*>(frame.payload.properties.decoded));
    }
    return true;
}

bool RabbitEdge::poll(int wait_ms, Acks& acks, std::string& problem) {
    acks.refused.insert(acks.refused.end(), too_large_.begin(), too_large_.end());
    too_large_.clear();
    if (!problem_.empty()) problem = std::move(problem_);
    problem_.clear();
    amqp_frame_t frame;
    for (int wait = wait_ms;; wait = 0) {
        switch (connection_.next(wait, frame, problem)) {
            case RabbitConnection::Step::none: connection_.release(); return send_again(problem);
            case RabbitConnection::Step::lost: return false;
            case RabbitConnection::Step::frame: break;
        }
        if (!take(frame, acks, problem)) return false;
    }
}

void RabbitEdge::disconnect() {
    connection_.close();
    unconfirmed_.clear();
    nacked_.clear();
    bytes_ = 0;
}

std::vector<EdgeCounter> RabbitEdge::counters() const {
    return {{"returned", returned_}, {"blocked", times_blocked_}, {"nacks", nacks_},
            {"sent_again", sent_again_}};
}

}  // namespace millrace::streams
