// Every way in beside packets and files: batches with their envelopes from a broker.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "millrace/feed/streams/envelope.hpp"

namespace millrace::streams {

struct Received {
    Envelope envelope{};
    bool has_envelope = false;              // of ours; others' messages may have none
    std::span<const std::uint8_t> payload;  // valid until the next call
};

// Used by one thread.
class Source {
  public:
    enum class Next : std::uint8_t {
        batch,
        none,  // nothing within the time
        end,   // everything there was at the start of reading has been read
        failed
    };

    virtual ~Source() = default;
    // The next batch, waiting for it at most so long. The one before counts as processed.
    [[nodiscard]] virtual Next next(int wait_ms, Received& received) = 0;
    // After failed: one line.
    [[nodiscard]] virtual const std::string& problem() const = 0;
    // Tells the broker what was processed.
    virtual void close() = 0;
    // How many batches the broker has that were not read yet, as far as it has told.
    [[nodiscard]] virtual std::uint64_t lag() const { return 0; }
};

}  // namespace millrace::streams
