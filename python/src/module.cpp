// millrace._core: what the Python package is built on. Not an interface of its own; users import
// millrace.
#include "batch.hpp"

NB_MODULE(_core, module) {
    // At exit a thread that nobody joined may still hold a feed, which is no matter.
    nanobind::set_leak_warnings(false);
    millrace::python::bind_batch(module);
    millrace::python::bind_feed(module);
    millrace::python::bind_csv(module);
    millrace::python::bind_research(module);
    millrace::python::bind_check(module);
}
