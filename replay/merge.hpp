// Several captures as one stream of datagrams: by capture time, or one file after the other.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "millrace/replay/capture_reader.hpp"

namespace millrace::replay {

enum class MergeOrder : std::uint8_t { by_time, sequential };

class Merge {
  public:
    // `readers` outlive the merge and are read by nobody else meanwhile.
    Merge(const std::vector<std::unique_ptr<CaptureReader>>& readers, MergeOrder order) : order_(order) {
        for (const auto& reader : readers) files_.push_back({reader.get(), {}, State::stale});
    }

    // The next datagram, valid until the next call; false at the end of all files. Of datagrams with one
    // capture time the file named first has the first.
    [[nodiscard]] bool next(Datagram& datagram) {
        File* first = nullptr;
        for (File& file : files_) {
            if (file.state == State::stale) {
                file.state = file.reader->next(file.datagram) ? State::ready : State::ended;
            }
            if (file.state == State::ended) continue;
            if (first == nullptr || file.datagram.captured_at < first->datagram.captured_at) first = &file;
            if (order_ == MergeOrder::sequential) break;
        }
        if (first == nullptr) return false;
        datagram = first->datagram;
        first->state = State::stale;  // fetched anew at the next call: until then the payload stays valid
        reader_ = first->reader;
        return true;
    }

    // Where the last datagram came from.
    [[nodiscard]] const CaptureReader& reader() const { return *reader_; }

  private:
    enum class State : std::uint8_t { stale, ready, ended };
    struct File {
        CaptureReader* reader;
        Datagram datagram;
        State state;
    };

    MergeOrder order_;
    std::vector<File> files_;
    const CaptureReader* reader_ = nullptr;
};

}  // namespace millrace::replay
