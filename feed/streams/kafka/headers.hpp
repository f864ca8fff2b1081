// The envelope of a batch as the headers of a Kafka message.
#pragma once

#include <librdkafka/rdkafka.h>

#include "millrace/feed/streams/envelope.hpp"

namespace millrace::streams {

// The caller destroys them, or gives them to a message that is produced.
[[nodiscard]] rd_kafka_headers_t* headers_of(const Envelope& envelope);
// False unless the message has all of them.
[[nodiscard]] bool envelope_of(const rd_kafka_message_t& message, Envelope& envelope);

}  // namespace millrace::streams
