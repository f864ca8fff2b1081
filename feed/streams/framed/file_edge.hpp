// Batches to a file: each behind its length in 4 bytes and its envelope, as `file://` reads them.
#pragma once

#include <sys/uio.h>

#include <span>
#include <string>
#include <vector>

#include "millrace/feed/net/socket.hpp"
#include "millrace/feed/streams/sink.hpp"
#include "millrace/feed/streams/url.hpp"

namespace millrace::streams {

class FileEdge final : public Edge {
  public:
    // Throws Error(usage).
    explicit FileEdge(const Url& url);

    // Throws Error(file) for a file that nobody can write to here; a full disk is waited for.
    void open() override;
    // Opens the file, which is added to; a message that it ends in the middle of is cut off.
    [[nodiscard]] bool connect(std::string& problem) override;
    // Many small batches go to the kernel together, at the latest with poll().
    [[nodiscard]] Sent send(const Batch& batch) override;
    // A batch counts as taken when the kernel has it.
    [[nodiscard]] bool poll(int wait_ms, Acks& acks, std::string& problem) override;
    void disconnect() override;

  private:
    // A batch in front of the kernel; its payload stays with the sink.
    struct Head {
        wire::u32le length;  // of what follows it
        Envelope envelope;
    };
    struct Waiting {
        std::uint64_t id;
        Head head;
        std::span<const std::uint8_t> payload;

        [[nodiscard]] std::size_t bytes() const { return sizeof(head) + payload.size(); }
    };
    [[nodiscard]] bool refuse(std::string& problem) const;
    [[nodiscard]] bool find_end();
    [[nodiscard]] bool write_waiting();

    std::string path_;
    net::Socket file_;
    std::uint64_t size_ = 0;  // up to the end of the last whole message
    std::vector<Waiting> waiting_;
    std::size_t waiting_bytes_ = 0;
    std::vector<iovec> parts_;  // of what waits
    Acks acks_;
    std::string problem_;
};

}  // namespace millrace::streams
