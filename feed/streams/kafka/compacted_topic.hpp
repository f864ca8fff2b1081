// A topic of which the servers keep the last message of each key.
#pragma once

#include <librdkafka/rdkafka.h>

#include <string>

namespace millrace::streams {

// Makes it if need be, with so many partitions (-1: as the servers are set), waiting at most so long.
// What is wrong in one line; empty when it is there.
[[nodiscard]] std::string ensure_compacted(rd_kafka_t* client, const std::string& topic, int partitions,
                                           int wait_ms);

}  // namespace millrace::streams
