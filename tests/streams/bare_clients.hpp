// The client libraries by themselves, as their users use them, and for files and TCP the system calls:
// what the edges are measured beside.
#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <hiredis/hiredis.h>
#include <librdkafka/rdkafka.h>

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "millrace/feed/streams/batch.hpp"
#include "millrace/feed/streams/rabbitmq/connection.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/rabbit_server.hpp"
#include "tests/support/server.hpp"

namespace millrace::test {

struct BareMessage {
    std::string_view symbol;
    std::string_view payload;
    const streams::Envelope* envelope = nullptr;  // null: it travels without
};

class BareClient {
  public:
    virtual ~BareClient() = default;
    virtual void send(const BareMessage& message) = 0;
    // Returns when the other side has everything.
    virtual void finish() {}

  protected:
    static constexpr std::uint64_t kWindow = 1'024;  // unacknowledged messages, as the edges have it
};

// Names and values of an envelope, if there is one.
inline std::vector<std::pair<std::string, std::string>> fields_of(const BareMessage& message) {
    std::vector<std::pair<std::string, std::string>> fields;
    if (message.envelope == nullptr) return fields;
    streams::for_each_field(*message.envelope, [&](std::string_view name, std::string_view text) {
        fields.emplace_back(name, text);
    });
    return fields;
}

// XADD, pipelined.
class BareRedis final : public BareClient {
  public:
    BareRedis(const std::string& port, std::string key)
        : context_(redisConnect("127.0.0.1", std::stoi(port))), key_(std::move(key)) {
        REQUIRE(context_->err == 0);
    }
    ~BareRedis() override { redisFree(context_); }
    BareRedis(const BareRedis&) = delete;
    BareRedis& operator=(const BareRedis&) = delete;

    void send(const BareMessage& message) override {
        std::vector<std::string> words{"XADD", key_, "MAXLEN", "~", "1000000", fmt::format("1-{}", ++sent_),
                                       "symbol", std::string(message.symbol)};
        for (auto& [name, text] : fields_of(message)) {
            words.push_back(name);
            words.push_back(text);
        }
        words.emplace_back("data");
        std::vector<const char*> argv;
        std::vector<std::size_t> sizes;
        for (const std::string& word : words) {
            argv.push_back(word.data());
            sizes.push_back(word.size());
        }
        argv.push_back(message.payload.data());
        sizes.push_back(message.payload.size());
        redisAppendCommandArgv(context_, static_cast<int>(argv.size()), argv.data(), sizes.data());
        if (sent_ - answered_ >= kWindow) answer();
    }
    void finish() override {
        while (answered_ < sent_) answer();
    }

  private:
    void answer() {
        void* reply = nullptr;
        REQUIRE(redisGetReply(context_, &reply) == REDIS_OK);
        REQUIRE(static_cast<redisReply*>(reply)->type == REDIS_REPLY_STRING);
        freeReplyObject(reply);
        ++answered_;
    }

    redisContext* context_;
    std::string key_;
    std::uint64_t sent_ = 0;
    std::uint64_t answered_ = 0;
};

// An idempotent producer with the settings of the edge. The topic is there before the first message.
class BareKafka final : public BareClient {
  public:
    BareKafka(const std::string& port, std::string topic) : topic_(std::move(topic)) {
        std::array<char, 512> problem{};
        rd_kafka_conf_t* conf = rd_kafka_conf_new();
        for (const auto& [key, value] : std::initializer_list<std::pair<std::string, std::string>>{
                 {"bootstrap.servers", "127.0.0.1:" + port},
                 {"enable.idempotence", "true"},
                 {"partitioner", "murmur2_random"},
                 {"linger.ms", "5"},
                 {"compression.codec", "lz4"},
                 {"batch.size", "1000000"},
                 {"queue.buffering.max.messages", "1000000"}}) {
            REQUIRE(rd_kafka_conf_set(conf, key.c_str(), value.c_str(), problem.data(), problem.size()) ==
                    RD_KAFKA_CONF_OK);
        }
        client_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf, problem.data(), problem.size());
        REQUIRE(client_ != nullptr);
        BareKafka::send({"first", "first"});
        BareKafka::finish();
    }
    ~BareKafka() override { rd_kafka_destroy(client_); }
    BareKafka(const BareKafka&) = delete;
    BareKafka& operator=(const BareKafka&) = delete;

