#include "millrace/feed/streams/rabbitmq/connection.hpp"

#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#include <fmt/format.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstdlib>
#include <utility>

#include "millrace/core/clock.hpp"
#include "millrace/core/error.hpp"

namespace millrace::streams {

namespace {

constexpr int kPort = 5672;
constexpr int kPortEncrypted = 5671;
constexpr int kFrameMax = 131'072;
// A server that takes nothing for so long is given up even in the middle of a frame.
constexpr unsigned kStuckMs = 10'000;

std::string environment(const char* name, const char* otherwise) {
    const char* value = std::getenv(name);
    return value == nullptr ? std::string(otherwise) : std::string(value);
}

// Why a connection was not to be had, more plainly than the library says it.
std::string why_not(int code) {
    switch (code) {
        case AMQP_STATUS_SOCKET_ERROR: return "nobody answers there; is the server running?";
        case AMQP_STATUS_SSL_ERROR:
        case AMQP_STATUS_SSL_CONNECTION_FAILED:
        case AMQP_STATUS_SSL_PEER_VERIFY_FAILED:
        case AMQP_STATUS_SSL_HOSTNAME_VERIFY_FAILED:
            return fmt::format("{}; does the server speak TLS there, and is its certificate good for that name, "
                               "by the authorities in $MILLRACE_AMQP_CA?",
                               amqp_error_string2(code));
        case AMQP_STATUS_HOSTNAME_RESOLUTION_FAILED:
            return fmt::format("{}; is the name right?", amqp_error_string2(code));
        default: return amqp_error_string2(code);
    }
}

// Why one that was there is no more.
std::string why_broken(int code) {
    return fmt::format("{}; does the server run? What was not acknowledged comes again",
                       amqp_error_string2(code));
}

timeval milliseconds(int ms) { return {ms / 1'000, ms % 1'000 * 1'000}; }

amqp_table_entry_t entry(std::string_view key, std::uint8_t kind) {
    amqp_table_entry_t out{};
    out.key = bytes_of(key);
    out.value.kind = kind;
    return out;
}

}  // namespace

void RabbitTable::add(std::string_view key, std::string_view text) {
    entries_.push_back(entry(key, AMQP_FIELD_KIND_UTF8));
    entries_.back().value.value.bytes = bytes_of(text);
}

void RabbitTable::add(std::string_view key, std::int64_t number) {
    entries_.push_back(entry(key, AMQP_FIELD_KIND_I64));
    entries_.back().value.value.i64 = number;
}

void RabbitTable::add(std::string_view key, RabbitTable& table) {
    entries_.push_back(entry(key, AMQP_FIELD_KIND_TABLE));
    entries_.back().value.value.table = table.get();
}

void RabbitTable::add_true(std::string_view key) {
    entries_.push_back(entry(key, AMQP_FIELD_KIND_BOOLEAN));
    entries_.back().value.value.boolean = 1;
}

RabbitQueue take_queue(Url& url, std::string name, std::string exchange) {
    RabbitQueue queue{std::move(name), std::move(exchange), url.take("type", "quorum"), {}};
    if (queue.type != "quorum" && queue.type != "stream" && queue.type != "classic") {
        throw Error(ExitCode::usage,
                    fmt::format("{}: type is quorum, stream or classic", url.text()));
    }
    std::string keys = url.take("bind", "#");
    for (std::size_t comma = 0; comma != std::string::npos;) {
        comma = keys.find(',');
        queue.keys.push_back(keys.substr(0, comma));
        keys.erase(0, comma == std::string::npos ? comma : comma + 1);
    }
    return queue;
}

RabbitConnection::RabbitConnection(Url& url)
    : at_(first_host(url, url.scheme == "amqps" ? kPortEncrypted : kPort)),
      where_(fmt::format("{}://{}:{}", url.scheme, at_.host, at_.port)),
      encrypted_(url.scheme == "amqps"), vhost_(url.take("vhost", "/")),
      heartbeat_s_(static_cast<int>(url.take_number("heartbeat_s", 10, 3'600))),
      timeout_ms_(static_cast<int>(url.take_number("timeout_ms", 5'000, 600'000))) {
    if (heartbeat_s_ == 0 || timeout_ms_ == 0) {
        throw Error(ExitCode::usage,
                    fmt::format("{}: heartbeat_s and timeout_ms are at least 1", where_));
    }
}

amqp_socket_t* RabbitConnection::make_socket(std::string& problem) {
    if (!encrypted_) return amqp_tcp_socket_new(state_.get());
    amqp_socket_t* socket = amqp_ssl_socket_new(state_.get());
    if (socket == nullptr) return nullptr;
    const std::string authority =
        environment("MILLRACE_AMQP_CA", "/etc/ssl/certs/ca-certificates.crt");
    if (amqp_ssl_socket_set_cacert(socket, authority.c_str()) != AMQP_STATUS_OK) {
        problem = fmt::format("no certificates of authorities in {} ($MILLRACE_AMQP_CA)", authority);
        return nullptr;
    }
    const std::string certificate = environment("MILLRACE_AMQP_CERTIFICATE", "");
    const std::string key = environment("MILLRACE_AMQP_KEY", "");
    if (!certificate.empty() &&
        amqp_ssl_socket_set_key(socket, certificate.c_str(), key.c_str()) != AMQP_STATUS_OK) {
        problem = fmt::format("{} is no certificate with its key ($MILLRACE_AMQP_CERTIFICATE, "
                              "$MILLRACE_AMQP_KEY)",
                              certificate);
        return nullptr;
    }
    amqp_ssl_socket_set_verify_peer(socket, 1);
    amqp_ssl_socket_set_verify_hostname(socket, 1);
    return socket;
}

bool RabbitConnection::open(std::string& problem) {
    state_.reset(amqp_new_connection());
    if (state_ == nullptr) return lost("out of memory", problem);
    std::string why = "out of memory";
    amqp_socket_t* socket = make_socket(why);
    if (socket == nullptr) return lost(why, problem);
    const timeval wait = milliseconds(timeout_ms_);
    amqp_set_handshake_timeout(get(), &wait);
    amqp_set_rpc_timeout(get(), &wait);
    const int code = amqp_socket_open_noblock(socket, at_.host.c_str(), at_.port, &wait);
    if (code != AMQP_STATUS_OK) return lost(why_not(code), problem);
    watch_socket();
    const std::string user = environment("MILLRACE_AMQP_USER", "guest");
    const std::string password = environment("MILLRACE_AMQP_PASSWORD", "guest");
    RabbitTable capabilities;
    capabilities.add_true("connection.blocked");
    RabbitTable about;
    about.add("connection_name", "millrace");
    about.add("capabilities", capabilities);
    amqp_table_t table = about.get();
    const auto reply = amqp_login_with_properties(get(), vhost_.c_str(), 0, kFrameMax, heartbeat_s_,
                                                  &table, AMQP_SASL_METHOD_PLAIN, user.c_str(),
                                                  password.c_str());
    if (!judge(reply, problem)) {
        if (problem.find("ACCESS_REFUSED") != std::string::npos)
            problem += " ($MILLRACE_AMQP_USER and $MILLRACE_AMQP_PASSWORD log in)";
        return false;
    }
    amqp_channel_open(get(), kChannel);
    return answered(problem);
}

void RabbitConnection::watch_socket() {
    const int fd = amqp_get_sockfd(get());
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &kStuckMs, sizeof(kStuckMs));
    int bytes = 0;
    socklen_t size = sizeof(bytes);
    getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, &size);
    send_buffer_ = static_cast<std::size_t>(bytes);
}

bool RabbitConnection::has_room(std::size_t bytes) const {
    int queued = 0;
    if (ioctl(amqp_get_sockfd(get()), SIOCOUTQ, &queued) != 0) return true;
    // Half, since the kernel counts its own overhead too. One batch may go at any time.
    return queued == 0 || static_cast<std::size_t>(queued) + bytes < send_buffer_ / 2;
}

void RabbitConnection::close() {
    if (state_ != nullptr) amqp_connection_close(get(), AMQP_REPLY_SUCCESS);
    state_.reset();
}

bool RabbitConnection::lost(std::string_view why, std::string& problem) {
    problem = fmt::format("{}: {}", where_, why);
    state_.reset();
    return false;
}

bool RabbitConnection::broken(int code, std::string& problem) { return lost(why_broken(code), problem); }

bool RabbitConnection::judge(const amqp_rpc_reply_t& reply, std::string& problem) {
    if (reply.reply_type == AMQP_RESPONSE_NORMAL) return true;
    if (reply.reply_type != AMQP_RESPONSE_SERVER_EXCEPTION)
        return lost(why_broken(reply.library_error), problem);
    amqp_frame_t frame{};
    frame.frame_type = AMQP_FRAME_METHOD;
    frame.payload.method = reply.reply;
    if (!is_farewell(frame, problem)) problem = fmt::format("{}: refused", where_);
    state_.reset();
    return false;
}

bool RabbitConnection::answered(std::string& problem) {
    return judge(amqp_get_rpc_reply(get()), problem);
}

bool RabbitConnection::is_farewell(const amqp_frame_t& frame, std::string& problem) const {
    if (frame.frame_type != AMQP_FRAME_METHOD) return false;
    const amqp_method_t& method = frame.payload.method;
    if (method.id == AMQP_CONNECTION_CLOSE_METHOD) {
        const auto& close = *static_cast<const amqp_connection_close_t*>(method.decoded);
        problem = fmt::format("{}: {}", where_, text_of(close.reply_text));
        return true;
    }
    if (method.id == AMQP_CHANNEL_CLOSE_METHOD) {
        const auto& close = *static_cast<const amqp_channel_close_t*>(method.decoded);
        problem = fmt::format("{}: {}", where_, text_of(close.reply_text));
        return true;
    }
    return false;
}

bool RabbitConnection::declare_exchange(const std::string& name, std::string& problem) {
    amqp_exchange_declare(get(), kChannel, bytes_of(name), bytes_of("topic"), 0, 1, 0, 0,
                          amqp_empty_table);
    return answered(problem);
}

bool RabbitConnection::declare(const RabbitQueue& queue, std::string& problem) {
    RabbitTable arguments;
    arguments.add("x-queue-type", queue.type);
    amqp_queue_declare(get(), kChannel, bytes_of(queue.name), 0, 1, 0, 0, arguments.get());
    if (!answered(problem)) return false;
    if (queue.exchange.empty()) return true;
    if (!declare_exchange(queue.exchange, problem)) return false;
    for (const std::string& key : queue.keys) {
        amqp_queue_bind(get(), kChannel, bytes_of(queue.name), bytes_of(queue.exchange),
                        bytes_of(key), amqp_empty_table);
        if (!answered(problem)) return false;
    }
    return true;
}

RabbitConnection::Step RabbitConnection::next(int wait_ms, amqp_frame_t& frame,
                                              std::string& problem) {
    // The library cuts off what is no whole millisecond: a wait of one would be none, and whoever waits would spin.
    const timeval wait = milliseconds(wait_ms == 0 ? 0 : wait_ms + 1);
    const int code = amqp_simple_wait_frame_noblock(get(), &frame, &wait);
    if (code == AMQP_STATUS_OK) return Step::frame;
    if (code == AMQP_STATUS_TIMEOUT) return Step::none;
    static_cast<void>(broken(code, problem));
    return Step::lost;
}

void RabbitConnection::keep_alive() {
    constexpr Nanoseconds kOften = 1'000'000'000;
    const Timestamp now = MonotonicClock::now();
    if (!is_open() || now - beat_at_ < kOften) return;
    beat_at_ = now;
    amqp_frame_t heartbeat{};
    heartbeat.frame_type = AMQP_FRAME_HEARTBEAT;
    static_cast<void>(amqp_send_frame(get(), &heartbeat));  // a lost connection is found by next()
}

}  // namespace millrace::streams
