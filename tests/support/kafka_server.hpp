// The real Kafka server in KRaft mode, from its jars, on free ports of loopback. A test whose
// server does not start fails.
#pragma once

#include <fstream>
#include <string>

#include "tests/support/catch.hpp"
#include "tests/support/server.hpp"

namespace millrace::test {

class KafkaServer {
  public:
    KafkaServer()
        : folder_("kafka"), port_(free_port()), properties_(folder_.path() / "server.properties"),
          process_(java("kafka.Kafka", {prepare()}), folder_.path() / "log") {
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
    void start() {
        process_.start();
        wait();
    }

  private:
    static std::vector<std::string> java(const std::string& main, std::vector<std::string> words) {
        const std::string source = MILLRACE_SOURCE_DIR;
        std::vector<std::string> all{
            "java", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp",
            source + "/build/kafka/jars/*",
            "-Dlog4j2.configurationFile=" + source + "/tests/support/kafka/log4j2.yaml", main};
        all.insert(all.end(), words.begin(), words.end());
        return all;
    }
    // Writes the properties and formats the storage; returns the properties' name.
    [[nodiscard]] std::string prepare() const {
        const std::string controller = std::to_string(free_port());
        std::ofstream(properties_)
            << "process.roles=broker,controller\nnode.id=1\n"
            << "controller.quorum.voters=1@127.0.0.1:" << controller << "\n"
            << "listeners=PLAINTEXT://127.0.0.1:" << port_ << ",CONTROLLER://127.0.0.1:"
            << controller << "\n"
            << "advertised.listeners=PLAINTEXT://127.0.0.1:" << port_ << "\n"
            << "controller.listener.names=CONTROLLER\ninter.broker.listener.name=PLAINTEXT\n"
            << "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n"
            << "log.dirs=" << (folder_.path() / "data").string() << "\n"
            << "num.partitions=4\noffsets.topic.num.partitions=1\n"
            << "offsets.topic.replication.factor=1\n"
            << "transaction.state.log.replication.factor=1\n"
            << "transaction.state.log.min.isr=1\ngroup.initial.rebalance.delay.ms=0\n";
        ServerProcess format(java("kafka.tools.StorageTool", {"format", "-t", "MkU3OEVBNTcwNTJENDM2Qg",
                                                              "-c", properties_.string()}),
                             folder_.path() / "format.log");
        static_cast<void>(format.wait_until([] { return false; }, 300));
        return properties_.string();
    }
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
    std::filesystem::path properties_;
    ServerProcess process_;
};

}  // namespace millrace::test
