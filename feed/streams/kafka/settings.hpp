// What producer and consumer share of librdkafka: its settings, by URL and by environment.
#pragma once

#include <librdkafka/rdkafka.h>

#include <memory>
#include <string>

#include "millrace/feed/streams/url.hpp"

namespace millrace::streams {

class KafkaSettings {
  public:
    // For the servers of `url`, which must name a topic. Throws Error(usage).
    explicit KafkaSettings(const Url& url);

    // Throws Error(usage) for what librdkafka refuses.
    void set(const std::string& key, const std::string& value);
    // The same where this librdkafka knows the key; older ones do not know all.
    void set_if_known(const std::string& key, const std::string& value);
    // Takes the options that are librdkafka's own, those with a dot in their name, out of the URL;
    // and those of the environment: MILLRACE_KAFKA_SASL_PASSWORD is sasl.password. Secrets come by
    // environment alone. Throws Error(usage).
    void take_options(Url& url);

    // What to try when the servers of these settings are not reached: librdkafka calls a server that
    // speaks another protocol, too, one that hung up.
    [[nodiscard]] std::string advice() const;

    [[nodiscard]] rd_kafka_conf_t* get() const { return conf_.get(); }
    // For a producer or consumer to own.
    [[nodiscard]] rd_kafka_conf_t* copy() const { return rd_kafka_conf_dup(conf_.get()); }

  private:
    struct Deleter {
        void operator()(rd_kafka_conf_t* conf) const { rd_kafka_conf_destroy(conf); }
    };
    std::string where_;  // for messages
    std::unique_ptr<rd_kafka_conf_t, Deleter> conf_;
};

struct KafkaDeleter {
    void operator()(rd_kafka_t* client) const { rd_kafka_destroy(client); }
};
using KafkaClient = std::unique_ptr<rd_kafka_t, KafkaDeleter>;

// Throws Error(usage) with what librdkafka says is wrong.
[[nodiscard]] KafkaClient make_kafka_client(rd_kafka_type_t type, const KafkaSettings& settings,
                                            const std::string& where);

}  // namespace millrace::streams
