#include "millrace/feed/streams/redis/connection.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <span>

#include "millrace/core/clock.hpp"
#include "millrace/core/error.hpp"

namespace millrace::streams {

namespace {

constexpr int kDefaultPort = 6379;
constexpr int kConnectMs = 200;
constexpr int kTlsMs = 1'000;
constexpr std::string_view kStillThere = "; does it still run?";
constexpr std::size_t kReadMost = std::size_t{64} << 10;

std::string environment(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? std::string{} : std::string(value);
}

// OpenSSL writes in a way that raises SIGPIPE when the server is gone; an error is enough.
void refuse_sigpipe() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

}  // namespace

RedisConnection::RedisConnection(const Url& url)
    : at_(first_host(url, kDefaultPort)), encrypted_(url.scheme == "rediss"), in_(kReadMost) {}

bool RedisConnection::open(std::string& problem) {
    close();
    refuse_sigpipe();
    const timeval wait{0, kConnectMs * 1000};
    context_.reset(redisConnectWithTimeout(at_.host.c_str(), at_.port, wait));
    if (context_ == nullptr) return lost("out of memory", problem);
    if (context_->err != 0) return lost(fmt::format("{}; is the server running?", context_->errstr), problem);
    redisEnableKeepAlive(context_.get());
    // From here on nothing blocks: exchange() waits by poll().
    context_->flags &= ~REDIS_BLOCK;
    fcntl(context_->fd, F_SETFL, fcntl(context_->fd, F_GETFL) | O_NONBLOCK);
    if (encrypted_) {
        std::string why;
        tls_ = Tls::connect(context_->fd, at_.host, environment("MILLRACE_REDIS_CA"), kTlsMs, why);
        if (tls_ == nullptr) return lost(why + "; does the server speak TLS there?", problem);
    }
    return log_in(problem);
}

bool RedisConnection::log_in(std::string& problem) {
    const std::string user = environment("MILLRACE_REDIS_USER");
    const std::string password = environment("MILLRACE_REDIS_PASSWORD");
    RedisCommand login{"AUTH"};
    if (!user.empty()) login.emplace_back(user);
    login.emplace_back(password);
    for (const RedisCommand& command : {login, RedisCommand{"PING"}}) {
        if (command[0] == "AUTH" && password.empty()) continue;
        const RedisReply reply = ask(command, kConnectMs, problem);
        if (reply == nullptr) return false;
        if (!is_error(*reply)) continue;
        const std::string_view why = text_of(*reply);
        const bool of_login = command[0] == "AUTH" || why.substr(0, 6) == "NOAUTH";
        constexpr std::string_view kHow = "; $MILLRACE_REDIS_USER and $MILLRACE_REDIS_PASSWORD log in";
        return lost(fmt::format("{}{}", why, of_login ? kHow : ""), problem);
    }
    return true;
}

void RedisConnection::close() {
    tls_.reset();
    context_.reset();
    out_.clear();
    out_at_ = 0;
}

bool RedisConnection::lost(std::string_view why, std::string& problem) {
    problem = fmt::format("redis {}:{}: {}", at_.host, at_.port, why);
    close();
    return false;
}

RedisReply RedisConnection::ask(const RedisCommand& command, int wait_ms, std::string& problem) {
    if (!is_open()) {
        problem = fmt::format("redis {}:{}: not connected", at_.host, at_.port);
        return nullptr;
    }
    append(command);
    const Timestamp until = MonotonicClock::now() + Nanoseconds{wait_ms} * 1'000'000;
    for (Timestamp now = MonotonicClock::now(); now < until; now = MonotonicClock::now()) {
        if (!exchange(static_cast<int>((until - now) / 1'000'000) + 1, problem)) return nullptr;
        if (RedisReply reply = next()) return reply;
    }
    problem = fmt::format("redis {}:{}: no answer within {} ms", at_.host, at_.port, wait_ms);
    close();
    return nullptr;
}

void RedisConnection::append(const RedisCommand& command) {
    std::vector<const char*> words;
    std::vector<std::size_t> sizes;
    for (const std::string_view word : command) {
        words.push_back(word.data());
        sizes.push_back(word.size());
    }
    char* text = nullptr;
    const int size = redisFormatCommandArgv(&text, static_cast<int>(words.size()), words.data(), sizes.data());
    MILLRACE_VERIFY(size > 0);
    out_.insert(out_.end(), text, text + size);
    redisFreeCommand(text);
}

bool RedisConnection::write_some(std::string& problem) {
    while (out_at_ < out_.size()) {
        const std::span<const char> rest = std::span<const char>(out_).subspan(out_at_);
        const ssize_t n = tls_ != nullptr ? tls_->write(rest)
                                          : ::send(context_->fd, rest.data(), rest.size(), MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return true;
        if (n <= 0) return lost(fmt::format("{}{}", std::strerror(n < 0 ? errno : ECONNRESET), kStillThere), problem);
        out_at_ += static_cast<std::size_t>(n);
    }
    out_.clear();
    out_at_ = 0;
    return true;
}

bool RedisConnection::read_some(std::string& problem) {
    const ssize_t n = tls_ != nullptr ? tls_->read(in_) : ::recv(context_->fd, in_.data(), in_.size(), 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return true;
    if (n == 0) return lost(fmt::format("the server closed the connection{}", kStillThere), problem);
    if (n < 0) return lost(fmt::format("{}{}", std::strerror(errno), kStillThere), problem);
    redisReaderFeed(context_->reader, in_.data(), static_cast<std::size_t>(n));
    return true;
}

bool RedisConnection::exchange(int wait_ms, std::string& problem) {
    if (context_->err != 0) return lost(context_->errstr, problem);  // what came was no answer
    if (!write_some(problem)) return false;
    if (tls_ != nullptr && tls_->has_pending()) return read_some(problem);
    const short out = out_.empty() ? 0 : POLLOUT;
    pollfd wait{context_->fd, static_cast<short>(POLLIN | out), 0};
    if (poll(&wait, 1, wait_ms) <= 0) return true;
    return (wait.revents & ~POLLOUT) == 0 || read_some(problem);
}

RedisReply RedisConnection::next() {
    void* reply = nullptr;
    if (redisGetReplyFromReader(context_.get(), &reply) != REDIS_OK) return nullptr;
    return RedisReply(static_cast<redisReply*>(reply));
}

}  // namespace millrace::streams
