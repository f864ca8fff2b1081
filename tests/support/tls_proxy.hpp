// TLS in front of a server that a test has started, with a certificate of its own for localhost.
#pragma once

#include <string>

#include "tests/support/catch.hpp"
#include "tests/support/python.hpp"
#include "tests/support/server.hpp"

namespace millrace::test {

class TlsProxy {
  public:
    // Leads to that port of loopback from the time on when lead_to() was called.
    TlsProxy() : folder_("tls"), port_(free_port()) {
        const Outcome made = run_program(
            {"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-keyout", key(), "-out", certificate(), "-days", "2", "-subj", "/CN=localhost", "-addext",
             // Some clients look for an address among the names.
             "subjectAltName=DNS:localhost,DNS:127.0.0.1,IP:127.0.0.1"});
        INFO(made.err);
        REQUIRE(made.code == 0);
    }
    void lead_to(const std::string& port) {
        process_ = std::make_unique<ServerProcess>(
            std::vector<std::string>{"python3", std::string(MILLRACE_SOURCE_DIR) + "/tests/support/tls_proxy.py",
                                     certificate(), key(), std::to_string(port_), port},
            folder_.path() / "log");
        const bool ready = process_->wait_until(
            [&] {
                const net::Socket probe(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
                const sockaddr_in at = loopback_at(port_);
                return connect(probe.fd(), reinterpret_cast<const sockaddr*>(&at), sizeof(at)) == 0;
            },
            60);
        INFO(process_->log());
        REQUIRE(ready);
    }
    [[nodiscard]] std::uint16_t port() const { return port_; }
    // Of the authority that vouches for it, which is itself.
    [[nodiscard]] std::string certificate() const { return (folder_.path() / "certificate.pem").string(); }

  private:
    [[nodiscard]] std::string key() const { return (folder_.path() / "key.pem").string(); }

    TempFolder folder_;
    std::uint16_t port_;
    std::unique_ptr<ServerProcess> process_;
};

}  // namespace millrace::test
