// TLS over a connected socket that does not block, by OpenSSL: hiredis has none in the version of
// Debian 12.
#pragma once

#include <openssl/ssl.h>
#include <sys/types.h>

#include <memory>
#include <span>
#include <string>

namespace millrace::streams {

class Tls {
  public:
    // Greets the server at the other end of `fd`, which is borrowed, and checks its certificate for
    // that name, by the authorities in the file `authorities` or, where that is empty, the system's.
    // Waits at most so long. Null: `problem` says why.
    [[nodiscard]] static std::unique_ptr<Tls> connect(int fd, const std::string& name, const std::string& authorities,
                                                      int wait_ms, std::string& problem);

    // As send() and recv() have it: how many bytes; -1 with errno EAGAIN when there is nothing to do now, or
    // with another error; read() gives 0 at the end.
    [[nodiscard]] ssize_t write(std::span<const char> bytes);
    [[nodiscard]] ssize_t read(std::span<char> bytes);
    // Whether bytes wait here that poll() does not know of.
    [[nodiscard]] bool has_pending() const { return SSL_pending(ssl_.get()) > 0; }

  private:
    struct ContextDeleter {
        void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
    };
    struct Deleter {
        void operator()(SSL* ssl) const { SSL_free(ssl); }
    };
    Tls() = default;
    [[nodiscard]] bool prepare(int fd, const std::string& name, const std::string& authorities, std::string& problem);
    [[nodiscard]] bool greet(int fd, int wait_ms, std::string& problem);
    [[nodiscard]] ssize_t result_of(int done) const;

    std::unique_ptr<SSL_CTX, ContextDeleter> context_;
    std::unique_ptr<SSL, Deleter> ssl_;
};

}  // namespace millrace::streams
