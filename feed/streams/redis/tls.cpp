#include "millrace/feed/streams/redis/tls.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "millrace/core/clock.hpp"

namespace millrace::streams {

namespace {

std::string last_error() {
    const unsigned long code = ERR_get_error();
    const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
    ERR_clear_error();
    return reason == nullptr ? "the server hung up" : reason;
}

bool is_address(const std::string& name) {
    in6_addr address{};
    return inet_pton(AF_INET, name.c_str(), &address) == 1 || inet_pton(AF_INET6, name.c_str(), &address) == 1;
}

int length_of(std::size_t size) { return static_cast<int>(std::min<std::size_t>(size, INT_MAX)); }

}  // namespace

std::unique_ptr<Tls> Tls::connect(int fd, const std::string& name, const std::string& authorities, int wait_ms,
                                  std::string& problem) {
    std::unique_ptr<Tls> tls(new Tls);
    if (!tls->prepare(fd, name, authorities, problem) || !tls->greet(fd, wait_ms, problem)) return nullptr;
    return tls;
}

bool Tls::prepare(int fd, const std::string& name, const std::string& authorities, std::string& problem) {
    context_.reset(SSL_CTX_new(TLS_client_method()));
    if (context_ == nullptr) {
        problem = last_error();
        return false;
    }
    SSL_CTX_set_min_proto_version(context_.get(), TLS1_2_VERSION);
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
    // What could not be written is written from wherever it lies then.
    SSL_CTX_set_mode(context_.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    const int known = authorities.empty() ? SSL_CTX_set_default_verify_paths(context_.get())
                                          : SSL_CTX_load_verify_file(context_.get(), authorities.c_str());
    if (known != 1) {
        ERR_clear_error();
        problem = fmt::format("no certificates of authorities in {} ($MILLRACE_REDIS_CA)", authorities);
        return false;
    }
    ssl_.reset(SSL_new(context_.get()));
    if (ssl_ == nullptr || SSL_set_fd(ssl_.get(), fd) != 1) {
        problem = last_error();
        return false;
    }
    // An address stands in a certificate as such, and is not asked for by name.
    if (is_address(name)) return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_.get()), name.c_str()) == 1;
    // What SSL_set_tlsext_host_name() does, whose cast is of C.
    SSL_ctrl(ssl_.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, const_cast<char*>(name.c_str()));
    return SSL_set1_host(ssl_.get(), name.c_str()) == 1;
}

bool Tls::greet(int fd, int wait_ms, std::string& problem) {
    const Timestamp until = MonotonicClock::now() + Nanoseconds{wait_ms} * 1'000'000;
    for (;;) {
        const int done = SSL_connect(ssl_.get());
        if (done == 1) return true;
        const int why = SSL_get_error(ssl_.get(), done);
        if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) {
            problem = last_error();
            const long verified = SSL_get_verify_result(ssl_.get());
            if (verified != X509_V_OK)
                problem = fmt::format("the server's certificate: {}", X509_verify_cert_error_string(verified));
            return false;
        }
        const auto left_ms = static_cast<int>((until - MonotonicClock::now()) / 1'000'000);
        pollfd wait{fd, static_cast<short>(why == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT), 0};
        if (left_ms > 0 && poll(&wait, 1, left_ms) >= 0) continue;
        problem = fmt::format("no TLS within {} ms", wait_ms);
        return false;
    }
}

ssize_t Tls::result_of(int done) const {
    if (done > 0) return done;
    const int why = SSL_get_error(ssl_.get(), done);
    ERR_clear_error();
    if (why == SSL_ERROR_ZERO_RETURN) return 0;
    const bool later = why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE;
    errno = later ? EAGAIN : ECONNRESET;
    return -1;
}

ssize_t Tls::write(std::span<const char> bytes) {
    return result_of(SSL_write(ssl_.get(), bytes.data(), length_of(bytes.size())));
}

ssize_t Tls::read(std::span<char> bytes) {
    return result_of(SSL_read(ssl_.get(), bytes.data(), length_of(bytes.size())));
}

}  // namespace millrace::streams
