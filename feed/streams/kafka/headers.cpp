#include "millrace/feed/streams/kafka/headers.hpp"

#include <string_view>

namespace millrace::streams {

rd_kafka_headers_t* headers_of(const Envelope& envelope) {
    rd_kafka_headers_t* headers = rd_kafka_headers_new(kEnvelopeFields);
    for_each_field(envelope, [&](std::string_view name, std::string_view text) {
        rd_kafka_header_add(headers, name.data(), static_cast<ssize_t>(name.size()), text.data(),
                            static_cast<ssize_t>(text.size()));
    });
    return headers;
}

bool envelope_of(const rd_kafka_message_t& message, Envelope& envelope) {
    envelope = {};
    rd_kafka_headers_t* headers = nullptr;
    if (rd_kafka_message_headers(&message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return false;
    const char* name = nullptr;
    const void* value = nullptr;
    std::size_t size = 0;
    std::size_t found = 0;
    for (std::size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &size) ==
                            RD_KAFKA_RESP_ERR_NO_ERROR;
         ++i) {
        const std::string_view text(static_cast<const char*>(value), value == nullptr ? 0 : size);
        found += set_field(envelope, name, text) ? 1U : 0U;
    }
    return found == kEnvelopeFields;
}

}  // namespace millrace::streams
