#include "millrace/feed/streams/rabbitmq/rabbit_source.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "millrace/core/clock.hpp"
#include "millrace/core/error.hpp"

namespace millrace::streams {

namespace {

constexpr std::uint64_t kPrefetchMax = 65'535;
// So often the queue must have been found empty before it counts as read: what a consumer that
// died had not acknowledged comes back only after a moment.
constexpr int kQuietTimes = 3;
// Within so many times the patience with answers a stream that has anything begins to give it.
constexpr int kFirstWithin = 2;
constexpr amqp_channel_t kChannel = RabbitConnection::kChannel;

}  // namespace

RabbitSource::RabbitSource(Url& url)
    : where_(url.text()), connection_(url), prefetch_(url.take_number("prefetch", 256, kPrefetchMax)),
      follow_(url.take_number("follow", 0, 1) != 0) {
    queue_ = take_queue(url, url.path, url.take("exchange", ""));
    if (queue_.name.empty() || prefetch_ == 0) {
        throw Error(ExitCode::usage, fmt::format("{}: write it as amqp://host:port/QUEUE; prefetch is "
                                                 "at least 1",
                                                 where_));
    }
    take_from(url);
}

void RabbitSource::take_from(Url& url) {
    from_ = url.take("from", "first");
    from_start_ = from_ == "first" || from_ == "0";
    if (from_ != "first" && !is_stream())
        throw Error(ExitCode::usage, fmt::format("{}: from is an option of type=stream", where_));
    std::int64_t offset = 0;
    const auto [end, wrong] = std::from_chars(from_.data(), from_.data() + from_.size(), offset);
    const bool number = wrong == std::errc{} && end == from_.data() + from_.size() && offset >= 0;
    if (number) first_offset_ = offset;
    if (!number && from_ != "first" && from_ != "last" && from_ != "next")
        throw Error(ExitCode::usage, fmt::format("{}: from is first, last, next or an offset", where_));
}

void RabbitSource::open() {
    reach_queue();
    consume();
    opened_at_ = MonotonicClock::now();
}

void RabbitSource::reach_queue() {
    // Made only where it is told what it shall get; else it must be there.
    const bool made = connection_.open(problem_) &&
                      (queue_.exchange.empty() || connection_.declare(queue_, problem_));
    if (!made || !count(waiting_)) {
        const bool absent = problem_.find("no queue") != std::string::npos;
        throw Error(ExitCode::resource, problem_ + (absent ? "; exchange= and bind= make one" : ""));
    }
    // A stream refuses that: taken for a queue it would give what comes from now on, and no more.
    if (is_stream() || ask_for_one()) return;
    const bool refused = problem_.find("stream") != std::string::npos;
    throw Error(ExitCode::resource, problem_ + (refused ? " (a stream is read with type=stream)" : ""));
}

void RabbitSource::consume() {
    amqp_basic_qos(connection_.get(), kChannel, 0, static_cast<std::uint16_t>(prefetch_), 0);
    if (!connection_.answered(problem_)) throw Error(ExitCode::resource, problem_);
    RabbitTable arguments;
    // One before an offset, so that something comes, and the end is told from silence.
    if (first_offset_ >= 0) arguments.add("x-stream-offset", std::max<std::int64_t>(first_offset_ - 1, 0));
    else if (is_stream()) arguments.add("x-stream-offset", std::string_view(from_));
    amqp_basic_consume(connection_.get(), kChannel, bytes_of(queue_.name), amqp_empty_bytes, 0, 0, 0,
                       arguments.get());
    if (!connection_.answered(problem_)) throw Error(ExitCode::resource, problem_);
}

bool RabbitSource::count(std::uint64_t& messages) {
    const amqp_queue_declare_ok_t* answer = amqp_queue_declare(
        connection_.get(), kChannel, bytes_of(queue_.name), 1, 0, 0, 0, amqp_empty_table);
    if (!connection_.answered(problem_)) return false;
    messages = answer->message_count;
    return true;
}

// Of a queue, beside those that it gives by itself: its counts may lag or be 0 for want of an
// answer, this may not.
bool RabbitSource::ask_for_one() {
    const amqp_rpc_reply_t reply =
        amqp_basic_get(connection_.get(), kChannel, bytes_of(queue_.name), 0);
    if (!connection_.answered(problem_)) return false;
    waiting_ = 0;
    if (reply.reply.id != AMQP_BASIC_GET_OK_METHOD) return true;
    const auto& got = *static_cast<const amqp_basic_get_ok_t*>(reply.reply.decoded);
    got_tag_ = got.delivery_tag;
    waiting_ = got.message_count;
    return true;
}

void RabbitSource::take_header(const amqp_frame_t& frame) {
    const auto& properties =
        *static_cast<const amqp_basic_properties_t*>(frame.payload.properties.decoded);
    message_.size = frame.payload.properties.body_size;
    message_.headed = true;
    message_.body.reserve(std::min<std::uint64_t>(message_.size, std::uint64_t{1} << 20));
    std::size_t found = 0;
    const amqp_table_t headers = (properties._flags & AMQP_BASIC_HEADERS_FLAG) != 0
                                     ? properties.headers
                                     : amqp_empty_table;
    for (int i = 0; i < headers.num_entries; ++i) {
        const amqp_table_entry_t& header = headers.entries[i];
        const std::string_view name = text_of(header.key);
        if (header.value.kind == AMQP_FIELD_KIND_UTF8)
            found += set_field(message_.envelope, name, text_of(header.value.value.bytes)) ? 1U : 0U;
        else if (header.value.kind == AMQP_FIELD_KIND_I64 && name == "x-stream-offset")
            message_.offset = header.value.value.i64;
    }
    message_.has_envelope = found == kEnvelopeFields;
}

bool RabbitSource::take(const amqp_frame_t& frame) {
    if (connection_.is_farewell(frame, problem_)) return false;
    // Of a message that was asked for the answer's method has been taken already.
    if (frame.frame_type == AMQP_FRAME_HEADER && message_.tag == 0)
        message_.tag = std::exchange(got_tag_, 0);
    if (frame.frame_type == AMQP_FRAME_HEADER) take_header(frame);
    if (frame.frame_type == AMQP_FRAME_BODY)
        message_.body.append(text_of(frame.payload.body_fragment));
    if (frame.frame_type != AMQP_FRAME_METHOD) return true;
    const amqp_method_t& method = frame.payload.method;
    if (method.id == AMQP_BASIC_DELIVER_METHOD) {
        message_ = {};
        message_.tag = static_cast<const amqp_basic_deliver_t*>(method.decoded)->delivery_tag;
    }
    if (method.id != AMQP_BASIC_CANCEL_METHOD) return true;
    problem_ = fmt::format("{}: the server has taken the queue away", where_);
    return false;
}

bool RabbitSource::acknowledge() {
    if (processed_ == 0) return true;
    if (!connection_.is_open()) return false;
    const int code = amqp_basic_ack(connection_.get(), kChannel, processed_tag_, 1);
    processed_ = 0;
    return code == AMQP_STATUS_OK || connection_.broken(code, problem_);
}

// Nothing came within the time, and everything that came was acknowledged. A stream looks for more
// when it takes an acknowledgement, and gives that before it answers anything later: where only
// the answer comes there was nothing more. It is asked for its count, which lags and is not used.
Source::Next RabbitSource::idle() {
    if (follow_) return Next::none;
    if (is_stream() && !delivered_) {
        const int first_within_ms = kFirstWithin * connection_.timeout_ms();
        if (MonotonicClock::now() - opened_at_ < Nanoseconds{first_within_ms} * 1'000'000)
            return Next::none;
        problem_ = fmt::format("{}: nothing has come for {} ms: there is nothing in the stream (follow=1 "
                               "waits for something)",
                               where_, first_within_ms);
        return Next::failed;
    }
    if (!(is_stream() ? count(waiting_) : ask_for_one())) return Next::failed;
    const bool more = got_tag_ != 0 || amqp_frames_enqueued(connection_.get()) != 0;
    quiet_ = more ? 0 : quiet_ + 1;
    if (is_stream()) waiting_ = 0;
    return quiet_ >= kQuietTimes ? Next::end : Next::none;
}

void RabbitSource::pass_message() {
    // A stream keeps what is in it: there an acknowledgement only asks for more.
    if (is_stream() || !by_hand_) {
        processed_tag_ = message_.tag;
        ++processed_;
    }
    message_ = {};
    given_ = false;
    connection_.release();
}

Source::Next RabbitSource::read_message(int wait_ms) {
    const bool hold = by_hand_ && !is_stream();
    if (!hold && processed_ >= prefetch_ / 2 && !acknowledge()) return Next::failed;
    amqp_frame_t frame;
    while (!message_.complete()) {
        RabbitConnection::Step step = connection_.next(0, frame, problem_);
        if (step == RabbitConnection::Step::none) {
            if (!hold && !acknowledge()) return Next::failed;
            step = connection_.next(wait_ms, frame, problem_);
        }
        if (step == RabbitConnection::Step::lost) return Next::failed;
        if (step == RabbitConnection::Step::none) return idle();
        if (!take(frame)) return Next::failed;
    }
    quiet_ = 0;
    delivered_ = true;
    return of_that_kind() ? Next::batch : Next::failed;
}

bool RabbitSource::of_that_kind() {
    if (is_stream() == (message_.offset >= 0)) return true;
    problem_ = fmt::format("{}: {} is {} stream; say so by type=", where_, queue_.name,
                           is_stream() ? "no" : "a");
    return false;
}

Source::Next RabbitSource::next(int wait_ms, Received& received) {
    if (!connection_.is_open()) return Next::failed;
    if (given_) pass_message();
    Next found = read_message(wait_ms);
    while (found == Next::batch && message_.offset < first_offset_) {
        pass_message();
        found = read_message(wait_ms);
    }
    if (found != Next::batch) return found;
    given_ = true;
    if (by_hand_) handed_out_.add({message_.tag, message_.offset});
    received.envelope = message_.envelope;
    received.has_envelope = message_.has_envelope;
    received.payload = {reinterpret_cast<const std::uint8_t*>(message_.body.data()),
                        message_.body.size()};
    return Next::batch;
}

void RabbitSource::processed(std::uint64_t batches) {
    handed_out_.settle(batches, [&](const Place& place) {
        if (is_stream()) {
            position_ = std::to_string(place.offset + 1);
            return;
        }
        processed_tag_ = place.tag;
        ++processed_;
    });
}

// The server answers nothing before it has taken the acknowledgement, which itself has no answer.
bool RabbitSource::commit() {
    std::uint64_t messages = 0;
    return acknowledge() && count(messages);
}

void RabbitSource::close() {
    if (!connection_.is_open()) return;
    if (given_) pass_message();
    if (by_hand_ || acknowledge()) connection_.close();
}

}  // namespace millrace::streams
