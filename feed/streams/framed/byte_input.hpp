// A run of bytes that comes bit by bit and may break off: a TCP connection, or a file that grows.
#pragma once

#include <memory>
#include <string>

#include "millrace/core/types.hpp"
#include "millrace/feed/net/socket.hpp"
#include "millrace/feed/streams/url.hpp"

namespace millrace::streams {

// One thread's.
class ByteInput {
  public:
    enum class Step : std::uint8_t {
        bytes,
        none,    // nothing within the time
        end,     // it ended in order
        broken,  // it was lost; it is opened anew with the next read
        failed   // and will not come back
    };
    virtual ~ByteInput() = default;
    // Appends what there is to `to`, waiting for it at most so long. `problem` says why it is broken
    // or has failed.
    [[nodiscard]] virtual Step read(int wait_ms, std::string& to, std::string& problem) = 0;
    // How many messages were taken so far, for who asks to go on behind them.
    virtual void taken(std::uint64_t) {}
    // Whether it goes on where it broke off; else what came in between is lost.
    [[nodiscard]] virtual bool resumes() const { return true; }
};

// A connection to `hosts`. Takes `hello`, in which "{frames}" stands for the number of messages
// taken, and which is sent first; `attempts`, to connect, in a row; and `timeout_ms`. Throws
// Error(usage).
[[nodiscard]] std::unique_ptr<ByteInput> make_tcp_input(Url& url);
// The file of the path. With `follow` it is read on as it grows, also when another takes its name
// (a log that is rotated). Throws Error(file).
[[nodiscard]] std::unique_ptr<ByteInput> make_file_input(const Url& url, bool follow);

}  // namespace millrace::streams
