// Letting go of Python's lock while a call waits or works.
#pragma once

#include <cxxabi.h>
#include <nanobind/nanobind.h>
#include <unistd.h>

namespace millrace::python {

// Other threads may run Python for as long as it lives. Like nanobind's gil_scoped_release, but for
// the end of the process: until 3.13 Python ends a thread that then asks for the lock by unwinding
// it, which functions that promise not to throw do not survive. Here it sleeps until the process is
// gone, as 3.14 has it.
class GilReleased {
  public:
    GilReleased() : state_(PyEval_SaveThread()) {}
    ~GilReleased() {
        try {
            PyEval_RestoreThread(state_);
        } catch (abi::__forced_unwind&) {
            for (;;) pause();
        }
    }
    GilReleased(const GilReleased&) = delete;
    GilReleased& operator=(const GilReleased&) = delete;

  private:
    PyThreadState* state_;
};

}  // namespace millrace::python
