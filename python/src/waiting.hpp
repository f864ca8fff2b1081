// How a script without an event loop waits for rows.
#pragma once

#include <nanobind/nanobind.h>
#include <poll.h>

#include <algorithm>
#include <cstdint>
#include <limits>

#include "gil.hpp"
#include "millrace/core/clock.hpp"

namespace millrace::python {

// Waits until `rows` rows are there, the end, or the time is over (negative: as long as it takes).
// True when there is something to take or nothing more will come. Signals are handled while
// waiting. Called with the GIL, which is let go meanwhile.
template <class Source>
bool wait_for(Source& source, std::uint64_t rows, double seconds) {
    constexpr int kSliceMs = 100;
    const Timestamp until = seconds < 0
                                ? std::numeric_limits<Timestamp>::max()
                                : MonotonicClock::now() + static_cast<Timestamp>(seconds * 1e9);
    while (source.arm(rows)) {
        pollfd polled{source.event(), POLLIN, 0};
        const Timestamp left = until - MonotonicClock::now();
        if (left <= 0) break;
        const timespec nap{0, std::min<Timestamp>(left, Timestamp{kSliceMs} * 1'000'000)};
        {
            const GilReleased release;
            ppoll(&polled, 1, &nap, nullptr);
        }
        if (PyErr_CheckSignals() != 0) {
            source.disarm();
            nanobind::raise_python_error();
        }
    }
    source.disarm();
    return source.ready() >= rows || source.ended();
}

}  // namespace millrace::python
