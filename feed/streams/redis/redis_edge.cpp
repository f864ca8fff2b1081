#include "millrace/feed/streams/redis/redis_edge.hpp"

#include <fmt/format.h>

#include "millrace/core/clock.hpp"
#include "millrace/core/error.hpp"
#include "millrace/feed/streams/last_record.hpp"

namespace millrace::streams {

namespace {

constexpr std::uint64_t kEntriesMax = 1'000'000'000;
constexpr std::uint64_t kWindowMax = 100'000;
constexpr std::uint64_t kTimeoutMax = 600'000;  // ms
// On their way at most, so that memory stays bounded when the server stands still.
constexpr std::size_t kBytesOut = std::size_t{16} << 20;
// Of these so many wait for the kernel to take them.
constexpr std::size_t kUnwritten = std::size_t{256} << 10;

// What Redis answers to an entry whose id is not above the last one's.
constexpr std::string_view kNotAbove = "ERR The ID specified in XADD is equal or smaller";

std::string_view text_of(std::span<const std::uint8_t> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

RedisEdge::RedisEdge(Url& url)
    : connection_(url), where_(url.text()), key_(url.path),
      last_(url.take("last", "")), channel_(url.take("publish", "")),
      maxlen_(std::to_string(url.take_number("maxlen", 1'000'000, kEntriesMax))),
      window_(url.take_number("window", 1'024, kWindowMax)),
      timeout_(static_cast<Nanoseconds>(url.take_number("timeout_ms", 5'000, kTimeoutMax)) *
               1'000'000) {
    if (key_.empty()) {
        throw Error(ExitCode::usage,
                    fmt::format("{}: no key; write it as redis://host:port/KEY", where_));
    }
    if (window_ == 0 || timeout_ == 0)
        throw Error(ExitCode::usage, fmt::format("{}: window and timeout_ms are at least 1", where_));
}

bool RedisEdge::connect(std::string& problem) {
    heard_at_ = MonotonicClock::now();
    return connection_.open(problem);
}

Edge::Sent RedisEdge::send(const Batch& batch) {
    if (expected_.size() >= window_ || bytes_ > kBytesOut || connection_.unwritten() > kUnwritten)
        return Sent::full;
    // Before this the server owed nothing, so that its silence counts from now.
    if (expected_.empty()) heard_at_ = MonotonicClock::now();
    Expected entry{batch.id, Asked::add, batch.again, key_.of(batch.event, batch.symbol.view()),
                   fmt::format("{}-{}", batch.sealed_ms, batch.id), batch.payload.size()};
    std::vector<std::pair<std::string_view, std::string>> fields;
    for_each_field(batch.envelope, [&](std::string_view name, std::string_view text) {
        fields.emplace_back(name, text);
    });
    RedisCommand command{"XADD", entry.key};
    if (maxlen_ != "0") command.insert(command.end(), {"MAXLEN", "~", maxlen_});
    command.insert(command.end(), {entry.id, "symbol", batch.symbol.view()});
    for (const auto& [name, text] : fields) command.insert(command.end(), {name, text});
    command.insert(command.end(), {"data", text_of(batch.payload)});
    connection_.append(command);
    bytes_ += entry.bytes;
    expected_.push_back(std::move(entry));
    const bool some = batch.envelope.records.value() != 0;
    if (some && !last_.empty()) set_last_value(batch);
    if (some && !channel_.empty()) publish(batch);
    return Sent::accepted;
}

void RedisEdge::set_last_value(const Batch& batch) {
    const std::string key = last_.of(batch.event, batch.symbol.view());
    const std::string value = last_record(batch.payload);
    connection_.append({"SET", key, value});
    expected_.push_back({batch.id, Asked::other, false, {}, {}, 0});
}

void RedisEdge::publish(const Batch& batch) {
    const std::string channel = channel_.of(batch.event, batch.symbol.view());
    connection_.append({"PUBLISH", channel, text_of(batch.payload)});
    expected_.push_back({batch.id, Asked::other, false, {}, {}, 0});
}

void RedisEdge::look_for(const Expected& entry) {
    connection_.append({"XRANGE", entry.key, entry.id, entry.id});
    expected_.push_back({entry.batch, Asked::look, true, {}, {}, entry.bytes});
}

// False when the connection is of no use any more.
bool RedisEdge::take(const redisReply& reply, Acks& acks, std::string& problem) {
    const Expected entry = std::move(expected_.front());
    expected_.pop_front();
    if (entry.asked == Asked::other) {
        others_failed_ += is_error(reply) ? 1U : 0U;
        return true;
    }
    if (entry.asked == Asked::look && reply.type == REDIS_REPLY_ARRAY) {
        bytes_ -= entry.bytes;
        // Not there, and later ones are: its place is taken for good.
        if (reply.elements == 0) acks.refused.push_back(entry.batch);
        else acks.taken.push_back(entry.batch);
        duplicates_ += reply.elements == 0 ? 0 : 1;
        return true;
    }
    if (!is_error(reply)) {
        bytes_ -= entry.bytes;
        acks.taken.push_back(entry.batch);
        return true;
    }
    if (entry.again && text_of(reply).substr(0, kNotAbove.size()) == kNotAbove) {
        look_for(entry);
        return true;
    }
    // Out of memory, loading, a replica, a key of another type: the server took nothing. What
    // went after it may have been taken all the same, hence look_for() when it is sent again.
    problem = fmt::format("{}: {}", where_, text_of(reply));
    return false;
}

bool RedisEdge::poll(int wait_ms, Acks& acks, std::string& problem) {
    if (!connection_.exchange(wait_ms, problem)) return false;
    const Timestamp now = MonotonicClock::now();
    while (const RedisReply reply = connection_.next()) {
        if (expected_.empty()) break;
        heard_at_ = now;
        if (!take(*reply, acks, problem)) return false;
    }
    if (expected_.empty() || now - heard_at_ < timeout_) return true;
    problem = fmt::format("{}: no answer for {} ms", where_, timeout_ / 1'000'000);
    return false;
}

void RedisEdge::disconnect() {
    connection_.close();
    expected_.clear();
    bytes_ = 0;
}

std::vector<EdgeCounter> RedisEdge::counters() const {
    return {{"duplicates", duplicates_}, {"others_failed", others_failed_}};
}

}  // namespace millrace::streams
