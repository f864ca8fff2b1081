// Batches that wait on disk for an edge that cannot follow: first in, first out, up to a cap.
// Nothing stays there when the process ends, however it ends.
#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <string>

#include "millrace/feed/net/socket.hpp"
#include "millrace/feed/streams/batch.hpp"

namespace millrace::streams {

class Spill {
  public:
    // In files without a name in `folder`, of at most `bytes_max` together. Throws Error(file) when
    // none can be made there.
    Spill(std::filesystem::path folder, std::uint64_t bytes_max);

    // False when it does not fit, or the disk refuses it: problem() says which.
    [[nodiscard]] bool put(const Batch& batch);
    enum class Step : std::uint8_t { batch, empty, damaged };
    // The oldest one. After damaged, what the file of that batch still held is counted in
    // damaged_records(), and the next file follows.
    [[nodiscard]] Step next(Batch& batch);

    [[nodiscard]] bool empty() const { return bytes_ == 0; }
    [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
    [[nodiscard]] std::uint64_t records() const { return records_; }
    [[nodiscard]] std::uint64_t damaged_records() const { return damaged_; }
    [[nodiscard]] const std::string& problem() const { return problem_; }

  private:
    struct File {
        net::Socket handle;
        std::uint64_t size = 0;
        std::uint64_t read = 0;
        std::uint64_t records = 0;  // not read yet
    };
    [[nodiscard]] bool open_file();
    [[nodiscard]] bool refuse(const char* what);
    [[nodiscard]] Step give_up();

    std::filesystem::path folder_;
    std::uint64_t bytes_max_;
    std::deque<File> files_;  // the oldest first
    std::uint64_t bytes_ = 0;
    std::uint64_t records_ = 0;
    std::uint64_t damaged_ = 0;
    std::string problem_;
};

}  // namespace millrace::streams
