// The real redis-server, on a free port of loopback. A test whose server does not start fails.
#pragma once

#include <string>
#include <vector>

#include "tests/support/catch.hpp"
#include "tests/support/server.hpp"

namespace millrace::test {

class RedisServer {
  public:
    // With `durable` it has written what it acknowledged. `options` are further ones of the server's.
    explicit RedisServer(bool durable = false, const std::vector<std::string>& options = {})
        : folder_("redis"), port_(free_port()), process_(command(durable, options), folder_.path() / "log") {
        wait();
    }

    [[nodiscard]] std::string port() const { return std::to_string(port_); }
    [[nodiscard]] std::string url(const std::string& rest) const {
        return "redis://127.0.0.1:" + port() + "/" + rest;
    }
    // A command in words that need no quotes; the answer as it comes.
    std::string ask(const std::string& command) const {
        TcpClient client(port_);
        client.send(command + "\r\n");
        return client.receive();
    }
    void signal(int number) const { process_.signal(number); }
    void kill_it() { process_.kill_it(); }
    void start() {
        process_.start();
        wait();
    }

  private:
    [[nodiscard]] std::vector<std::string> command(bool durable, const std::vector<std::string>& options) const {
        std::vector<std::string> all{std::string(MILLRACE_SOURCE_DIR) + "/tests/support/redis/serve",
                                     folder_.path().string(), std::to_string(port_), durable ? "yes" : "no"};
        all.insert(all.end(), options.begin(), options.end());
        return all;
    }
    void wait() const {
        const bool ready = process_.wait_until(
            [&] {
                const net::Socket probe(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
                const sockaddr_in at = loopback_at(port_);
                return connect(probe.fd(), reinterpret_cast<const sockaddr*>(&at), sizeof(at)) == 0 &&
                       ask("PING") == "+PONG\r\n";
            },
            60);
        INFO("redis-server (Debian: redis-server): " << process_.log());
        REQUIRE(ready);
    }

    TempFolder folder_;
    std::uint16_t port_;
    ServerProcess process_;
};

}  // namespace millrace::test
