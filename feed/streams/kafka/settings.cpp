#include "millrace/feed/streams/kafka/settings.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cctype>
#include <string_view>

#include "millrace/core/error.hpp"

namespace millrace::streams {

namespace {

constexpr std::string_view kPrefix = "MILLRACE_KAFKA_";
constexpr int kPort = 9'092;

// "MILLRACE_KAFKA_SASL_PASSWORD" -> "sasl.password".
std::string key_of_variable(std::string_view name) {
    std::string key;
    for (const char c : name.substr(kPrefix.size())) {
        const auto letter = static_cast<unsigned char>(c);
        key.push_back(c == '_' ? '.' : static_cast<char>(std::tolower(letter)));
    }
    return key;
}

// Kafka's own rules, for what stands around {event} and {symbol}. A server would be asked for such a topic for ever.
void check_topic(std::string_view topic, const std::string& where) {
    constexpr std::size_t kNameMost = 249;
    bool inside = false;  // of braces
    bool good = topic.size() <= kNameMost && topic != "." && topic != "..";
    for (const char c : topic) {
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        good = good && (inside || c == '{' || letter || c == '.' || c == '_' || c == '-');
        inside = c == '{' || (inside && c != '}');
    }
    if (good) return;
    throw Error(ExitCode::usage, fmt::format("{}: no topic can be called so; its letters are A to Z, a to z, digits, "
                                             "'.', '_' and '-', at most {}",
                                             where, kNameMost));
}

bool is_secret(const std::string& key) {
    for (const std::string_view word : {"password", "secret", "key.pem", "oauthbearer"})
        if (key.find(word) != std::string::npos) return true;
    return false;
}

}  // namespace

KafkaSettings::KafkaSettings(const Url& url) : where_(url.text()), conf_(rd_kafka_conf_new()) {
    if (url.path.empty() || url.hosts.empty()) {
        throw Error(ExitCode::usage,
                    fmt::format("{}: write it as kafka://host:port,host:port/TOPIC", where_));
    }
    static_cast<void>(all_hosts(url, kPort));  // librdkafka takes any number for a port, in parts
    check_topic(url.path, where_);
    set("bootstrap.servers", url.hosts);
    set("client.id", "millrace");
    rd_kafka_conf_set_log_cb(get(), nullptr);  // problems are told by error and by event
    set_if_known("socket.nagle.disable", "true");
}

void KafkaSettings::set(const std::string& key, const std::string& value) {
    std::array<char, 512> problem{};
    if (rd_kafka_conf_set(get(), key.c_str(), value.c_str(), problem.data(), problem.size()) ==
        RD_KAFKA_CONF_OK) {
        return;
    }
    // What librdkafka says repeats the value.
    throw Error(ExitCode::usage,
                is_secret(key) ? fmt::format("{}: {} is not taken", where_, key)
                               : fmt::format("{}: {}", where_, problem.data()));
}

void KafkaSettings::set_if_known(const std::string& key, const std::string& value) {
    std::array<char, 512> problem{};
    rd_kafka_conf_set(get(), key.c_str(), value.c_str(), problem.data(), problem.size());
}

std::string KafkaSettings::advice() const {
    std::array<char, 32> protocol{};
    std::size_t size = protocol.size();
    rd_kafka_conf_get(get(), "security.protocol", protocol.data(), &size);
    return fmt::format("is the server running, reachable, and is what it speaks there {} (security.protocol)?",
                       protocol.data());
}

void KafkaSettings::take_options(Url& url) {
    for (auto option = url.options.begin(); option != url.options.end();) {
        const auto& [key, value] = *option;
        if (key.find('.') == std::string::npos) {
            ++option;
            continue;
        }
        if (is_secret(key)) {
            throw Error(ExitCode::usage,
                        fmt::format("{}: {} does not belong into a URL, where others see it; give "
                                    "it by environment (docs/streams.md)",
                                    where_, key));
        }
        set(key, value);
        option = url.options.erase(option);
    }
    for (char** variable = environ; *variable != nullptr; ++variable) {
        const std::string_view text(*variable);
        const std::size_t equals = text.find('=');
        if (text.substr(0, kPrefix.size()) != kPrefix || equals == std::string_view::npos) continue;
        set(key_of_variable(text.substr(0, equals)), std::string(text.substr(equals + 1)));
    }
}

KafkaClient make_kafka_client(rd_kafka_type_t type, const KafkaSettings& settings,
                              const std::string& where) {
    std::array<char, 512> problem{};
    rd_kafka_conf_t* conf = settings.copy();
    KafkaClient client(rd_kafka_new(type, conf, problem.data(), problem.size()));
    if (client != nullptr) return client;
    rd_kafka_conf_destroy(conf);
    throw Error(ExitCode::usage, fmt::format("{}: {}", where, problem.data()));
}

}  // namespace millrace::streams
