// Work that nobody waits for: giving much memory back to the kernel, which takes milliseconds, when
// whoever lets go of it may be an event loop.
#pragma once

#include <functional>
#include <memory>

namespace millrace::python {

// Does it on a thread of its own, or here where none can be had. `work` must not need Python, nor
// throw.
void dispose(std::function<void()> work);

// Destroys something large.
template <class Held>
void dispose_of(std::unique_ptr<Held> held) {
    if (held != nullptr) dispose([over = held.release()] { delete over; });
}

// Waits until all of it is done; what comes later is done at once. Before the process ends.
void finish_disposals();

}  // namespace millrace::python
