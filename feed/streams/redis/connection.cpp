#include "millrace/feed/streams/redis/connection.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>

#include "millrace/core/clock.hpp"

namespace millrace::streams {

namespace {

constexpr int kConnectMs = 200;

std::string environment(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? std::string{} : std::string(value);
}

// hiredis writes in a way that raises SIGPIPE when the server is gone; an error is enough.
void refuse_sigpipe() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

}  // namespace

bool RedisConnection::open(std::string& problem) {
    refuse_sigpipe();
    const timeval wait{0, kConnectMs * 1000};
    context_.reset(redisConnectWithTimeout(at_.host.c_str(), at_.port, wait));
    unwritten_ = 0;
    if (context_ == nullptr || context_->err != 0) return lost(problem);
    redisEnableKeepAlive(context_.get());
    // From here on nothing blocks: exchange() waits by poll().
    context_->flags &= ~REDIS_BLOCK;
    fcntl(context_->fd, F_SETFL, fcntl(context_->fd, F_GETFL) | O_NONBLOCK);
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
        problem = fmt::format("redis {}:{}: {}", at_.host, at_.port, text_of(*reply));
        close();
        return false;
    }
    return true;
}

bool RedisConnection::lost(std::string& problem) {
    problem = fmt::format("redis {}:{}: {}", at_.host, at_.port,
                          context_ == nullptr ? "out of memory" : context_->errstr);
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
        unwritten_ += word.size();
    }
    redisAppendCommandArgv(context_.get(), static_cast<int>(words.size()), words.data(),
                           sizes.data());
}

bool RedisConnection::exchange(int wait_ms, std::string& problem) {
    int done = 1;
    if (unwritten_ != 0 && redisBufferWrite(context_.get(), &done) != REDIS_OK) return lost(problem);
    if (done != 0) unwritten_ = 0;
    const short out = done != 0 ? 0 : POLLOUT;
    pollfd wait{context_->fd, static_cast<short>(POLLIN | out), 0};
    if (poll(&wait, 1, wait_ms) <= 0) return true;
    if ((wait.revents & ~POLLOUT) != 0 && redisBufferRead(context_.get()) != REDIS_OK)
        return lost(problem);
    return true;
}

RedisReply RedisConnection::next() {
    void* reply = nullptr;
    if (redisGetReplyFromReader(context_.get(), &reply) != REDIS_OK) return nullptr;
    return RedisReply(static_cast<redisReply*>(reply));
}

}  // namespace millrace::streams
