#include "millrace/feed/streams/redis/redis_source.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <utility>

#include "millrace/core/error.hpp"

namespace millrace::streams {

namespace {

constexpr int kAnswerMs = 5'000;  // for commands that do not wait themselves
constexpr std::string_view kCount = "100";
constexpr std::size_t kAcknowledgeEvery = 100;

// "ms-seq" as numbers that compare.
std::pair<std::uint64_t, std::uint64_t> id_number(std::string_view id) {
    std::pair<std::uint64_t, std::uint64_t> number;
    const char* end = id.data() + id.size();
    const char* dash = std::from_chars(id.data(), end, number.first).ptr;
    if (dash < end) std::from_chars(dash + 1, end, number.second);
    return number;
}

// The part of an array reply that is there, or null.
const redisReply* part(const redisReply* reply, std::size_t index) {
    if (reply == nullptr || reply->type != REDIS_REPLY_ARRAY || index >= reply->elements)
        return nullptr;
    return reply->element[index];
}
bool is_text(const redisReply* reply) {
    return reply != nullptr && reply->type == REDIS_REPLY_STRING;
}

}  // namespace

RedisSource::RedisSource(Url& url)
    : connection_(url), where_(url.text()), key_(url.path),
      group_(url.take("group", "")),
      consumer_(url.take("consumer", fmt::format("millrace-{}", getpid()))),
      claim_ms_(std::to_string(url.take_number("claim_ms", 60'000, 86'400'000))),
      follow_(url.take_number("follow", 0, 1) != 0), last_id_(url.take("from", "0")) {
    if (key_.empty()) {
        throw Error(ExitCode::usage,
                    fmt::format("{}: no key; write it as redis://host:port/KEY", where_));
    }
    if (last_id_ != "0") position_ = last_id_;
    from_start_ = group_.empty() && position_.empty();
}

void RedisSource::open() {
    if (!connection_.open(problem_)) throw Error(ExitCode::resource, problem_);
    if (!follow_) check_key();
    if (!group_.empty()) open_group();
    find_end();
}

void RedisSource::check_key() {
    const RedisReply there = ask({"EXISTS", key_}, kAnswerMs);
    if (there == nullptr) throw Error(ExitCode::resource, problem_);
    if (there->type == REDIS_REPLY_INTEGER && there->integer != 0) return;
    throw Error(ExitCode::resource,
                fmt::format("{}: there is no such key; is it the one that is written to? (follow=1 waits for it)",
                            where_));
}

RedisReply RedisSource::ask(const RedisCommand& command, int wait_ms) {
    RedisReply reply = connection_.ask(command, wait_ms, problem_);
    if (reply == nullptr || !is_error(*reply)) return reply;
    problem_ = fmt::format("{}: {}", where_, text_of(*reply));
    return nullptr;
}

void RedisSource::open_group() {
    const RedisReply made = connection_.ask(
        {"XGROUP", "CREATE", key_, group_, last_id_, "MKSTREAM"}, kAnswerMs, problem_);
    const bool there = made != nullptr &&
                       (!is_error(*made) || text_of(*made).substr(0, 9) == "BUSYGROUP");
    if (there) {
        last_id_ = "0";  // of this consumer's pending entries
        return;
    }
    throw Error(ExitCode::resource,
                made == nullptr ? problem_ : fmt::format("{}: {}", where_, text_of(*made)));
}

void RedisSource::find_end() {
    const RedisReply newest = ask({"XREVRANGE", key_, "+", "-", "COUNT", "1"}, kAnswerMs);
    if (newest == nullptr) throw Error(ExitCode::resource, problem_);
    const redisReply* id = part(part(newest.get(), 0), 0);
    if (is_text(id)) end_id_ = text_of(*id);
}

void RedisSource::take_entries(const redisReply& entries) {
    for (std::size_t i = 0; i < entries.elements; ++i) {
        const redisReply* id = part(entries.element[i], 0);
        const redisReply* fields = part(entries.element[i], 1);
        if (!is_text(id)) continue;
        taken_id_ = text_of(*id);
        // Trimmed away while it was pending: to be acknowledged all the same.
        if (fields == nullptr) processed_.emplace_back(taken_id_);
        if (fields == nullptr) continue;
        Entry entry;
        entry.id = text_of(*id);
        std::size_t found = 0;
        for (std::size_t field = 0; field + 1 < fields->elements; field += 2) {
            const redisReply* name = part(fields, field);
            const redisReply* value = part(fields, field + 1);
            if (!is_text(name) || !is_text(value)) continue;
            if (text_of(*name) == "data") entry.data = text_of(*value);
            else found += set_field(entry.envelope, text_of(*name), text_of(*value)) ? 1U : 0U;
        }
        entry.has_envelope = found == kEnvelopeFields;
        entries_.push_back(std::move(entry));
    }
}

bool RedisSource::fetch_plain(int wait_ms) {
    const std::string wait = std::to_string(std::max(wait_ms, 1));
    const RedisReply reply =
        ask({"XREAD", "COUNT", kCount, "BLOCK", wait, "STREAMS", key_, last_id_},
            wait_ms + kAnswerMs);
    if (reply == nullptr) return false;
    const redisReply* entries = part(part(reply.get(), 0), 1);
    if (entries != nullptr) take_entries(*entries);
    if (entries != nullptr) last_id_ = taken_id_;
    return true;
}

bool RedisSource::claim() {
    const RedisReply reply = ask({"XAUTOCLAIM", key_, group_, consumer_, claim_ms_, claim_from_,
                                  "COUNT", kCount},
                                 kAnswerMs);
    if (reply == nullptr) return false;
    const redisReply* from = part(reply.get(), 0);
    const redisReply* entries = part(reply.get(), 1);
    claim_from_ = is_text(from) ? std::string(text_of(*from)) : "0-0";
    if (entries != nullptr) take_entries(*entries);
    if (claim_from_ == "0-0") stage_ = Stage::fresh;
    return true;
}

bool RedisSource::fetch_of_group(int wait_ms) {
    if (stage_ == Stage::claim) return claim();
    const bool fresh = stage_ == Stage::fresh;
    const std::string wait = std::to_string(std::max(wait_ms, 1));
    const std::string_view from = fresh ? std::string_view(">") : last_id_;
    const RedisReply reply = ask({"XREADGROUP", "GROUP", group_, consumer_, "COUNT", kCount,
                                  "BLOCK", wait, "STREAMS", key_, from},
                                 wait_ms + kAnswerMs);
    if (reply == nullptr) return false;
    const redisReply* entries = part(part(reply.get(), 0), 1);
    const bool some = entries != nullptr && entries->elements != 0;
    if (some) take_entries(*entries);
    dry_ = fresh && !some;
    if (fresh) return true;
    if (some) last_id_ = taken_id_;
    else stage_ = Stage::claim;
    return true;
}

bool RedisSource::acknowledge() {
    if (processed_.empty()) return true;
    RedisCommand command{"XACK", key_, group_};
    command.insert(command.end(), processed_.begin(), processed_.end());
    if (ask(command, kAnswerMs) == nullptr) return false;
    processed_.clear();
    return true;
}

// Of a group: what there was when reading began went to somebody, whatever has come since.
bool RedisSource::fresh_to_end() const {
    const bool some = stage_ == Stage::fresh && !end_id_.empty() && !taken_id_.empty();
    return some && id_number(taken_id_) >= id_number(end_id_);
}

bool RedisSource::at_end() const {
    if (follow_) return false;
    if (!group_.empty()) return dry_ || fresh_to_end();
    return end_id_.empty() || id_number(last_id_) >= id_number(end_id_);
}

void RedisSource::current_processed() {
    const bool due = !current_.id.empty() && !group_.empty() && !by_hand_;
    if (due) processed_.push_back(std::move(current_.id));
    current_ = {};
}

void RedisSource::processed(std::uint64_t batches) {
    handed_out_.settle(batches, [&](std::string& id) {
        position_ = id;
        if (!group_.empty()) processed_.push_back(std::move(id));
    });
}

Source::Next RedisSource::next(int wait_ms, Received& received) {
    current_processed();
    const bool due = processed_.size() >= kAcknowledgeEvery || entries_.empty();
    if (due && !by_hand_ && !acknowledge()) return Next::failed;
    if (entries_.empty() && at_end()) return Next::end;
    if (entries_.empty()) {
        const bool good = group_.empty() ? fetch_plain(wait_ms) : fetch_of_group(wait_ms);
        if (!good) return Next::failed;
        // A group is at its end when everything fresh went to somebody.
        if (entries_.empty()) return at_end() ? Next::end : Next::none;
    }
    current_ = std::move(entries_.front());
    entries_.pop_front();
    if (by_hand_) handed_out_.add(current_.id);
    received.envelope = current_.envelope;
    received.has_envelope = current_.has_envelope;
    received.payload = {reinterpret_cast<const std::uint8_t*>(current_.data.data()),
                        current_.data.size()};
    return Next::batch;
}

void RedisSource::close() {
    current_processed();
    if (!by_hand_) static_cast<void>(acknowledge());
    connection_.close();
}

}  // namespace millrace::streams
