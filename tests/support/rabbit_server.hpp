// The real rabbitmq-server with its stream plugin, on free ports of loopback, with an epmd of its
// own. A test whose server does not start fails.
#pragma once

#include <string>
#include <vector>

#include "tests/support/catch.hpp"
#include "tests/support/python.hpp"
#include "tests/support/server.hpp"

namespace millrace::test {

class RabbitServer {
  public:
    RabbitServer()
        : folder_("rabbitmq"), port_(free_port()), stream_port_(free_port()),
          epmd_port_(free_port()), dist_port_(free_port()),
          process_(command({}), folder_.path() / "server.log") {
        wait();
    }
    // One for all tests of this process, which use queues of their own.
    static RabbitServer& shared() {
        static RabbitServer server;
        return server;
    }

    [[nodiscard]] std::string port() const { return std::to_string(port_); }
    [[nodiscard]] std::string url(const std::string& rest) const {
        return "amqp://127.0.0.1:" + port() + "/" + rest;
    }
    void signal(int number) const { process_.signal(number); }
    void kill_it() { process_.kill_it(); }
    void start() {
        process_.start();
        wait();
    }
    // Runs rabbitmqctl, which takes seconds.
    void control(const std::vector<std::string>& words) const {
        std::vector<std::string> all{"rabbitmqctl"};
        all.insert(all.end(), words.begin(), words.end());
        const Outcome outcome = run_program(command(all));
        INFO(outcome.out << outcome.err);
        REQUIRE(outcome.code == 0);
    }

  private:
    // The server, or a program beside it.
    [[nodiscard]] std::vector<std::string> command(const std::vector<std::string>& program) const {
        std::vector<std::string> all{
            std::string(MILLRACE_SOURCE_DIR) + "/tests/support/rabbitmq/serve",
            folder_.path().string(), std::to_string(port_), std::to_string(stream_port_),
            std::to_string(epmd_port_), std::to_string(dist_port_)};
        all.insert(all.end(), program.begin(), program.end());
        return all;
    }
    void wait() const {
        const bool ready = process_.wait_until(
            [&] {
                const net::Socket probe(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
                const sockaddr_in at = loopback_at(port_);
                return connect(probe.fd(), reinterpret_cast<const sockaddr*>(&at), sizeof(at)) == 0;
            },
            300);
        INFO("rabbitmq-server (Debian: rabbitmq-server): " << process_.log());
        REQUIRE(ready);
    }

    TempFolder folder_;
    std::uint16_t port_;
    std::uint16_t stream_port_;
    std::uint16_t epmd_port_;
    std::uint16_t dist_port_;
    ServerProcess process_;
};

}  // namespace millrace::test
