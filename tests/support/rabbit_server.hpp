// The real rabbitmq-server with its stream plugin, on free ports of loopback, with an epmd of its
// own. A test whose server does not start fails.
#pragma once

#include <fstream>
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
          epmd_({"epmd", "-address", "127.0.0.1", "-port", std::to_string(epmd_port_)},
                folder_.path() / "epmd.log"),
          process_(command("rabbitmq-server", {}), prepare()) {
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
        const Outcome outcome = run_program(command("rabbitmqctl", words));
        INFO(outcome.out << outcome.err);
        REQUIRE(outcome.code == 0);
    }

  private:
    // A program of RabbitMQ's in this server's surroundings.
    [[nodiscard]] std::vector<std::string> command(const std::string& program,
                                                   const std::vector<std::string>& words) const {
        const std::string home = folder_.path().string();
        std::vector<std::string> all{
            "env", "HOME=" + home, "ERL_EPMD_ADDRESS=127.0.0.1",
            "ERL_EPMD_PORT=" + std::to_string(epmd_port_), "RABBITMQ_NODENAME=feed@localhost",
            "RABBITMQ_DIST_PORT=" + std::to_string(dist_port_),
            "RABBITMQ_MNESIA_BASE=" + home + "/mnesia", "RABBITMQ_LOG_BASE=" + home + "/log",
            "RABBITMQ_CONFIG_FILE=" + home + "/rabbitmq.conf",
            "RABBITMQ_CONF_ENV_FILE=/dev/null",
            "RABBITMQ_ENABLED_PLUGINS_FILE=" + home + "/enabled_plugins",
            "RABBITMQ_PID_FILE=" + home + "/pidfile",
            // No shell stays between the server and who signals it.
            "RUNNING_UNDER_SYSTEMD=1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}",
            "/usr/lib/rabbitmq/bin/" + program};
        all.insert(all.end(), words.begin(), words.end());
        return all;
    }
    // Writes what the server reads; returns where its output goes.
    [[nodiscard]] std::filesystem::path prepare() const {
        const std::filesystem::path& home = folder_.path();
        std::filesystem::create_directories(home / "mnesia");
        std::filesystem::create_directories(home / "log");
        std::ofstream(home / "enabled_plugins") << "[rabbitmq_stream].\n";
        std::ofstream(home / "rabbitmq.conf")
            << "listeners.tcp.1 = 127.0.0.1:" << port_ << "\nstream.listeners.tcp.1 = 127.0.0.1:"
            << stream_port_ << "\ndisk_free_limit.absolute = 50MB\n";
        return home / "server.log";
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
    ServerProcess epmd_;
    ServerProcess process_;
};

}  // namespace millrace::test
