// The catalogue of a topic: what its shards are, which streams each has written, up to which record,
// and how exact they were then. A compacted topic beside it, "<topic>.catalogue", with one message
// for each stream of each shard, written in the same transactions as the records themselves; its
// headers are the envelope of the stream's latest batch, its value says the same as JSON.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "millrace/feed/streams/kafka/settings.hpp"
#include "millrace/feed/streams/sink.hpp"

namespace millrace::streams {

// Who writes: a shard, and for replays what is replayed.
struct ShardName {
    std::string shard;
    std::string run;  // empty: live, and never resumed

    // What the keys of its streams begin with.
    [[nodiscard]] std::string prefix() const;
};

// How far a shard or a run of it came.
struct ShardPosition {
    std::uint32_t epoch = 0;                             // 0: it has not begun
    std::map<std::uint64_t, std::uint64_t> last_record;  // by stream
    std::uint32_t newest_epoch = 0;                      // of all shards
};

// One message of it, to be sent.
struct CatalogueEntry {
    std::string key;
    std::string value;  // JSON
    Envelope envelope{};
};

[[nodiscard]] std::string catalogue_of(const std::string& topic);
[[nodiscard]] CatalogueEntry catalogue_entry(const ShardName& name, const Symbol& symbol,
                                             const Envelope& latest);

// Makes the catalogue's topic if need be. Throws Error(resource).
void ensure_catalogue(rd_kafka_t* client, const std::string& topic, const std::string& where);

// What is committed of a shard. To be asked by a producer that has fenced all earlier ones: only then
// is the answer final. It is read to the end of the log, and not to where transactions of other
// shards that are open hold readers back. Throws Error(resource) when nothing new came for so long.
[[nodiscard]] ShardPosition read_position(const KafkaSettings& settings, const std::string& topic,
                                          const ShardName& name, const std::string& where,
                                          Nanoseconds patience);

}  // namespace millrace::streams
