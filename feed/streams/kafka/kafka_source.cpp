#include "millrace/feed/streams/kafka/kafka_source.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "millrace/core/error.hpp"
#include "millrace/feed/streams/kafka/headers.hpp"

namespace millrace::streams {

namespace {

constexpr int kAnswerMs = 10'000;  // for the questions at the start
constexpr int kSliceMs = 250;      // after which it is asked whether anybody still waits
constexpr std::uint64_t kLatest = std::uint64_t{1} << 50;  // ms

void add(std::vector<std::int32_t>& set, std::int32_t partition) {
    const auto at = std::lower_bound(set.begin(), set.end(), partition);
    if (at == set.end() || *at != partition) set.insert(at, partition);
}
void remove(std::vector<std::int32_t>& set, std::int32_t partition) {
    const auto at = std::lower_bound(set.begin(), set.end(), partition);
    if (at != set.end() && *at == partition) set.erase(at);
}

}  // namespace

KafkaSource::KafkaSource(Url& url)
    : where_(url.text()), topic_(url.path), group_(url.take("group", "")),
      from_ms_(static_cast<std::int64_t>(url.take_number("from_ms", 0, kLatest))),
      follow_(url.take_number("follow", 0, 1) != 0), settings_(url) {
    processed_ = parse_offsets(url.take("from", ""));
    from_start_ = group_.empty() && from_ms_ == 0 && processed_.empty();
    const int places = (group_.empty() ? 0 : 1) + (from_ms_ == 0 ? 0 : 1) + (processed_.empty() ? 0 : 1);
    if (places > 1) {
        throw Error(ExitCode::usage,
                    fmt::format("{}: group, from and from_ms each say where to begin; give one of them", where_));
    }
    // librdkafka wants a group in any case; where none is named nothing is committed.
    settings_.set("group.id", group_.empty() ? "millrace" : group_);
    settings_.set("enable.auto.commit", group_.empty() ? "false" : "true");
    settings_.set("auto.commit.interval.ms", "1000");
    settings_.set("enable.auto.offset.store", "false");
    // Where a named offset is gone, so is what came behind it.
    settings_.set("auto.offset.reset", processed_.empty() ? "earliest" : "error");
    settings_.set("partition.assignment.strategy", "cooperative-sticky");
    settings_.set("enable.partition.eof", "true");
    settings_.set("check.crcs", "true");
    settings_.set("fetch.wait.max.ms", "10");
    settings_.set("fetch.error.backoff.ms", "10");
    settings_.set_if_known("fetch.queue.backoff.ms", "10");
    settings_.take_options(url);
    rd_kafka_conf_set_opaque(settings_.get(), this);
    if (!group_.empty()) rd_kafka_conf_set_rebalance_cb(settings_.get(), on_rebalance);
}

void KafkaSource::open() {
    client_ = make_kafka_client(RD_KAFKA_CONSUMER, settings_, where_);
    rd_kafka_poll_set_consumer(client_.get());
    if (group_.empty()) assign_all();
    else subscribe();
}

// What librdkafka says of its connections tells more than a code.
void KafkaSource::fail(rd_kafka_resp_err_t code) {
    std::string why = rd_kafka_err2str(code);
    if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) why += "; is it the topic that is written to?";
    for (;;) {
        const std::unique_ptr<rd_kafka_message_t, MessageDeleter> event(rd_kafka_consumer_poll(client_.get(), 0));
        if (event == nullptr) break;
        const bool vague = event->err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN;
        if (event->err != RD_KAFKA_RESP_ERR_NO_ERROR && !vague) why = rd_kafka_message_errstr(event.get());
    }
    const bool unreached = code == RD_KAFKA_RESP_ERR__TRANSPORT || code == RD_KAFKA_RESP_ERR__TIMED_OUT;
    if (unreached) why += "; " + settings_.advice();
    throw Error(ExitCode::resource, fmt::format("{}: {}", where_, why));
}

KafkaSource::Metadata KafkaSource::ask_of_topic() {
    rd_kafka_topic_t* topic = rd_kafka_topic_new(client_.get(), topic_.c_str(), nullptr);
    const rd_kafka_metadata_t* answer = nullptr;
    auto code = RD_KAFKA_RESP_ERR__TIMED_OUT;
    for (int waited = 0; waited < kAnswerMs && !given_up(); waited += kSliceMs) {
        code = rd_kafka_metadata(client_.get(), 0, topic, &answer, kSliceMs);
        if (code != RD_KAFKA_RESP_ERR__TRANSPORT && code != RD_KAFKA_RESP_ERR__TIMED_OUT) break;
    }
    rd_kafka_topic_destroy(topic);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) fail(code);
    Metadata metadata(answer);
    if (answer->topics[0].err != RD_KAFKA_RESP_ERR_NO_ERROR) fail(answer->topics[0].err);
    return metadata;
}

