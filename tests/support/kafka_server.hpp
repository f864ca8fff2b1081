// The real Kafka server in KRaft mode, from its jars, on free ports of loopback. A test whose
// server does not start fails.
#pragma once

#include <string>

#include "tests/support/catch.hpp"
#include "tests/support/server.hpp"

namespace millrace::test {

class KafkaServer {
  public:
    // `advertised` is the port that clients are told to use; 0: the server's own.
    explicit KafkaServer(std::uint16_t advertised = 0)
        : folder_("kafka"), port_(free_port()),
          process_({std::string(MILLRACE_SOURCE_DIR) + "/tests/support/kafka/serve",
                    folder_.path().string(), std::to_string(port_), std::to_string(free_port()),
                    std::to_string(advertised == 0 ? port_ : advertised)},
                   folder_.path() / "log") {
        wait();
    }
    // One for all tests of this process, which use topics of their own.
    static KafkaServer& shared() {
        static KafkaServer server;
        return server;
    }

    [[nodiscard]] std::string port() const { return std::to_string(port_); }
    [[nodiscard]] std::string url(const std::string& rest) const {
        return "kafka://127.0.0.1:" + port() + "/" + rest;
    }
    void signal(int number) const { process_.signal(number); }
    void kill_it() { process_.kill_it(); }
    void limit_files(std::uint64_t bytes) const { process_.limit_files(bytes); }
    void start() {
        process_.start();
        wait();
    }

  private:
    void wait() const {
        const bool ready = process_.wait_until(
            [&] {
                const net::Socket probe(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
                const sockaddr_in at = loopback_at(port_);
                return connect(probe.fd(), reinterpret_cast<const sockaddr*>(&at), sizeof(at)) == 0;
            },
            300);
        INFO("Kafka (./tools/test fetches it; Debian: openjdk-17-jre-headless, maven): "
             << process_.log());
        REQUIRE(ready);
    }

    TempFolder folder_;
    std::uint16_t port_;
    ServerProcess process_;
};

}  // namespace millrace::test