    // librdkafka's macros cast as C does.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast"
    void send(const BareMessage& message) override {
        // What was made beforehand stays, and need not be copied.
        const int copies = message.envelope == nullptr ? RD_KAFKA_MSG_F_COPY : 0;
        for (;;) {
            rd_kafka_headers_t* headers = rd_kafka_headers_new(streams::kEnvelopeFields);
            for (const auto& [name, text] : fields_of(message)) {
                rd_kafka_header_add(headers, name.data(), static_cast<ssize_t>(name.size()), text.data(),
                                    static_cast<ssize_t>(text.size()));
            }
            const auto code = rd_kafka_producev(
                client_, RD_KAFKA_V_TOPIC(topic_.c_str()), RD_KAFKA_V_MSGFLAGS(copies),
                RD_KAFKA_V_KEY(message.symbol.data(), message.symbol.size()),
                RD_KAFKA_V_VALUE(const_cast<char*>(message.payload.data()), message.payload.size()),
                RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
            if (code == RD_KAFKA_RESP_ERR_NO_ERROR) break;
            rd_kafka_headers_destroy(headers);
            REQUIRE(code == RD_KAFKA_RESP_ERR__QUEUE_FULL);
            rd_kafka_poll(client_, 10);
        }
        rd_kafka_poll(client_, 0);
    }
#pragma GCC diagnostic pop
    void finish() override { REQUIRE(rd_kafka_flush(client_, 60'000) == RD_KAFKA_RESP_ERR_NO_ERROR); }

  private:
    std::string topic_;
    rd_kafka_t* client_ = nullptr;
};

// Publishes with confirms, in a window.
class BareRabbit final : public BareClient {
  public:
    BareRabbit(const RabbitServer& server, const std::string& queue)
        : url_(streams::parse_url(server.url(queue))), connection_(url_), exchange_("x." + queue) {
        std::string problem;
        REQUIRE(connection_.open(problem));
        REQUIRE(connection_.declare({queue, exchange_, "quorum", {"#"}}, problem));
        amqp_confirm_select(connection_.get(), streams::RabbitConnection::kChannel);
        REQUIRE(connection_.answered(problem));
    }
    ~BareRabbit() override { connection_.close(); }
    BareRabbit(const BareRabbit&) = delete;
    BareRabbit& operator=(const BareRabbit&) = delete;

    void send(const BareMessage& message) override {
        const auto fields = fields_of(message);
        streams::RabbitTable headers;
        for (const auto& [name, text] : fields) headers.add(name, text);
        amqp_basic_properties_t properties{};
        properties._flags = AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_HEADERS_FLAG;
        properties.delivery_mode = AMQP_DELIVERY_PERSISTENT;
        properties.headers = headers.get();
        const std::string key = "mbo." + std::string(message.symbol);
        REQUIRE(amqp_basic_publish(connection_.get(), streams::RabbitConnection::kChannel,
                                   streams::bytes_of(exchange_), streams::bytes_of(key), 1, 0, &properties,
                                   streams::bytes_of(message.payload)) == AMQP_STATUS_OK);
        if (++sent_ - confirmed_ >= kWindow) confirm();
    }
    void finish() override {
        while (confirmed_ < sent_) confirm();
    }

  private:
    void confirm() {
        amqp_frame_t frame;
        REQUIRE(amqp_simple_wait_frame(connection_.get(), &frame) == AMQP_STATUS_OK);
        REQUIRE(frame.payload.method.id == AMQP_BASIC_ACK_METHOD);
        const auto& ack = *static_cast<const amqp_basic_ack_t*>(frame.payload.method.decoded);
        confirmed_ = ack.multiple != 0 ? ack.delivery_tag : confirmed_ + 1;
        connection_.release();
    }

    streams::Url url_;
    streams::RabbitConnection connection_;
    std::string exchange_;
    std::uint64_t sent_ = 0;
    std::uint64_t confirmed_ = 0;
};

// write, to whatever `open` has opened.
class BareWrites : public BareClient {
  public:
    explicit BareWrites(net::Socket to) : to_(std::move(to)) { REQUIRE(to_.fd() >= 0); }
    void send(const BareMessage& message) override {
        if (message.envelope != nullptr) write_all(wire::bytes_of(*message.envelope));
        write_all({reinterpret_cast<const std::uint8_t*>(message.payload.data()), message.payload.size()});
    }

  protected:
    void write_all(std::span<const std::uint8_t> bytes) {
        while (!bytes.empty()) {
            const ssize_t n = ::write(to_.fd(), bytes.data(), bytes.size());
            REQUIRE(n > 0);
            bytes = bytes.subspan(static_cast<std::size_t>(n));
        }
    }

  private:
    net::Socket to_;
};

inline std::unique_ptr<BareClient> bare_file(const std::string& path) {
    return std::make_unique<BareWrites>(
        net::Socket(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)));
}

}  // namespace millrace::test
