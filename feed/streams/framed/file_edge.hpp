// Batches to a file: each behind its length in 4 bytes and its envelope, as `file://` reads them.
#pragma once

#include <string>

#include "millrace/feed/net/socket.hpp"
#include "millrace/feed/streams/sink.hpp"
#include "millrace/feed/streams/url.hpp"

namespace millrace::streams {

class FileEdge final : public Edge {
  public:
    // Throws Error(usage).
    explicit FileEdge(const Url& url);

    // Opens the file, which is added to; a message that it ends in the middle of is cut off.
    [[nodiscard]] bool connect(std::string& problem) override;
    [[nodiscard]] Sent send(const Batch& batch) override;
    // A batch counts as taken when the kernel has it.
    [[nodiscard]] bool poll(int wait_ms, Acks& acks, std::string& problem) override;
    void disconnect() override;

  private:
    [[nodiscard]] bool refuse(std::string& problem) const;
    [[nodiscard]] bool find_end();

    std::string path_;
    net::Socket file_;
    std::uint64_t size_ = 0;  // up to the end of the last whole message
    Acks acks_;
    std::string problem_;
};

}  // namespace millrace::streams