void KafkaSource::subscribe() {
    static_cast<void>(ask_of_topic());  // a member of a group would wait for it for good
    const Partitions topics(rd_kafka_topic_partition_list_new(1));
    rd_kafka_topic_partition_list_add(topics.get(), topic_.c_str(), RD_KAFKA_PARTITION_UA);
    const auto code = rd_kafka_subscribe(client_.get(), topics.get());
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) fail(code);
}

void KafkaSource::assign_all() {
    const Metadata metadata = ask_of_topic();
    const rd_kafka_metadata_topic_t& topic = metadata->topics[0];
    for (const auto& [id, offset] : processed_) {
        if (id < topic.partition_cnt) continue;
        throw Error(ExitCode::usage, fmt::format("{}: from names partition {}, and the topic has those from 0 to {}",
                                                 where_, id, topic.partition_cnt - 1));
    }
    const Partitions all(rd_kafka_topic_partition_list_new(topic.partition_cnt));
    for (int i = 0; i < topic.partition_cnt; ++i) {
        const std::int32_t id = topic.partitions[i].id;
        auto* partition = rd_kafka_topic_partition_list_add(all.get(), topic_.c_str(), id);
        const auto at = processed_.find(id);
        partition->offset = at != processed_.end() ? at->second
                            : from_ms_ == 0        ? RD_KAFKA_OFFSET_BEGINNING
                                                   : from_ms_;
        add(assigned_, id);
        if (!follow_ && !find_end(id)) fail(RD_KAFKA_RESP_ERR__TIMED_OUT);
    }
    auto code = from_ms_ == 0 ? RD_KAFKA_RESP_ERR_NO_ERROR
                             : rd_kafka_offsets_for_times(client_.get(), all.get(), kAnswerMs);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) code = rd_kafka_assign(client_.get(), all.get());
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) fail(code);
}

// A topic that is written without pause has no end but the one that it had at the start.
bool KafkaSource::find_end(std::int32_t partition) {
    if (ends_.count(partition) != 0) return true;
    std::int64_t low = 0;
    std::int64_t high = 0;
    const auto code = rd_kafka_query_watermark_offsets(client_.get(), topic_.c_str(), partition, &low, &high,
                                                       kAnswerMs);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return false;
    ends_[partition] = high;
    // Of an offset that was named its server has to say whether it was ever there.
    if (low == high && processed_.empty()) add(ended_, partition);
    return true;
}

bool KafkaSource::is_behind_end(const rd_kafka_message_t& message) const {
    const auto end = ends_.find(message.partition);
    return !follow_ && end != ends_.end() && message.offset >= end->second;
}

void KafkaSource::note_end(const rd_kafka_message_t& message) {
    const auto end = ends_.find(message.partition);
    const bool last = end != ends_.end() && message.offset + 1 >= end->second;
    if (last) add(ended_, message.partition);
    else remove(ended_, message.partition);
}

void KafkaSource::on_rebalance(rd_kafka_t*, rd_kafka_resp_err_t code,
                               rd_kafka_topic_partition_list_t* partitions, void* source) {
    static_cast<KafkaSource*>(source)->rebalance(code, *partitions);
}

void KafkaSource::rebalance(rd_kafka_resp_err_t code,
                            rd_kafka_topic_partition_list_t& partitions) {
    rd_kafka_error_t* error = nullptr;
    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        error = rd_kafka_incremental_assign(client_.get(), &partitions);
        for (int i = 0; i < partitions.cnt; ++i) {
            add(assigned_, partitions.elems[i].partition);
            // Without an answer its end is where nothing more comes.
            if (!follow_) static_cast<void>(find_end(partitions.elems[i].partition));
        }
    } else {
        // Whoever gets them goes on behind what was processed here.
        store_processed();
        if (rd_kafka_assignment_lost(client_.get()) == 0)
            static_cast<void>(rd_kafka_commit(client_.get(), nullptr, 0));
        error = rd_kafka_incremental_unassign(client_.get(), &partitions);
        for (int i = 0; i < partitions.cnt; ++i) {
            remove(assigned_, partitions.elems[i].partition);
            remove(ended_, partitions.elems[i].partition);
        }
    }
    if (error != nullptr) rd_kafka_error_destroy(error);
}

void KafkaSource::store_processed() {
    if (current_ == nullptr) return;
    if (!group_.empty() && !by_hand_)
        static_cast<void>(rd_kafka_offset_store(current_->rkt, current_->partition, current_->offset));
    current_ = nullptr;
}

bool KafkaSource::at_end() const {
    return !follow_ && !assigned_.empty() && ended_ == assigned_;
}

Source::Next KafkaSource::next(int wait_ms, Received& received) {
    store_processed();
    if (at_end()) return Next::end;
    current_.reset(rd_kafka_consumer_poll(client_.get(), wait_ms));
    if (current_ == nullptr) return Next::none;
    if (current_->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        note_end(*current_);
        if (is_behind_end(*current_)) {
            current_ = nullptr;
            return at_end() ? Next::end : Next::none;
        }
        if (by_hand_) handed_out_.add({current_->partition, current_->offset + 1});
        received.has_envelope = envelope_of(*current_, received.envelope);
        received.payload = {static_cast<const std::uint8_t*>(current_->payload), current_->len};
        return Next::batch;
    }
    const std::unique_ptr<rd_kafka_message_t, MessageDeleter> event = std::move(current_);
    if (event->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        add(ended_, event->partition);
        return at_end() ? Next::end : Next::none;
    }
    // Servers come and go; librdkafka goes on by itself unless it says that it cannot.
    problem_ = fmt::format("{}: {}", where_, rd_kafka_message_errstr(event.get()));
    const bool passing = event->err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN ||
                         event->err == RD_KAFKA_RESP_ERR__TRANSPORT ||
                         event->err == RD_KAFKA_RESP_ERR__TIMED_OUT;
    return passing ? Next::none : Next::failed;
}

void KafkaSource::processed(std::uint64_t batches) {
    handed_out_.settle(batches, [&](const Place& place) { processed_[place.partition] = place.offset; });
}

bool KafkaSource::commit() {
    if (client_ == nullptr) {
        problem_ = fmt::format("{}: closed", where_);
        return false;
    }
    if (group_.empty()) return true;
    const Partitions list(rd_kafka_topic_partition_list_new(8));
    for (const auto& [partition, offset] : processed_) {
        // What went to another member is that one's to commit.
        const bool ours = std::binary_search(assigned_.begin(), assigned_.end(), partition);
        const auto at = committed_.find(partition);
        if (!ours || (at != committed_.end() && at->second == offset)) continue;
        rd_kafka_topic_partition_list_add(list.get(), topic_.c_str(), partition)->offset = offset;
    }
    if (list->cnt == 0) return true;
    const auto code = rd_kafka_commit(client_.get(), list.get(), 0);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        problem_ = fmt::format("{}: {}", where_, rd_kafka_err2str(code));
        return false;
    }
    for (int i = 0; i < list->cnt; ++i) committed_[list->elems[i].partition] = list->elems[i].offset;
    return true;
}

std::string KafkaSource::position() const {
    std::string text;
    for (const auto& [partition, offset] : processed_)
        text += fmt::format("{}{}:{}", text.empty() ? "" : ",", partition, offset);
    return text;
}

KafkaSource::Offsets KafkaSource::parse_offsets(const std::string& text) const {
    Offsets offsets;
    const char* at = text.data();
    const char* end = at + text.size();
    while (at < end) {
        std::int32_t partition = -1;
        std::int64_t offset = -1;
        at = std::from_chars(at, end, partition).ptr;
        const bool colon = at < end && *at == ':';
        if (colon) at = std::from_chars(at + 1, end, offset).ptr;
        const bool good = colon && partition >= 0 && offset >= 0 && (at == end || *at == ',') &&
                          offsets.emplace(partition, offset).second;
        if (!good) {
            throw Error(ExitCode::usage,
                        fmt::format("{}: from={}: write PARTITION:OFFSET, several behind commas", where_, text));
        }
        if (at < end) ++at;
    }
    return offsets;
}

std::uint64_t KafkaSource::lag() const {
    rd_kafka_topic_partition_list_t* list = nullptr;
    if (client_ == nullptr || rd_kafka_assignment(client_.get(), &list) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return 0;
    const Partitions partitions(list);
    if (rd_kafka_position(client_.get(), list) != RD_KAFKA_RESP_ERR_NO_ERROR) return 0;
    std::uint64_t lag = 0;
    for (int i = 0; i < list->cnt; ++i) {
        const auto& partition = list->elems[i];
        std::int64_t low = 0;
        std::int64_t high = 0;
        static_cast<void>(rd_kafka_get_watermark_offsets(client_.get(), partition.topic,
                                                         partition.partition, &low, &high));
        const std::int64_t at = std::max(partition.offset, low);  // negative: not read yet
        if (high > at) lag += static_cast<std::uint64_t>(high - at);
    }
    return lag;
}

void KafkaSource::close() {
    if (client_ == nullptr) return;
    store_processed();
    rd_kafka_consumer_close(client_.get());  // commits what is stored, and leaves the group
    client_.reset();
}

}  // namespace millrace::streams
